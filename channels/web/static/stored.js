/* What is stored about the visitor, as the server has it, and the choice about device data. */

import { button, h, icon, link, webAddress } from "./dom.js";
import { day } from "./log.js";

/** Put "Today" and "Yesterday" into a sentence; a month keeps its capital. */
const sentence = (name) => (/^(Today|Yesterday)$/.test(name) ? name.toLowerCase() : name);

export class Stored {
  #body = h("div", { class: "pw-stored", tabindex: "0", role: "region", "aria-label": "What is stored about me" },
    h("p", { role: "status" }, "Loading…"));

  constructor(widget) {
    this.widget = widget;
    this.nodes = [
      h("header", { class: "pw-head" },
        button({ class: "pw-ib", "aria-label": "Back to the chat", onclick: () => widget.show("chat") }, icon("left")),
        h("div", { class: "pw-grow" }, h("h2", {}, "What is stored about me")),
        widget.closer()),
      this.#body,
    ];
    void this.#fill();
  }

  async #fill() {
    const { api, settings, store } = this.widget;
    let stored = { messages: 0, since: null, rows: [] };
    try {
      if (api.token) stored = await api.call("GET", "stored");
    } catch {
      this.#body.replaceChildren(h("p", { role: "status" }, "This could not be loaded. Nothing has changed. Go back and try again."));
      return;
    }
    const privacy = webAddress(settings.privacy_url);
    const allowed = store.get("consent") === true;
    this.#body.replaceChildren(...[
      h("h3", {}, "Messages"),
      h("p", {}, stored.messages
        ? `${stored.messages} ${stored.messages === 1 ? "message" : "messages"} since ${sentence(day(stored.since))}, for ${settings.name} to read and answer.`
        : "None yet."),
      stored.rows.length > 0 && h("h3", {}, "Where you came from"),
      stored.rows.length > 0 && h("dl", {},
        stored.rows.flatMap(([label, value]) => [h("dt", {}, label), h("dd", { dir: "auto" }, value)])),
      ...(settings.consent !== "ask" ? [] : [
        h("h3", {}, "Device and address"),
        h("p", {}, allowed
          ? "You allowed us to keep your device, your browser and your IP address with this chat."
          : "Your device, your browser and your IP address are not kept."),
        h("div", { class: "pw-row" },
          button({ class: "pw-bt", onclick: () => void this.#choose(!allowed) }, allowed ? "Stop, and remove them" : "Allow it")),
      ]),
      h("h3", {}, "In this browser"),
      h("p", {}, "A key that opens this chat, what is not sent yet, and your settings. Ending the chat removes them."),
      privacy && h("p", {}, link(privacy, {}, `Privacy at ${settings.name}`)),
    ].filter(Boolean));
  }

  async #choose(allowed) {
    const { api, store } = this.widget;
    try {
      if (api.token) await api.call("POST", "consent", { device: allowed, screen: `${screen.width}x${screen.height}` });
      store.set("consent", allowed);
      await this.#fill();
      this.#body.focus();
    } catch {
      const sentence = "This was not changed: there is no connection. Go back and try again.";
      this.#body.querySelector(".pw-row").replaceChildren(h("p", { role: "status" }, sentence));
    }
  }
}
