// First steps: a provider's keys, an access key that uses them in order, and a request whose answer streams in.
import { h, fill, say } from "./dom.js";
import { api, at } from "./api.js";
import { head, button, busy, field, input, select, link, note, problem, showErrors, copyable, tag } from "./ui.js";
import { builtins, providerOptions } from "./keys.js";
import { tries } from "./live.js";

const SAMPLE = { openai: "gpt-4o-mini", anthropic: "claude-haiku-4-5", google: "gemini-2.5-flash", sim: "echo" };
// What has been done so far, so that a look at another view loses nothing; gone with the page.
const done = { keys: [], access: null };

export async function view(v) {
  const [about, stored, custom] = await Promise.all([builtins(v.signal), api.list("/provider-keys", 200, v.signal), api.list("/providers", 200, v.signal)]);
  const options = providerOptions(about, custom);
  done.keys = done.keys.filter(k => stored.some(s => s.id === k.id)); // it may have been deleted since
  if (!done.keys.length && stored.length) done.keys = stored.filter(k => k.providerId === stored[0].providerId).reverse();
  const steps = h("div", { class: "steps" });
  const draw = () => fill(steps, keysStep(), accessStep(), tryStep());
  const provider = () => done.keys[0]?.providerId;

  function keysStep() {
    const pick = select(provider() || options[0]?.[0], options, { disabled: done.keys.length > 0 });
    const name = input(["primary", "backup"][done.keys.length] || "key-" + (done.keys.length + 1)), value = input("", { type: "password", autocomplete: "new-password" });
    const top = h("div");
    const form = h("form", { class: "form two", novalidate: true, onsubmit: async e => {
      e.preventDefault();
      try { await make(provider() || pick.value, name.value.trim(), value.value.trim()); draw(); } catch (x) { showErrors(form, top, x); }
    } }, h("div", { class: "wide" }, top), field("Provider", pick, { path: "providerId" }), field("Name", name, { path: "name" }), field("Key", value, { path: "value", wide: true }),
    h("div", { class: "row wide" }, h("button", { type: "submit", class: done.keys.length ? "" : "main" }, done.keys.length ? "Add another key" : "Add the key"),
      !done.keys.length && about.sim && busy("Use the simulator instead", async () => {
        try { await make("sim", "primary", "sim-429"); await make("sim", "backup", "sim-ok"); draw(); } catch (x) { fill(top, problem(x)); }
      })));
    return h("section", { class: "panel" }, h("h2", null, "A provider's key"),
      done.keys.length ? [h("ul", null, done.keys.map(k => h("li", null, k.name, " ", h("span", { class: "soft" }, k.providerId)))),
        h("p", { class: "soft" }, done.keys.length > 1 ? "These are tried in this order. When one fails, the next one answers." : "One more of the same provider gives weir something to fall back on.")]
        : [h("p", { class: "soft" }, "Two keys of one provider are enough to see one stand in for the other."),
          about.sim ? h("p", { class: "soft" }, "No key at hand? The simulator makes two: one that is always over its rate limit, and one that answers.")
            : about.sim === false && h("p", { class: "soft" }, "No key at hand? Start weir with \"sim\": true in its config to use the built-in simulator.")], form);
  }
  async function make(providerId, name, value) {
    done.keys.push(await api.post("/provider-keys", { providerId, name, value }));
    say("Key " + name + " stored");
  }

  function accessStep() {
    const box = kids => h("section", { class: "panel" + (done.keys.length ? "" : " wait") }, h("h2", null, "An access key for your application"), kids);
    if (!done.keys.length) return box(h("p", null, "After the first step."));
    const top = h("div");
    if (!done.access) return box([h("p", { class: "soft" }, "It is linked to a new configuration that tries your keys in their order."), top, busy("Create the access key", async () => {
      try {
        const config = await api.post("/access-key-configurations", { name: "First steps " + new Date().toLocaleString(), router: { rules: [{ provider: provider(), steps: [{ type: "user", keySelectionStrategy: "ordered", keys: done.keys.map(k => ({ id: k.id })) }] }] } });
        done.access = { ...await api.post("/access-keys", { name: "first application", accessKeyConfigurationId: config.id }), config };
        draw();
        say("Access key created");
      } catch (x) { fill(top, problem(x)); }
    }, "main")]);
    const base = about.dataPlane || "http://127.0.0.1:8080", m = provider() + ":" + (SAMPLE[provider()] || "MODEL");
    return box([h("p", { class: "soft" }, "This is the only time it is shown."), copyable(done.access.token, "Access key"),
      h("details", null, h("summary", null, "Use it in an application"), h("pre", { tabindex: "0" }, `from openai import OpenAI\nclient = OpenAI(base_url="${base}/v1", api_key="${done.access.token}")\nprint(client.chat.completions.create(model="${m}",\n    messages=[{"role": "user", "content": "Hello!"}]))`)),
      h("p", null, link("See its configuration", "#" + at("configurations", done.access.config.id)))]);
  }

  function tryStep() {
    const ready = done.access?.token;
    const box = kids => h("section", { class: "panel" + (ready ? "" : " wait") }, h("h2", null, "A request"), kids);
    if (!ready) return box(h("p", null, "After the second step."));
    const model = input(provider() + ":" + (SAMPLE[provider()] || "")), prompt = input("Say hello in one sentence.");
    const answer = h("div", { class: "answer", role: "log", "aria-label": "Answer" }), after = h("div", { class: "stack" });
    const form = h("form", { class: "form two", onsubmit: async e => {
      e.preventDefault();
      const go = form.querySelector("button");
      go.disabled = true;
      fill(answer);
      fill(after);
      try { await run(model.value.trim(), prompt.value, answer, after); } catch (x) { if (x.name !== "AbortError") fill(after, problem(x)); }
      go.disabled = false;
    } }, field("Model", model), field("Message", prompt), h("div", { class: "row wide" }, h("button", { type: "submit", class: "main" }, "Send")));
    return box([form, answer, after]);
  }

  // The gateway sends it to itself, through the same door as an application, and hands on what comes back as it comes.
  async function run(model, content, answer, after) {
    const res = await api.send("POST", "/try", { signal: v.signal, body: { accessKey: done.access.token, path: "/v1/chat/completions", body: { model, stream: true, messages: [{ role: "user", content }] } } });
    const reader = res.body.getReader(), decoder = new TextDecoder();
    let rest = "", whole = "";
    for (;;) {
      const { done: end, value } = await reader.read();
      if (end) break;
      const text = decoder.decode(value, { stream: true });
      whole += text;
      rest += text;
      const events = rest.split("\n\n");
      rest = events.pop();
      for (const e of events) {
        const line = e.split("\n").find(l => l.startsWith("data: {"));
        const delta = line && JSON.parse(line.slice(6));
        if (delta?.error) throw new Error(delta.error.message);
        answer.append(delta?.choices?.[0]?.delta?.content || "");
      }
    }
    const id = res.headers.get("x-request-id");
    let seen;
    for (let i = 0; i < 20 && id && !seen; i++) {
      seen = await api.get(at("requests", id), v.signal).catch(() => null);
      if (!seen) await new Promise(r => setTimeout(r, 150));
    }
    if (!res.ok) { const e = JSON.parse(whole); fill(after, problem({ message: (e.error || {}).message || e.msg || "It failed with " + res.status })); }
    if (seen) after.append(tries(seen.attempts), h("p", null, res.ok && seen.attempts.length > 1 ? "The first attempt failed, and your application would not have noticed. " : "", link("See the request", "#" + at("requests", id))));
  }

  draw();
  return [head("First steps", "Three steps to a gateway that fails over."), steps];
}
