/* The table of definitions: find as you type, switches that save at once, pinned ones in order, a drawer for one of them. */

import { askToPurge, liveForm, tell } from "./definition.js";
import { NoFragment, fetchFragment } from "./fragments.js";
import { SIGN_IN, openDialog, pageProblem, toast } from "./shell.js";
import { sortable } from "./sortable.js";

const place = document.getElementById("definitions");
const drawer = document.getElementById("drawer");
const menu = document.getElementById("row-menu");
const token = () => document.querySelector('#act [name="csrf_token"]').value;

const WORDS = {
  "signed-out": ["You are signed out.", "The last change was not saved. Sign in again to go on."],
  forbidden: ["Your role does not allow this any more.", "Nothing was changed. An admin of this workspace can change that."],
  gone: ["This property is not there any more.", "Somebody purged it meanwhile. Reload the page to see what there is."],
  offline: ["The connection is lost.", "The last change was not saved. Try again when the connection is back."],
};

function fail(error) {
  if (!(error instanceof NoFragment)) throw error;
  const [title, text] = WORDS[error.why] ?? ["The last change was not saved.", "Try again in a moment."];
  pageProblem({ title, text, act: error.why === "signed-out" ? SIGN_IN : undefined });
}

/* Whether the server left rows out, for the word in the address that the page was opened with. */
let narrowed = new URLSearchParams(location.search).has("find");

const rowOf = (key) => place.querySelector(`tr[data-key="${CSS.escape(key)}"]`);

/** Post something about one property; returns whether it was done. */
async function post(url, fields = {}) {
  const body = new FormData();
  body.set("csrf_token", token());
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  try {
    const { part } = await fetchFragment(url, { body });
    if ("refused" in part.dataset) {
      pageProblem({ title: part.textContent });
      return null;
    }
    pageProblem(null);
    return part;
  } catch (error) {
    fail(error);
    return null;
  }
}

/** Fetch the table of this tab again; the focus stays on the same button of the same row. */
async function refresh() {
  const focused = document.activeElement?.closest?.("tr[data-key]");
  const label = focused && document.activeElement.getAttribute("aria-label");
  const finding = document.activeElement === field();
  const wanted = field()?.value ?? "";
  const top = place.querySelector(".au-tablewrap")?.scrollTop ?? 0;
  const address = new URL(location.href);
  address.searchParams.delete("find"); /* What is found is told here, by hiding the other rows. */
  try {
    const { part } = await fetchFragment(address);
    place.replaceChildren(document.importNode(part, true));
  } catch (error) {
    fail(error);
    return;
  }
  narrowed = false;
  if (field()) field().value = wanted;
  find();
  sortPinned();
  place.querySelector(".au-tablewrap")?.scrollTo({ top });
  if (finding) field()?.focus();
  if (!focused || document.activeElement !== document.body) return;
  const row = rowOf(focused.dataset.key);
  const same = label && [...(row?.querySelectorAll("[aria-label]") ?? [])].find((one) => one.getAttribute("aria-label") === label);
  (same ?? row?.querySelector("a") ?? place.querySelector(".au-tablewrap"))?.focus({ preventScroll: true });
}

function said(part) {
  toast(part.textContent);
}

/* ── Find ───────────────────────────────────────────────────────────────── */

const field = () => place.querySelector('#find [name="find"]');

function find() {
  if (!field()) return;
  const wanted = field().value.trim().toLowerCase();
  let any = false;
  for (const body of place.querySelectorAll("tbody")) {
    let shown = 0;
    for (const row of body.querySelectorAll("tr[data-find]")) {
      row.hidden = wanted !== "" && !row.dataset.find.includes(wanted);
      if (!row.hidden) shown += 1;
    }
    body.hidden = shown === 0;
    any ||= shown > 0;
  }
  const none = document.getElementById("no-definition");
  if (none) none.hidden = any;
}

function keepInAddress() {
  const asked = new URLSearchParams(new FormData(document.getElementById("find")));
  for (const name of ["find", "type"]) if (!asked.get(name)?.trim()) asked.delete(name);
  const query = asked.toString();
  history.replaceState(null, "", place.dataset.listUrl + (query ? `?${query}` : ""));
}

place.addEventListener("input", (event) => {
  if (event.target !== field()) return;
  find();
  keepInAddress();
  if (narrowed) refresh();
});
place.addEventListener("change", (event) => {
  if (event.target.name !== "type") return;
  keepInAddress();
  refresh();
});
place.addEventListener("submit", (event) => {
  if (event.target.id === "find") event.preventDefault();
});
place.addEventListener("keydown", (event) => {
  if (event.target !== field() || event.key !== "Escape") return;
  event.stopPropagation();
  if (!field().value) field().blur();
  field().value = "";
  field().dispatchEvent(new Event("input", { bubbles: true }));
});

/* ── Switches and buttons of the rows ───────────────────────────────────── */

document.getElementById("act").addEventListener("submit", async (event) => {
  const button = event.submitter;
  event.preventDefault();
  if (button.getAttribute("aria-busy")) return;
  const on = button.value === "1";
  button.setAttribute("aria-busy", "true");
  if (button.dataset.switch) button.setAttribute("aria-checked", String(on));
  if (menu.matches(":popover-open")) menu.hidePopover();
  const part = await post(button.formAction, button.name ? { [button.name]: button.value } : {});
  button.removeAttribute("aria-busy");
  if (!part) {
    if (button.dataset.switch) button.setAttribute("aria-checked", String(!on));
    return;
  }
  if (button.dataset.switch === "personal") {
    button.value = on ? "0" : "1";
    tell(part.textContent);
    return;
  }
  if (button.dataset.switch) tell(part.textContent);
  else said(part);
  await refresh();
});

/* ── The order of the pinned ones ───────────────────────────────────────── */

let queue = Promise.resolve();

function sortPinned() {
  const body = place.querySelector('tbody[data-group="pinned"]');
  if (!body || body.dataset.alive) return;
  body.dataset.alive = "1";
  sortable(body, "tr[data-pinned]", {
    said: (row, at, number) => `${row.querySelector("a").textContent}, ${at} of ${number}`,
    tell,
    moved: (row) => {
      const next = row.nextElementSibling?.dataset.key ?? "";
      /* One after the other: each says before which row it stood when it was moved. */
      queue = queue.then(async () => {
        if (!(await post(`${row.dataset.key}/move`, { before: next }))) await refresh();
      });
    },
  });
}

/* ── The menu of a row ──────────────────────────────────────────────────── */

let opener = null;

function openMenu(button) {
  const row = button.closest("tr[data-key]");
  for (const one of menu.children) {
    one.hidden = !one.dataset.for.split(" ").includes(button.dataset.rowMenu);
    if (one.matches("[data-definition]")) one.href = row.dataset.key;
    if (one.matches("[data-purge]")) one.href = `${row.dataset.key}/purge`;
    if (one.dataset.to) one.setAttribute("formaction", `${row.dataset.key}/${one.dataset.to}`);
  }
  menu.showPopover();
  const at = button.getBoundingClientRect();
  const top = at.bottom + 4 + menu.offsetHeight > innerHeight ? at.top - 4 - menu.offsetHeight : at.bottom + 4;
  menu.style.setProperty("top", `${top}px`);
  menu.style.setProperty("left", `${Math.max(8, at.right - menu.offsetWidth)}px`);
  opener = button;
  button.setAttribute("aria-expanded", "true");
  items()[0].focus();
}

const items = () => [...menu.children].filter((one) => !one.hidden);

menu.addEventListener("toggle", (event) => {
  if (event.newState === "closed") opener?.removeAttribute("aria-expanded");
});
menu.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (!step) return;
  event.preventDefault();
  const all = items();
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
});

/* ── The drawer ─────────────────────────────────────────────────────────── */

const live = liveForm(drawer, (part) => {
  drawer.close();
  said(part);
  refresh();
});

async function openDrawer(url) {
  try {
    const { part } = await fetchFragment(url);
    drawer.replaceChildren(document.importNode(part, true));
    live.begin();
    openDialog(drawer);
    drawer.querySelector("[autofocus]")?.focus();
  } catch (error) {
    fail(error);
  }
}

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const link = event.target.closest("[data-definition]");
  const rowMenu = event.target.closest("[data-row-menu]");
  const purge = event.target.closest("[data-purge]");
  if (link) {
    event.preventDefault();
    if (menu.matches(":popover-open")) menu.hidePopover();
    openDrawer(link.href);
  } else if (rowMenu) {
    event.preventDefault();
    openMenu(rowMenu);
  } else if (purge) {
    event.preventDefault();
    if (menu.matches(":popover-open")) menu.hidePopover();
    askToPurge(purge.href, (part) => {
      drawer.close();
      said(part);
      refresh();
    }).catch(fail);
  }
});

find();
sortPinned();
