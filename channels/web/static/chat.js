/* The conversation as the browser knows it: messages, the queue of what is not sent yet, and the line to the server.
   Knows nothing of how it is shown; says "change" when something differs, and "arrived" when the other side wrote. */

import { Ended, Refused, TooMany, Unreachable } from "./api.js";

const PAGE = 40; // messages fetched at once
const QUIET = 45_000; // a stream that says nothing for so long (it pings every 15 s) is dead
const STALE = 20_000; // one that said nothing for so long is doubted when the visitor comes back
const POLL_OPEN = 4_000; // where streams do not get through
const POLL_IDLE = 60_000; // a chat that nobody looks at
const LIVE_FOR = 30 * 60_000; // a closed panel keeps its stream this long after the last message
const BACKOFF = [1, 2, 4, 8, 15, 30];
const TYPING_FOR = 60_000; // no bot is believed to be typing for longer

const outKey = (id) => `out:${id}`;
const order = (a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : Number(a.id) - Number(b.id));

export class Chat extends EventTarget {
  #messages = new Map();
  #cursor = null;
  #chat = null;
  #stream = null;
  #heard = 0;
  #owed = null;
  #flushing = null;
  #wake = null;
  #failures = 0;
  #streamless = 0;
  #visible = false;
  #typingSince = 0;
  #typingEnd = 0;

  /** `describe` returns where the visitor is: page, language, time zone, screen, consent. */
  constructor(api, describe) {
    super();
    this.api = api;
    this.describe = describe;
    this.pending = [];
    this.handler = { kind: "bot", name: "" };
    this.typing = false;
    this.more = false; // there are older messages than those fetched
    this.loaded = false;
    this.link = { state: "idle", retryAt: null };
    this.pausedUntil = null; // sending waits: the server has had enough for this minute
  }

  /** All messages that the server keeps, oldest first. */
  get messages() {
    return [...this.#messages.values()].sort(order);
  }

  get unread() {
    return this.messages.filter((message) => message.author.kind !== "user" && message.state !== "read").length;
  }

  get empty() {
    return this.#messages.size === 0 && this.pending.length === 0;
  }

  start() {
    this.pending = this.#kept();
    for (const event of ["online", "pageshow"]) addEventListener(event, () => this.tryNow());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#rouse());
    addEventListener("storage", (event) => {
      if (!event.key?.startsWith(this.api.store.prefix)) return;
      this.#followOtherTabs();
      this.#rouse(); // another tab may just have sent the first message
    });
    void this.#run();
  }

  /** Tell whether the visitor has the conversation before their eyes. */
  watch(visible) {
    if (this.#visible === visible) return;
    this.#visible = visible;
    if (visible) this.#rouse();
  }

  /** Queue a text. It is kept until the server has it, over reloads too. */
  send(text) {
    this.#enqueue({ text });
  }

  /** Queue the choice of one of the buttons that `message` offered. */
  pick(message, index) {
    this.#enqueue({ text: message.buttons[index].title, picked: { message: message.id, index } });
  }

  retry(id) {
    const item = this.pending.find((other) => other.client_id === id);
    if (!item) return;
    delete item.failed;
    this.api.store.set(outKey(id), item);
    this.#changed();
    this.#push();
  }

  discard(id) {
    this.pending = this.pending.filter((item) => item.client_id !== id);
    this.api.store.remove(outKey(id));
    this.#changed();
  }

  /** Stop waiting for the next try. */
  tryNow() {
    if (this.link.state === "down") this.#wake?.();
  }

  /** Say how far what the other side wrote came: "delivered" to this browser, or "read" in it. */
  async acknowledge(state) {
    const reached = state === "read" ? ["read"] : ["read", "delivered"];
    const open = this.messages.filter((message) => message.author.kind !== "user" && !reached.includes(message.state));
    if (!open.length) return;
    for (const message of open) message.state = state;
    this.#changed();
    await this.#report({ message: open.at(-1).id, state });
  }

  async #report(receipt) {
    this.#owed = null;
    try {
      await this.api.call("POST", "receipts", receipt);
    } catch (error) {
      if (error instanceof Unreachable) this.#owed = receipt; // said again when the line is back
      else if (error instanceof Ended) this.#interrupt();
    }
  }

  /** Fetch the page of messages before the oldest one; returns whether there was one. */
  async older() {
    const oldest = this.messages[0];
    if (!this.more || !oldest) return false;
    const page = await this.api.call("GET", `messages?before=${encodeURIComponent(oldest.id)}&limit=${PAGE}`);
    this.#merge(page.messages);
    this.more = page.more;
    this.#changed();
    return true;
  }

  /** End the chat: the token is revoked, and this browser forgets. */
  async end() {
    await this.api.call("POST", "end", {});
    for (const item of this.pending) this.api.store.remove(outKey(item.client_id));
    this.pending = [];
    this.api.forget();
    this.#forget();
    this.#interrupt();
  }

  /* The line. One loop at a time: fetch, send what waits, then follow the stream until it breaks. */

  async #run() {
    for (;;) {
      try {
        this.#followOtherTabs();
        if (!this.api.token && !this.pending.some((item) => !item.failed)) {
          this.#set("idle");
          await this.#sleep(null); // nothing to read before the first message
          continue;
        }
        await this.api.prepare();
        this.#chat = this.api.chat;
        await this.#sync();
        await this.#flush();
        this.#failures = 0;
        this.#set("up");
        if (this.#wantsLive()) await this.#follow();
        else await this.#sleep(POLL_IDLE);
      } catch (error) {
        if (error instanceof Ended) {
          this.api.forget();
          this.#forget();
        } else {
          await this.#fallBack(error);
        }
      }
    }
  }

  async #fallBack(error) {
    const wait = error.retryAfter ?? BACKOFF[Math.min(this.#failures, BACKOFF.length - 1)];
    this.#failures += 1;
    const spread = wait * 1000 * (0.85 + Math.random() * 0.3); // not all browsers at the same moment
    this.#set("down", Date.now() + spread);
    await this.#sleep(spread);
    this.#set("connecting");
  }

  #wantsLive() {
    const last = this.messages.at(-1);
    return last && (this.#visible || Date.now() - Date.parse(last.at) < LIVE_FOR);
  }

  /** Follow the event stream; it says that something happened, and the ordinary request says what. */
  async #follow() {
    if (Date.now() < this.#streamless) {
      await this.#sleep(POLL_OPEN);
      return;
    }
    const abort = new AbortController();
    this.#stream = abort;
    let watchdog = setTimeout(() => abort.abort("silent"), QUIET);
    const began = Date.now();
    this.#heard = began;
    try {
      const body = await this.api.stream(this.#cursor, abort.signal);
      const reader = body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        this.#heard = Date.now();
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort("silent"), QUIET);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        if (blocks.some((block) => /^event: *wake$/m.test(block))) await this.#sync();
      }
      if (Date.now() - began < 1000) await this.#sleep(1000); // a server that hangs up at once is not asked in a tight loop
    } catch (error) {
      if (error instanceof Ended) throw error;
      if (abort.signal.aborted && abort.signal.reason !== "silent") return;
      // The ordinary requests worked a moment ago. The next round tells a lost line from a stream that something in between holds back.
      if (error instanceof Refused || abort.signal.reason === "silent") this.#streamless = Date.now() + 5 * 60_000;
    } finally {
      clearTimeout(watchdog);
      abort.abort("left");
      this.#stream = null;
    }
  }

  async #sync() {
    let page;
    do {
      const from = this.#cursor === null ? "" : `&after=${encodeURIComponent(this.#cursor)}`;
      const first = this.#cursor === null;
      page = await this.api.call("GET", `messages?limit=${PAGE}${from}`);
      const news = this.#merge(page.messages);
      this.#cursor = page.cursor;
      this.handler = page.handler;
      this.#isTyping(page.typing);
      if (first) this.more = page.more;
      this.loaded = true;
      this.#changed();
      if (news.length && !first) this.dispatchEvent(new CustomEvent("arrived", { detail: news }));
      if (first) break;
    } while (page.more);
    if (this.#owed) void this.#report(this.#owed);
    queueMicrotask(() => void this.acknowledge("delivered")); // after the screen had its turn: what it shows is read
  }

  /** The server says whether a bot is at work; a word that never comes must not leave the dots on. */
  #isTyping(typing) {
    this.#typingSince = typing ? this.#typingSince || Date.now() : 0;
    const left = this.#typingSince + TYPING_FOR - Date.now();
    this.typing = typing && left > 0;
    clearTimeout(this.#typingEnd);
    if (this.typing) this.#typingEnd = setTimeout(() => { this.typing = false; this.#changed(); }, left);
  }

  /** Take over what the server says; returns what the other side wrote and was not known yet. */
  #merge(messages) {
    const news = [];
    for (const message of messages) {
      const known = this.#messages.get(message.id);
      if (!known && message.author.kind !== "user") news.push(message);
      // What this browser already acknowledged is not taken back by an answer that was under way.
      if (known && message.author.kind !== "user" && known.state === "read") message.state = "read";
      this.#messages.set(message.id, message);
      if (message.client_id) this.#sent(message.client_id);
    }
    return news;
  }

  /* The queue. Each item is kept under its own name, so that tabs do not overwrite each other's. */

  #kept() {
    const names = this.api.store.names().filter((name) => name.startsWith("out:"));
    return names.map((name) => this.api.store.get(name)).filter(Boolean).sort((a, b) => a.at - b.at);
  }

  #enqueue(what) {
    const item = { client_id: uuid(), at: Date.now(), ...what, from: this.describe() };
    this.pending.push(item);
    this.api.store.set(outKey(item.client_id), item);
    this.#changed();
    this.#push();
  }

  #push() {
    if (this.link.state === "up") this.#flush().catch((error) => this.#interrupt(error));
    else if (this.link.state === "idle") this.#wake?.();
  }

  #flush() {
    this.#flushing ??= this.#sendAll().finally(() => { this.#flushing = null; });
    return this.#flushing;
  }

  async #sendAll() {
    for (;;) {
      const item = this.pending.find((other) => !other.failed);
      if (!item || this.pausedUntil) return;
      const { client_id, text, picked, from } = item;
      try {
        const answer = await this.api.call("POST", "messages", picked ? { client_id, picked, ...from } : { client_id, text, ...from });
        this.#merge([answer.message]);
        this.#sent(client_id);
        this.handler = answer.handler;
        this.#typingSince = 0;
        this.#isTyping(answer.typing);
        this.#changed();
        this.#rouse(); // with the first message there is something to follow
      } catch (error) {
        if (error instanceof TooMany) {
          this.#pause(error.retryAfter * 1000);
          return;
        }
        if (!(error instanceof Refused)) throw error;
        item.failed = error.message;
        this.api.store.set(outKey(client_id), item);
        this.#changed();
      }
    }
  }

  /** Let what waits wait; what others write still comes in. */
  #pause(ms) {
    this.pausedUntil = Date.now() + ms;
    this.#changed();
    setTimeout(() => {
      this.pausedUntil = null;
      this.#changed();
      this.#push();
    }, ms);
  }

  #sent(id) {
    if (!this.pending.some((item) => item.client_id === id)) return;
    this.pending = this.pending.filter((item) => item.client_id !== id);
    this.api.store.remove(outKey(id));
  }

  /* Small parts. */

  /** Notice that another tab ended the chat, or began one. */
  #followOtherTabs() {
    if (this.#chat === this.api.chat) return;
    if (this.#chat !== null) this.#forget();
    this.#stream?.abort("left");
    this.#wake?.();
  }

  #forget() {
    this.#messages.clear();
    this.#cursor = null;
    this.#chat = null;
    this.#owed = null;
    this.more = false;
    this.loaded = false;
    this.typing = false;
    this.handler = { kind: "bot", name: "" };
    this.dispatchEvent(new Event("ended"));
    this.#changed();
  }

  #interrupt(error = null) {
    if (error instanceof Ended) {
      this.api.forget();
      this.#forget();
    } else if (error instanceof Unreachable && this.link.state === "up") {
      this.#set("connecting");
    }
    this.#stream?.abort("left");
    this.#wake?.();
  }

  /** Look again now, unless a stream that lives or a countdown is running. A machine that slept has a dead one. */
  #rouse() {
    if (this.#stream && Date.now() - this.#heard > STALE) this.#stream.abort("left");
    if (this.link.state === "up" && !this.#stream) this.#wake?.();
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = ms === null ? null : setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => { this.#wake = null; });
  }

  #set(state, retryAt = null) {
    if (this.link.state === state && this.link.retryAt === retryAt) return;
    this.link = { state, retryAt };
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** Make a random id; `crypto.randomUUID` is there on secure pages only. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
