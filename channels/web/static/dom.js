/* Small helpers to build nodes. Text always goes in as text: there is no way here to insert HTML. */

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  bad: "M2.3 8a5.7 5.7 0 1 0 11.4 0a5.7 5.7 0 1 0-11.4 0M8 5v3.6M8 10.9h.01",
  bell: "M4 11.2V7a4 4 0 0 1 8 0v4.2l1 1.3H3zM6.7 14.2h2.6",
  bot: "M5 5.5h6a2 2 0 0 1 2 2V11a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V7.5a2 2 0 0 1 2-2zM8 5.5V3M6.2 8.8v1M9.8 8.8v1M1.5 8.5v2M14.5 8.5v2",
  chat: "M2.5 4.5a2 2 0 0 1 2-2h7a2 2 0 0 1 2 2v4.8a2 2 0 0 1-2 2H7.2L4.3 13.8v-2.5a1.9 1.9 0 0 1-1.8-2z",
  check: "M3.2 8.4l3.1 3.1 6.5-7",
  checks: "M1.5 8.6l2.7 2.7L10 5M7.2 10.7l.7.6L13.9 5",
  clock: "M2.4 8a5.6 5.6 0 1 0 11.2 0a5.6 5.6 0 1 0-11.2 0M8 4.8V8l2.1 1.4",
  dots: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  down: "M4.5 6.5L8 10l3.5-3.5",
  download: "M8 2.5v7.5M4.8 7L8 10.2 11.2 7M2.8 13.3h10.4",
  ext: "M9.5 2.8h3.7v3.7M13 3L7.5 8.5M11.5 9.5v3.2H3.3V4.5h3.2",
  left: "M9.5 4.5L6 8l3.5 3.5",
  logout: "M6.5 13.5h-3v-11h3M10.5 5L13.5 8l-3 3M13.3 8H6.5",
  off: "M2.5 6.5a8.5 8.5 0 0 1 4-2M9.8 4.6c1.4.4 2.7 1 3.7 1.9M4.7 9a5 5 0 0 1 2-1.2M9.6 8c.6.2 1.2.6 1.7 1M8 11.8h.01M2.5 2.5l11 11",
  right: "M6.5 4.5L10 8l-3.5 3.5",
  send: "M2.5 3l11 5-11 5 1.8-5zM4.3 8h4.2",
  shield: "M8 2l5 1.8v3.7c0 3-2 5.3-5 6.5-3-1.2-5-3.5-5-6.5V3.8zM5.8 8l1.6 1.6 2.9-3.1",
  x: "M4.5 4.5l7 7M11.5 4.5l-7 7",
};

/**
 * Make an element: `h("button", { class: "pw-ib", "aria-label": "Close", onclick: close }, icon("x"))`.
 * A property that starts with "on" is a listener; null and false attributes are left out; children may be null.
 */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Make a button that sends nothing by itself. */
export const button = (properties, ...children) => h("button", { type: "button", ...properties }, ...children);

/** Make a drawn, decorative icon. */
export function icon(name, size = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `pw-i${size ? ` pw-i--${size}` : ""}${name === "dots" ? " pw-i--dots" : ""}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Return the address when it is one that a browser may be sent to (http or https), else null. */
export function webAddress(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Make a link that tells the other side neither who follows it nor where from. */
export const link = (address, properties, ...children) =>
  h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow ugc", ...properties }, ...children);

/** Split text into strings and links; everything that is no http address stays plain. */
export function linked(text) {
  const parts = [];
  let rest = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"]+/gi)) {
    // A full stop or bracket after an address belongs to the sentence.
    const shown = match[0].replace(/[.,:;!?'’”)\]}]+$/, "");
    const address = webAddress(shown);
    if (!address) continue;
    parts.push(text.slice(rest, match.index), link(address, {}, shown));
    rest = match.index + shown.length;
  }
  parts.push(text.slice(rest));
  return parts.filter((part) => part !== "");
}

/**
 * Bring the children of `parent` into line with `entries` ({ key, signature, build }), touching only what differs.
 * A live region then announces what is new, and nothing twice; the scroll position and the focus stay.
 */
export function reconcile(parent, entries) {
  const had = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const wanted = entries.map(({ key, signature, build }) => {
    const old = had.get(key);
    if (old && old.dataset.signature === signature) return old;
    const node = build();
    node.dataset.key = key;
    node.dataset.signature = signature;
    return node;
  });
  const kept = new Set(wanted);
  for (const node of had.values()) if (!kept.has(node)) node.remove();
  wanted.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}
