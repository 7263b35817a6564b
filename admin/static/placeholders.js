/* {{key}} in the composer: suggestions while one types, and a preview of what will be sent (P8). The server fills, here nothing is. */

import { element, icon } from "./shell.js";

const OPEN = /\{\{[ ]*([A-Za-z0-9][A-Za-z0-9_ -]{0,60})?$/;
const PLACEHOLDER = /\{\{([^{}\n]{1,120})\}\}/g;
const SUGGEST_AFTER_MS = 80;
const PREVIEW_AFTER_MS = 250;

/** The keys that a text names, in lower case as the server reads them. */
export const keysOf = (text) => new Set([...text.matchAll(PLACEHOLDER)].map((found) => found[1].trim().toLowerCase()));

async function fetchJson(url, options = {}) {
  const response = await fetch(url, { ...options, headers: { Accept: "application/json" }, cache: "no-store" });
  if (!response.ok) throw new Error(`answered ${response.status}`);
  return response.json();
}

/** The list that opens at `{{` and follows what is typed; `changed()` is called when a key was put into the text. */
export class Suggestions {
  constructor(changed) {
    this.changed = changed;
    this.list = element("ul", "");
    Object.assign(this.list, { id: "suggestions", role: "listbox", ariaLabel: "Properties of this user" });
    this.rest = element("p", "au-suggest__more");
    this.rest.ariaHidden = "true";
    this.menu = element("div", "au-suggest", this.list, this.rest);
    this.menu.hidden = true;
    this.said = element("p", "au-vh");
    this.said.setAttribute("role", "status");
    this.menu.addEventListener("mousedown", (event) => event.preventDefault()); /* the text keeps the focus */
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(option);
    });
  }

  /** Serve the box that was just put into the page. */
  bind(field) {
    if (this.field === field) return;
    this.field = field;
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-haspopup", "listbox");
    field.addEventListener("blur", () => this.close());
    for (const moved of ["click", "keyup"]) {
      field.addEventListener(moved, (event) => {
        if (moved === "click" || /^(Arrow(Left|Right)|Home|End)$/.test(event.key)) this.follow();
      });
    }
    field.form.append(this.menu, this.said);
    if (this.isOpen) this.point(this.active);
  }

  get isOpen() {
    return !this.menu.hidden;
  }

  /* Where the unfinished placeholder before the caret begins, and what was typed of it; null where there is none. */
  begun() {
    const { value, selectionStart, selectionEnd } = this.field;
    if (selectionStart !== selectionEnd) return null;
    const found = OPEN.exec(value.slice(Math.max(0, selectionStart - 80), selectionStart));
    return found && { at: selectionStart - found[0].length, starts: (found[1] ?? "").trim() };
  }

  /** Look at the caret: open, narrow down, or close. */
  follow() {
    clearTimeout(this.timer);
    const begun = this.begun();
    if (!begun) {
      this.dismissed = null;
      return this.close();
    }
    if (this.dismissed === begun.at) return;
    this.dismissed = null;
    this.timer = setTimeout(() => this.look(begun), this.isOpen ? SUGGEST_AFTER_MS : 0);
  }

  async look(begun) {
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    const url = `${this.field.form.dataset.placeholders}?${new URLSearchParams({ starts: begun.starts })}`;
    try {
      this.show(await fetchJson(url, { signal }), begun);
    } catch (error) {
      if (error.name !== "AbortError") this.close(); /* one can type the key without help */
    }
  }

  show({ found, more }, begun) {
    if (this.begun()?.at !== begun.at || document.activeElement !== this.field) return;
    const options = found.map((one, place) => {
      const option = element("li", "au-suggest__o", element("b", "", one.label), element("code", "", one.key));
      const value = one.value === null ? element("span", "au-suggest__none", "not set") : element("bdi", "", one.value);
      option.append(value);
      Object.assign(option, { id: `suggestion-${place}`, role: "option", ariaSelected: "false" });
      option.dataset.key = one.key;
      return option;
    });
    this.list.replaceChildren(...options);
    this.menu.hidden = !options.length;
    this.rest.hidden = !more;
    this.rest.textContent = `${more} more. Type on to find them.`;
    const rest = more ? `, and ${more} more` : "";
    this.said.textContent = options.length ? `${options.length} properties${rest}. Arrows choose, Enter takes.` : "No property begins so.";
    this.point(options[0]);
  }

  /* Mark the option that Enter takes. */
  point(option) {
    this.active?.setAttribute("aria-selected", "false");
    this.active = option;
    option?.setAttribute("aria-selected", "true");
    if (this.isOpen && option) {
      this.field.setAttribute("aria-controls", this.list.id);
      this.field.setAttribute("aria-activedescendant", option.id);
    } else {
      this.field.removeAttribute("aria-controls");
      this.field.removeAttribute("aria-activedescendant");
    }
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
    if (!this.isOpen) return;
    this.menu.hidden = true;
    this.said.textContent = "";
    this.point(undefined);
  }

  /** Take a key that was pressed; returns whether it was meant for the list. */
  keyed(event) {
    if (!this.isOpen || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return false;
    const options = [...this.list.children];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.point(options[(options.indexOf(this.active) + step + options.length) % options.length]);
    else if ((event.key === "Enter" || event.key === "Tab") && !event.shiftKey) this.take(this.active);
    else if (event.key === "Escape") {
      this.dismissed = this.begun()?.at ?? null;
      this.close();
    } else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }

  take(option) {
    const begun = this.begun();
    this.close();
    if (!begun) return;
    const end = this.field.selectionStart;
    const closed = /^[ ]*\}\}/.exec(this.field.value.slice(end));
    this.field.setRangeText(`{{${option.dataset.key}}}`, begun.at, end + (closed?.[0].length ?? 0), "end");
    this.changed();
  }
}

/** What will be sent, beside the box. `changed(length)` hears how long the filled text is, or null where nothing is filled. */
export class Preview {
  constructor(changed) {
    this.changed = changed;
    this.shown = element("div", "au-preview");
    this.shown.hidden = true;
    this.words = element("p", "au-text");
    this.words.dir = "auto";
    this.shown.append(element("p", "au-label", "Will be sent"), this.words);
  }

  /** Serve the box that was just put into the page. */
  bind(field) {
    this.field = field;
    field.form.after(this.shown);
    this.follow();
  }

  /** Whether the text of the box has something to fill in. */
  get wanted() {
    return keysOf(this.field.value).size > 0;
  }

  /** Return `text` as it was shown filled, or as it is. */
  filled(text) {
    return this.of === text && !this.shown.hidden && !this.open ? this.words.textContent : text;
  }

  /** Show the text as it is now, a moment after the last key. */
  follow() {
    clearTimeout(this.timer);
    if (!this.wanted) {
      this.asking?.abort();
      this.shown.hidden = true;
      this.changed(null);
      return;
    }
    this.timer = setTimeout(() => this.look(), PREVIEW_AFTER_MS);
  }

  async look() {
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    const { form } = this.field;
    const text = this.field.value.trim();
    try {
      const answer = await fetchJson(form.dataset.previewUrl, { method: "POST", body: new FormData(form), signal });
      if (this.field.value.trim() === text) this.show(text, answer);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.shown.hidden = true; /* sending says what is wrong */
      this.changed(0);
    }
  }

  show(text, { pieces, missing, length, problem }) {
    this.of = text;
    this.open = Boolean(problem || missing.length);
    const made = { text: (words) => words, value: (words) => element("bdi", "au-var", words) };
    made.missing = (words) => element("bdi", "au-var au-var--none", `${words}: not set`);
    if (problem) this.words.replaceChildren(icon("alert", true), ` ${problem}`);
    else this.words.replaceChildren(...pieces.map((one) => made[one.kind](one.text)));
    this.shown.classList.toggle("au-preview--bad", Boolean(problem));
    this.shown.firstChild.textContent = problem ? "Cannot be sent so" : "Will be sent";
    this.shown.hidden = false;
    this.changed(problem ? 0 : length);
  }
}
