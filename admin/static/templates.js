/* The template dialog: fetched when it is wanted; choosing, finding, and a preview that follows the values. Without scripts it is
   links and plain forms. */

import { fetchFragment } from "./fragments.js";
import { element, openDialog } from "./shell.js";

const PLACEHOLDER = /\{\{\s*([\w.-]+)\s*\}\}/g;
const texts = new WeakMap();
let source = "";

/** Take over the dialog that was just put into the page. */
export function bindTemplates(place) {
  for (const form of place.querySelectorAll("[data-template-form]")) {
    for (const node of form.querySelectorAll("[data-preview]")) texts.set(node, node.textContent);
    show(form);
  }
}

/** Listen to `place`, which holds the dialog while it is open, and to the links that open it. */
export function watchTemplates(place) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-templates]");
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    open(place, link);
  });
  place.addEventListener("click", (event) => {
    const link = event.target.closest("[data-template]");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(place, link);
  });
  place.addEventListener("input", (event) => {
    if (event.target.matches("[data-find-template]")) filter(place, event.target.value.trim().toLowerCase());
    else if (event.target.matches("[data-param]")) show(event.target.form);
  });
  place.addEventListener("focusout", (event) => {
    if (!event.target.matches("[data-param]")) return;
    event.target.dataset.left = "";
    show(event.target.form);
  });
  /* What was read for this time may be another the next. A closing dialog tells only itself, and whoever listens on the way to it. */
  const isOver = (dialog) => dialog.id === "dialog-template" && !dialog.open; /* one that becomes modal is closed for a moment */
  place.addEventListener("close", (event) => isOver(event.target) && event.target.remove(), true);
  source = document.querySelector("[data-templates]")?.dataset.templates ?? "";
  bindTemplates(place);
}

async function fetched(url) {
  const { part } = await fetchFragment(url);
  return document.importNode(part.querySelector("dialog"), true);
}

async function open(place, link) {
  link.setAttribute("aria-busy", "true");
  source = link.dataset.templates;
  try {
    const dialog = await fetched(source);
    if (place.querySelector("dialog:modal")) return;
    document.getElementById(dialog.id)?.remove();
    place.append(dialog);
    bindTemplates(place);
    openDialog(dialog);
    begin(dialog);
  } catch {
    location.assign(link.href); /* the page itself shows the dialog, or why it cannot */
  } finally {
    link.removeAttribute("aria-busy");
  }
}

async function choose(place, link) {
  const wanted = link.dataset.template;
  const picker = place.querySelector(".au-tplpick");
  const pane = () => picker.querySelector(`[data-template-form="${CSS.escape(wanted)}"]`);
  for (const one of picker.querySelectorAll("[data-template]")) {
    if (one === link) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
  }
  if (!pane()) {
    try {
      const dialog = await fetched(`${source}${source.includes("?") ? "&" : "?"}template=${encodeURIComponent(wanted)}`);
      const form = dialog.querySelector("[data-template-form]");
      if (form && !pane()) {
        form.hidden = true;
        picker.append(form);
        bindTemplates(form.parentElement);
      }
    } catch {
      /* The link leads to the same, as a page. */
    }
    if (!pane()) return location.assign(link.href);
  }
  if (link.getAttribute("aria-current") !== "true") return; /* another one was chosen meanwhile */
  for (const one of picker.querySelectorAll("[data-template-form], [data-no-template]")) one.hidden = one !== pane();
  begin(pane());
}

/* Begin at the first value that is missing. */
function begin(place) {
  const fields = [...place.querySelectorAll("[data-param]")];
  (fields.find((field) => !field.value) ?? fields[0] ?? place.querySelector("[data-template]"))?.focus();
}

function filter(place, words) {
  for (const link of place.querySelectorAll("[data-template]")) {
    link.hidden = !link.textContent.toLowerCase().includes(words);
  }
}

/* Fill the preview, and let the form be sent only when every value is there. A field complains once it was left, or tried. */
function show(form) {
  const values = new Map();
  let missing = 0;
  for (const field of form.querySelectorAll("[data-param]")) {
    const value = field.value.trim();
    const bad = !value && ("left" in field.dataset || "tried" in form.dataset);
    values.set(field.dataset.param, value);
    field.setAttribute("aria-invalid", String(bad));
    document.getElementById(field.getAttribute("aria-describedby")).hidden = !bad;
    if (!value) missing += 1;
  }
  for (const node of form.querySelectorAll("[data-preview]")) {
    const parts = [];
    let end = 0;
    const text = texts.get(node);
    for (const match of text.matchAll(PLACEHOLDER)) {
      parts.push(text.slice(end, match.index), element("bdi", "au-var", values.get(match[1]) || "…"));
      end = match.index + match[0].length;
    }
    node.replaceChildren(...parts, text.slice(end));
  }
  form.querySelector("[type=submit]").disabled = missing > 0;
  const needed = missing ? `Fill in ${missing === 1 ? "one value" : `${missing} values`} to send.` : "";
  const said = form.querySelector("[data-needed]");
  if (said.textContent !== needed) said.textContent = needed;
}
