// Requests as they end, newest first, and one of them in full.
import { h, fill, time, span, count, usd, plural, say } from "./dom.js";
import { api, at } from "./api.js";
import { head, button, field, input, select, table, tag, code, empty, link, note, problem } from "./ui.js";

const ROWS = 200;     // kept on the page
const PER_POLL = 50;  // taken from the gateway each second; more is sampled

const good = a => a.outcome === "ok";
const word = a => a.status && (!good(a) || a.status !== 200) ? String(a.status) : a.outcome === "ok" ? "200" : a.outcome;

// "openai/primary 429" and so on, in the order they were tried.
export const tries = list => h("span", { class: "tries" }, (list || []).map((a, i) => [i > 0 && h("span", { class: "soft", "aria-label": "then" }, "→"),
  h("span", { class: "try " + (good(a) ? "ok" : a.outcome === "skipped" ? "skip" : ""), title: [a.provider, a.model, a.outcome, a.reason].filter(Boolean).join(" · ") },
    a.key || a.provider, h("b", null, word(a)), h("span", null, span(a.ms)))]));

const statusTag = r => tag(r.status || "–", r.end === "cut" ? "warn" : r.status < 400 ? "ok" : r.status < 500 ? "warn" : "bad");
const END = { cut: "cut off by the provider", client_gone: "client left", refused: "refused by weir", error: "failed" };
const cost = r => r.cost ?? r.totalCost ?? r.costUsd;
const tokens = r => r.inputTokens === undefined && r.outputTokens === undefined ? ""
  : count(r.inputTokens) + " → " + count(r.outputTokens) + (r.usageEstimated || r.estimated ? " ≈" : "");

export async function view(v) {
  return v.parts[0] ? detail(v) : list(v);
}

async function names(signal) {
  const [keys, configs] = await Promise.all([api.list("/access-keys", 500, signal), api.list("/providers", 500, signal).catch(() => [])]);
  return { keys: new Map(keys.map(k => [k.id, k.name || k.id])), providers: configs };
}

async function list(v) {
  const known = await names(v.signal).catch(() => ({ keys: new Map(), providers: [] }));
  const q = v.query;
  let after = 0, boot = null, paused = false, rows = [];
  const body = h("div", { class: "stack" });
  const rate = h("p", { class: "soft", "aria-live": "off" });

  const status = select(q.get("status") || "", [["", "Any"], ["2", "Answered"], ["failover", "After failover"], ["4", "4xx"], ["5", "5xx"]]);
  const provider = input(q.get("provider"), { placeholder: "Any" });
  const model = input(q.get("model"), { placeholder: "Any" });
  const key = select(q.get("key") || "", [["", "Any"], ...known.keys]);
  const filters = { status, provider, model, key };
  const changed = () => {
    const p = new URLSearchParams();
    for (const [k, el] of Object.entries(filters)) if (el.value) p.set(k, el.value);
    history.replaceState(null, "", "#/requests" + (p.size ? "?" + p : ""));
    after = 0;
    rows = [];
    draw();
    poll();
  };
  for (const el of Object.values(filters)) el.addEventListener("change", changed);
  const pause = button("Pause", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    say(paused ? "Paused" : "Live again");
    told();
  }, "", { "aria-pressed": "false" });

  let last = { matched: 0, shown: 0 }, paces = []; // the last seconds' numbers
  function told() {
    pause.setAttribute("aria-pressed", paused);
    const perSecond = paces.reduce((n, p) => n + p[0], 0) * 1000 / (paces.reduce((n, p) => n + p[1], 0) || 1);
    fill(rate, paused ? "Paused. Requests go on; they are not shown." :
      plural(perSecond < 10 ? +perSecond.toFixed(1) : Math.round(perSecond), "request") + " a second" +
      (last.shown < last.matched ? `. Too many to show all: a sample of ${count(last.shown)} out of ${count(last.matched)}.` : "."));
  }

  const columns = [
    ["Time", r => link(time(r.time), "#" + at("requests", r.requestId)), "fit"],
    ["Status", r => [statusTag(r), END[r.end] && h("span", { class: "sub" }, END[r.end])], "fit"],
    ["Model", r => [r.model || "–", h("span", { class: "sub" }, r.provider)]],
    ["Attempts", r => r.attempts?.length ? tries(r.attempts) : h("span", { class: "soft" }, r.code || "none")],
    ["Tokens, cost", r => [tokens(r), cost(r) !== undefined && h("span", { class: "sub" }, usd(cost(r)))], "num"],
    ["Access key", r => r.accessKeyId ? known.keys.get(r.accessKeyId) || r.accessKeyId : "–"],
    ["Took", r => span(r.durationMs), "num"],
  ];
  const open = r => ({ class: "link", onclick: e => { if (!e.target.closest("a") && !String(getSelection())) v.go("#" + at("requests", r.requestId)); } });

  let drawn;
  function draw() {
    if (!rows.length) {
      drawn = null;
      fill(body, Object.values(filters).some(f => f.value)
        ? empty("Nothing matches", "Of the requests that the gateway remembers none fits these filters.", button("Clear the filters", () => { for (const f of Object.values(filters)) f.value = ""; changed(); }))
        : empty("No requests yet", "They appear here the moment they end. The gateway remembers the last ones; older ones are in the usage.", link("First steps", "#/start", "btn")));
      return;
    }
    const fresh = table("Requests, newest first", columns, rows, open);
    if (drawn) drawn.replaceWith(fresh); else fill(body, fresh);
    drawn = fresh;
  }

  // Only new rows are made; old ones stay as they are, so that a reader's place and focus stay too.
  function addRows(list) {
    rows = [...list, ...rows].slice(0, ROWS);
    if (!drawn) return draw();
    const made = table("", columns, list, open).querySelectorAll("tbody > tr"), into = drawn.querySelector("tbody");
    into.prepend(...made);
    while (into.children.length > ROWS) into.lastChild.remove();
  }

  let running = false;
  async function poll() {
    if (running) return;
    running = true;
    const began = performance.now(), from = after;
    try {
      const p = new URLSearchParams({ after, limit: from ? PER_POLL : 100 });
      if (status.value) p.set("status", status.value);
      if (provider.value.trim()) p.set("provider", provider.value.trim());
      if (model.value.trim()) p.set("model", model.value.trim());
      if (key.value) p.set("accessKeyId", key.value);
      const got = await api.get("/requests?" + p, v.signal);
      if (from !== after) return;
      if (boot !== null && boot !== got.boot) { after = 0; boot = got.boot; rows = []; draw(); return; }
      boot = got.boot;
      after = got.next;
      if (from) {
        last = { matched: got.matched, shown: got.requests.length };
        paces = [[got.seen, began - lastPoll], ...paces].slice(0, 10);
      }
      lastPoll = began;
      if (got.requests.length) addRows(got.requests);
      told();
    } catch (e) {
      if (e.name !== "AbortError" && e.status && e.status !== 401) fill(rate, problem(e));
    } finally { running = false; }
  }
  let lastPoll = performance.now();
  const timer = setInterval(() => { if (!paused && !document.hidden) poll(); }, 1000);
  v.signal.addEventListener("abort", () => clearInterval(timer));
  await poll();
  if (!rows.length) draw();

  return [head("Requests", null, pause),
    h("div", { class: "filters", role: "search", "aria-label": "Filter requests" },
      field("Status", status), field("Provider", provider), field("Model", model), field("Access key", key)),
    rate, body];
}

// One request by its id; the address can be handed on.
async function detail(v) {
  const id = v.parts[0];
  let r;
  try {
    r = await api.get(at("requests", id), v.signal);
  } catch (e) {
    if (e.status !== 404) throw e;
    return [head("Request"), empty("This request is not in memory any more",
      "The gateway remembers its last requests until it restarts. Its tokens and cost are still counted in the usage.",
      link("To the requests", "#/requests", "btn"))];
  }
  const known = await names(v.signal).catch(() => ({ keys: new Map() }));
  const list = Array.isArray(r.attempts) ? r.attempts : [];
  const total = Math.max(r.durationMs || 0, list.reduce((n, a) => n + (a.startMs === undefined ? a.ms : 0), 0), 1);
  let from = 0;
  const lanes = list.map((a, i) => {
    const begin = a.startMs ?? from;
    from = begin + a.ms;
    const bar = h("i", { class: good(a) ? "ok" : a.outcome === "skipped" ? "skip" : "" });
    bar.style.left = Math.min(99, begin * 100 / total) + "%";
    bar.style.width = Math.max(0.5, Math.min(100 - begin * 100 / total, a.ms * 100 / total)) + "%";
    return h("div", null, h("span", null, `${i + 1}. ${a.provider} / ${a.key}`), h("span", { class: "num" }, span(a.ms)), h("span", { class: "lane", "aria-hidden": "true" }, bar));
  });
  const row = (t, d) => d !== "" && d !== undefined && d !== null && [h("dt", null, t), h("dd", null, d)];
  return [
    head("Request", null, link("All requests", "#/requests", "btn")),
    h("div", { class: "panel" }, h("dl", { class: "two" },
      row("Id", code(id)),
      row("Ended", time(r.time, "full")),
      row("Status", h("span", { class: "row" }, statusTag(r), r.code && code(r.code), END[r.end])),
      row("Model", r.model), row("Provider", r.provider), row("Surface", r.surface),
      row("Access key", r.accessKeyId && [known.keys.get(r.accessKeyId) || "", " ", code(r.accessKeyId)]),
      row("Tokens", tokens(r) && tokens(r) + " (in → out)"), row("Cost", cost(r) !== undefined && usd(cost(r))),
      row("Stop reason", r.stopReason),
      row("First byte", r.ttfbMs !== undefined && span(r.ttfbMs)), row("Took", span(r.durationMs)),
      row("Bytes", count(r.bytesIn) + " in, " + count(r.bytesOut) + " out"))),
    h("section", { class: "panel" }, h("h2", null, "Attempts"),
      list.length ? [h("div", { class: "bars" }, lanes),
        table("Attempts in order", [
          ["#", a => list.indexOf(a) + 1, "fit"],
          ["Who", a => [a.provider + " / " + a.key, h("span", { class: "sub" }, a.model)]],
          ["Status", a => tag(a.status || "–", good(a) ? "ok" : "bad"), "fit"],
          ["What happened", a => [a.outcome, a.reason && h("span", { class: "sub" }, a.reason)]],
          ["Then", a => why(a, list)],
          ["Took", a => span(a.ms), "num"]], list)]
        : h("p", { class: "soft" }, "None: weir answered by itself" + (r.code ? " (" + r.code + ")." : "."))),
  ];
}

const WHY = {
  rate_limit: "next key; this one rests for this model", quota: "next key; this one rests", auth: "next key; this one rests",
  unreachable: "next attempt; others at this address go last", timeout: "next attempt; others at this address go last",
  upstream_error: "next key", not_found: "next key: access can differ", rejected: "next model: no other key would help",
  content_policy: "final", skipped: "not called", cancelled: "stopped: another one answered, or the client left", ok: "answered the client",
};
const why = (a, list) => !good(a) && a === list[list.length - 1] && a.outcome !== "content_policy" ? "nothing was left" : WHY[a.outcome] || "";
