/* What every page does: theme, navigation, menus, dialogs, shortcuts, toasts. Pages read and work without it. */

const root = document.documentElement;

/** Whether the event comes from a place where letters are typed. */
export const typing = (event) => event.target.closest?.("input, textarea, select, [contenteditable]") !== null;

function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    /* A browser that keeps nothing forgets the choice with the page. */
  }
}

/** An icon of the page's sprite, as an element. */
export function icon(name, small = false) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", small ? "au-i au-i--sm" : "au-i");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** An element with a class and contents; strings become text. */
export function element(tag, className, ...contents) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...contents);
  return made;
}

/** A message in the page. `act` is {label, run} for its button, if it has one. */
export function banner(tone, title, text, act) {
  const words = element("div", "", element("strong", "au-strong", title));
  if (text) words.append(element("p", "", text));
  const made = element("div", `au-banner au-banner--${tone}`, icon(tone === "info" ? "info" : "alert"), words);
  made.setAttribute("role", tone === "bad" ? "alert" : "status");
  if (act) {
    const button = element("button", "au-btn au-btn--sm", act.label);
    button.type = "button";
    button.addEventListener("click", act.run);
    made.append(element("div", "au-row", button));
  }
  return made;
}

/** The way out of a login that ended: the page itself leads there, and back. */
export const SIGN_IN = { label: "Sign in", run: () => location.reload() };

/** Show a problem of the whole page under the top bar; null takes it away. */
export function pageProblem(shown) {
  const place = document.getElementById("page-problem");
  if (!place) return;
  if (!shown) {
    if (!place.hidden) place.replaceChildren();
    place.hidden = true;
    return;
  }
  if (place.dataset.title === shown.title && !place.hidden) return;
  place.dataset.title = shown.title;
  place.replaceChildren(banner(shown.tone ?? "warn", shown.title, shown.text, shown.act));
  place.hidden = false;
}

/* Toasts go by themselves; those that the server put into the page too. */
const TOAST_MS = 5000;
const toasts = document.querySelector(".au-toasts");
for (const shown of toasts?.children ?? []) setTimeout(() => shown.remove(), TOAST_MS);

/** Say something for 5 s. `act` is {label, run} for its button, if it has one. */
export function toast(text, glyph = "check", act = null) {
  const shown = element("div", "au-toast", icon(glyph), element("span", "", text));
  if (act) {
    const button = element("button", "", act.label);
    button.type = "button";
    button.addEventListener("click", () => {
      shown.remove();
      act.run();
    });
    shown.append(button);
  }
  toasts?.append(shown);
  setTimeout(() => shown.remove(), TOAST_MS);
}

/* Theme: system, light, dark, system */
const themeButton = document.querySelector("[data-theme-toggle]");
function labelTheme() {
  const theme = root.dataset.theme ?? "system";
  themeButton?.setAttribute("aria-label", `Theme: ${theme}. Change theme`);
  themeButton?.setAttribute("title", `Theme: ${theme}`);
}
themeButton?.addEventListener("click", () => {
  const next = { undefined: "light", light: "dark", dark: null }[root.dataset.theme];
  if (next) root.dataset.theme = next;
  else delete root.dataset.theme;
  remember("parley-theme", next);
  labelTheme();
});
labelTheme();

/* Navigation: a rail by choice, a drawer on a phone */
const railButton = document.querySelector("[data-rail]");
function labelRail() {
  const words = root.dataset.rail === "1" ? "Expand navigation" : "Collapse navigation";
  railButton?.setAttribute("aria-label", words);
  railButton?.setAttribute("title", `${words}  [`);
}
function toggleRail() {
  const on = root.dataset.rail !== "1";
  if (on) root.dataset.rail = "1";
  else delete root.dataset.rail;
  remember("parley-rail", on ? "1" : "0");
  labelRail();
}
railButton?.addEventListener("click", toggleRail);
labelRail();

const drawerButton = document.querySelector("[data-nav]");
function openDrawer(open) {
  root.toggleAttribute("data-nav-open", open);
  drawerButton?.setAttribute("aria-expanded", String(open));
  drawerButton?.setAttribute("aria-label", open ? "Close navigation" : "Open navigation");
  if (open) document.querySelector("#nav a")?.focus();
  else if (document.activeElement?.closest("#nav")) drawerButton?.focus();
}
drawerButton?.addEventListener("click", () => openDrawer(!root.hasAttribute("data-nav-open")));
document.querySelector("[data-nav-close]")?.addEventListener("click", () => openDrawer(false));

/* Menus on <details> close on a click elsewhere, on Escape, and when focus leaves them */
const openMenus = () => document.querySelectorAll("details.au-menu[open]");
document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("focusin", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});

/* Dialogs */
export function openDialog(dialog) {
  if (!dialog || dialog.matches(":modal")) return;
  dialog.close();
  dialog.showModal();
  dialog.addEventListener("close", backToOpener);
}

/* The browser gives focus back to what opened a dialog, unless the page has drawn that anew meanwhile. A dialog that becomes modal
   is closed for a moment, and hears of it when it is open again. */
function backToOpener({ target: dialog }) {
  if (dialog.open || document.activeElement !== document.body) return;
  document.querySelector(`[data-dialog="${CSS.escape(dialog.id)}"]`)?.focus({ preventScroll: true });
}
for (const dialog of document.querySelectorAll("dialog[open]")) openDialog(dialog);

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  const closer = event.target.closest("[data-close]");
  const dialog = opener && document.getElementById(opener.dataset.dialog);
  if (dialog && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    openDialog(dialog);
  } else if (closer?.closest("dialog")) {
    event.preventDefault();
    closer.closest("dialog").close();
  } else if (event.target.closest("[data-show-password]")) {
    showPassword(event.target.closest("[data-show-password]"));
  } else if (event.target.closest("[data-action]")) {
    /* Bulk actions of stock Flask-Admin lists; its own handler stands in an attribute, which the policy forbids. */
    event.preventDefault();
    window.modelActions?.execute(event.target.closest("[data-action]").dataset.action);
  }
});

function showPassword(button) {
  const field = document.getElementById(button.dataset.showPassword);
  const show = field.type === "password";
  field.type = show ? "text" : "password";
  button.setAttribute("aria-pressed", String(show));
  button.setAttribute("aria-label", show ? "Hide password" : "Show password");
  field.focus();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) event.preventDefault();
  else if (form.matches("[data-sign-out]")) sessionStorage.clear();
});

/* Shortcuts: single letters, off while typing, and off altogether by choice (WCAG 2.1.4) */
const shortcuts = new Map([
  ["[", toggleRail],
  ["/", () => document.querySelector("[data-slash]")?.focus()],
]);

/** Let a single key do something on this page. */
export const shortcut = (key, run) => shortcuts.set(key, run);

let shortcutsOn = true;
try {
  shortcutsOn = localStorage.getItem("parley-shortcuts") !== "0";
} catch {
  /* On, then. */
}
const shortcutsButton = document.querySelector("[data-shortcuts]");
shortcutsButton?.setAttribute("aria-pressed", String(shortcutsOn));
shortcutsButton?.addEventListener("click", () => {
  shortcutsOn = !shortcutsOn;
  shortcutsButton.setAttribute("aria-pressed", String(shortcutsOn));
  remember("parley-shortcuts", shortcutsOn ? "1" : "0");
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
    if (root.hasAttribute("data-nav-open")) openDrawer(false);
    return;
  }
  if (event.key === " " && event.target.matches?.('a[role="button"]')) {
    event.preventDefault();
    event.target.click();
    return;
  }
  if (!shortcutsOn || typing(event) || event.metaKey || event.ctrlKey || event.altKey) return;
  if (document.querySelector("dialog:modal")) return;
  const run = shortcuts.get(event.key);
  if (!run) return;
  event.preventDefault();
  run(event);
});
