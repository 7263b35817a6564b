/* Writing: Enter sends, Shift+Enter breaks the line (C6). What was typed is kept until it was sent, whatever happens in between. */

import { now } from "./clock.js";
import { NoFragment, fetchFragment } from "./fragments.js";
import { Preview, Suggestions, keysOf } from "./placeholders.js";
import { element, icon } from "./shell.js";

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** A fresh id for one message: the server takes it once, however often it is posted. */
export function clientId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Composer {
  /**
   * `place` holds the composer; `pending` takes bubbles of what is on its way. `apply(part)` shows an answer of the server,
   * `closed()` is called at the second in which the window closes, `failed(error)` when the server did not answer.
   */
  constructor(place, { user, pending, apply, closed, sending, failed }) {
    Object.assign(this, { place, pending, apply, closed, sending, failed });
    this.key = `parley-draft:${user}`;
    this.queue = [];
    this.suggestions = new Suggestions(() => this.typed());
    this.preview = new Preview((length) => this.measure(length));
    place.addEventListener("input", (event) => {
      if (event.target.matches("[data-draft]")) {
        this.typed();
        this.suggestions.follow();
      } else if (event.target.closest("[data-fill]")) {
        event.target.removeAttribute("aria-invalid");
        this.preview.follow();
      }
    });
    place.addEventListener("keydown", (event) => this.keyed(event));
    place.addEventListener("submit", (event) => {
      if (!event.target.matches("[data-send]")) return;
      event.preventDefault();
      event.stopPropagation();
      this.send();
    });
    addEventListener("pagehide", () => {
      /* What was on its way when the page was left comes back as a draft, rather than being lost. */
      if (this.queue.length) this.keep([...this.queue.map((one) => one.text), this.field?.value ?? ""].join("\n").trim());
    });
    this.bind();
  }

  get field() {
    return this.place.querySelector("[data-draft]");
  }

  get draft() {
    return sessionStorage.getItem(this.key) ?? "";
  }

  keep(text) {
    if (text) sessionStorage.setItem(this.key, text);
    else sessionStorage.removeItem(this.key);
  }

  /** Take over a composer that was just put into the page. */
  bind() {
    const field = this.field;
    if (field) {
      if (!field.value && this.draft) field.value = this.draft;
      this.suggestions.bind(field);
      this.preview.bind(field);
      this.typed();
    }
    const kept = this.place.querySelector("[data-kept]");
    if (kept) {
      if (!this.draft) this.keep(kept.value);
      kept.value = this.draft;
      kept.closest(".au-kept").hidden = !this.draft;
    }
    this.watchWindow();
  }

  /* ── Typing ── */

  typed() {
    const field = this.field;
    this.keep(field.value);
    if (!CSS.supports("field-sizing", "content")) {
      field.style.height = "auto";
      field.style.height = `${field.scrollHeight}px`;
    }
    const wanted = keysOf(field.value);
    for (const one of this.fills) {
      one.hidden = !wanted.has(one.dataset.fill);
      one.querySelector("input").disabled = one.hidden;
    }
    const asked = this.place.querySelector("[data-asked]");
    if (asked) asked.hidden = this.fills.every((one) => one.hidden);
    this.preview.follow();
    this.measure(null);
  }

  /* Say how much of the channel's limit is used: by the text as it is sent, which only the server knows where it is filled. */
  measure(filled) {
    const field = this.field;
    if (!field) return;
    if (!this.preview.wanted) this.length = [...field.value].length;
    else this.length = filled ?? this.length ?? 0;
    const { length } = this;
    const limit = Number(field.dataset.limit);
    const said = this.place.querySelector("output");
    const near = length > limit * 0.9;
    said.textContent = near ? `${length.toLocaleString("en")} of ${limit.toLocaleString("en")} characters` : "";
    said.toggleAttribute("data-over", length > limit);
    field.setAttribute("aria-invalid", String(length > limit));
    this.place.querySelector("[data-send] [type=submit]").disabled = length > limit;
  }

  /* ── Values that the text needs and the user does not have (P8) ── */

  get fills() {
    return [...this.place.querySelectorAll("[data-fill]")];
  }

  /** The keys that were asked for, so that the server asks for them again when it draws the composer anew. */
  get asked() {
    return this.fills.filter((one) => !one.hidden).map((one) => one.dataset.fill);
  }

  /* Lead to the first of the values that are still empty, and return their fields. */
  askFor() {
    const empty = this.fills.map((one) => one.querySelector("input")).filter((input) => !input.disabled && !input.value.trim());
    empty[0]?.focus();
    return empty;
  }

  keyed(event) {
    if (!event.target.matches("[data-draft]")) return;
    if (this.suggestions.keyed(event) || event.key !== "Enter") return;
    /* While an input method composes, Enter chooses its proposal. */
    if (event.shiftKey || event.altKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.send();
  }

  /** Put a text that was not sent back, before what was typed since. */
  putBack(text) {
    const field = this.field;
    const whole = [text, field ? field.value : this.draft].filter(Boolean).join("\n");
    this.keep(whole);
    if (!field) return this.bind();
    field.value = whole;
    this.typed();
    field.focus();
  }

  /* ── Sending: one after the other, in the order in which they were written ── */

  send() {
    const field = this.field;
    const form = field.form;
    const text = field.value.trim();
    if (!text || form.querySelector("[type=submit]").disabled) return;
    const empty = this.askFor();
    for (const input of empty) input.setAttribute("aria-invalid", "true");
    if (empty.length) return;
    const body = new FormData(form);
    body.set("client_id", clientId());
    this.queue.push({ url: form.action, body, text, bubble: this.bubble(this.preview.filled(text)) });
    field.value = "";
    this.typed();
    field.focus();
    this.pump();
  }

  bubble(text) {
    const words = element("p", "au-text", text);
    words.dir = "auto";
    const state = element("div", "au-msg__s", element("span", "au-st", icon("clock", true), "Sending"));
    const shown = element(
      "article",
      "au-msg au-msg--out au-msg--human au-msg--pending",
      element("p", "au-msg__m", element("b", "", "You")),
      element("div", "au-bub", words),
      state,
    );
    this.pending.append(shown);
    this.sending(true);
    return shown;
  }

  async pump() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.queue.length) {
        const one = this.queue[0];
        let answer;
        try {
          answer = await fetchFragment(one.url, { body: one.body });
        } catch (error) {
          if (!(error instanceof NoFragment)) throw error;
          this.stuck(one, error);
          this.failed(error);
          return;
        }
        this.queue.shift();
        one.bubble.remove();
        if (answer.status >= 400) {
          /* Refused, and the answer says why. What was written after it would be refused too. */
          const rest = this.queue.splice(0);
          rest.forEach((later) => later.bubble.remove());
          this.putBack([one, ...rest].map((each) => each.text).join("\n"));
        }
        this.apply(answer.part);
        if (answer.status === 422) this.askFor();
      }
    } finally {
      this.busy = false;
      if (!this.queue.length) this.sending(false);
    }
  }

  /* The server was not reached, or did not say what it did. The same id goes out again, so nothing is sent twice. */
  stuck(one, error) {
    const reason = { offline: "no connection", "signed-out": "you are signed out" }[error.why] ?? "Parley did not answer";
    const again = element("button", "au-linkbtn", "Send again");
    const back = element("button", "au-linkbtn", "Put back");
    again.type = back.type = "button";
    again.addEventListener("click", () => {
      one.bubble.querySelector(".au-msg__s").replaceChildren(element("span", "au-st", icon("clock", true), "Sending"));
      this.pump();
    });
    back.addEventListener("click", () => {
      one.bubble.remove();
      this.queue.splice(this.queue.indexOf(one), 1);
      this.putBack(one.text);
      this.pump();
    });
    const said = element("span", "au-st au-st--bad", icon("bad", true), `Not sent yet: ${reason}`);
    one.bubble.querySelector(".au-msg__s").replaceChildren(said, again, back);
    if (error.why === "offline") addEventListener("online", () => this.pump(), { once: true });
  }

  /* ── The window closes while one writes (C4) ── */

  watchWindow() {
    clearTimeout(this.timer);
    const until = Date.parse(this.place.querySelector("[data-composer]")?.dataset.until);
    if (Number.isNaN(until)) return;
    this.timer = setTimeout(
      () => {
        if (until > now()) return this.watchWindow();
        const button = this.place.querySelector("[data-send] [type=submit]");
        if (button) button.disabled = true;
        this.closed();
      },
      Math.min(LONGEST_TIMEOUT_MS, Math.max(0, until - now())),
    );
  }
}
