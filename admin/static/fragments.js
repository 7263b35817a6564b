/* Fetch a piece of the page again, and put it in place without disturbing the reader. */

import { setServerTime } from "./clock.js";

/** Why a fragment did not come: `signed-out`, `forbidden`, `gone`, `failed` (the server), `offline`. */
export class NoFragment extends Error {
  constructor(why, status = 0) {
    super(why);
    this.why = why;
    this.status = status;
  }
}

const REASONS = { 401: "signed-out", 403: "forbidden", 404: "gone", 410: "gone" };

/**
 * Fetch `url`, or post `body` to it, and return {part, status}: the element [data-fragment] of the answer.
 * A refusal that is explained in a fragment (409, 422) is an answer; anything else throws NoFragment.
 */
export async function fetchFragment(url, { body, signal } = {}) {
  let response, text;
  try {
    response = await fetch(url, {
      method: body ? "POST" : "GET",
      body,
      signal,
      headers: { "X-Parley-Parts": "1" },
      cache: "no-store",
    });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new NoFragment("offline");
  }
  const part = new DOMParser().parseFromString(text, "text/html").querySelector("[data-fragment]");
  if (!part) {
    const why = REASONS[response.status] ?? (response.redirected ? "signed-out" : "failed");
    throw new NoFragment(why, response.status);
  }
  setServerTime(part.dataset.now);
  renewTokens(part);
  return { part, status: response.status };
}

/* A form that is not replaced keeps a token that grows old. */
function renewTokens(part) {
  const fresh = part.querySelector('input[name="csrf_token"]')?.value;
  if (!fresh) return;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = fresh;
}

/* Where the caret stands; null in a field that does not say, such as one for an email address. */
function selectionOf(field) {
  if (!field?.matches("textarea, input")) return null;
  return field.selectionStart === null ? null : [field.selectionStart, field.selectionEnd];
}

const shown = new WeakMap();
const comparable = (html) => html.replace(/name="(csrf_token|client_id)" value="[^"]*"/g, "");

/** Note what the server put into `target`, before anything on the page changes it. */
export const remember = (target) => shown.set(target, comparable(target.innerHTML));

/**
 * Show the contents of `source` in `target`. Nothing moves when they are the same; otherwise what the reader opened, typed and
 * pointed at is carried over. What is marked [data-hold] stays as it is, in the place of what has its id, and hears of that by the
 * event `renewed`. Returns whether anything changed.
 */
export function patch(target, source) {
  const html = comparable(source.innerHTML);
  if (shown.get(target) === html) return false;
  shown.set(target, html);

  const open = new Map([...target.querySelectorAll("details[data-keep]")].map((one) => [one.dataset.keep, one.open]));
  const typed = new Map(
    [...target.querySelectorAll("input[id], textarea[id]")]
      .filter((field) => field.value !== field.defaultValue && !field.readOnly)
      .map((field) => [field.id, field.value]),
  );
  const active = target.contains(document.activeElement) ? document.activeElement : null;
  const keptActive = active?.closest("details[data-keep]")?.dataset.keep;
  const selection = selectionOf(active);
  const held = [...target.querySelectorAll("[data-hold][id]")];

  target.replaceChildren(...[...source.childNodes].map((node) => document.importNode(node, true)));

  for (const one of held) {
    const place = target.querySelector(`#${CSS.escape(one.id)}`);
    if (place) place.replaceWith(one);
    else target.prepend(one);
    one.dispatchEvent(new CustomEvent("renewed", { bubbles: true, detail: place }));
  }
  for (const one of target.querySelectorAll("details[data-keep]")) {
    if (open.has(one.dataset.keep)) one.open = open.get(one.dataset.keep);
  }
  for (const [id, value] of typed) {
    const field = document.getElementById(id);
    if (field && !field.readOnly) field.value = value;
  }
  if (active) {
    const again = active.isConnected ? active : counterpart(active, keptActive, target);
    again?.focus({ preventScroll: true });
    if (selection && selectionOf(again)) again.setSelectionRange(...selection);
  }
  return true;
}

/* What stands where `active` stood: by its id, by the dialog that it opens, or the head of what it was in. */
function counterpart(active, keptActive, target) {
  if (active.id) return document.getElementById(active.id);
  const { dialog } = active.dataset;
  if (dialog) return target.querySelector(`[data-dialog="${CSS.escape(dialog)}"]`);
  return keptActive && target.querySelector(`details[data-keep="${CSS.escape(keptActive)}"] > summary`);
}
