// The official Anthropic client for JavaScript. GATEWAY: base address, TOKEN: access key. One JSON line per check.
import Anthropic from "@anthropic-ai/sdk";
import assert from "node:assert/strict";

const { GATEWAY, TOKEN, TEXT } = process.env;
const ask = (model, more = {}) => ({ model, max_tokens: 64, messages: [{ role: "user", content: "hi" }], ...more });
const tools = [{ name: "get_weather", description: "weather", input_schema: { type: "object", properties: { city: { type: "string" } } } }];
const client = (more = {}) => new Anthropic({ baseURL: GATEWAY, apiKey: TOKEN, maxRetries: 0, timeout: 10000, ...more });
const checks = [];
const check = (name, f) => checks.push([name, f]);

for (const who of ["all", "messages-only", "chat-only"]) {
  check(`message ${who}`, async () => {
    const r = await client().messages.create(ask(who + ":text"));
    assert.equal(r.content[0].text, TEXT);
    assert.equal(r.stop_reason, "end_turn");
  });
  check(`stream ${who}`, async () => {
    const s = client().messages.stream(ask(who + ":text"));
    assert.equal(await s.finalText(), TEXT);
  });
  check(`tool stream ${who}`, async () => {
    const r = await client().messages.stream(ask(who + ":tool", { tools })).finalMessage();
    const use = r.content.find((b) => b.type === "tool_use");
    assert.equal(use.name, "get_weather");
    assert.equal(use.input.city, "Paris");
  });
}
check("rejected request", () => assert.rejects(client().messages.create(ask("all:e400")), Anthropic.BadRequestError));
check("bad provider key", () => assert.rejects(client().messages.create(ask("all:e401")), Anthropic.InternalServerError));
check("rate limit", () => assert.rejects(client().messages.create(ask("all:e429")), Anthropic.RateLimitError));
check("bad access key", () => assert.rejects(client({ apiKey: "wrong" }).messages.create(ask("all:text")), Anthropic.AuthenticationError));
check("cut stream raises", () => assert.rejects(client().messages.stream(ask("all:cut")).finalMessage()));
check("late error raises", () => assert.rejects(client().messages.stream(ask("all:late-error")).finalMessage()));
check("count tokens", async () => {
  const r = await client().messages.countTokens({ model: "anthropic:text", messages: [{ role: "user", content: "hi" }] });
  assert.equal(r.input_tokens, 42);
});
check("abort in mid stream", async () => {
  const s = await client().messages.create(ask("all:slow", { stream: true }));
  for await (const _ of s) break;
  s.controller.abort();
});

for (const [name, f] of checks) {
  let why = "";
  try { await f(); } catch (e) { why = String(e && e.stack || e).slice(0, 1500); }
  console.log(JSON.stringify({ name, ok: why === "", why }));
}
