// What was used, by day: charts drawn here, the same numbers as a table, and as CSV.
import { h, fill, count, usd, dayText, plural } from "./dom.js";
import { api } from "./api.js";
import { head, button, field, select, table, empty, download } from "./ui.js";

const DAY = 86400000, MOST = 6;
const MEASURES = { cost: ["Cost", usd], requests: ["Requests", count], errors: ["Errors", count], inputTokens: ["Input tokens", count], outputTokens: ["Output tokens", count] };

function nice(max) {
  const step = 10 ** Math.floor(Math.log10(max || 1));
  return [1, 2, 2.5, 5, 10].map(m => m * step).find(x => x >= max) || 10 * step;
}

// Stacked bars, one per day, drawn for the width that there is.
function chart(days, groups, value, show, title) {
  const W = Math.max(260, Math.min(1000, document.getElementById("main").clientWidth - 100)), H = 220, L = 64, B = 24, top = nice(Math.max(...days.map(d => groups.reduce((n, g) => n + value(d, g), 0)), 0));
  const w = (W - L) / days.length, y = n => H - B - n / top * (H - B - 12);
  const every = Math.ceil(days.length * 64 / (W - L));
  return h("svg", { class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title + ". The table below has the numbers." },
    [0, 0.5, 1].map(f => [h("line", { x1: L, x2: W, y1: y(top * f), y2: y(top * f) }),
      h("text", { x: L - 8, y: y(top * f) + 4, "text-anchor": "end" }, show(top * f))]),
    days.map((d, i) => {
      let sum = 0;
      return [groups.map((g, k) => {
        const n = value(d, g);
        if (!n) return null;
        const at = sum;
        sum += n;
        const el = h("rect", { class: "s" + Math.min(k, MOST), x: L + i * w + w * 0.15, width: w * 0.7, y: y(sum), height: Math.max(1, y(at) - y(sum)) });
        el.append(titleOf(`${dayText(d)}, ${g}: ${show(n)}`));
        return el;
      }), i % every === 0 && h("text", { x: L + i * w + w / 2, y: H - 6, "text-anchor": "middle" }, dayText(d))];
    }));
}

function titleOf(text) {
  const t = document.createElementNS("http://www.w3.org/2000/svg", "title");
  t.textContent = text;
  return t;
}

// A spreadsheet takes a text that begins like a formula for one: it gets a ' in front.
const cell = s => { s = String(s); if (/^[=+\-@\t]/.test(s) && isNaN(s)) s = "'" + s; return /[",\n\r]/.test(s) ? '"' + s.replaceAll('"', '""') + '"' : s; };

export async function view(v) {
  const q = v.query;
  const days = Math.min(90, Math.max(1, Number(q.get("days")) || 30)), by = q.get("by") || "provider", what = MEASURES[q.get("what")] ? q.get("what") : "cost";
  const set = (k, x) => { const p = new URLSearchParams(q); p.set(k, x); v.go("#/usage?" + p); };
  const end = Math.floor(Date.now() / DAY) * DAY + DAY, begin = end - days * DAY;
  const p = new URLSearchParams({ startTime: new Date(begin).toISOString(), endTime: new Date(end).toISOString(), tokens: "true" });
  if (by !== "provider") p.set("groupBy", by);
  const [data, keys] = await Promise.all([api.get("/usage/overview?" + p, v.signal), by === "accessKey" ? api.list("/access-keys", 1000, v.signal).catch(() => []) : []]);
  const name = g => keys.find(k => k.id === g)?.name || g || "none";
  const has = m => data.buckets.some(b => b[m] !== undefined);
  const measures = Object.entries(MEASURES).filter(([m]) => m === "cost" || m === "requests" || m === "errors" || has(m));

  const cells = new Map(), sums = new Map();
  for (const b of data.buckets) {
    const d = Date.parse(b.bucketStart), k = d + " " + b.groupKey;
    const add = (into, key) => { const o = into.get(key) || into.set(key, { d, g: b.groupKey }).get(key); for (const [m] of measures) o[m] = (o[m] || 0) + Number(b[m] || 0); };
    add(cells, k);
    add(sums, b.groupKey);
  }
  const order = [...sums.values()].sort((a, b) => b[what] - a[what] || b.requests - a.requests).map(s => s.g);
  const shown = order.slice(0, MOST), rest = order.slice(MOST);
  const value = (d, g) => g === "others" ? rest.reduce((n, x) => n + (cells.get(d + " " + x)?.[what] || 0), 0) : cells.get(d + " " + g)?.[what] || 0;
  const groups = rest.length ? [...shown, "others"] : shown;
  const list = Array.from({ length: days }, (_, i) => begin + i * DAY);
  const [title, show] = MEASURES[what];
  const groupName = { provider: "Provider", model: "Model", accessKey: "Access key" }[by] || by;
  const csv = () => download("weir-usage.csv", "text/csv", [["day", by, ...measures.map(m => m[0])],
    ...[...cells.values()].sort((a, b) => a.d - b.d).map(o => [new Date(o.d).toISOString().slice(0, 10), by === "accessKey" ? name(o.g) : o.g, ...measures.map(([m]) => o[m])])]
    .map(r => r.map(cell).join(",")).join("\r\n") + "\r\n");
  const pick = (label, k, now, options) => field(label, select(String(now), options, { onchange: e => set(k, e.target.value) }));
  return [
    head("Usage", "Days are UTC days.", button("Export CSV", csv, "", { disabled: !cells.size })),
    h("div", { class: "filters" }, pick("Time", "days", days, [["7", "7 days"], ["30", "30 days"], ["90", "90 days"]]),
      pick("Show", "what", what, measures.map(([m, [t]]) => [m, t])), pick("By", "by", by, [["provider", "Provider"], ["model", "Model"], ["accessKey", "Access key"]])),
    !cells.size ? empty("Nothing used in this time", "Requests are counted here as soon as they end.") : [
      h("div", { class: "kpis" }, measures.map(([m, [t, s]]) => h("div", null, h("span", { class: "soft" }, t), h("b", null, s(data.totals[m] ?? [...sums.values()].reduce((n, x) => n + x[m], 0)))))),
      h("section", { class: "panel" }, h("h2", null, title + " by day"), chart(list, groups, value, show, title + " by day and " + groupName.toLowerCase()),
        h("ul", { class: "key" }, groups.map((g, i) => h("li", null, h("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, h("rect", { width: 10, height: 10, rx: 2, class: "s" + i })), name(g))))),
      h("section", { class: "stack" }, h("h2", null, "In total"), table("Usage in total", [[groupName, o => name(o.g)], ...measures.map(([m, [t, s]]) => [t, o => s(o[m]), "num"])], order.map(g => sums.get(g)))),
      h("details", null, h("summary", null, "Day by day"), table("Usage by day", [["Day", o => dayText(o.d), "fit"], [groupName, o => name(o.g)], ...measures.map(([m, [t, s]]) => [t, o => s(o[m]), "num"])],
        [...cells.values()].sort((a, b) => b.d - a.d))),
    ],
  ];
}
