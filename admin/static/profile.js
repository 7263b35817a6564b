/* One user's page: keeps the stream, the columns and the composer as the server has them, and sends what is written. */

import { tick } from "./clock.js";
import { Composer, clientId } from "./composer.js";
import { NoFragment, fetchFragment, patch, remember } from "./fragments.js";
import { listen, paced } from "./live.js";
import { Properties } from "./properties.js";
import { SIGN_IN, banner, openDialog, pageProblem } from "./shell.js";
import { Stream } from "./stream.js";
import { bindTemplates, watchTemplates } from "./templates.js";

const REFRESH_GAP_MS = 250;

const page = document.getElementById("profile");
const log = document.getElementById("log");
const place = document.getElementById("composer");
const dialogs = document.getElementById("dialogs");
const parts = new Map(
  ["name", "who", "composer", "props", "dialogs"].map((name) => [name, document.querySelector(`[data-part="${name}"]`)]),
);
for (const part of parts.values()) remember(part);

/* ── What is asked for: filter and identity ─────────────────────────────── */

const filter = { author: "", channel: "", via: "" };
const asked = new URL(location.href).searchParams;
for (const name of Object.keys(filter)) filter[name] = asked.get(name) ?? "";
const query = (asked = []) =>
  new URLSearchParams([...Object.entries(filter).filter(([, value]) => value), ...asked.map((key) => ["ask", key])]);

const stream = new Stream(log, document.getElementById("stream"), document.getElementById("jump"), page.dataset.streamUrl, query);

/* ── Showing what the server says ───────────────────────────────────────── */

function apply(part, { reset = false } = {}) {
  const next = (name) => part.querySelector(`[data-part="${name}"]`);
  for (const [name, target] of parts) {
    if (target.querySelector("dialog:modal")) continue;
    if (name === "props" && !properties.isMine(next(name))) continue;
    const changed = patch(target, next(name));
    if (changed && name === "composer") composer.bind();
    if (changed && name === "dialogs") {
      bindTemplates(dialogs);
      openDialog(dialogs.querySelector("dialog[open]"));
    }
  }
  const list = next("stream").querySelector("[data-stream]");
  if (reset) {
    stream.reset(list);
    log.removeAttribute("aria-busy");
  } else stream.merge(list);
  document.title = `${next("name").textContent} · Parley`;
  pageProblem(null);
  tick();
}

const PROBLEMS = {
  "signed-out": ["You are signed out.", "What you typed is kept. Sign in again to go on."],
  forbidden: ["Your role does not show this user any more.", "An admin of this workspace can change that."],
  gone: ["This user is not here any more.", "The profile may have been merged or erased. Look for it in the audience."],
  offline: ["The connection is lost.", "What you typed is kept. The page goes on by itself when the connection is back."],
};
const FAILED = ["This page did not load its news.", "It tries again by itself. What you typed is kept."];

function problem(error) {
  if (!(error instanceof NoFragment)) throw error;
  if (["signed-out", "forbidden", "gone"].includes(error.why)) stop();
  const [title, text] = PROBLEMS[error.why] ?? FAILED;
  const act = error.why === "signed-out" ? SIGN_IN : undefined;
  pageProblem({ title, text, tone: error.why === "offline" ? "warn" : "bad", act });
}

/* An answer that was fetched before something was posted is older than what the post showed. */
let epoch = 0;
let refreshing = false;
let again = false;
let resetNext = false;

async function refresh() {
  if (refreshing || composer.busy) {
    again = true;
    return;
  }
  refreshing = true;
  const begun = epoch;
  try {
    const { part } = await fetchFragment(`${page.dataset.partsUrl}?${query(composer.asked)}&${new URLSearchParams(properties.asked)}`);
    if (begun === epoch) {
      apply(part, { reset: resetNext });
      resetNext = false;
    } else again = true;
  } catch (error) {
    problem(error);
  } finally {
    refreshing = false;
    catchUp();
  }
}

function catchUp() {
  if (!again || composer.busy) return;
  again = false;
  refresh();
}

const composer = new Composer(place, {
  user: page.dataset.user,
  pending: stream.pending,
  apply: (part) => {
    epoch += 1;
    apply(part);
  },
  closed: refresh,
  failed: (error) => {
    epoch += 1;
    if (PROBLEMS[error.why]) problem(error);
  },
  sending: (busy) => {
    if (busy) stream.toBottom();
    else catchUp();
  },
});
const properties = new Properties(page, parts.get("props"), {
  apply: (part) => {
    epoch += 1;
    apply(part);
  },
  refresh,
  show: (name) => showPanel(tabs.find((one) => one.dataset.panel === name)),
  patch: (source) => patch(parts.get("props"), source),
});
watchTemplates(dialogs);
const stop = listen(page.dataset.liveUrl, paced(refresh, REFRESH_GAP_MS));
tick();

/* ── Forms: Start Chat, Assign to bot, Send a template ──────────────────── */

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (event.defaultPrevented || !form.matches("[data-enhance]")) return;
  event.preventDefault();
  const button = event.submitter ?? form.querySelector("[type=submit]");
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  form.querySelector("[data-problem]")?.remove();
  try {
    const { part, status } = await fetchFragment(form.action, { body: new FormData(form) });
    epoch += 1;
    form.closest("dialog")?.close();
    if (status < 400) form.reset();
    form.elements.namedItem("client_id")?.setAttribute("value", clientId());
    apply(part);
    stream.toBottom();
    place.querySelector("[data-draft]")?.focus();
  } catch (error) {
    if (!(error instanceof NoFragment)) throw error;
    const [title, text] = PROBLEMS[error.why] ?? ["Parley did not answer.", "What you chose is kept. Look at the conversation, then try again."];
    const said = banner("bad", title, text);
    said.dataset.problem = "";
    (form.querySelector(".au-dlg__b, .au-tplpane__b") ?? form).prepend(said);
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
});

/* ── Filter, identity, texts that come back ─────────────────────────────── */

function choose(changes, { reset = false } = {}) {
  Object.assign(filter, changes);
  const search = query().toString();
  history.replaceState(null, "", page.dataset.pageUrl + (search ? `?${search}` : ""));
  if (reset) log.setAttribute("aria-busy", "true");
  resetNext ||= reset;
  epoch += 1;
  refresh();
}

document.getElementById("authors").addEventListener("click", (event) => {
  const link = event.target.closest("[data-author]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  for (const one of link.parentElement.children) one.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  choose({ author: link.dataset.author }, { reset: true });
});

document.getElementById("channel")?.addEventListener("change", (event) => choose({ channel: event.target.value }, { reset: true }));

place.addEventListener("change", (event) => event.target.matches("[data-via]") && choose({ via: event.target.value }));
place.addEventListener("click", (event) => {
  const link = event.target.closest("[data-choose]");
  if (!link || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  choose({ via: link.dataset.choose });
});

log.addEventListener("click", (event) => {
  const button = event.target.closest("[data-reuse]");
  if (button) composer.putBack(button.closest(".au-msg").querySelector(".au-bub .au-text").textContent);
});

/* ── A message that the address names ───────────────────────────────────── */

if (location.hash.startsWith("#message-")) document.getElementById(location.hash.slice(1))?.scrollIntoView({ block: "center" });

/* ── Panels as tabs, where the screen is narrow ─────────────────────────── */

const tabs = [...document.querySelectorAll("[data-panel]")];

function showPanel(tab) {
  for (const one of tabs) {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
  }
  page.dataset.show = tab.dataset.panel;
}
for (const tab of tabs) {
  tab.addEventListener("click", (event) => {
    event.preventDefault();
    showPanel(tab);
  });
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const seen = tabs.filter((one) => one.offsetParent);
    const next = seen[(seen.indexOf(tab) + step + seen.length) % seen.length];
    showPanel(next);
    next.focus();
  });
}

/* ── Back to the list as it was, and to the row ─────────────────────────── */

document.querySelector("[data-back]")?.addEventListener("click", (event) => {
  const from = JSON.parse(sessionStorage.getItem("parley-audience") ?? "null");
  if (!from) return;
  event.currentTarget.href = from.url;
  sessionStorage.setItem("parley-return", "1");
});
