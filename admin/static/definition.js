/* The form of one definition: options of the chosen type, a preview while one types, choices in order. It works without all this. */

import { NoFragment, fetchFragment } from "./fragments.js";
import { SIGN_IN, banner, openDialog, toast } from "./shell.js";
import { sortable } from "./sortable.js";

const TYPING_PAUSE_MS = 250;
const WORDS = {
  "signed-out": ["You are signed out.", "What you typed is still here. Sign in in another tab, then save again."],
  forbidden: ["Your role does not allow this any more.", "Nothing was saved. An admin of this workspace can change that."],
  gone: ["This is not there any more.", "Somebody purged or adopted it meanwhile. Nothing was saved."],
  offline: ["The connection is lost.", "Nothing was saved. What you typed is still here; try again when it is back."],
};

/** Show above `place` why something was not done. */
export function explain(place, error) {
  if (!(error instanceof NoFragment)) throw error;
  const [title, text] = WORDS[error.why] ?? ["This was not saved.", "What you typed is still here. Try again in a moment."];
  place.querySelector(":scope > .au-banner[data-failed]")?.remove();
  const shown = banner("bad", title, text, error.why === "signed-out" ? SIGN_IN : undefined);
  shown.dataset.failed = "";
  place.prepend(shown);
  shown.scrollIntoView({ block: "nearest" });
}

/** Say something to screen readers alone; what lies behind an open dialog is not read. */
export function tell(text) {
  const place = document.querySelector("dialog:modal [data-said]") ?? document.querySelector("[data-said]");
  if (place) place.textContent = text;
}

/** Bring a drawer to life. `saved(part)` is called with what the server said when the form was saved. */
export function liveForm(drawer, saved) {
  let touched = false;
  let pause;
  let looking;

  /* In a dialog, the fragment stands inside. */
  const inside = () => (drawer.matches("[data-fragment]") ? drawer : drawer.querySelector("[data-fragment]"));
  const form = () => drawer.querySelector("[data-definition-form]");
  const key = () => drawer.querySelector("#key");

  function sortRows() {
    for (const rows of drawer.querySelectorAll("[data-rows]:not([data-alive])")) {
      rows.dataset.alive = "";
      const singular = rows.dataset.singular;
      sortable(rows.querySelector("[data-sortable]"), "[data-row]", {
        said: (item, place, number) => `${singular[0].toUpperCase()}${singular.slice(1)} ${place} of ${number}`,
        tell,
        moved: () => {
          number(rows);
          look();
        },
      });
    }
  }

  /* What a row is called follows its place. */
  function number(rows) {
    rows.querySelectorAll("[data-row]").forEach((row, at) => {
      for (const one of row.querySelectorAll("[aria-label]")) {
        one.setAttribute("aria-label", one.getAttribute("aria-label").replace(/(\d+|new)(?=\.|$)/, at + 1));
      }
    });
  }

  /* A key that somebody typed, or that was shown again, follows the label no more. */
  function adopt() {
    touched = Boolean(key()?.value);
    sortRows();
  }

  function show(part) {
    inside().replaceChildren(...[...part.childNodes].map((node) => document.importNode(node, true)));
    adopt();
  }

  /* ── While one types ─────────────────────────────────────────────────── */

  async function look({ options = false } = {}) {
    clearTimeout(pause);
    looking?.abort();
    const controller = (looking = new AbortController());
    const body = new FormData(form());
    body.set("look", "1");
    if (key() && !key().readOnly && !touched) body.set("key", "");
    let part;
    try {
      ({ part } = await fetchFragment(form().action, { body, signal: controller.signal }));
    } catch (error) {
      if (error.name === "AbortError" || error instanceof NoFragment) return; /* Saving says what is wrong. */
      throw error;
    }
    if (key() && !key().readOnly && !touched) key().value = part.querySelector("#key").value;
    if (part.querySelector("#key")?.hasAttribute("aria-invalid")) key()?.setAttribute("aria-invalid", "true");
    else key()?.removeAttribute("aria-invalid");
    for (const fresh of part.querySelectorAll("[data-part]")) {
      const old = drawer.querySelector(`[data-part="${fresh.dataset.part}"]`);
      if (!old || (fresh.dataset.part === "options" && !options && old.dataset.type === fresh.dataset.type)) continue;
      if (old.contains(document.activeElement) || old.outerHTML === fresh.outerHTML) continue;
      old.replaceWith(document.importNode(fresh, true));
    }
    sortRows();
  }

  drawer.addEventListener("input", (event) => {
    if (!form()?.contains(event.target)) return;
    if (event.target.id === "key") touched = event.target.value !== "";
    if (event.target.name?.endsWith(".retired")) {
      event.target.closest("[data-row]").classList.toggle("is-retired", event.target.checked);
    }
    clearTimeout(pause);
    if (event.target.type === "radio") look({ options: event.target.name === "type" });
    else pause = setTimeout(look, TYPING_PAUSE_MS);
  });

  /* ── Rows ────────────────────────────────────────────────────────────── */

  function add(rows) {
    const list = rows.querySelector("[data-sortable]");
    const taken = new Set([...list.children].map((row) => row.dataset.row));
    let name = list.children.length;
    while (taken.has(String(name))) name += 1;
    const holder = document.createElement("ol");
    holder.innerHTML = rows.querySelector("[data-blank]").innerHTML.replaceAll("ROW", String(name));
    list.append(holder.firstElementChild);
    number(rows);
    list.lastElementChild.querySelector("input").focus();
  }

  function remove(row) {
    const rows = row.closest("[data-rows]");
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    number(rows);
    (next?.querySelector('[name="remove"]') ?? rows.querySelector('[name="add"]')).focus();
    tell(`${rows.dataset.singular} removed`);
    look();
  }

  drawer.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.name === "add") {
      event.preventDefault();
      add(button.closest("[data-rows]"));
    } else if (button?.name === "remove") {
      event.preventDefault();
      remove(button.closest("[data-row]"));
    }
  });

  /* Enter in a choice begins the next one. */
  drawer.addEventListener("keydown", (event) => {
    const row = event.key === "Enter" && !event.isComposing && event.target.matches("input") && event.target.closest("[data-row]");
    if (!row) return;
    event.preventDefault();
    const rows = row.closest("[data-rows]");
    if (row.nextElementSibling) row.nextElementSibling.querySelector("input").focus();
    else add(rows);
  });

  /* ── Saving ──────────────────────────────────────────────────────────── */

  drawer.addEventListener("submit", async (event) => {
    if (event.target !== form()) return;
    event.preventDefault();
    clearTimeout(pause);
    looking?.abort();
    const button = event.submitter;
    const body = new FormData(form(), button?.name ? button : undefined);
    const save = drawer.querySelector(".au-def__f [type=submit]");
    save.disabled = true;
    try {
      const { part } = await fetchFragment(button?.getAttribute("formaction") ?? form().action, { body });
      if (part.dataset.fragment === "done") {
        if ("refused" in part.dataset) form().prepend(banner("bad", part.textContent));
        else saved(part);
        return;
      }
      show(part);
      const wrong = drawer.querySelector('[aria-invalid="true"]') ?? drawer.querySelector("[name=retire]");
      (wrong ?? drawer.querySelector("#label, [name=type]"))?.focus();
    } catch (error) {
      explain(form(), error);
    } finally {
      save.disabled = false;
    }
  });

  /* ── Leaving ─────────────────────────────────────────────────────────── */

  const typed = () => (form() ? new URLSearchParams(new FormData(form())).toString() : "");
  let opened = "";

  /** A form that was just opened: nothing is typed yet. */
  function begin() {
    adopt();
    opened = typed();
  }

  const mayLeave = () => typed() === opened || window.confirm("Close without saving? What you typed is not kept.");

  drawer.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drawer.matches("dialog") && !mayLeave()) event.preventDefault();
  });
  drawer.addEventListener("click", (event) => {
    if (!drawer.matches("dialog") || !event.target.closest(".au-def__h [data-close]") || mayLeave()) return;
    event.preventDefault();
    event.stopPropagation();
  });

  begin();
  return { begin };
}

/* ── Purging: a question with a typed check ─────────────────────────────── */

const question = document.getElementById("purge");

/** Ask before a purge; `done(part)` is called when it was carried out. */
export async function askToPurge(url, done) {
  const show = (part) => question.replaceChildren(document.importNode(part, true));
  const { part } = await fetchFragment(url);
  if (part.dataset.fragment === "done") {
    toast(part.textContent, "alert");
    return;
  }
  show(part);
  openDialog(question);
  question.onsubmit = async (event) => {
    event.preventDefault();
    try {
      const answer = await fetchFragment(event.target.action, { body: new FormData(event.target) });
      if (answer.part.dataset.fragment !== "done") {
        show(answer.part);
        question.querySelector("#confirm").focus();
        return;
      }
      question.close();
      done(answer.part);
    } catch (error) {
      explain(question.querySelector(".au-dlg__b"), error);
    }
  };
}

/* On its own page, the form leads back to the list. */
const page = document.querySelector(".au-def--page[data-fragment]");
if (page) {
  const back = page.querySelector("[data-close]").href;
  liveForm(page, () => location.assign(back));
  page.addEventListener("click", (event) => {
    const purge = event.target.closest("[data-purge]");
    if (!purge || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    askToPurge(purge.href, () => location.assign(back));
  });
}
