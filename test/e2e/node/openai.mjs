// The official OpenAI client for JavaScript. GATEWAY: base address, TOKEN: access key. One JSON line per check.
import OpenAI from "openai";
import assert from "node:assert/strict";

const { GATEWAY, TOKEN, TEXT } = process.env;
const say = [{ role: "user", content: "hi" }];
const weather = { name: "get_weather", description: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } };
const client = (more = {}) => new OpenAI({ baseURL: GATEWAY + "/v1", apiKey: TOKEN, maxRetries: 0, timeout: 10000, ...more });
const checks = [];
const check = (name, f) => checks.push([name, f]);

for (const who of ["all", "chat-only", "messages-only"]) {
  check(`chat ${who}`, async () => {
    const r = await client().chat.completions.create({ model: who + ":text", messages: say });
    assert.equal(r.choices[0].message.content, TEXT);
    assert.equal(r.choices[0].finish_reason, "stop");
  });
  check(`chat stream ${who}`, async () => {
    let text = "", ends = [];
    for await (const c of await client().chat.completions.create({ model: who + ":text", messages: say, stream: true })) {
      text += c.choices[0]?.delta?.content ?? "";
      if (c.choices[0]?.finish_reason) ends.push(c.choices[0].finish_reason);
    }
    assert.equal(text, TEXT);
    assert.deepEqual(ends, ["stop"]);
  });
  check(`chat tool stream ${who}`, async () => {
    const s = client().chat.completions.stream({ model: who + ":tool", messages: say, tools: [{ type: "function", function: weather }] });
    const call = (await s.finalChatCompletion()).choices[0].message.tool_calls[0];
    assert.equal(call.function.name, "get_weather");
    assert.equal(JSON.parse(call.function.arguments).city, "Paris");
  });
  check(`responses ${who}`, async () => {
    const r = await client().responses.create({ model: who + ":text", input: "hi" });
    assert.equal(r.output_text, TEXT);
  });
  check(`responses stream ${who}`, async () => {
    let text = "", last = "";
    for await (const e of await client().responses.create({ model: who + ":text", input: "hi", stream: true })) {
      if (e.type === "response.output_text.delta") text += e.delta;
      last = e.type;
    }
    assert.equal(text, TEXT);
    assert.equal(last, "response.completed");
  });
}
check("models in the body", async () => {
  const r = await client().chat.completions.create({ model: "all:e500", models: ["spare:text"], messages: say });
  assert.equal(r.choices[0].message.content, TEXT);
});
check("rejected request", () => assert.rejects(client().chat.completions.create({ model: "all:e400", messages: say }), OpenAI.BadRequestError));
check("bad provider key", () => assert.rejects(client().chat.completions.create({ model: "all:e401", messages: say }), OpenAI.InternalServerError));
check("rate limit", () => assert.rejects(client().chat.completions.create({ model: "all:e429", messages: say }), OpenAI.RateLimitError));
check("bad access key", () => assert.rejects(client({ apiKey: "wrong" }).chat.completions.create({ model: "all:text", messages: say }), OpenAI.AuthenticationError));
check("cut stream raises", async () => {
  let text = "";
  await assert.rejects(async () => {
    for await (const c of await client().chat.completions.create({ model: "all:cut", messages: say, stream: true }))
      text += c.choices[0]?.delta?.content ?? "";
  });
  assert.equal(text, TEXT);
});
check("abort in mid stream", async () => {
  const s = await client().chat.completions.create({ model: "all:slow", messages: say, stream: true });
  for await (const _ of s) break;
  s.controller.abort();
});

for (const [name, f] of checks) {
  let why = "";
  try { await f(); } catch (e) { why = String(e && e.stack || e).slice(0, 1500); }
  console.log(JSON.stringify({ name, ok: why === "", why }));
}
