// What is well and what rests: each provider key with its state, until when and why, and how fast it answers.
import { h, fill, time, span, count, say } from "./dom.js";
import { api } from "./api.js";
import { head, busy, table, tag, empty, link, problem } from "./ui.js";

const mid = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
const REASON = { rate_limit: "over its rate limit", quota: "out of credit", auth: "refused by the provider", unreachable: "not reachable", timeout: "too slow",
  upstream_error: "failing", origin: "five failures in a row" };

// Latencies and failures out of what the gateway remembers of the last requests.
function tally(requests) {
  const by = new Map();
  for (const r of requests) for (const a of Array.isArray(r.attempts) ? r.attempts : []) {
    if (a.outcome === "skipped") continue;
    const id = a.provider + "/" + a.key;
    const t = by.get(id) || by.set(id, { provider: a.provider, key: a.key, ms: [], n: 0, failed: 0, last: null }).get(id);
    t.n++;
    if (a.outcome === "ok") t.ms.push(a.ms); else { t.failed++; t.last = t.last || a; }
  }
  for (const t of by.values()) t.ms.sort((a, b) => a - b);
  return by;
}

export async function view(v) {
  const box = h("div", { class: "stack" });
  async function draw() {
    const [cool, keys, recent] = await Promise.all([api.list("/cooldowns", 1000, v.signal), api.list("/provider-keys", 1000, v.signal),
      api.get("/requests?limit=500", v.signal).catch(() => ({ requests: [] }))]);
    const stats = tally(recent.requests), rows = [];
    const seen = new Set();
    const rest = list => list.map(c => h("div", null, tag(c.state === "probing" ? "being probed" : "resting", c.state === "probing" ? "warn" : "bad"), " ",
      c.model ? "for " + c.model : "", h("span", { class: "sub" }, [REASON[c.reason] || c.reason, c.until && [", until ", time(c.until), " (", span(Math.max(0, new Date(c.until) - Date.now())), ")"]])));
    for (const k of keys) {
      const id = k.providerId + "/" + k.name;
      seen.add(id);
      rows.push({ who: [k.name, h("span", { class: "sub" }, k.providerId)], stat: stats.get(id), cool: cool.filter(c => c.providerKeyId === k.id) });
    }
    for (const [id, s] of stats) if (!seen.has(id)) rows.push({ who: [s.key, h("span", { class: "sub" }, s.provider)], stat: s, cool: cool.filter(c => !keys.some(k => k.id === c.providerKeyId) && c.providerKeyId && c.providerKeyName === s.key && c.provider === s.provider) });
    const known = new Set(rows.flatMap(r => r.cool));
    const other = cool.filter(c => !known.has(c));
    const clear = list => list.length > 0 && busy("Clear", async () => {
      for (const c of list) await api.del("/cooldowns/" + encodeURIComponent(c.id));
      say("Cleared");
      await draw();
    });
    if (v.signal.aborted || box.contains(document.activeElement) && document.activeElement.disabled) return;
    fill(box, rows.length ? table("Provider keys", [
      ["Key", r => r.who], ["State", r => r.cool.length ? rest(r.cool) : tag(r.stat ? "well" : "not used yet", r.stat ? "ok" : "")],
      ["Median", r => r.stat && span(mid(r.stat.ms, 0.5)), "num"], ["95 % within", r => r.stat && span(mid(r.stat.ms, 0.95)), "num"],
      ["Attempts", r => r.stat ? count(r.stat.n) : "", "num"], ["Failed", r => r.stat ? [count(r.stat.failed), r.stat.last && h("span", { class: "sub" }, "last: " + (r.stat.last.status || r.stat.last.outcome))] : "", "num"],
      ["", r => clear(r.cool), "fit"]], rows)
      : empty("Nothing to watch yet", "Provider keys and what they do appear here.", link("First steps", "#/start", "btn")),
    other.length > 0 && h("section", { class: "stack" }, h("h2", null, "Addresses and others"), table("Resting addresses", [
      ["What", c => [c.origin || c.name || c.providerKeyName || c.id, c.provider && h("span", { class: "sub" }, c.provider)]], ["State", c => rest([c])], ["", c => clear([c]), "fit"]], other)),
    h("p", { class: "soft" }, `Times are of the last ${count(recent.requests.length)} requests that the gateway remembers, each from the start of an attempt to its end.`));
  }
  await draw();
  const timer = setInterval(() => { if (!document.hidden && !box.matches(":focus-within")) draw().catch(e => { if (e.status && e.status !== 401) fill(box, problem(e)); }); }, 2000);
  v.signal.addEventListener("abort", () => clearInterval(timer));
  return [head("Health", "A key or an address that fails rests for a while; requests go to the others first. One success ends it."), box];
}
