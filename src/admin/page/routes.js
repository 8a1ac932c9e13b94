// Configurations: what an access key may reach and in which order it is tried; with a preview by the gateway itself.
import { h, fill, time, count, plural, say } from "./dom.js";
import { api, at } from "./api.js";
import { head, button, field, input, area, select, check, table, tag, code, empty, link, note, problem, ask, sortable, showErrors, clearErrors } from "./ui.js";
import { builtins, providerOptions, remove, listed, fixed, named, newProviderKey } from "./keys.js";

const PATH = "/access-key-configurations";
export const view = v => v.parts[0] ? edit(v, v.parts[0] === "new" ? null : v.parts[0]) : list(v);

const lines = s => s.split("\n").map(x => x.trim()).filter(Boolean);
const linkedKeys = async id => (await api.list("/access-keys", 1000)).filter(k => k.accessKeyConfiguration?.id === id);

async function list(v) {
  const items = await api.list(PATH, 500, v.signal);
  const add = () => link("New configuration", "#/configurations/new", "btn main");
  return [head("Configurations", "What an access key may reach, and in which order it is tried.", add()),
    items.length ? table("Configurations", [
      ["Name", c => [link(c.name, "#" + at("configurations", c.id)), " ", fixed(c) && tag("config file"), h("span", { class: "sub" }, c.description)]],
      ["Rules", c => (c.router?.rules || []).map(r => h("div", null, (r.provider || r.model) + ": " + r.steps.map(s => s.type === "user" ? s.keys.map(k => k.name || k.id).join(", ") : "the gateway's own").join("; then "))).concat(c.router?.rules?.length ? [] : "Default order")],
      ["Aliases", c => Object.keys(c.router?.aliases || {}).join(", ")],
      ["Changed", c => time(c.updatedAt)]], items)
      : empty("No configurations yet", "Without one, an access key reaches every provider: stored keys first, in the order they were made.", add())];
}

// The API's shape, and one that is easier to edit: aliases in a list, scopes as lists or null.
function draftOf(c) {
  const r = c?.router || {};
  return { name: c?.name || "", description: c?.description || "", providers: c?.access?.providers?.allow ?? null, models: c?.access?.models?.allow ?? null,
    rules: (r.rules || []).map(x => ({ on: x.model ? "model" : "provider", what: x.model || x.provider, steps: x.steps.map(s => ({ user: s.type === "user", strategy: s.keySelectionStrategy || "ordered", keys: (s.keys || []).map(k => k.id) })) })),
    aliases: Object.entries(r.aliases || {}).map(([name, models]) => ({ name, models })),
    hedgeAfter: r.hedgeAfter || "", continueStreams: !!r.continueStreams };
}
function bodyOf(d) {
  const access = {}, router = { rules: d.rules.map(r => ({ [r.on]: r.what, steps: r.steps.map(s => s.user ? { type: "user", keySelectionStrategy: s.strategy, keys: s.keys.map(id => ({ id })) } : { type: "managed" }) })) };
  if (d.providers) access.providers = { allow: d.providers };
  if (d.models) access.models = { allow: d.models };
  if (d.aliases.length) router.aliases = Object.fromEntries(d.aliases.map(a => [a.name, a.models]));
  if (d.hedgeAfter) router.hedgeAfter = d.hedgeAfter;
  if (d.continueStreams) router.continueStreams = true;
  return { name: d.name, description: d.description || null, access: Object.keys(access).length ? access : null, router };
}

async function edit(v, id) {
  const path = id && PATH + at(id);
  const [loaded, keys, custom, about, users] = await Promise.all([id ? api.load(path, v.signal) : { data: null }, api.list("/provider-keys", 1000, v.signal),
    api.list("/providers", 500, v.signal), builtins(v.signal), id ? linkedKeys(id).catch(() => []) : []]);
  let { data: old, etag } = loaded;
  const d = draftOf(old), readOnly = old && fixed(old);
  const options = providerOptions(about, custom), providerName = p => (options.find(o => o[0] === p) || [p, p])[1];
  const keyName = k => { const x = keys.find(y => y.id === k); return x ? x.name : k; };
  const top = h("div");
  let timer;
  const changed = () => { form.dataset.edited = ""; clearTimeout(timer); timer = setTimeout(preview, 250); };
  const bind = (el, o, k, get = x => x.value) => { el.addEventListener("input", () => { o[k] = get(el); changed(); }); return el; };

  // ---- Rules, steps, keys ----
  const stepRow = (rule, ri) => (s, si) => {
    const base = `router.rules[${ri}].steps[${si}]`;
    if (!s.user) return h("div", { class: "step", "data-path": base }, h("h3", null, "The gateway's own keys"), h("p", { class: "err" }));
    const pool = keys.filter(k => rule.on === "model" || k.providerId === rule.what);
    const pick = h("select", { "aria-label": "Add a provider key", onchange: async () => {
      let k = pick.value;
      if (k === "new") { const made = await newProviderKey(options, rule.on === "provider" && rule.what); if (made) keys.push(made); k = made?.id; }
      if (k) { s.keys.push(k); changed(); }
      rules.redraw();
    } }, h("option", { value: "" }, "Add a key …"), pool.filter(k => !s.keys.includes(k.id)).map(k => h("option", { value: k.id }, k.name + (rule.on === "model" ? " (" + k.providerId + ")" : ""))), h("option", { value: "new" }, "New key …"));
    const how = bind(select(s.strategy, [["ordered", "in this order"], ["round_robin", "starting one further each time"], ["random", "in random order"]], { "aria-label": "Order of the keys" }), s, "strategy");
    return h("div", { class: "step stack", "data-path": base }, h("div", { class: "row" }, h("h3", null, "These keys"), how),
      sortable(s.keys, (k, i) => h("span", { "data-path": `${base}.keys[${i}]` }, keyName(k), rule.on === "model" && h("span", { class: "soft" }, " " + (keys.find(x => x.id === k)?.providerId || "")), h("p", { class: "err" })), keyName, changed, "key"),
      pick, h("p", { class: "err" }));
  };
  const rules = sortable(d.rules, (r, i) => {
    const addStep = user => { r.steps.push({ user, strategy: "ordered", keys: [] }); changed(); rules.redraw(); };
    const on = bind(select(r.on, [["provider", "Provider"], ["model", "Model"]], { "aria-label": "Rule for", onchange: () => { r.what = r.on === "provider" ? options[0]?.[0] || "" : ""; rules.redraw(); } }), r, "on");
    const what = r.on === "provider"
      ? select(r.what, options.some(o => o[0] === r.what) ? options : [[r.what, r.what], ...options], { "aria-label": "Provider", onchange: () => rules.redraw() })
      : input(r.what, { "aria-label": "Model", placeholder: "openai:gpt-4o" });
    return h("div", { class: "stack", "data-path": `router.rules[${i}]` }, h("div", { class: "row pair" }, on, bind(what, r, "what")),
      sortable(r.steps, stepRow(r, i), s => s.user ? "these keys" : "the gateway's own keys", changed, "step"),
      h("div", { class: "row" }, button("Add keys", () => addStep(true)), button("Add the gateway's own", () => addStep(false))), h("p", { class: "err" }));
  }, r => "rule for " + (r.on === "provider" ? providerName(r.what) : r.what || "a model"), changed, "rule");

  const aliases = sortable(d.aliases, (a, i) => h("div", { class: "form", "data-path": "router.aliases." + a.name },
    field("Alias", bind(input(a.name), a, "name")), field("Models, in order", bind(area(a.models.join("\n")), a, "models", x => lines(x.value)), { hint: "One per line, such as openai:gpt-4o-mini." })),
  a => a.name || "alias", changed, "alias");

  // ---- Scope ----
  const scope = (label, k, make, hint) => {
    const inner = h("div");
    const draw = () => fill(inner, d[k] && make());
    draw();
    return h("fieldset", { class: "stack", "data-path": "access." + k }, check(label, !!d[k], { onchange: e => { d[k] = e.target.checked ? [] : null; draw(); changed(); } }), inner, d[k] && h("p", { class: "hint" }, hint), h("p", { class: "err" }));
  };
  const providersBox = () => h("div", { class: "boxes" }, options.map(([p, n]) => check(n, d.providers.includes(p), { onchange: e => {
    d.providers = e.target.checked ? [...d.providers, p] : d.providers.filter(x => x !== p); changed(); } })));
  const modelsBox = () => bind(area(d.models.join("\n"), { "aria-label": "Models", placeholder: "openai:gpt-4o" }), d, "models", x => lines(x.value));

  // ---- Preview ----
  const model = input(v.query.get("model") || "", { list: "models", placeholder: "gpt-4o-mini" }), surface = select("chat-completions", ["chat-completions", "messages", "responses", "embeddings"]);
  const queue = h("div", { "aria-live": "polite" });
  model.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(preview, 250); });
  surface.addEventListener("change", () => preview());
  const suggest = [...d.aliases.map(a => a.name), ...d.rules.filter(r => r.on === "model").map(r => r.what)];
  let turn = 0;
  async function preview() {
    const mine = ++turn;
    if (!model.value.trim()) return fill(queue, h("p", { class: "soft" }, "Name a model to see what would be tried, in which order, before you save."));
    try {
      const { access, router } = bodyOf(d);
      const got = await api.post("/preview", { model: model.value.trim(), surface: surface.value, configuration: { ...access && { access }, router } }, v.signal);
      if (mine !== turn) return;
      fill(queue, got.queue.length ? h("ol", { class: "queue" }, got.queue.map(a => h("li", null, h("b", null, a.provider + " / " + a.keyName), " ", h("span", { class: "soft" }, a.model), " ", a.coolingUntil && tag("resting", "warn")))) : null,
        got.msg && note("warn", got.msg), got.skipped.map(s => h("p", { class: "soft" }, `Left out: ${s.provider} ${s.model}: ${s.reason}`)));
    } catch (e) {
      if (mine === turn && e.name !== "AbortError") fill(queue, problem(e), Object.entries(e.details || {}).map(([k, t]) => h("p", { class: "soft" }, k + ": " + t)));
    }
  }
  preview();

  // ---- Saving ----
  async function save(over) {
    clearErrors(form);
    fill(top);
    try {
      const body = bodyOf(d);
      if (!id) {
        const made = await api.post(PATH, Object.fromEntries(Object.entries(body).filter(([, x]) => x !== null)));
        delete form.dataset.edited;
        say("Saved");
        return v.go("#" + at("configurations", made.id));
      }
      ({ data: old, etag } = await api.patch(path, body, over || etag));
      delete form.dataset.edited;
      fill(top, note("ok", "Saved. It holds from the next request on."));
      say("Saved");
    } catch (e) {
      if (e.status !== 412) return showErrors(form, top, e);
      const now = await api.load(path), theirs = draftOf(now.data), before = draftOf(old);
      const what = Object.keys(theirs).filter(k => JSON.stringify(theirs[k]) !== JSON.stringify(before[k]));
      fill(top, h("div", { class: "note warn", role: "alert" }, h("p", null, "Somebody else changed this configuration at ", time(now.data.updatedAt), what.length > 0 && ` (${what.join(", ")})`, ". Yours is not saved."),
        h("div", { class: "row" }, button("Load theirs", () => { delete form.dataset.edited; v.refresh(); }), button("Save mine over it", () => save(now.etag), "bad"))));
      top.scrollIntoView({ block: "center" });
    }
  }
  const drop = () => remove("Configuration", old, path, "Delete", users.length
    ? [h("p", null, plural(users.length, "access key") + (users.length === 1 ? " uses" : " use") + " it and must be linked elsewhere first:"), listed(users, k => k.name || k.id)]
    : h("p", null, "No access key uses it."), { refresh: () => { delete form.dataset.edited; v.go("#/configurations"); } });

  const part = (title, text, ...kids) => h("section", { class: "panel" }, h("h2", null, title), text && h("p", { class: "soft" }, text), kids);
  const form = h("form", { class: "stack", novalidate: true, onsubmit: e => { e.preventDefault(); save(); } },
    h("fieldset", { class: "stack", disabled: readOnly },
      part("Name", null, h("div", { class: "form two" }, field("Name", bind(input(d.name, { maxlength: "255" }), d, "name"), { path: "name" }), field("Description", bind(input(d.description, { maxlength: "255" }), d, "description"), { path: "description" }))),
      part("Order", "Next key, next step, next model. A rule for a model goes before one for its provider.", rules,
        button("Add a rule", () => { d.rules.push({ on: "provider", what: options[0]?.[0] || "", steps: [{ user: true, strategy: "ordered", keys: [] }] }); changed(); rules.redraw(); }), h("div", { "data-path": "router" }, h("p", { class: "err" }))),
      part("Aliases", "Names of yours that applications can ask for.", aliases, button("Add an alias", () => { d.aliases.push({ name: "", models: [] }); changed(); aliases.redraw(); }), h("div", { "data-path": "router.aliases" }, h("p", { class: "err" }))),
      part("Scope", null, scope("Only some providers", "providers", providersBox), scope("Only some models", "models", modelsBox, "One per line.")),
      part("Streams", null, h("div", { class: "form two" }, field("Hedge after", bind(input(d.hedgeAfter, { placeholder: "off" }), d, "hedgeAfter"), { path: "router.hedgeAfter", hint: "No answer by then: the next attempt starts beside the first." }),
        check("Continue a broken text stream with the next attempt", d.continueStreams, { onchange: e => { d.continueStreams = e.target.checked; changed(); } }))),
      top, h("div", { class: "row save" }, h("button", { type: "submit", class: "main" }, id ? "Save" : "Create"), id && button("Delete", drop, "bad"))));
  return [head(old ? old.name : "New configuration", old && [code(old.id), " · changed ", time(old.updatedAt), users.length > 0 && " · used by " + plural(users.length, "access key")], link("All configurations", "#/configurations", "btn")),
    readOnly && note("", "This one is declared in the config file, and changed there."),
    h("div", { class: "split" }, form, h("aside", { class: "panel", "aria-label": "Preview" }, h("h2", null, "What would be tried"), field("Model", model), field("API", surface), h("datalist", { id: "models" }, suggest.concat(about.providers.flatMap(p => p.models.map(m => p.id + ":" + m))).map(m => h("option", { value: m }))), queue))];
}
