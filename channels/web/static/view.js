/* The frame of the widget: launcher, preview of a new message, and the panel with one screen in it. */

import { Api, Store } from "./api.js";
import { Chat } from "./chat.js";
import { Conversation } from "./conversation.js";
import { button, h, icon } from "./dom.js";
import { Chime } from "./extras.js";
import { Home } from "./home.js";
import { avatar, nameOf, plain } from "./log.js";
import { Stored } from "./stored.js";

const PHONE = matchMedia("(max-width: 480px)");
const TOUCH = matchMedia("(pointer: coarse)");
const SCREENS = { home: Home, chat: Conversation, stored: Stored };

class ParleyChat extends HTMLElement {
  /** Open the panel; a host page may call it too. */
  open() {
    this.widget?.open();
  }

  close() {
    this.widget?.close();
  }
}

/** Put the widget of the deployment at `base` on the page. */
export async function install(base) {
  if (document.readyState === "loading") await new Promise((ready) => addEventListener("DOMContentLoaded", ready, { once: true }));
  if (!customElements.get("parley-chat")) customElements.define("parley-chat", ParleyChat);
  const prefix = `parley:${base.pathname.split("/").at(-2)}:`;
  const store = new Store("localStorage", prefix);
  const visit = new Store("sessionStorage", prefix);
  if (!visit.get("landing")) visit.set("landing", { url: here(), referrer: tidy(document.referrer, 4000) });
  const api = new Api(base, store);
  const [settings, sheet] = await patiently(() => Promise.all([api.settings(), styleSheet(base)]));
  const element = document.querySelector("parley-chat") ?? document.body.appendChild(document.createElement("parley-chat"));
  if (element.widget) return;
  element.widget = new Widget(element, { api, settings, sheet, store, visit });
}

/** Try until the server can be reached; a page whose chat is down shows no launcher, and no error. */
async function patiently(attempt) {
  for (let wait = 2; ; wait = Math.min(wait * 2, 120)) {
    try {
      return await attempt();
    } catch (error) {
      if (error.status) throw error; // refused: this page will not get a chat
      await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    }
  }
}

async function styleSheet(base) {
  const response = await fetch(new URL("widget.css", base), { credentials: "omit" });
  if (!response.ok) throw new Error(`widget.css: ${response.status}`);
  return new CSSStyleSheet().replace(await response.text());
}

/** Make the sheet that carries the accent of the settings; the host page's own properties win over it. */
function accentSheet(accent) {
  const sheet = new CSSStyleSheet();
  if (!/^#[0-9a-f]{6}$/i.test(accent ?? "")) return sheet;
  const [r, g, b] = [1, 3, 5].map((at) => {
    const share = parseInt(accent.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const readable = 1.05 / (0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05) >= 4.5; // white on it, by WCAG
  sheet.replaceSync(`:host { --pw-set-accent: ${accent}; --pw-set-on-accent: ${readable ? "#fff" : "#101318"}; }`);
  return sheet;
}

/** Cut what the page says of itself to what the server takes: no NUL, no half characters, not too long. */
const tidy = (text, length) => {
  const cut = (text ?? "").replaceAll("\0", "").slice(0, length);
  return cut.toWellFormed ? cut.toWellFormed() : cut;
};

const here = () => tidy(location.href.split("#")[0], 4000);

export class Widget {
  #queued = false;
  #chime = new Chime();

  constructor(host, { api, settings, sheet, store, visit }) {
    Object.assign(this, { host, api, settings, store, visit });
    this.isOpen = false;
    this.screen = null;
    this.panel = null;
    this.root = host.attachShadow({ mode: "open" });
    this.root.adoptedStyleSheets = [sheet, accentSheet(settings.accent)];
    this.teaser = h("div", { class: "pw-teaser", role: "status", hidden: true });
    this.launcher = button({ class: "pw-launch", "aria-haspopup": "dialog", onclick: () => (this.isOpen ? this.close() : this.open()) });
    this.frame = h("div", { class: "pw", lang: "en", dir: "ltr" }, this.teaser, this.launcher);
    this.root.append(this.frame);
    this.root.addEventListener("keydown", (event) => this.#onKey(event));
    visualViewport?.addEventListener("resize", () => this.#fit());
    PHONE.addEventListener("change", () => this.#fit());
    document.addEventListener("visibilitychange", () => this.update());

    this.chat = new Chat(api, () => this.#describe());
    this.chat.addEventListener("change", () => this.update());
    this.chat.addEventListener("arrived", () => this.#announce());
    this.chat.addEventListener("ended", () => this.isOpen && this.show("home"));
    this.chat.start();
    setInterval(() => this.isOpen && (this.chat.link.retryAt || this.chat.pausedUntil) && this.update(), 1000); // the countdown
    this.render();
    if (visit.get("open") && !PHONE.matches) this.open({ focus: false });
  }

  open({ focus = true } = {}) {
    if (this.isOpen) return;
    this.isOpen = true;
    this.visit.set("open", true);
    this.host.toggleAttribute("open", true);
    this.#chime.unlock();
    this.show(this.chat.empty && !this.api.token ? "home" : "chat", { focus });
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.visit.remove("open");
    this.host.toggleAttribute("open", false);
    this.panel.remove();
    this.panel = this.screen = null;
    this.#fit();
    this.render();
    this.launcher.focus();
  }

  /** Show "home", "chat" or "stored" in the panel. */
  show(name, { focus = true } = {}) {
    this.screen = new SCREENS[name](this);
    const panel = h("section", { class: "pw-panel", role: "dialog", "aria-label": `Chat with ${this.settings.name}`, tabindex: "-1" },
      this.screen.nodes);
    if (this.panel) this.panel.replaceWith(panel);
    else this.frame.insertBefore(panel, this.launcher);
    this.panel = panel;
    this.#fit();
    this.render();
    this.screen.shown?.();
    // A field that takes the focus by itself would cover half of a phone with its keyboard.
    if (focus) (this.screen.field && !TOUCH.matches ? this.screen.field : panel).focus();
  }

  /** Draw again, once for all that changed in this turn. */
  update() {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      this.render();
    });
  }

  render() {
    this.#showLauncher();
    this.#showTeaser();
    this.screen?.render?.();
    this.see();
  }

  /** Take note of what stands before the visitor's eyes: it is read. */
  see() {
    const visible = this.isOpen && document.visibilityState === "visible";
    this.chat.watch(visible);
    if (visible && this.screen.showsEnd && this.chat.unread) void this.chat.acknowledge("read");
  }

  closer() {
    return button({ class: "pw-ib", "aria-label": "Close chat", onclick: () => this.close() }, icon("x"));
  }

  #showLauncher() {
    const { unread } = this.chat;
    const signature = `${this.isOpen}${unread}`;
    if (this.launcher.dataset.signature === signature) return;
    this.launcher.dataset.signature = signature;
    const waiting = unread ? `, ${unread} unread ${unread === 1 ? "message" : "messages"}` : "";
    this.launcher.setAttribute("aria-label", this.isOpen ? "Close chat" : `Open chat${waiting}`);
    this.launcher.setAttribute("aria-expanded", String(this.isOpen));
    this.launcher.replaceChildren(icon(this.isOpen ? "down" : "chat"));
    if (unread && !this.isOpen) {
      this.launcher.append(h("span", { class: "pw-badge", "aria-hidden": "true" }, unread > 99 ? "99+" : String(unread)));
    }
  }

  #showTeaser() {
    const last = this.chat.messages.findLast((message) => message.author.kind !== "user" && message.state !== "read");
    const wanted = !this.isOpen && last && this.visit.get("dismissed") !== last.id;
    this.teaser.hidden = !wanted;
    if (!wanted || this.teaser.dataset.id === last.id) return;
    this.teaser.dataset.id = last.id;
    const dismiss = () => {
      this.visit.set("dismissed", last.id);
      this.render();
      this.launcher.focus();
    };
    this.teaser.replaceChildren(
      button({ class: "pw-teaser-open", onclick: () => this.open() },
        avatar(last.author), h("b", {}, h("bdi", {}, nameOf(last.author, this.settings))), h("span", { dir: "auto" }, plain(last))),
      button({ class: "pw-ib", "aria-label": "Dismiss preview", onclick: dismiss }, icon("x")));
  }

  #announce() {
    const seen = this.screen?.showsEnd && document.visibilityState === "visible";
    if (!seen && this.store.get("muted") !== true) this.#chime.ring();
  }

  #onKey(event) {
    if (!this.isOpen || this.screen.onKey?.(event)) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      this.close();
    } else if (event.key === "Tab" && PHONE.matches) {
      this.#wrapFocus(event);
    }
  }

  /** On a phone the panel covers the page, so the focus stays inside it. */
  #wrapFocus(event) {
    const stops = [...this.panel.querySelectorAll("button, a[href], textarea, [tabindex='0']")]
      .filter((node) => !node.disabled && node.tabIndex >= 0 && node.checkVisibility());
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (this.root.activeElement !== edge && !(event.shiftKey && this.root.activeElement === this.panel)) return;
    event.preventDefault();
    (event.shiftKey ? stops.at(-1) : stops[0]).focus();
  }

  /** Keep the panel above a phone's keyboard, which covers the page instead of shrinking it. */
  #fit() {
    const view = visualViewport;
    const covered = this.isOpen && PHONE.matches && view && view.height < innerHeight - 1;
    this.frame.style.height = covered ? `${view.height}px` : "";
    this.frame.style.marginTop = covered ? `${view.offsetTop}px` : "";
    this.panel?.setAttribute("aria-modal", String(PHONE.matches));
    this.screen?.resized?.();
  }

  #describe() {
    const landing = this.visit.get("landing") ?? {};
    return {
      page: {
        url: here(), title: tidy(document.title, 300), referrer: tidy(document.referrer, 4000),
        landing: landing.url ?? "", landing_referrer: landing.referrer ?? "",
      },
      language: navigator.language ?? "",
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone ?? "",
      screen: `${screen.width}x${screen.height}`,
      consent: this.settings.consent === "ask" ? this.store.get("consent") : null,
    };
  }
}
