// Access keys, provider keys, API keys, providers and settings: one way of listing, making, editing and removing, and for each
// kind what is special about it.
import { h, fill, time, count, plural, say } from "./dom.js";
import { api, at } from "./api.js";
import { head, button, busy, field, input, area, select, table, tag, code, empty, link, note, ask, dialog, formDialog, showSecret, showErrors, clearErrors } from "./ui.js";

export const fixed = r => r.readOnly === true || r.source === "config";
const fromFile = r => fixed(r) && tag("config file");
export const named = r => [h("span", null, r.name || "Unnamed"), " ", fromFile(r), h("span", { class: "sub mono" }, r.id)];
const blankIsNull = s => s.trim() === "" ? null : s.trim();

// What was changed against what there was; a new thing leaves out what is empty.
function changes(old, values) {
  const out = {};
  for (const [k, v] of Object.entries(values))
    if (old ? JSON.stringify(v ?? null) !== JSON.stringify(old[k] ?? null) : v !== null) out[k] = v;
  return out;
}

// An edit that takes care not to overwrite somebody else's.
export async function patchSafely(path, body, etag, save) {
  try {
    return await api.patch(path, body, etag);
  } catch (e) {
    if (e.status !== 412) throw e;
    const over = await ask("Changed by somebody else", h("p", null,
      "It was changed while you were editing. Save yours over it, or cancel and reload to see theirs."), "Save mine");
    if (!over) throw e;
    return api.patch(path, body, (await api.load(path)).etag);
  }
}

// Everything that refers to a provider key, as far as a person wants to read.
async function usesOf(keyId) {
  const configs = await api.list("/access-key-configurations", 500);
  return configs.filter(c => (c.router?.rules || []).some(r => r.steps.some(s => (s.keys || []).some(k => k.id === keyId))));
}

export const listed = (items, text) => h("ul", null, items.slice(0, 12).map(i => h("li", null, text(i))), items.length > 12 && h("li", null, "and " + count(items.length - 12) + " more"));

export async function remove(what, r, path, verb, told, v) {
  if (!await ask(`${verb} “${r.name || r.id}”?`, h("div", null, told), verb)) return;
  try {
    await api.del(path);
    say(what + " " + (verb === "Revoke" ? "revoked" : "deleted"));
    v.refresh();
  } catch (e) {
    await dialog("Not done", h("p", null, e.message), close => [button("Close", () => close(), "main")]);
  }
}

const common = r => {
  const name = input(r?.name, { maxlength: "255" }), description = input(r?.description, { maxlength: "255" });
  return { name, description,
    fields: [field("Name", name, { path: "name" }), field("Description", description, { path: "description" })],
    values: () => ({ name: blankIsNull(name.value), description: blankIsNull(description.value) }) };
};

const page = (title, intro, action, items, columns, none) => [
  head(title, intro, action),
  items.length ? table(title, columns, items) : none,
  items.more && note("", "Only the newest " + count(items.length) + " are shown."),
];
const acts = kids => h("div", { class: "row tight" }, kids);

const maker = (text, edit) => button(text, () => edit(), "main");
const keyColumns = [["Name", named], ["Key", k => code(k.keyRedacted), "fit"], ["Last used", k => time(k.lastUsed), "fit"], ["Created", k => time(k.createdAt), "fit"]];

// Makes or edits an access key or an API key; a new one's token is shown once.
async function keyForm(what, list, old, v, more) {
  const path = old && list + at(old.id), etag = old && (await api.load(path)).etag, c = common(old), m = more(old);
  const values = () => changes(old, { ...c.values(), ...m.values() });
  const made = await formDialog((old ? "Edit " : "New ") + what, [c.fields, m.fields], old ? "Save" : "Create", () => old ? patchSafely(path, values(), etag) : api.post(list, values()));
  if (made?.token) await showSecret("The new " + what, made.token, what);
  if (made) v.refresh();
}

// ---- Access keys ----

const LIMITS = [["requestsPerMinute", "Requests per minute"], ["tokensPerMinute", "Tokens per minute"], ["usdPerDay", "Dollars per day"], ["usdTotal", "Dollars in total"]];

export async function accessKeys(v) {
  const [items, configs] = await Promise.all([api.list("/access-keys", 1000, v.signal), api.list("/access-key-configurations", 500, v.signal)]);
  const edit = old => keyForm("access key", "/access-keys", old && { ...old, accessKeyConfigurationId: old.accessKeyConfiguration?.id }, v, k => {
    const config = select(k?.accessKeyConfigurationId || "", [["", "None: every provider, default order"], ...configs.map(x => [x.id, x.name])]);
    const limits = LIMITS.map(([id, t]) => [id, input(k?.limits?.[id], { inputmode: "decimal", placeholder: "no limit" }), t]);
    const had = localTime(k?.expiresAt), until = input(had, { type: "datetime-local" });
    return {
      fields: [field("Configuration", config, { path: "accessKeyConfigurationId", hint: "What the key may reach, and in which order." }),
        h("details", { open: !!(k?.limits || had) }, h("summary", null, "Limits and expiry"), h("div", { class: "form two" }, limits.map(([id, el, t]) => field(t, el, { path: "limits." + id })),
          field("Expires", until, { path: "expiresAt", hint: "Your time zone." })))],
      values: () => {
        const set = limits.filter(([, el]) => el.value.trim()).map(([id, el]) => [id, isNaN(el.value) ? el.value : Number(el.value)]);
        return { accessKeyConfigurationId: config.value || null, limits: set.length ? Object.fromEntries(set) : null,
          expiresAt: until.value === had ? k?.expiresAt ?? null : until.value ? new Date(until.value).toISOString() : null };
      },
    };
  });
  return page("Access keys", "What your applications send to this gateway instead of a provider's key.", maker("New access key", edit), items, [
    ...keyColumns.slice(0, 2),
    ["Configuration", k => k.accessKeyConfiguration ? link(k.accessKeyConfiguration.name, "#" + at("configurations", k.accessKeyConfiguration.id)) : "None"],
    ["Limits", k => [LIMITS.filter(([l]) => k.limits?.[l]).map(([l, t]) => h("span", { class: "sub" }, t + ": " + count(k.limits[l]))), expiry(k)]],
    ...keyColumns.slice(2),
    ["", k => !fixed(k) && acts([button("Edit", () => edit(k), "text"), button("Revoke", () => remove("Access key", k, at("access-keys", k.id), "Revoke",
      h("p", null, "Applications that use it get 401 from their next request on. ", k.lastUsed ? ["It was last used ", time(k.lastUsed), "."] : "It was never used."), v), "text")]), "fit"],
  ], empty("No access keys yet", "An application needs one to send requests.", maker("New access key", edit), link("First steps", "#/start", "btn")));
}

const localTime = iso => { if (!iso) return ""; const d = new Date(iso); return new Date(d - d.getTimezoneOffset() * 60000).toISOString().slice(0, 16); };
const expiry = k => k.expiresAt && h("span", { class: "sub" }, new Date(k.expiresAt) < Date.now() ? "expired " : "expires ", time(k.expiresAt));

// ---- API keys ----

export async function apiKeys(v) {
  const items = await api.list("/api-keys", 500, v.signal);
  const edit = old => keyForm("API key", "/api-keys", old, v, () => ({ fields: [], values: () => ({}) }));
  return page("API keys", "They open this dashboard and the admin API. Whoever has one can change everything here.", maker("New API key", edit), items, [
    ...keyColumns, ["", k => !fixed(k) && acts([button("Edit", () => edit(k), "text"), button("Revoke", () => remove("API key", k, at("api-keys", k.id), "Revoke",
      h("p", null, "Whoever uses it is signed out at once. If it is the one you signed in with, that is you."), v), "text")]), "fit"],
  ], empty("No API keys in here", "You are signed in with a key from the config. Keys made here can be revoked without a restart.", maker("New API key", edit)));
}

// ---- Provider keys ----

export async function builtins(signal) {
  try { return await api.get("/about", signal); } catch (e) { if (e.name === "AbortError") throw e; return { providers: [] }; }
}
export const providerOptions = (about, custom) => [...about.providers.map(p => [p.id, p.name]),
  ...custom.filter(p => !about.providers.some(b => b.id === p.providerId)).map(p => [p.providerId, p.name])];

const secret = () => input("", { type: "password", autocomplete: "new-password" });

export function newProviderKey(options, chosen) {
  const c = common(), provider = select(chosen, options), value = secret();
  return formDialog("New provider key", [field("Provider", provider, { path: "providerId" }), c.fields, field("Key", value, { path: "value", hint: "Stored encrypted; never shown again." })],
    "Create", () => api.post("/provider-keys", { ...changes(null, c.values()), providerId: provider.value, value: value.value.trim() }));
}
async function editProviderKey(k) {
  const path = at("provider-keys", k.id), etag = (await api.load(path)).etag, c = common(k);
  return formDialog("Edit provider key", c.fields, "Save", () => patchSafely(path, changes(k, c.values()), etag));
}

export async function providerKeys(v) {
  const [items, about, custom] = await Promise.all([api.list("/provider-keys", 1000, v.signal), builtins(v.signal), api.list("/providers", 500, v.signal)]);
  const options = providerOptions(about, custom), providerName = id => (options.find(o => o[0] === id) || [id, id])[1];
  const edit = async old => { if (await (old ? editProviderKey(old) : newProviderKey(options))) v.refresh(); };
  const rotate = async k => {
    const name = input(k.name), value = secret();
    const done = await formDialog("Rotate “" + k.name + "”", [
      h("p", { class: "soft" }, "The id stays, so every configuration goes on with the new value from the next request on."),
      field("New key", value, { path: "value" }), field("Name", name, { path: "name" })], "Rotate",
    () => api.post(at("provider-keys", k.id, "rotate"), { value: value.value.trim(), name: name.value.trim() }));
    if (done) { say("Rotated"); v.refresh(); }
  };
  const drop = async k => {
    const uses = await usesOf(k.id).catch(() => []);
    await remove("Provider key", k, at("provider-keys", k.id), "Delete", uses.length
      ? [h("p", null, plural(uses.length, "configuration") + (uses.length === 1 ? " uses" : " use") + " it and must let go of it first:"),
        listed(uses, c => link(c.name, "#" + at("configurations", c.id)))]
      : h("p", null, "No configuration names it. Requests without a rule for this provider lose it from the next one on."), v);
  };
  return page("Provider keys", "What weir shows to the providers.", maker("New provider key", edit), items, [
    ["Name", named], ["Provider", k => [providerName(k.providerId), h("span", { class: "sub mono" }, k.providerId)]], ["Key", k => code(k.keyRedacted), "fit"],
    ["Last used", k => time(k.lastUsed), "fit"], ["Created", k => time(k.createdAt), "fit"],
    ["", k => !fixed(k) && acts([button("Edit", () => edit(k), "text"), button("Rotate", () => rotate(k), "text"), button("Delete", () => drop(k), "text")]), "fit"],
  ], empty("No provider keys yet", "weir needs at least one key of a provider, or one in its environment. Two of the same provider already stand in for each other.",
    maker("New provider key", edit), link("First steps", "#/start", "btn")));
}

// ---- Providers ----

// A format alone stands for its chat surface.
const isOf = (x, b) => x.format === b.format && (x.surface || (x.format === "openai" ? "chat-completions" : "messages")) === b.surface;
const SURFACES = ["chat-completions", "responses", "completions", "embeddings", "moderations", "images", "speech"];

export async function providers(v) {
  const [items, about] = await Promise.all([api.list("/providers", 500, v.signal), builtins(v.signal)]);
  const edit = async old => {
    const path = old && at("providers", old.id), etag = old && (await api.load(path)).etag;
    const id = input(old?.providerId, { maxlength: "255", placeholder: "my-ollama" }), name = input(old?.name), base = input(old?.baseUrl, { placeholder: "https://…/v1", inputmode: "url" });
    const had = old?.supportedApiSurfaces || [];
    const boxes = [...SURFACES.map(s => ["openai", s]), ["anthropic", "messages"]].map(([format, surface]) => ({ format, surface,
      box: h("input", { type: "checkbox", checked: had.length ? had.some(x => isOf(x, { format, surface })) : surface === "chat-completions" }) }));
    const models = area((old?.models || []).map(m => m.modelId).join("\n"));
    const done = await formDialog(old ? "Edit provider" : "New provider", [
      !old && field("Id", id, { path: "providerId", hint: "Requests name it in front of the model: my-ollama:llama3.2" }), field("Name", name, { path: "name" }),
      field("Base URL", base, { path: "baseUrl", hint: "With /v1, if the API has it. http:// only to private addresses." }),
      h("fieldset", { "data-path": "supportedApiSurfaces" }, h("legend", null, "APIs it serves"), h("div", { class: "boxes" }, boxes.map(b => h("label", { class: "check" }, b.box, h("span", null, b.surface)))), h("p", { class: "err" })),
      field("Models", models, { path: "models", hint: "One id per line. With them, requests need not name the provider." })],
    old ? "Save" : "Create", () => {
      // What the form has no field for, such as prices, stays as it was. (A model's id is for reading only.)
      const body = { name: name.value.trim(), baseUrl: base.value.trim(),
        supportedApiSurfaces: boxes.filter(b => b.box.checked).map(b => had.find(x => isOf(x, b)) || { format: b.format, surface: b.surface }),
        models: models.value.split("\n").map(m => m.trim()).filter(Boolean).map(modelId => ({ ...(old?.models || []).find(m => m.modelId === modelId), id: undefined, modelId })) };
      return old ? patchSafely(path, body, etag) : api.post("/providers", { providerId: id.value.trim(), ...body });
    });
    if (done) v.refresh();
  };
  const drop = async p => {
    const keys = await api.list("/provider-keys?provider=" + encodeURIComponent(p.providerId), 500).catch(() => []);
    await remove("Provider", p, at("providers", p.id), "Delete", keys.length
      ? [h("p", null, "Its keys must be deleted first:"), listed(keys, k => k.name)]
      : h("p", null, "Requests that name it are refused from the next one on."), v);
  };
  return [page("Providers", "Your own upstreams: anything that speaks one of these APIs.", maker("New provider", edit), items, [
    ["Name", named], ["Provider id", p => code(p.providerId)], ["Base URL", p => code(p.baseUrl)],
    ["APIs", p => (p.supportedApiSurfaces || []).map(s => s.surface || s.format).join(", ") || "chat-completions"], ["Models", p => count((p.models || []).length), "num"],
    ["", p => !fixed(p) && acts([button("Edit", () => edit(p), "text"), button("Delete", () => drop(p), "text")]), "fit"],
  ], empty("No providers of your own", "The built-in ones need no entry here. Add one for Ollama, vLLM, Azure or a proxy.", maker("New provider", edit))),
  about.providers.length > 0 && h("section", { class: "stack" }, h("h2", null, "Built in"), table("Built-in providers", [
    ["Name", p => p.name], ["Provider id", p => code(p.id)], ["Known models", p => count(p.models.length), "num"],
    ["Keys of the gateway itself", p => p.managed ? count(p.managed) : "none", "num"]], about.providers))];
}

// ---- Settings ----

const SETTINGS = [
  ["perRequestTimeout", "One attempt", "Until a plain answer is complete, or a stream's first content."],
  ["totalTimeout", "All attempts together", "Until an answer is committed."],
  ["connectTimeout", "Connecting", "Name, TCP and TLS of one attempt."],
  ["firstTokenTimeout", "First token", "Of a stream, while another attempt is left. Empty: off."],
  ["streamIdleTimeout", "Silence in a stream", "After it has committed."],
  ["streamHeartbeat", "Heartbeat", "Comment lines to a waiting stream while failover goes on. Empty: off."],
  ["maxInputTokens", "Most input tokens", "A longer request is refused. Empty: no limit.", true],
  ["maxOutputTokens", "Most output tokens", "Requests are lowered to it. Empty: no limit.", true],
];

export async function settings(v) {
  let { data, etag } = await api.load("/gateway-config", v.signal);
  const about = await builtins(v.signal), inFile = k => (data.readOnlyFields || []).includes(k);
  const fields = SETTINGS.filter(([k]) => k in data || ["maxInputTokens", "maxOutputTokens"].includes(k)).map(([k, t, hint, number]) => {
    const el = input(data[k], { disabled: inFile(k), ...number ? { inputmode: "numeric" } : { placeholder: "30s" } });
    return { k, number, el, node: field(t, el, { path: k, hint: inFile(k) ? "Set in the config file, and changed there." : hint }) };
  });
  const cool = "cooldown" in data && h("input", { type: "checkbox", checked: data.cooldown, disabled: inFile("cooldown") });
  const metadata = area(data.metadata, { maxlength: "4096" });
  const top = h("div");
  const form = h("form", { class: "panel form two", novalidate: true, oninput: () => { form.dataset.edited = ""; }, onsubmit: async e => {
    e.preventDefault();
    clearErrors(form);
    fill(top);
    const values = { metadata: metadata.value || null };
    for (const f of fields) { const t = f.el.value.trim(); values[f.k] = t === "" ? null : f.number && !isNaN(t) ? Number(t) : t; }
    if (cool) values.cooldown = cool.checked;
    try {
      ({ data, etag } = await patchSafely("/gateway-config", changes(data, values), etag));
      delete form.dataset.edited;
      fill(top, note("ok", "Saved. It holds from the next request on."));
      say("Saved");
    } catch (x) { showErrors(form, top, x); }
  } }, fields.map(f => f.node),
  cool && h("label", { class: "check wide" }, cool, h("span", null, "Remember which keys and addresses are unwell, and try them last")),
  field("Metadata", metadata, { path: "metadata", hint: "For your own use.", wide: true }),
  h("div", { class: "wide" }, top), h("div", { class: "row wide" }, h("button", { class: "main", type: "submit" }, "Save")));
  const row = (t, d) => d && [h("dt", null, t), h("dd", null, d)];
  return [head("Settings", "Durations are written 500ms, 30s, 1m30s."), form,
    about.version && h("section", { class: "panel" }, h("h2", null, "This gateway"), h("dl", null,
      row("Version", about.version), row("Serves applications at", about.dataPlane && code(about.dataPlane)),
      row("State", about.durable ? "Kept on disk: " + (about.stateDir || "") : about.durable === false && "In memory only. What is changed here is lost at the next restart; set stateDir to keep it."),
      row("Simulator", about.sim ? "on" : "off")))];
}
