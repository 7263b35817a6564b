/* The stream of messages: opens at the newest, pages upwards, takes in what comes later.

   The log is a column-reverse box, so its scroll position is counted from the bottom: 0 is the newest message, and older ones put
   on top move nothing. */

import { fetchFragment } from "./fragments.js";

const NEAR_BOTTOM = 60;
const FAR_FROM_BOTTOM = 400;

export class Stream {
  /** `query` returns the filter that is in force, as URLSearchParams. */
  constructor(log, place, jump, url, query) {
    this.log = log;
    this.place = place;
    this.jump = jump;
    this.url = url;
    this.query = query;
    this.unseen = 0;
    this.sources = new WeakMap();
    this.take(place.querySelector("[data-stream]"));
    this.pending = document.createElement("div");
    place.append(this.pending);

    this.ender = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.loadNewer(), {
      root: log,
      rootMargin: "0px 0px 400px 0px",
    });
    this.watchEnd();
    this.watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.loadOlder(), {
      root: log,
      rootMargin: "800px 0px 0px",
    });
    this.watchTop();
    log.addEventListener("scroll", () => this.showJump(), { passive: true });
    jump.addEventListener("click", () => this.toBottom());
  }

  get atBottom() {
    return this.log.scrollTop > -NEAR_BOTTOM;
  }

  toBottom() {
    if (this.newer) {
      this.toNewest();
      return;
    }
    this.log.scrollTop = 0;
    this.showJump();
  }

  showJump() {
    if (this.atBottom && !this.newer) this.unseen = 0;
    this.jump.hidden = !this.newer && this.unseen === 0 && this.log.scrollTop > -FAR_FROM_BOTTOM;
    const words = this.unseen ? `${this.unseen} new ${this.unseen === 1 ? "message" : "messages"}` : "Newest messages";
    this.jump.querySelector("span").textContent = words;
  }

  /** Make `list`, a [data-stream] that stands in the page, the one that is worked on. */
  take(list) {
    this.list = list;
    this.older = list.dataset.older;
    this.newer = list.dataset.newer;
    for (const node of list.children) this.sources.set(node, node.outerHTML);
  }

  /** Show another stretch altogether, as after a change of the filter. */
  reset(list) {
    const fresh = document.importNode(list, true);
    this.list.replaceWith(fresh);
    this.take(fresh);
    this.unseen = 0;
    this.watchTop();
    this.watchEnd();
    this.toBottom();
  }

  /* ── Upwards ── */

  watchTop() {
    this.watcher.disconnect();
    this.place.querySelector("[data-older-link]")?.remove();
    if (!this.older) return;
    this.top ??= Object.assign(document.createElement("p"), { className: "au-older", textContent: "Earlier messages" });
    this.place.prepend(this.top);
    this.watcher.observe(this.top);
  }

  async loadOlder() {
    if (!this.older || this.loading) return;
    this.loading = true;
    const list = this.list;
    const asked = this.query();
    asked.set("before", this.older);
    try {
      const { part } = await fetchFragment(`${this.url}?${asked}`);
      if (list !== this.list) return;
      const page = part.querySelector("[data-stream]");
      const above = [...page.children].filter((node) => !("empty" in node.dataset)).map((node) => this.adopt(node));
      dropRepeatedDividers(above, [...list.children]).forEach((node) => node.remove());
      list.prepend(...above);
      this.older = page.dataset.older;
      this.top.textContent = "Earlier messages";
    } catch {
      this.top.textContent = "Earlier messages did not load. Scroll down and up again to try once more.";
    } finally {
      this.loading = false;
      if (!this.older) {
        this.watcher.disconnect();
        this.top?.remove();
      } else {
        /* An observer that saw the top before the page grew says nothing more by itself. */
        this.watcher.unobserve(this.top);
        if (this.top.textContent === "Earlier messages") this.watcher.observe(this.top);
        else setTimeout(() => this.older && this.watcher.observe(this.top), 3000);
      }
    }
  }

  /* ── Downwards, where the page began at a message further up ── */

  watchEnd() {
    this.ender.disconnect();
    this.end?.remove();
    if (!this.newer) return;
    this.end ??= Object.assign(document.createElement("p"), { className: "au-older", textContent: "Later messages" });
    this.list.after(this.end);
    this.ender.observe(this.end);
    this.showJump();
  }

  async loadNewer() {
    if (!this.newer || this.loading) return;
    this.loading = true;
    const { list } = this;
    const asked = this.query();
    asked.set("after", this.newer);
    try {
      const { part } = await fetchFragment(`${this.url}?${asked}`);
      if (list !== this.list) return;
      const page = part.querySelector("[data-stream]");
      const below = [...page.children].filter((node) => !("empty" in node.dataset)).map((node) => this.adopt(node));
      const repeated = new Set(dropRepeatedDividers([...list.children], below));
      const height = this.log.scrollHeight;
      list.append(...below.filter((node) => !repeated.has(node)));
      this.newer = page.dataset.newer;
      this.log.scrollTop -= this.log.scrollHeight - height;
      this.end.textContent = "Later messages";
    } catch {
      this.end.textContent = "Later messages did not load. Scroll up and down again to try once more.";
    } finally {
      this.loading = false;
      this.ender.disconnect();
      if (!this.newer) this.end.remove();
      else setTimeout(() => this.newer && this.ender.observe(this.end), this.end.textContent === "Later messages" ? 0 : 3000);
      this.showJump();
    }
  }

  /** Leave the stretch that is shown for the newest page. */
  async toNewest() {
    this.jump.disabled = true;
    try {
      const { part } = await fetchFragment(`${this.url}?${this.query()}`);
      this.reset(part.querySelector("[data-stream]"));
    } catch {
      this.end.textContent = "The newest messages did not load. Try again.";
    } finally {
      this.jump.disabled = false;
    }
  }

  adopt(node) {
    const made = document.importNode(node, true);
    this.sources.set(made, node.outerHTML);
    return made;
  }

  /* ── What came later ── */

  /** Take in `page`, the newest page as the server has it now: new entries, and old ones that changed. */
  merge(page) {
    if (this.newer) return; /* the newest page joins what is shown when all in between was loaded */
    const next = [...page.children];
    const known = new Map([...this.list.children].map((node) => [node.dataset.id, node]));
    const anchor = next.map((node) => (node.dataset.divider ? null : known.get(node.dataset.id))).find(Boolean);
    if (!anchor) {
      /* Nothing in common: the first messages ever, or more came at once than a page holds. */
      if (this.list.querySelector("[data-empty]") || this.atBottom) this.reset(page);
      else {
        this.unseen += 1;
        this.showJump();
        this.jump.onclick = () => {
          this.jump.onclick = null;
          this.reset(page);
        };
      }
      return;
    }

    const stick = this.atBottom;
    const height = this.log.scrollHeight;
    const tail = [];
    for (let node = anchor; node; node = node.nextElementSibling) tail.push(node);
    const above = [...this.list.children].slice(0, -tail.length);
    this.renewDividers(above, next);
    const repeated = new Set(dropRepeatedDividers(above, next));
    const wanted = next.filter((node) => !repeated.has(node));
    const old = new Map(tail.map((node) => [node.dataset.id, node]));

    let at = anchor;
    const step = (node) => (node === at ? at.nextElementSibling : at);
    for (const node of wanted) {
      const mine = old.get(node.dataset.id);
      old.delete(node.dataset.id);
      if (mine && this.sources.get(mine) === node.outerHTML) {
        if (mine === at) at = at.nextElementSibling;
        else this.list.insertBefore(mine, at);
        continue;
      }
      const made = this.adopt(node);
      if (mine) {
        for (const details of made.querySelectorAll("details[data-keep]")) {
          const before = mine.querySelector(`details[data-keep="${CSS.escape(details.dataset.keep)}"]`);
          if (before) details.open = before.open;
        }
        at = step(mine);
        mine.remove();
      } else if (!stick && node.matches(".au-msg")) this.unseen += 1;
      this.list.insertBefore(made, at);
    }
    for (const node of old.values()) node.remove();

    if (stick) this.log.scrollTop = 0;
    else this.log.scrollTop -= this.log.scrollHeight - height;
    this.showJump();
  }

  /* The running session's divider says how long it has lasted: above the page that was fetched, it is brought up to date too. */
  renewDividers(above, next) {
    for (const node of next) {
      if (!node.dataset.divider) break;
      const shown = above.findLast((one) => one.dataset.key === node.dataset.key);
      if (shown && shown.innerHTML !== node.innerHTML) shown.innerHTML = node.innerHTML;
    }
  }
}

/* Each page begins with its own day and session. Return those at the beginning of `below` that `above` has said already. */
function dropRepeatedDividers(above, below) {
  const said = {};
  for (const node of above) if (node.dataset.divider) said[node.dataset.divider] = node.dataset.key;
  const repeated = [];
  for (const node of below) {
    if (!node.dataset.divider) break;
    if (said[node.dataset.divider] === node.dataset.key) repeated.push(node);
  }
  return repeated;
}
