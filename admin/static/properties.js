/* Properties on a profile: editors and histories that open in their row, switches that save at once, groups and a search that are
   fetched when they are wanted. Every link and form here works without this as well. */

import { NoFragment, fetchFragment } from "./fragments.js";
import { element, icon, shortcut, toast } from "./shell.js";

const SEARCH_PAUSE_MS = 200;
const PROBLEMS = {
  offline: "The connection is lost. What you typed is kept. Try again.",
  "signed-out": "You are signed out. What you typed is kept. Sign in in another tab, then save.",
  forbidden: "Your role does not allow this any more. Nothing was saved.",
  gone: "This property is not here any more. Nothing was saved.",
};
const FAILED = "Parley did not answer. What you typed is kept. Try again.";

export class Properties {
  /**
   * `column` is the part with all properties. `apply(part)` shows an answer that holds every part of the page, `refresh()` fetches one,
   * `show(name)` brings a panel forward where the screen is narrow, `patch(source)` shows another state of the column.
   */
  constructor(page, column, { apply, refresh, show, patch }) {
    Object.assign(this, { page, column, apply, refresh, show, patch });
    this.before = new WeakMap();
    this.find = this.field.value.trim();
    this.groups = new Set([...column.querySelectorAll("[data-group][open]")].map((one) => one.dataset.group));
    page.addEventListener("click", (event) => this.clicked(event));
    page.addEventListener("submit", (event) => this.submitted(event));
    page.addEventListener("keydown", (event) => this.keyed(event));
    page.addEventListener("input", (event) => this.typed(event));
    page.addEventListener("change", (event) => this.changed(event));
    /* `toggle` and `cancel` do not bubble. */
    page.addEventListener("toggle", (event) => this.toggled(event.target), true);
    page.addEventListener("cancel", (event) => this.cancelled(event), true);
    page.addEventListener("renewed", ({ target, detail }) => this.before.set(target, detail));
    document.addEventListener("pointerdown", (event) => this.shutHistories(event.target));
    shortcut("e", () => this.editFocused());
    for (const row of page.querySelectorAll("[data-property]:has([data-editor], [data-history])")) this.hold(row);
  }

  get field() {
    return document.getElementById("find-property");
  }

  /** What a request says of the column, so that the answer shows what is open. */
  get asked() {
    return [["groups", [...this.groups].sort().join(".")], ...(this.find ? [["find", this.find]] : [])];
  }

  /** Whether an answer shows the column as it stands here; one to a form of another region does not know. */
  isMine(part) {
    return part.dataset.groups === this.asked[0][1] && part.dataset.find === this.find;
  }

  /* ── Groups and search ── */

  toggled(group) {
    const id = group.dataset?.group;
    if (!id) return;
    if (group.open === this.groups.has(id)) return;
    if (group.open) {
      this.groups.add(id);
      if (!("drawn" in group.dataset)) this.load();
    } else this.groups.delete(id);
  }

  async load() {
    this.loading?.abort();
    const { signal } = (this.loading = new AbortController());
    try {
      const { part } = await fetchFragment(`${this.column.dataset.propsUrl}?${new URLSearchParams(this.asked)}`, { signal });
      this.patch(part.querySelector("[data-part=props]"));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof NoFragment)) throw error;
      toast("The properties did not load. Try again.", "alert");
    }
  }

  typed({ target }) {
    if (target === this.field) {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.search(), SEARCH_PAUSE_MS);
    } else if (target.matches("[data-json]")) this.checkJson(target);
  }

  search() {
    const words = this.field.value.trim();
    if (words === this.find) return;
    this.find = words;
    this.load();
  }

  /* ── Opening and shutting a row ── */

  hold(row) {
    row.dataset.hold = "";
    const dialog = row.querySelector("dialog[data-editor]");
    if (dialog) {
      dialog.close();
      dialog.showModal();
    }
    const field = row.querySelector("[autofocus]") ?? row.querySelector("[data-history]");
    field?.focus({ preventScroll: Boolean(dialog) });
    if (field?.matches("input:not([type=checkbox])")) field.select?.();
    row.scrollIntoView({ block: "nearest" });
  }

  async open(link, what, row = link.closest("[data-property]")) {
    if (row.querySelector(what === "edit" ? "[data-editor]" : "[data-history]")) return;
    this.shutHistories(row);
    link.setAttribute("aria-busy", "true");
    try {
      const { part } = await fetchFragment(`${row.dataset.row}&show=${what}`);
      this.replace(row, part);
    } catch (error) {
      if (!(error instanceof NoFragment)) throw error;
      toast(PROBLEMS[error.why] ?? FAILED, "alert");
    } finally {
      link.removeAttribute("aria-busy");
    }
  }

  /** Put what the server says of a row in its place, and keep what stood there before it was opened. */
  replace(row, part) {
    const next = document.importNode(part.querySelector("[data-property]"), true);
    this.before.set(next, this.before.get(row) ?? row);
    row.replaceWith(next);
    if (next.querySelector("[data-editor], [data-history]")) this.hold(next);
    return next;
  }

  shut(row) {
    const { id } = row;
    this.close(row);
    this.focusRow(id);
    this.refresh();
  }

  shutHistories(except) {
    for (const shown of this.page.querySelectorAll("[data-history]")) {
      const row = shown.closest("[data-property]");
      if (!row.contains(except)) this.close(row);
    }
  }

  close(row) {
    const was = this.before.get(row);
    delete row.dataset.hold;
    if (was) row.replaceWith(was);
    else if (was === null) row.remove(); /* the property is not here any more */
    else if (row.querySelector("[data-history]")) row.querySelector("[data-history]").remove();
    else this.reload(row);
  }

  /** Show a row that the page came with as it is when nothing is open in it. */
  async reload(row) {
    try {
      const { part } = await fetchFragment(row.dataset.row);
      row.replaceWith(document.importNode(part.querySelector("[data-property]"), true));
      this.focusRow(row.id);
    } catch (error) {
      if (!(error instanceof NoFragment)) throw error;
      location.assign(this.page.dataset.pageUrl);
    }
  }

  focusRow(id) {
    const row = document.getElementById(id);
    row?.querySelector("[role=switch], [data-open], button, a")?.focus({ preventScroll: true });
  }

  editFocused() {
    const row = document.activeElement?.closest("[data-property]") ?? this.page.querySelector("[data-property]:hover");
    const turn = row?.querySelector("[role=switch]");
    if (turn) turn.click();
    else if (row) this.editRow(row);
  }

  editRow(row) {
    /* A value that changed lately has its history in the place of the pencil, and is edited all the same. */
    const link = row.querySelector("[data-open]");
    if (link && "editable" in row.dataset) this.open(link, "edit");
  }

  clicked(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = event.target.closest("a");
    if (!link) return;
    if (link.dataset.open) {
      event.preventDefault();
      const row = link.closest("[data-property]");
      if (link.dataset.open === "history" && row.querySelector("[data-history]")) this.shut(row);
      else this.open(link, link.dataset.open);
    } else if ("shut" in link.dataset) {
      event.preventDefault();
      this.shut(link.closest("[data-property]"));
    } else if (link.dataset.message) this.toMessage(event, link);
    else if (link.dataset.showHistory) this.toHistory(event, link);
  }

  toMessage(event, link) {
    const message = document.getElementById(`message-${link.dataset.message}`);
    if (!message) return; /* the page is opened anew, with the message in view */
    event.preventDefault();
    this.shutHistories(null);
    this.show("chat");
    location.hash = message.id;
    message.scrollIntoView({ block: "center" });
  }

  toHistory(event, link) {
    const rows = [...this.page.querySelectorAll(`[data-property="${CSS.escape(link.dataset.showHistory)}"]`)];
    const row = rows.find((one) => one.closest("[data-part=props]") && !one.closest("details:not([open])"));
    if (!row) return;
    event.preventDefault();
    this.show("props");
    row.scrollIntoView({ block: "nearest" });
    this.open(link, "history", row);
  }

  keyed(event) {
    const row = event.target.closest("[data-property]");
    if (event.target === this.field && event.key === "Escape" && this.field.value) {
      event.preventDefault();
      this.field.value = "";
      this.search();
    } else if (event.key === "Escape" && row?.querySelector("[data-history], form[data-editor]")) {
      event.preventDefault();
      event.stopPropagation();
      this.shut(row);
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    } else if (event.key === "Enter" && event.target.matches("select, input[type=checkbox]") && row?.querySelector("form[data-editor]")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    }
  }

  cancelled(event) {
    if (!event.target.matches("dialog[data-editor]")) return;
    event.preventDefault();
    this.shut(event.target.closest("[data-property]"));
  }

  changed({ target }) {
    if (!target.dataset.prefixes || !target.value) return;
    const field = document.getElementById(target.dataset.prefixes);
    const rest = field.value.trim().replace(/^(\+|00)\d{0,3}[\s-]*/, "");
    field.value = `${target.value} ${field.value.trim().startsWith("+") ? rest : field.value.trim()}`;
    field.focus();
  }

  checkJson(field) {
    const said = field.closest("form").querySelector("[data-check]");
    let problem = "";
    try {
      const value = field.value.trim() ? JSON.parse(field.value) : {};
      if (value === null || typeof value !== "object") problem = "An object or a list is taken: begin with { or [.";
    } catch {
      problem = "This is not JSON yet.";
    }
    said.hidden = !problem;
    said.querySelector("span").textContent = problem;
  }

  /* ── Saving ── */

  async submitted(event) {
    const form = event.target;
    if (form.matches("[data-find-form]")) {
      event.preventDefault();
      this.search();
      return;
    }
    if (!form.matches("[data-property-form]")) return;
    event.preventDefault();
    const button = event.submitter ?? form.querySelector("[type=submit]");
    const body = new FormData(form, button?.form === form ? button : null);
    const undo = form.dataset.undo && { values: JSON.parse(form.dataset.undo), said: button?.dataset.said ?? form.dataset.said };
    await this.save(form.closest("[data-property]"), form.action, body, undo, button);
  }

  async save(row, url, body, undo, button) {
    if (this.saving) return;
    this.saving = true;
    button?.setAttribute("aria-busy", "true");
    try {
      const { part, status } = await fetchFragment(`${url}&${new URLSearchParams(this.asked)}`, { body });
      if (status >= 400) {
        this.replace(row, part);
        return;
      }
      row.querySelector("dialog:modal")?.close();
      const { id } = row;
      if (this.before.has(row)) this.close(row);
      else delete row.dataset.hold;
      this.apply(part);
      this.focusRow(id);
      if (undo) this.offerUndo(id, undo);
    } catch (error) {
      if (!(error instanceof NoFragment)) throw error;
      this.say(row, PROBLEMS[error.why] ?? FAILED);
    } finally {
      this.saving = false;
      button?.removeAttribute("aria-busy");
    }
  }

  say(row, text) {
    row.querySelector("[data-failed]")?.remove();
    const said = element("p", "au-err", icon("bad", true), element("span", "", text));
    said.dataset.failed = "";
    said.setAttribute("role", "alert");
    (row.querySelector(".au-edit__b") ?? row).append(said);
  }

  /* Undo sets what was there before, as long as nobody changed it since. */
  offerUndo(id, undo) {
    const run = () => {
      const row = document.getElementById(id);
      if (!row) return;
      const body = new FormData();
      body.set("csrf_token", document.querySelector('input[name="csrf_token"]').value);
      body.set("seen", row.dataset.version);
      for (const value of undo.values) body.append("value", value);
      this.save(row, row.dataset.row, body);
    };
    toast(undo.said, "check", { label: "Undo", run });
  }
}
