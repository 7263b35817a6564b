/* Turns the conversation into nodes: days, messages, what waits, who joined. */

import { button, h, icon, link, linked, webAddress } from "./dom.js";

const TOGETHER = 5 * 60_000; // messages of one author closer than this stand under one name

export const clock = (moment) => new Date(moment).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });

/** Say "Today", "Yesterday", or the date; with the year when it is another. */
export function day(moment) {
  const then = new Date(moment);
  const now = new Date();
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((midnight(now) - midnight(then)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const year = then.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return then.toLocaleDateString([], { day: "numeric", month: "long", year });
}

/** Return one or two letters for a name; one glyph where a script has no initials. */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  if (!words.length) return "?";
  const first = [...words[0]][0];
  if (words.length === 1 || first.codePointAt(0) > 0x2e7f) return first.toUpperCase();
  return (first + [...words.at(-1)][0]).toUpperCase();
}

/** Draw who writes: a glyph for the bot, initials for a person; never alike. */
export function avatar(author, size = "") {
  const extra = size ? ` pw-av--${size}` : "";
  if (author.kind === "agent") return h("span", { class: `pw-av pw-av--agent${extra}`, "aria-hidden": "true" }, initials(author.name));
  return h("span", { class: `pw-av pw-av--bot${extra}`, "aria-hidden": "true" }, icon("bot", size ? "s" : ""));
}

export const nameOf = (author, settings) => author.name || (author.kind === "agent" ? "A person" : settings.bot_name || settings.name);

/** Say in one line what a message holds, for previews, screen readers and the transcript. */
export function plain(message) {
  if (message.text) return message.text;
  if (message.image) return "Image";
  return "A message that this chat cannot show";
}

/** List the entries of the log, oldest first, for `reconcile`. */
export function entries(chat, settings, act) {
  const messages = chat.messages;
  const list = [];
  // Whoever answers has read what stands above the answer.
  const answered = messages.findLastIndex((message) => message.author.kind !== "user");
  const joined = chat.handler.kind === "agent" && chat.handler.since ? chat.handler : null;
  let tellJoined = joined !== null;
  let dayShown = null;
  let previous = null;
  let lastPerson = null;

  const showDay = (moment) => {
    const name = day(moment);
    if (name === dayShown) return;
    dayShown = name;
    previous = null;
    list.push({ key: `day:${name}`, signature: name, build: () => h("div", { class: "pw-day" }, name) });
  };
  const showJoined = (author, key) => {
    previous = null;
    lastPerson = author.name;
    list.push({ key: `joined:${key}`, signature: author.name, build: () => joinedEvent(author, settings) });
  };

  messages.forEach((message, index) => {
    if (tellJoined && message.at > joined.since) {
      tellJoined = false;
      showDay(joined.since);
      if (lastPerson !== joined.name) showJoined({ kind: "agent", name: joined.name }, joined.since);
    }
    showDay(message.at);
    const { author } = message;
    if (author.kind === "agent" && lastPerson !== author.name) showJoined(author, message.id);
    if (author.kind === "bot") lastPerson = null;
    const follows = previous && previous.author.kind === author.kind && previous.author.name === author.name
      && Date.parse(message.at) - Date.parse(previous.at) < TOGETHER;
    if (author.kind === "user") {
      const last = messages[index + 1]?.author.kind !== "user";
      list.push(mine(message, follows, last && (index < answered || !chat.pending.length), index < answered));
    } else {
      list.push(theirs(message, follows, settings));
    }
    previous = message;
  });
  if (tellJoined && lastPerson !== joined.name) {
    showDay(joined.since);
    showJoined({ kind: "agent", name: joined.name }, joined.since);
  }

  chat.pending.forEach((item, index) => {
    showDay(item.at);
    list.push(waiting(item, index > 0 || previous?.author.kind === "user", chat, act));
  });
  const last = messages.at(-1);
  if (chat.typing && !chat.pending.length) list.push(typing(settings));
  else if (last && last.author.kind !== "user" && last.buttons.length && !chat.pending.length) list.push(choices(last, act));
  return list;
}

function joinedEvent(author, settings) {
  return h("div", { class: "pw-ev" }, avatar(author, "xs"), h("span", {}, h("b", {}, h("bdi", {}, nameOf(author, settings))), " joined"));
}

function theirs(message, follows, settings) {
  const { author } = message;
  return {
    key: message.id,
    signature: `${follows}`,
    build: () => h("div", { class: `pw-m${follows ? " pw-m--cont" : ""}` },
      follows
        ? h("span", { class: "pw-vh" }, `${nameOf(author, settings)}: `)
        : h("p", { class: "pw-who" },
          h("b", {}, h("bdi", {}, nameOf(author, settings))), author.kind === "agent" ? ` · ${clock(message.at)}` : " · automated"),
      follows ? null : avatar(author, "s"),
      bubble(message)),
  };
}

function mine(message, follows, showState, read) {
  const delivered = read || message.state === "delivered";
  const label = `${clock(message.at)} · ${read ? "Read" : delivered ? "Delivered" : "Sent"}`;
  return {
    key: message.client_id ?? message.id,
    signature: `${follows}${showState && label}`,
    build: () => h("div", { class: `pw-m pw-m--me${follows ? " pw-m--cont" : ""}` },
      h("span", { class: "pw-vh" }, "You: "),
      bubble(message),
      showState && h("p", { class: `pw-st${read ? " pw-st--read" : ""}` }, icon(delivered ? "checks" : "check", "s"), label)),
  };
}

function waiting(item, follows, chat, act) {
  const away = ["down", "connecting"].includes(chat.link.state);
  const status = away ? "Waits for a connection" : chat.pausedUntil ? "Waits a moment" : "Sending";
  const id = item.client_id;
  return {
    key: id,
    signature: `${follows}${item.failed ?? status}`,
    build: () => h("div", { class: `pw-m pw-m--me pw-m--wait${follows ? " pw-m--cont" : ""}` },
      h("span", { class: "pw-vh" }, "You, not sent yet: "),
      h("div", { class: "pw-b", dir: "auto" }, linked(item.text)),
      item.failed
        ? h("p", { class: "pw-st pw-st--bad" }, icon("bad", "s"), h("span", {}, `Not sent: ${item.failed}`),
          button({ onclick: () => act.retry(id) }, "Try again"), button({ onclick: () => act.discard(id) }, "Remove"))
        : h("p", { class: "pw-st" }, icon("clock", "s"), status)),
  };
}

function bubble(message) {
  if (message.image && webAddress(message.image)) return picture(webAddress(message.image), message.text);
  if (message.text) return h("div", { class: "pw-b", dir: "auto" }, linked(message.text));
  return h("div", { class: "pw-b pw-b--off" }, plain(message));
}

/** Show an image; where the host page's policy or the network keeps it out, offer a link instead. */
function picture(address, caption) {
  const image = h("img", { src: address, alt: caption || "Image", loading: "lazy", referrerpolicy: "no-referrer" });
  const card = h("div", { class: "pw-b pw-b--card" }, image, caption && h("div", { dir: "auto" }, linked(caption)));
  image.addEventListener("error", () => {
    card.replaceWith(h("div", { class: "pw-b", dir: "auto" }, caption ? `${caption} ` : "", link(address, {}, "Open the image")));
  });
  return card;
}

function typing(settings) {
  const name = settings.bot_name || settings.name;
  return {
    key: "typing",
    signature: "",
    build: () => h("div", { class: "pw-m" },
      h("p", { class: "pw-who" }, h("b", {}, h("bdi", {}, name)), " · automated"),
      avatar({ kind: "bot" }, "s"),
      h("div", { class: "pw-b pw-typing", role: "img", "aria-label": `${name} is writing` }, h("i"), h("i"), h("i"))),
  };
}

function choices(message, act) {
  return {
    key: `choices:${message.id}`,
    signature: "",
    build: () => h("div", { class: "pw-qr", role: "group", "aria-label": "Answers to choose from" },
      message.buttons.map((choice, index) => {
        const address = choice.url && webAddress(choice.url);
        return address
          ? link(address, { dir: "auto" }, icon("ext", "s"), choice.title)
          : button({ dir: "auto", onclick: () => act.pick(message, index) }, choice.title);
      })),
  };
}
