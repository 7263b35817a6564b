/* The template dialog: choosing, finding, and a preview that follows the values. Without scripts it is links and plain forms. */

import { element } from "./shell.js";

const PLACEHOLDER = /\{\{\s*([\w.-]+)\s*\}\}/g;
const texts = new WeakMap();

/** Take over the dialog that was just put into the page. */
export function bindTemplates(place) {
  for (const form of place.querySelectorAll("[data-template-form]")) {
    for (const node of form.querySelectorAll("[data-preview]")) texts.set(node, node.textContent);
    show(form);
  }
}

/** Listen to `place`, which holds the dialog now and later. */
export function watchTemplates(place) {
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
  bindTemplates(place);
}

function choose(place, link) {
  for (const one of place.querySelectorAll("[data-template]")) {
    if (one === link) one.setAttribute("aria-current", "true");
    else one.removeAttribute("aria-current");
  }
  for (const form of place.querySelectorAll("[data-template-form]")) {
    form.hidden = form.dataset.templateForm !== link.dataset.template;
    if (!form.hidden) form.querySelector("[data-param]")?.focus();
  }
}

function filter(place, words) {
  for (const link of place.querySelectorAll("[data-template]")) {
    link.hidden = !link.textContent.toLowerCase().includes(words);
  }
}

/* Fill the preview, and let the form be sent only when every value is there. */
function show(form) {
  const values = new Map();
  let missing = 0;
  for (const field of form.querySelectorAll("[data-param]")) {
    const value = field.value.trim();
    values.set(field.dataset.param, value);
    field.setAttribute("aria-invalid", String(!value));
    document.getElementById(field.getAttribute("aria-describedby")).hidden = Boolean(value);
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
  const button = form.querySelector("[type=submit]");
  button.disabled = missing > 0;
  button.title = missing ? "Fill in every value to send" : "";
}
