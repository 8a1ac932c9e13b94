// Making and formatting: elements, times, numbers. All text goes into text nodes, so nothing that is stored or received
// is ever read as markup.

const SVG = new Set(["svg", "g", "rect", "line", "path", "text"]);
const PROPERTY = new Set(["value", "checked", "disabled", "selected", "open", "hidden", "indeterminate"]);

// A link goes to a place in this page or to a web address, whatever text it was made from.
const safeLink = url => /^(#|https?:\/\/|blob:)/.test(url) ? url : "#";

export function h(tag, props, ...kids) {
  const el = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === null) continue;
    if (typeof v === "function") el.addEventListener(k.slice(2), v);
    else if (PROPERTY.has(k)) el[k] = v;
    else if (v !== false) el.setAttribute(k, v === true ? "" : k === "href" ? safeLink(v) : v);
  }
  add(el, kids);
  return el;
}

export function add(el, kids) {
  for (const k of [kids].flat(9))
    if (k !== null && k !== undefined && k !== false && k !== "") el.append(k);
  return el;
}

export const fill = (el, ...kids) => { el.replaceChildren(); return add(el, kids); };

// Said to screen readers, once.
export function say(text) {
  const at = document.getElementById("say");
  at.textContent = "";
  setTimeout(() => { at.textContent = text; }, 30);
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dayTime = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });
// The API counts days in UTC.
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
export const dayText = d => day.format(d);
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// An instant in the viewer's zone; the whole of it as tooltip.
export function time(iso, style) {
  const d = new Date(iso);
  if (!iso || isNaN(d)) return h("span", { class: "soft" }, "never");
  const today = d.toDateString() === new Date().toDateString();
  return h("time", { datetime: d.toISOString(), title: full.format(d) },
    style === "full" ? full.format(d) : today ? clock.format(d) : dayTime.format(d));
}

export function span(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 1000) return Math.round(ms) + " ms";
  if (ms < 60000) return (ms / 1000).toFixed(ms < 10000 ? 2 : 1) + " s";
  if (ms < 3600000) return Math.floor(ms / 60000) + " min " + Math.round(ms % 60000 / 1000) + " s";
  return Math.floor(ms / 3600000) + " h " + Math.round(ms % 3600000 / 60000) + " min";
}

const whole = new Intl.NumberFormat();
export const count = n => whole.format(n || 0);
export function usd(x) {
  const n = Number(x) || 0;
  return "$" + (n === 0 ? "0" : n < 0.01 ? String(+n.toPrecision(2)) : n < 100 ? n.toFixed(n < 1 ? 4 : 2) : whole.format(Math.round(n)));
}
export const plural = (n, one, more) => count(n) + " " + (n === 1 ? one : more || one + "s");
