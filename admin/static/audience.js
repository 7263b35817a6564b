/* The audience list: search as you type, live rows, a cursor for the keyboard, and the way back to the row one came from. */

import { tick } from "./clock.js";
import { liveFilter } from "./filter.js";
import { NoFragment, fetchFragment } from "./fragments.js";
import { listen, paced } from "./live.js";
import { SIGN_IN, banner, pageProblem, shortcut, typing } from "./shell.js";
import { sortable } from "./sortable.js";

const TYPING_PAUSE_MS = 250;
const SKELETON_AFTER_MS = 300;
const REFRESH_GAP_MS = 300;
const NEW_ROW_MS = 1500;
const PLACE = "parley-audience";

const rows = document.getElementById("rows");
const area = document.getElementById("filter");
const find = document.getElementById("find");
const field = find.elements.namedItem("search");
const problem = document.getElementById("rows-problem");

const tableBody = () => rows.querySelector("tbody");
const scroller = () => rows.querySelector(".au-tablewrap");
const here = () => location.pathname + location.search;

/* The count stands with the search, or with the filter where there is one. */
function showCount(text, of) {
  const plain = document.getElementById("count");
  const filtered = document.getElementById("filter-count");
  plain.hidden = filtered !== null;
  if (!filtered) {
    plain.textContent = text;
    return;
  }
  const number = document.createElement("b");
  number.textContent = text;
  filtered.classList.remove("is-stale");
  if (of) filtered.replaceChildren(number, ` ${of}`);
  else filtered.textContent = text;
}

/* What the server put into a row, to tell whether it changed. */
const sources = new WeakMap();
const noteSources = () => tableBody()?.querySelectorAll("tr[data-key]").forEach((row) => sources.set(row, row.outerHTML));
noteSources();

/* ── The cursor ─────────────────────────────────────────────────────────── */

let cursorKey = null;

function showCursor() {
  for (const row of tableBody()?.rows ?? []) row.classList.toggle("is-cursor", row.dataset.key === cursorKey);
}

function moveCursor(step) {
  const all = [...(tableBody()?.querySelectorAll("tr[data-key]") ?? [])];
  if (!all.length) return;
  const at = all.findIndex((row) => row.dataset.key === cursorKey);
  const row = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + step))];
  cursorKey = row.dataset.key;
  showCursor();
  row.querySelector("a").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}
shortcut("j", () => moveCursor(1));
shortcut("k", () => moveCursor(-1));

rows.addEventListener("focusin", (event) => {
  const row = event.target.closest("tr[data-key]");
  if (!row) return;
  cursorKey = row.dataset.key;
  showCursor();
});

/* The whole row opens the profile for a mouse; the name is the link. */
rows.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-key]");
  if (!row || !getSelection().isCollapsed) return;
  cursorKey = row.dataset.key;
  keepPlace();
  if (!event.target.closest("a")) row.querySelector("a").click();
});

/* ── Back to the row (A1) ───────────────────────────────────────────────── */

function keepPlace() {
  const place = { url: here(), key: cursorKey, top: scroller()?.scrollTop ?? 0 };
  sessionStorage.setItem(PLACE, JSON.stringify(place));
}
addEventListener("pagehide", keepPlace);

function returnToPlace() {
  const place = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
  const came = performance.getEntriesByType("navigation")[0]?.type;
  const returning = sessionStorage.getItem("parley-return") !== null || came === "back_forward" || came === "reload";
  sessionStorage.removeItem("parley-return");
  if (!returning || place?.url !== here()) return;
  cursorKey = place.key;
  showCursor();
  scroller()?.scrollTo({ top: place.top });
}
returnToPlace();

/* ── Rows that the server sent again ────────────────────────────────────── */

function showRows(part, live) {
  showCount(part.dataset.count, part.dataset.of);
  const table = part.querySelector("table");
  const shown = rows.querySelector("table");
  if (table && shown) {
    replaceIfChanged(shown.tHead, table.tHead);
    replaceIfChanged(shown.caption, table.caption);
    mergeRows(shown.tBodies[0], table.tBodies[0], live);
    replaceIfChanged(rows.querySelector(".au-foot"), part.querySelector(".au-foot"));
  } else {
    rows.replaceChildren(document.importNode(part, true));
    noteSources();
  }
  rows.querySelector("table")?.removeAttribute("aria-busy");
  showCursor();
  tick();
}

function replaceIfChanged(old, next) {
  if (old.outerHTML !== next.outerHTML) old.replaceWith(document.importNode(next, true));
}

function mergeRows(body, next, live) {
  const known = new Map([...body.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr")?.dataset.key : null;
  const wanted = [...next.rows].map((row) => {
    const old = known.get(row.dataset.key);
    const source = row.outerHTML;
    if (old && sources.get(old) === source) return old;
    const made = document.importNode(row, true);
    sources.set(made, source);
    if (live && !old) {
      made.classList.add("is-new");
      setTimeout(() => made.classList.remove("is-new"), NEW_ROW_MS);
    }
    return made;
  });
  let at = body.firstElementChild;
  for (const row of wanted) {
    if (row === at) at = at.nextElementSibling;
    else body.insertBefore(row, at);
  }
  const keep = new Set(wanted);
  for (const row of [...body.rows]) if (!keep.has(row)) row.remove();
  if (focused) body.querySelector(`tr[data-key="${CSS.escape(focused)}"] a`)?.focus({ preventScroll: true });
}

function showSkeleton() {
  const body = tableBody();
  if (!body) return;
  body.replaceChildren(document.getElementById("rows-loading").content.cloneNode(true));
  body.closest("table").setAttribute("aria-busy", "true");
  showCount("Counting…");
}

/* ── Fetching ───────────────────────────────────────────────────────────── */

const WORDS = {
  "signed-out": ["You are signed out.", "What you searched for is kept. Sign in again to go on."],
  forbidden: ["Your role does not show this list any more.", "An admin of this workspace can change that."],
  offline: ["The connection is lost.", "The list is as it was. It goes on by itself when the connection is back."],
};

let current = null;
let missed = false;

/** Fetch the rows for the address of the page. A live refresh does not show that it waits, nor that it failed once. */
async function load({ live = false } = {}) {
  if (live && current) {
    missed = true;
    return;
  }
  current?.abort();
  const controller = (current = new AbortController());
  const skeleton = live ? 0 : setTimeout(showSkeleton, SKELETON_AFTER_MS);
  try {
    const { part, status } = await fetchFragment(rows.dataset.rowsUrl + location.search, { signal: controller.signal });
    if (live && status >= 500) throw new NoFragment("failed", status);
    problem.hidden = true;
    pageProblem(null);
    showRows(part, live);
  } catch (error) {
    if (!(error instanceof NoFragment)) {
      if (error.name !== "AbortError") throw error;
      return;
    }
    fail(error, live);
  } finally {
    clearTimeout(skeleton);
    if (current === controller) {
      current = null;
      if (missed) refresh();
      missed = false;
    }
  }
}

function fail(error, live) {
  if (error.why === "signed-out" || error.why === "forbidden") stop();
  const [title, text] = WORDS[error.why] ?? ["The list did not load.", "Your search is kept. Try again in a moment."];
  if (live) {
    pageProblem({ title, text, act: error.why === "signed-out" ? SIGN_IN : undefined });
    return;
  }
  problem.replaceChildren(banner("bad", title, text, { label: "Try again", run: () => load() }));
  problem.hidden = false;
  rows.replaceChildren();
  showCount("Count not available");
}

const refresh = paced(() => load({ live: true }), REFRESH_GAP_MS);
const stop = listen(rows.dataset.liveUrl, refresh);

/* ── The address ────────────────────────────────────────────────────────── */

/** Change arguments of the address: the list begins anew. An empty one goes. */
function go(changes, how) {
  const asked = new URLSearchParams(location.search);
  for (const name of ["newer", "older", "count", "edit", "property"]) asked.delete(name);
  for (const [name, value] of Object.entries(changes)) {
    if (value) asked.set(name, value);
    else asked.delete(name);
  }
  const query = asked.toString();
  history[how](null, "", rows.dataset.listUrl + (query ? `?${query}` : ""));
  refreshLinks();
}

/* What leads to another order of this list, or back to it, stands outside of what is fetched again. */
function refreshLinks() {
  for (const link of document.querySelectorAll("a[data-here]")) {
    const asked = new URLSearchParams(location.search);
    for (const name of ["newer", "older", "edit", "property"]) asked.delete(name);
    const own = new URL(link.href).searchParams;
    for (const name of ["sort", "desc"]) {
      if (own.has(name)) asked.set(name, own.get(name));
      else asked.delete(name);
    }
    link.href = `${rows.dataset.listUrl}?${asked}`;
  }
  for (const next of document.querySelectorAll("[data-next]")) next.value = here();
}

const filter = liveFilter(area, (view, typed) => {
  go({ view }, typed ? "replaceState" : "pushState");
  cursorKey = null;
  load();
});

addEventListener("popstate", () => {
  field.value = new URLSearchParams(location.search).get("search") ?? "";
  searched = field.value.trim();
  cursorKey = null;
  refreshLinks();
  filter.show(location.search);
  load();
});

/* ── Columns ────────────────────────────────────────────────────────────── */

const columns = document.getElementById("columns");
const tell = (text) => (document.getElementById("said").textContent = text);
sortable(columns.querySelector("[data-sortable]"), "[data-move]", {
  moved: () => {},
  said: (item, place, number) => `${item.querySelector("bdi").textContent}: column ${place} of ${number}`,
  tell,
});
const finder = columns.querySelector("[data-find-column]");

function findColumn() {
  const wanted = finder.value.trim().toLowerCase();
  for (const row of columns.querySelectorAll("[data-find]")) row.hidden = !row.dataset.find.includes(wanted);
}
finder.addEventListener("input", findColumn);

/* Where there are hundreds, they come when they are looked for. Without them the link leads to a page that has them. */
columns.addEventListener("toggle", async () => {
  const more = columns.querySelector("[data-more]");
  if (!columns.open || !more) return;
  try {
    const { part } = await fetchFragment(more.dataset.more);
    more.replaceWith(...part.childNodes);
    findColumn();
  } catch (error) {
    if (!(error instanceof NoFragment)) throw error;
  }
});

/* ── Search as you type (A7) ────────────────────────────────────────────── */

let pause;
let searched = field.value.trim();

function search() {
  clearTimeout(pause);
  if (field.value.trim() === searched) return;
  searched = field.value.trim();
  go({ search: searched }, "replaceState");
  cursorKey = null;
  load();
}

field.addEventListener("input", (event) => {
  clearTimeout(pause);
  if (!event.isComposing) pause = setTimeout(search, TYPING_PAUSE_MS);
});
field.addEventListener("compositionend", search);
find.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
field.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.stopPropagation();
    if (field.value) {
      field.value = "";
      search();
    } else field.blur();
  } else if (event.key === "ArrowDown") {
    event.preventDefault();
    moveCursor(0);
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && cursorKey && !typing(event)) {
    cursorKey = null;
    document.activeElement?.blur?.();
    showCursor();
  }
});
