/* Time that passes while a page stands open: windows that close, "21 min ago", local time. The server's clock counts, not this
   machine's: each page and each fragment says what the server's time was. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const CIRCUMFERENCE = 138.2;

let ahead = 0;

/** Learn the server's moment from an ISO string. */
export function setServerTime(iso) {
  const moment = Date.parse(iso);
  if (!Number.isNaN(moment)) ahead = moment - Date.now();
}

/** The server's moment now, in milliseconds. */
export const now = () => Date.now() + ahead;

/** A length of time, in the words that the server uses: 3h 12m, 48m, <1m. */
export function lengthOf(milliseconds) {
  const minutes = Math.floor(milliseconds / MINUTE);
  if (minutes < 1) return "<1m";
  if (minutes < 60) return `${minutes}m`;
  return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

/** How long ago, in the words that the server uses; null where it writes a date. */
export function ago(milliseconds) {
  if (milliseconds < MINUTE) return "now";
  if (milliseconds < HOUR) return `${Math.floor(milliseconds / MINUTE)} min ago`;
  if (milliseconds < DAY) return `${Math.floor(milliseconds / HOUR)} h ago`;
  if (milliseconds < 7 * DAY) return `${Math.floor(milliseconds / DAY)} d ago`;
  return null;
}

function write(node, text) {
  if (text !== null && node.textContent !== text) node.textContent = text;
}

function tickPill(pill) {
  const left = Date.parse(pill.dataset.closes) - now();
  write(pill, left > 0 ? `Open · ${lengthOf(left)} left` : "Expired");
  pill.classList.toggle("au-pill--ok", left >= HOUR);
  pill.classList.toggle("au-pill--warn", left > 0 && left < HOUR);
  pill.classList.toggle("au-pill--off", left <= 0);
}

function tickRing(ring) {
  const opened = Date.parse(ring.dataset.opened);
  const closes = Date.parse(ring.dataset.closes);
  const left = Math.max(0, closes - now());
  const arc = ring.querySelector(".au-ring__v");
  const words = left > 0 ? lengthOf(left) : "0h";
  ring.classList.toggle("au-ring--warn", left < HOUR);
  arc?.setAttribute("stroke-dasharray", `${((CIRCUMFERENCE * left) / (closes - opened)).toFixed(1)} ${CIRCUMFERENCE}`);
  if (left === 0) arc?.remove();
  const text = ring.querySelector("text");
  text.classList.toggle("is-long", words.length > 6);
  write(text, words);
}

function tickZone(node) {
  try {
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: node.dataset.zone, hour: "2-digit", minute: "2-digit" });
    write(node, format.format(now()));
  } catch {
    /* A zone that this browser does not know keeps the server's text. */
  }
}

/** Bring everything on the page that depends on the time up to date. */
export function tick() {
  document.querySelectorAll(".au-pill[data-closes]").forEach(tickPill);
  document.querySelectorAll("[data-ring]").forEach(tickRing);
  document.querySelectorAll("[data-zone]").forEach(tickZone);
  for (const node of document.querySelectorAll("time[data-relative]")) {
    write(node, ago(now() - Date.parse(node.dateTime)));
  }
}

setServerTime(document.documentElement.dataset.now);
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);
