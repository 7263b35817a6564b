/* The filter: what opens under a chip, the expression while one types, counts that come when the list is there. All of it is done
   by the server, which has the only reader of expressions; without this the same forms lead to the same pages. */

import { NoFragment, fetchFragment, patch, remember } from "./fragments.js";
import { SIGN_IN, pageProblem } from "./shell.js";

const TYPING_PAUSE_MS = 250;
const WORDS = {
  "signed-out": ["You are signed out.", "The filter was not changed. Sign in again to go on."],
  forbidden: ["Your role does not show this list any more.", "The filter was not changed."],
  offline: ["The connection is lost.", "The filter was not changed. Try again when the connection is back."],
};

/**
 * Bring the filter to life. `changed(view, kept)` is called when the list is to show another view; `kept` says that the way back shall
 * not lead to every step of it. Returns what the page needs: show(search) to fetch the filter for an address.
 */
export function liveFilter(area, changed) {
  let current = null;
  let counting = null;
  let pause;
  remember(area);

  const search = () => location.search;
  const pop = () => area.querySelector("[data-filter-pop]");
  const expression = () => area.querySelector("#expression");
  const opener = () => document.getElementById(pop()?.dataset.for ?? "");

  /* ── What the server sends ───────────────────────────────────────────── */

  function put(part) {
    const typed = expression()?.value;
    if (expression()) expression().defaultValue = typed; /* what was sent is not to be carried over */
    for (const name of ["view", "countsUrl"]) area.dataset[name] = part.dataset[name];
    const known = document.getElementById("filter-count");
    patch(area, part);
    const fresh = document.getElementById("filter-count");
    if (known && fresh && fresh !== known) fresh.replaceWith(known); /* until the list says another */
    place();
    count();
  }

  function fail(error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof NoFragment)) throw error;
    const [title, text] = WORDS[error.why] ?? ["The filter was not changed.", "Try again in a moment."];
    pageProblem({ title, text, act: error.why === "signed-out" ? SIGN_IN : undefined });
  }

  /** Send a form, or fetch the filter; answers that came too late are left. Returns whether it was taken. */
  async function ask(url, body, { typing = false } = {}) {
    current?.abort();
    const controller = (current = new AbortController());
    try {
      const { part, status } = await fetchFragment(url, { body, signal: controller.signal });
      if (controller !== current) return false;
      pageProblem(null);
      const before = area.dataset.view;
      put(part);
      if (status < 400 && body && part.dataset.view !== before) changed(part.dataset.view, typing);
      return status < 400;
    } catch (error) {
      fail(error);
      return false;
    } finally {
      if (current === controller) current = null;
    }
  }

  const show = (query) => ask(area.dataset.areaUrl + query);

  /* ── What opens ──────────────────────────────────────────────────────── */

  /* Under its chip, and not beyond the edge. */
  function place() {
    const shown = pop();
    if (!shown || getComputedStyle(shown).right === "12px") return;
    const row = shown.offsetParent.getBoundingClientRect();
    const chip = (opener()?.closest("li") ?? opener())?.getBoundingClientRect();
    if (!chip) return;
    const left = Math.max(0, Math.min(chip.left - row.left, row.width - shown.offsetWidth));
    shown.style.left = `${left}px`;
    shown.style.top = `${chip.bottom - row.top + 4}px`;
  }
  addEventListener("resize", place);

  function focusFirst() {
    const wrong = pop()?.querySelector('[aria-invalid="true"]');
    (wrong ?? pop()?.querySelector("[data-first]") ?? pop()?.querySelector("#condition-o"))?.focus();
  }

  async function close() {
    const back = opener()?.id;
    pop()?.remove();
    for (const one of area.querySelectorAll("[aria-expanded=true]")) one.setAttribute("aria-expanded", "false");
    for (const one of area.querySelectorAll(".au-chip.is-open")) one.classList.remove("is-open");
    remember(area);
    document.getElementById(back)?.focus();
  }

  area.addEventListener("click", async (event) => {
    const link = event.target.closest("[data-filter-open], [data-filter-close]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.matches("[data-filter-close]") || (link === opener() && pop())) {
      close();
      return;
    }
    const asked = new URL(link.href).searchParams;
    const query = new URLSearchParams(search());
    for (const name of ["edit", "property"]) {
      if (asked.has(name)) query.set(name, asked.get(name));
      else query.delete(name);
    }
    if (await show(`?${query}`)) focusFirst();
  });

  document.addEventListener("click", (event) => {
    if (pop() && !area.contains(event.target) && event.target.isConnected) close();
  });

  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pop()) {
      event.preventDefault();
      event.stopPropagation();
      close();
      return;
    }
    const list = event.target.closest("[data-filter-pop]")?.querySelector(".au-picklist");
    if (!list || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    const links = [...list.querySelectorAll("li:not([hidden]) a")];
    const at = links.indexOf(document.activeElement);
    const next = links[event.key === "ArrowDown" ? at + 1 : at - 1];
    event.preventDefault();
    (next ?? (event.key === "ArrowUp" ? area.querySelector("[data-find-property]") : links.at(-1)))?.focus();
  });

  /* ── Forms ───────────────────────────────────────────────────────────── */

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.id !== "filter-form" && !area.contains(form)) return;
    event.preventDefault();
    clearTimeout(pause);
    const number = event.submitter?.name === "remove" ? Number(event.submitter.value) : 0;
    const custom = event.submitter?.value === "custom";
    const added = form.matches("[data-condition]");
    if (await ask(form.action, new FormData(form, event.submitter))) {
      if (number) (document.getElementById(`condition-${number}`) ?? document.getElementById("add-condition")).focus();
      else if (custom) expression()?.focus();
      else if (added) document.getElementById("add-condition").focus();
      else if (!area.contains(document.activeElement)) document.getElementById("add-condition").focus();
    } else if (added) focusFirst();
  });

  area.addEventListener("change", async (event) => {
    if (!event.target.matches("[data-look]")) return;
    const body = new FormData(event.target.form);
    body.set("do", "look");
    await ask(event.target.form.action, body);
    area.querySelector("#condition-o")?.focus();
  });

  /* ── While one types ─────────────────────────────────────────────────── */

  function read() {
    clearTimeout(pause);
    document.getElementById("filter-count")?.classList.add("is-stale");
    ask(expression().form.action, new FormData(expression().form), { typing: true });
  }

  function find(field) {
    const wanted = field.value.trim().toLowerCase();
    let any = false;
    for (const section of pop().querySelectorAll("[data-section]")) {
      const rows = [...section.querySelectorAll("[data-find]")];
      for (const row of rows) row.hidden = !row.dataset.find.includes(wanted);
      section.hidden = rows.every((row) => row.hidden);
      any ||= !section.hidden;
    }
    pop().querySelector("[data-none]").hidden = any;
  }

  area.addEventListener("input", (event) => {
    if (event.target.matches("[data-find-property]")) find(event.target);
    if (event.target !== expression()) return;
    clearTimeout(pause);
    if (!event.isComposing) pause = setTimeout(read, TYPING_PAUSE_MS);
  });
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || !event.target.matches("[data-find-property]")) return;
    event.preventDefault();
    pop().querySelector("li:not([hidden]) a")?.click();
  });

  /* ── Counts ──────────────────────────────────────────────────────────── */

  let counted = null;

  async function count() {
    const url = area.dataset.countsUrl;
    if (counted?.url === url) {
      showCounts(counted.part);
      return;
    }
    counting?.abort();
    if (!url) return;
    const controller = (counting = new AbortController());
    try {
      const { part } = await fetchFragment(url, { signal: controller.signal });
      counted = { url, part };
      showCounts(part);
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof NoFragment)) throw error;
      /* The list says what is wrong, if anything is. */
    }
  }

  function showCounts(part) {
    for (const place of area.querySelectorAll("[data-count-of]")) {
      const one = part.querySelector(`[data-condition="${place.dataset.countOf}"]`);
      place.textContent = one?.textContent ?? "";
      place.title = one ? `${one.textContent} users match this condition alone` : "";
    }
    const groups = area.querySelector("[data-groups]");
    groups?.replaceChildren(
      ...[...part.querySelectorAll("[data-group]")].map((one) => {
        const shown = document.createElement("span");
        const text = document.createElement("code");
        text.textContent = one.dataset.group;
        shown.append(text, `: ${one.textContent}`);
        return shown;
      }),
    );
    remember(area);
  }

  place();
  if (pop()) focusFirst();
  count();
  return { show };
}
