/* The welcome: a greeting, the way into the chat, the last words, and what is often asked. */

import { button, h, icon, link, webAddress } from "./dom.js";
import { avatar, clock, day, nameOf, plain } from "./log.js";

export class Home {
  #latest = h("div", { hidden: true });
  #start = h("b");

  constructor(widget) {
    this.widget = widget;
    const { settings } = widget;
    const privacy = webAddress(settings.privacy_url);
    const foot = [settings.note, privacy && link(privacy, {}, "Privacy")].filter(Boolean);
    const topics = settings.topics.map((topic) =>
      button({ onclick: () => this.#ask(topic) }, h("span", { class: "pw-grow", dir: "auto" }, topic), icon("right", "s")));
    this.nodes = [
      h("div", { class: "pw-home", tabindex: "0", role: "region", "aria-label": "Welcome" },
        h("div", { class: "pw-hello" },
          h("div", { class: "pw-row" },
            h("span", { class: "pw-brand pw-grow pw-cut", dir: "auto" }, settings.name),
            settings.bot_name && avatar({ kind: "bot" }, "s"),
            widget.closer()),
          h("h2", { dir: "auto" }, settings.greeting)),
        h("div", { class: "pw-cards" },
          button({ class: "pw-card", onclick: () => widget.show("chat") },
            h("span", { class: "pw-grow" },
              this.#start,
              h("span", { class: "pw-s" }, settings.bot_name ? "A bot answers at once, a person can join" : "We answer you here")),
            icon("send")),
          this.#latest,
          topics.length > 0 && h("div", { class: "pw-card pw-topics" }, h("h3", {}, "Often asked"), topics))),
      foot.length > 0 && h("p", { class: "pw-by", dir: "auto" }, foot.flatMap((part, index) => (index ? [" · ", part] : [part]))),
    ];
  }

  render() {
    const { chat, settings } = this.widget;
    const last = chat.messages.at(-1);
    this.#start.textContent = chat.empty ? "Start a conversation" : "Write a message";
    this.#latest.hidden = !last;
    if (!last || this.#latest.dataset.id === last.id) return;
    const mine = last.author.kind === "user";
    this.#latest.dataset.id = last.id;
    this.#latest.replaceChildren(
      button({ class: "pw-card", onclick: () => this.widget.show("chat") },
        mine ? h("span", { class: "pw-av", "aria-hidden": "true" }, icon("chat")) : avatar(last.author),
        h("span", { class: "pw-grow" },
          h("b", { class: "pw-cut" }, mine ? "You" : h("bdi", {}, nameOf(last.author, settings))),
          h("span", { class: "pw-s pw-cut", dir: "auto" }, plain(last))),
        h("span", { class: "pw-s" }, day(last.at) === "Today" ? clock(last.at) : day(last.at))));
  }

  #ask(topic) {
    this.widget.show("chat");
    this.widget.chat.send(topic);
  }
}
