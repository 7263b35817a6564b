/* The widget's side of the HTTP API: one deployment, one visitor, one token. Knows nothing of the page. */

/** There was no usable answer: no connection, a server in trouble, or a limit. Trying again later is right. */
export class Unreachable extends Error {
  constructor(reason, retryAfter = null) {
    super(reason);
    this.retryAfter = retryAfter; // seconds, where the server said so
  }
}

/** The server takes no more for a while, and says how long. */
export class TooMany extends Unreachable {}

/** The server understood and said no; trying the same again is of no use. The message says why. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || `The server refused this (${status}).`);
    this.status = status;
    this.code = problem.code ?? "";
    this.field = problem.field ?? null;
  }
}

/** The token is no longer good: the chat was ended, here or elsewhere. */
export class Ended extends Error {}

/** Web storage that forgets instead of failing where the browser allows none. */
export class Store {
  #area;
  #memory = new Map();

  constructor(area, prefix) {
    this.prefix = prefix;
    try {
      this.#area = window[area];
      this.#area.getItem(prefix);
    } catch {
      this.#area = null;
    }
  }

  get(name) {
    try {
      return JSON.parse(this.#area.getItem(this.prefix + name));
    } catch {
      return this.#memory.get(name) ?? null;
    }
  }

  set(name, value) {
    this.#memory.set(name, value);
    try {
      this.#area.setItem(this.prefix + name, JSON.stringify(value));
    } catch {
      // Full or forbidden: the value lives until the page is left.
    }
  }

  remove(name) {
    this.#memory.delete(name);
    try {
      this.#area.removeItem(this.prefix + name);
    } catch {
      // As above.
    }
  }

  names() {
    const found = new Set(this.#memory.keys());
    try {
      for (const key of Object.keys(this.#area)) if (key.startsWith(this.prefix)) found.add(key.slice(this.prefix.length));
    } catch {
      // As above.
    }
    return [...found];
  }
}

const TIMEOUT = 20_000;
const RENEW_BEFORE = 10 * 24 * 3600 * 1000; // a token with less life than this is renewed when the page opens

export class Api {
  constructor(base, store) {
    this.base = base;
    this.store = store;
  }

  /** The visitor's token, shared by all pages and tabs of this site; null before the first message. */
  get token() {
    return this.store.get("token")?.token ?? null;
  }

  /** A name for the chat that the token opens: it stays when the token is renewed, and differs from that of a chat before. */
  get chat() {
    return this.store.get("token")?.chat ?? null;
  }

  forget() {
    this.store.remove("token");
  }

  /** Get a token when there is none; renew one that will soon expire. */
  async prepare() {
    const held = this.store.get("token");
    if (!held || Date.parse(held.expires_at) - Date.now() < RENEW_BEFORE) await this.#renew(held?.token ?? null);
  }

  async settings() {
    return this.#read(await this.#fetch("settings", {}));
  }

  /** Call as the visitor and return the decoded answer. Raises Unreachable, Refused or Ended. */
  async call(method, path, body = undefined) {
    return this.#read(await this.#asVisitor(path, { method, body }));
  }

  /** Open the event stream after `cursor`; the caller reads the body and ends it by `signal`. */
  async stream(cursor, signal) {
    const response = await this.#asVisitor(`stream?after=${encodeURIComponent(cursor ?? "")}`, { signal, accept: "text/event-stream" });
    if (!response.ok || !response.body) throw new Refused(response.status, {});
    return response.body;
  }

  async #asVisitor(path, options) {
    const used = this.token;
    if (!used) throw new Ended("There is no chat.");
    const response = await this.#fetch(path, { ...options, token: used });
    if (response.status !== 401) return response;
    await this.#renew(used);
    return this.#fetch(path, { ...options, token: this.token });
  }

  /** Replace `former` (null: there is none) by a new token, once for all tabs that want it at the same moment. */
  async #renew(former) {
    const renew = async () => {
      if (this.token !== former) return; // another tab was faster
      const response = await this.#fetch("token", { method: "POST", body: {}, token: former });
      if (response.status === 401) throw new Ended("The chat was ended.");
      const chat = former ? this.chat : Math.random().toString(36).slice(2);
      this.store.set("token", { ...(await this.#read(response)), chat });
    };
    if (navigator.locks) await navigator.locks.request(this.store.prefix + "token", renew);
    else await renew();
  }

  async #fetch(path, { method = "GET", body, token = null, signal = AbortSignal.timeout(TIMEOUT), accept = "application/json" }) {
    const headers = { Accept: accept };
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    try {
      return await fetch(new URL(path, this.base), {
        method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
        mode: "cors", credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer",
      });
    } catch (error) {
      throw new Unreachable(String(error));
    }
  }

  async #read(response) {
    const retryAfter = Number(response.headers.get("Retry-After")) || null;
    if (response.status === 429) throw new TooMany("limit", retryAfter ?? 30);
    if (response.status >= 500 || response.status === 408) throw new Unreachable(String(response.status), retryAfter);
    let answer;
    try {
      answer = response.status === 204 ? null : await response.json();
    } catch (error) {
      throw new Unreachable(String(error)); // cut off, or a proxy that answers in our place
    }
    if (response.status === 401) throw new Ended("The chat was ended.");
    if (!response.ok) throw new Refused(response.status, answer ?? {});
    return answer;
  }
}
