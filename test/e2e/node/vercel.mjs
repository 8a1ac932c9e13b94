// The AI SDK with its OpenAI, Anthropic and OpenAI-compatible providers. One JSON line per check.
import { generateText, streamText, tool, jsonSchema } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import assert from "node:assert/strict";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { GATEWAY, TOKEN, TEXT } = process.env;
const base = { baseURL: GATEWAY + "/v1", apiKey: TOKEN };
const openai = createOpenAI(base), anthropic = createAnthropic(base);
const compatible = createOpenAICompatible({ ...base, name: "weir" });
const kinds = {
  "openai chat": (m) => openai.chat(m),
  "openai responses": (m) => openai.responses(m),
  anthropic: (m) => anthropic(m),
  compatible: (m) => compatible(m),
};
const tools = {
  get_weather: tool({ description: "weather", inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" }, unit: { type: "string" } } }) }),
};
const checks = [];
const check = (name, f) => checks.push([name, f]);
const ask = (model, more = {}) => ({ model, prompt: "hi", maxRetries: 0, maxOutputTokens: 64, onError() {}, ...more });

for (const [kind, make] of Object.entries(kinds)) {
  for (const who of ["all", "chat-only", "messages-only"]) {
    check(`${kind} text ${who}`, async () => assert.equal((await generateText(ask(make(who + ":text")))).text, TEXT));
    check(`${kind} stream ${who}`, async () => {
      const r = streamText(ask(make(who + ":text")));
      let text = "";
      for await (const t of r.textStream) text += t;
      assert.equal(text, TEXT);
      assert.equal(await r.finishReason, "stop");
    });
    check(`${kind} tool ${who}`, async () => {
      const r = await generateText(ask(make(who + ":tool"), { tools }));
      assert.equal(r.toolCalls[0].toolName, "get_weather");
      assert.equal(r.toolCalls[0].input.city, "Paris");
    });
    check(`${kind} tool stream ${who}`, async () => {
      const calls = await streamText(ask(make(who + ":tool"), { tools })).toolCalls;
      assert.equal(calls[0].input.city, "Paris");
    });
  }
  check(`${kind} rejected`, () => assert.rejects(generateText(ask(make("all:e400"))), (e) => e.statusCode === 400));
  check(`${kind} bad provider key`, () => assert.rejects(generateText(ask(make("all:e401"))), (e) => e.statusCode === 503));
  check(`${kind} late error`, async () => {
    let text = "", failed = false;
    try {
      for await (const part of streamText(ask(make("all:late-error"))).fullStream) {
        if (part.type === "text-delta") text += part.text;
        if (part.type === "error") failed = true;
      }
    } catch {
      failed = true; // the connection ends right behind the error event, and that may be what the SDK reports
    }
    assert.equal(text, TEXT);
    assert.ok(failed, "the error event did not surface");
  });
}

for (const [name, f] of checks) {
  let why = "";
  try { await f(); } catch (e) { why = String(e && e.stack || e).slice(0, 1500); }
  console.log(JSON.stringify({ name, ok: why === "", why }));
}
process.exit(0);
