/* The conversation on screen: who answers, the log, the state of the line, and the field to write in. */

import { button, h, icon, link, reconcile, webAddress } from "./dom.js";
import { save, transcript } from "./extras.js";
import { avatar, entries, nameOf } from "./log.js";

const NEAR = 80; // px from an edge of the log that count as being there
const TALLEST = 140; // px of the field

export class Conversation {
  #atEnd = true;
  #fetching = false;
  #ending = false;

  constructor(widget) {
    this.widget = widget;
    this.chat = widget.chat;
    this.settings = widget.settings;
    this.who = h("div", { class: "pw-row pw-grow" });
    this.options = button({
      class: "pw-ib", "aria-label": "Chat options", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => this.#toggleMenu(),
    }, icon("dots"));
    this.menu = this.#buildMenu();
    this.log = h("div", {
      class: "pw-log", role: "log", "aria-live": "polite", "aria-label": "Messages", tabindex: "0", onscroll: () => this.#scrolled(),
    });
    // An image that arrives must not push the last words out of sight.
    this.log.addEventListener("load", () => this.#atEnd && this.#toEnd(), true);
    this.jump = button({ class: "pw-bt pw-jump", hidden: true, onclick: () => this.#toEnd() }, icon("down", "s"), "New message");
    this.line = h("div", { class: "pw-note", hidden: true });
    this.note = h("div");
    this.field = h("textarea", {
      id: "pw-text", rows: "1", dir: "auto", placeholder: "Write a message", "aria-describedby": "pw-count",
      oninput: () => this.#typed(), onkeydown: (event) => this.#onFieldKey(event),
    });
    this.field.value = widget.visit.get("draft") ?? "";
    this.sender = h("button", { type: "submit", class: "pw-send", "aria-label": "Send", disabled: true }, icon("send"));
    this.count = h("p", { class: "pw-count", id: "pw-count", role: "status", hidden: true });
    this.box = h("div", { class: "pw-box" },
      h("label", { class: "pw-vh", for: "pw-text" }, "Message"), this.field, this.sender, this.count);
    this.nodes = [
      h("header", { class: "pw-head" },
        button({ class: "pw-ib", "aria-label": "Back to start", onclick: () => widget.show("home") }, icon("left")),
        this.who, this.options, widget.closer(), this.menu),
      this.log,
      h("div", { class: "pw-foot" }, this.jump, this.line, this.note,
        h("form", { class: "pw-comp", onsubmit: (event) => { event.preventDefault(); this.#submit(); } }, this.box)),
    ];
  }

  /** Whether the newest words stand on screen. */
  get showsEnd() {
    return this.#atEnd;
  }

  shown() {
    this.#typed();
    this.#toEnd();
  }

  resized() {
    if (this.#atEnd) this.#toEnd();
  }

  render() {
    this.#showLine();
    this.#showWho();
    this.#showNote();
    this.log.setAttribute("aria-busy", String(Boolean(this.widget.api.token) && !this.chat.loaded));
    const last = this.log.lastElementChild?.dataset.key;
    reconcile(this.log, entries(this.chat, this.settings, {
      pick: (message, index) => {
        this.#atEnd = true;
        this.chat.pick(message, index);
        this.field.focus();
      },
      retry: (id) => this.chat.retry(id),
      discard: (id) => {
        this.chat.discard(id);
        this.field.focus();
      },
    }));
    if (this.#atEnd) this.#toEnd();
    else if (last !== this.log.lastElementChild?.dataset.key) this.jump.hidden = this.chat.unread === 0;
  }

  /** Take the keys of the menu; returns whether this was one. */
  onKey(event) {
    if (this.menu.hidden) return false;
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      event.stopPropagation();
      this.#toggleMenu(false);
      return true;
    }
    const items = [...this.menu.querySelectorAll("button")];
    const at = items.indexOf(event.target);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (next === undefined) return false;
    event.preventDefault();
    items.at(next % items.length).focus();
    return true;
  }

  /* Writing. */

  #typed() {
    const text = this.field.value;
    const most = this.settings.max_text;
    const length = [...text.trim()].length;
    const over = length > most;
    this.widget.visit.set("draft", text);
    this.sender.disabled = over || length === 0;
    this.count.hidden = !over;
    this.count.textContent = over ? `${length.toLocaleString()} of ${most.toLocaleString()} characters. Shorten it to send.` : "";
    this.box.classList.toggle("pw-box--bad", over);
    this.field.setAttribute("aria-invalid", String(over));
    this.field.style.height = "";
    if (text) this.field.style.height = `${Math.min(this.field.scrollHeight, TALLEST)}px`;
    if (this.#atEnd) this.#toEnd();
  }

  #onFieldKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    if (this.sender.disabled) return;
    const text = this.field.value.trim().replaceAll("\0", "");
    this.field.value = "";
    this.#atEnd = true;
    this.chat.send(text.toWellFormed ? text.toWellFormed() : text);
    this.#typed();
    this.field.focus();
  }

  /* The log: it stays at its end unless the visitor reads further up. */

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#atEnd) this.jump.hidden = true;
    this.widget.see();
    if (scrollTop < NEAR && this.chat.more && !this.#fetching) void this.#fetchOlder();
  }

  async #fetchOlder() {
    this.#fetching = true;
    const fromEnd = this.log.scrollHeight - this.log.scrollTop;
    try {
      await this.chat.older();
      this.render();
      this.log.scrollTop = this.log.scrollHeight - fromEnd;
    } catch {
      // The line below shows its state; scrolling asks again.
    } finally {
      this.#fetching = false;
    }
  }

  #toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.#atEnd = true;
    this.jump.hidden = true;
  }

  /* The menu holds what works, and nothing else. */

  #buildMenu() {
    const muted = this.widget.store.get("muted") === true;
    const begun = !this.chat.empty;
    const item = (glyph, name, act) => {
      const choose = () => { this.#toggleMenu(false); act(); };
      return button({ role: "menuitem", tabindex: "-1", onclick: choose }, icon(glyph), name);
    };
    return h("div", { class: "pw-menu", role: "menu", "aria-label": "Chat options", hidden: true },
      item("bell", muted ? "Turn sounds on" : "Mute sounds", () => this.widget.store.set("muted", !muted)),
      begun && item("download", "Download this chat", () => void this.#download()),
      item("shield", "What is stored about me", () => this.widget.show("stored")),
      begun && h("hr"),
      begun && item("logout", "End this chat", () => this.#ask(true)));
  }

  #toggleMenu(show = this.menu.hidden) {
    if (show) {
      const menu = this.#buildMenu();
      this.menu.replaceWith(menu);
      this.menu = menu;
    }
    this.menu.hidden = !show;
    this.options.setAttribute("aria-expanded", String(show));
    (show ? this.menu.querySelector("button") : this.options).focus();
  }

  async #download() {
    try {
      while (await this.chat.older());
    } catch {
      // What this browser holds is saved all the same.
    }
    save(transcript(this.chat.messages, this.settings), `chat-${new Date().toISOString().slice(0, 10)}.txt`);
  }

  #ask(ending) {
    this.#ending = ending;
    this.render();
    (ending ? this.note.querySelector("button") : this.field).focus();
  }

  async #end() {
    try {
      if (this.widget.api.token) await this.chat.end();
      this.widget.visit.remove("draft");
      this.widget.show("home");
    } catch {
      this.note.querySelector("p").textContent =
        "The chat was not ended: there is no connection. Nothing was removed. Try again when the connection is back.";
    }
  }

  /* Above the log: who answers. Below it: the state of the line, and what is asked of the visitor. */

  #showWho() {
    const { handler } = this.chat;
    const person = handler.kind === "agent";
    const name = nameOf({ kind: person ? "agent" : "bot", name: person ? handler.name : "" }, this.settings);
    const away = !this.line.hidden && this.line.dataset.kind === "lost";
    const bot = this.settings.bot_name ? "Bot · a person can join" : "We answer you here";
    const about = away ? "Connecting…" : { agent: "A person answers you", waiting: "A person will answer here" }[handler.kind] ?? bot;
    const signature = `${handler.kind}/${name}/${about}`;
    if (this.who.dataset.signature === signature) return;
    this.who.dataset.signature = signature;
    this.who.replaceChildren(avatar({ kind: person ? "agent" : "bot", name }),
      h("div", { class: "pw-grow" }, h("h2", {}, h("bdi", {}, name)), h("p", {}, away && h("i", { class: "pw-dot--off" }), about)));
  }

  #showLine() {
    const { state, retryAt } = this.chat.link;
    const paused = state === "up" && this.chat.pausedUntil;
    // The first try is no news: only after one that failed is there something to say.
    if (!paused && (state === "up" || state === "idle" || (state === "connecting" && this.line.hidden))) {
      this.line.hidden = true;
      return;
    }
    const kind = paused ? "paused" : "lost";
    if (this.line.dataset.kind !== kind || this.line.hidden) {
      this.line.dataset.kind = kind;
      // The seconds are for the eye: read aloud each second they would drown the chat.
      this.line.replaceChildren(icon(paused ? "clock" : "off"),
        h("span", {},
          h("span", { role: "status" }, h("b", {}, paused ? "Too many messages at once." : "No connection."), " Nothing is lost."),
          h("span", { class: "pw-seconds", "aria-hidden": "true" })),
        paused ? "" : button({ onclick: () => this.chat.tryNow() }, "Try now"));
    }
    const until = paused || retryAt;
    const seconds = until ? Math.max(1, Math.ceil((until - Date.now()) / 1000)) : null;
    const next = paused ? "Sending goes on" : "Trying again";
    this.line.querySelector(".pw-seconds").textContent = seconds ? ` ${next} in ${seconds} s.` : " Trying now…";
    this.line.hidden = false;
  }

  #showNote() {
    const { settings } = this;
    const { store } = this.widget;
    const asks = settings.consent === "ask" && store.get("consent") === null;
    const kind = this.#ending ? "end" : asks ? "consent" : "";
    if ((this.note.dataset.kind ?? "") === kind) return;
    this.note.dataset.kind = kind;
    if (kind === "end") {
      this.note.replaceChildren(h("div", { class: "pw-consent", role: "alertdialog", "aria-label": "End this chat" },
        h("p", {}, h("b", {}, "End this chat?"),
          ` This browser forgets it, and nobody can write to you here. ${settings.name} keeps what was written.`),
        h("div", { class: "pw-row" },
          button({ class: "pw-bt", onclick: () => this.#ask(false) }, "Keep it"),
          button({ class: "pw-bt pw-bt--p", onclick: () => void this.#end() }, "End this chat"))));
    } else if (kind === "consent") {
      const privacy = webAddress(settings.privacy_url);
      const answer = (name, allowed, look) => button({ class: `pw-bt${look}`, onclick: () => {
        store.set("consent", allowed);
        this.render();
        this.field.focus();
      } }, name);
      this.note.replaceChildren(h("div", { class: "pw-consent", role: "region", "aria-label": "Device data" },
        h("b", {}, "May we keep your device and your IP address with this chat?"),
        " They show us which system and browser you use. The chat works without them. ",
        privacy && link(privacy, {}, "What is kept"),
        h("div", { class: "pw-row" }, answer("Allow", true, " pw-bt--p"), answer("Chat without", false, ""))));
    } else {
      this.note.replaceChildren();
    }
  }
}
