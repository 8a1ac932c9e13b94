"""The official Python clients, and LangChain on top of them, against the gateway: what they need works, and what they
raise is what their users expect."""
import json
import time
import warnings

import pytest

import dialects
import fake
from dialects import TEXT, TOOL, TOOL_NAME
from later import translates
from weir import TOKEN, Weir, config, provider

warnings.filterwarnings("ignore")
openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

OPENAI_TOOL = {"type": "function", "function": {"name": TOOL_NAME, "description": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "unit": {"type": "string"}}, "required": ["city"]}}}
CLAUDE_TOOL = {"name": TOOL_NAME, "description": "weather", "input_schema": OPENAI_TOOL["function"]["parameters"]}
RESPONSES_TOOL = {"type": "function", **OPENAI_TOOL["function"], "strict": False}
SAY = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def bench():
    with fake.Upstream(dialects.behave) as up:
        base = up.base + "/v1"
        conf = config(providers=[
            provider("all", base, models=["text", "tool"]), provider("spare", base),
            provider("chat-only", base, ["chat-completions"]), provider("messages-only", base, ["messages"]),
            {"providerId": "openai", "baseUrl": base}, {"providerId": "anthropic", "baseUrl": base}],
            providerKeys=[{"id": "aigpk_o", "providerId": "openai", "name": "o", "value": "sk-openai-canary-0123456789"},
                          {"id": "aigpk_a", "providerId": "anthropic", "name": "a", "value": "sk-ant-canary-0123456789"}])
        with Weir(conf) as weir:
            yield weir, up


@pytest.fixture
def oai(bench):
    bench[1].clear()
    with openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % bench[0].port, api_key=TOKEN, max_retries=0, timeout=15) as c:
        yield c


@pytest.fixture
def ant(bench):
    bench[1].clear()
    with anthropic.Anthropic(base_url="http://127.0.0.1:%d" % bench[0].port, api_key=TOKEN, max_retries=0, timeout=15) as c:
        yield c


def gone_within(up, model, limit):
    """Seconds from now until the upstream connection that serves `model` is closed."""
    start = time.monotonic()
    conn = up.seen(model)[-1].conn
    up.wait(lambda u: conn.gone, 5)
    assert conn.gone, "the upstream connection is still open after 5 s"
    assert conn.gone_at - start <= limit, conn.gone_at - start


# ---- openai: chat completions -------------------------------------------------------------------------------------
# "chat-only" speaks the surface itself; "messages-only" makes the gateway translate.
CHAT_PROVIDERS = ["all", "openai", "chat-only", "messages-only"]


@pytest.mark.parametrize("who", CHAT_PROVIDERS)
def test_openai_chat(oai, who):
    translates(who, "chat-completions")
    r = oai.chat.completions.create(model=who + ":text", messages=SAY)
    assert r.choices[0].message.content == TEXT and r.choices[0].finish_reason == "stop"
    assert (r.usage.prompt_tokens, r.usage.completion_tokens) == dialects.USAGE


@pytest.mark.parametrize("who", CHAT_PROVIDERS)
def test_openai_chat_stream(oai, who):
    translates(who, "chat-completions")
    chunks = list(oai.chat.completions.create(model=who + ":text", messages=SAY, stream=True,
                                              stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    usage = [c.usage for c in chunks if c.usage]
    assert usage and (usage[-1].prompt_tokens, usage[-1].completion_tokens) == dialects.USAGE


@pytest.mark.parametrize("who", CHAT_PROVIDERS)
def test_openai_chat_tool(oai, who):
    translates(who, "chat-completions")
    r = oai.chat.completions.create(model=who + ":tool", messages=SAY, tools=[OPENAI_TOOL])
    call = r.choices[0].message.tool_calls[0]
    assert r.choices[0].finish_reason == "tool_calls"
    assert call.function.name == TOOL_NAME and json.loads(call.function.arguments) == TOOL


@pytest.mark.parametrize("who", CHAT_PROVIDERS)
def test_openai_chat_tool_stream(oai, who):
    translates(who, "chat-completions")
    with oai.chat.completions.stream(model=who + ":tool", messages=SAY, tools=[OPENAI_TOOL]) as s:
        final = s.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert call.function.name == TOOL_NAME and json.loads(call.function.arguments) == TOOL


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("bad", ["e400", "e401", "e404", "e429", "e500", "e503"])
def test_openai_models_in_extra_body(bench, oai, bad, stream):
    raw = oai.chat.completions.with_raw_response.create(model="all:" + bad, messages=SAY, stream=stream,
                                                        extra_body={"models": ["spare:text"]})
    assert raw.headers["x-weir-provider"] == "spare" and raw.headers["x-weir-attempts"].count("=") == 2
    r = raw.parse()
    text = "".join(c.choices[0].delta.content or "" for c in r if c.choices) if stream else r.choices[0].message.content
    assert text == TEXT
    assert all("models" not in q.json for q in bench[1].requests)


ERRORS = [  # behaviour, what the client raises, whether the provider's own words arrive
    ("e400", openai.BadRequestError, True),
    ("e401", openai.InternalServerError, False),  # the gateway's key is bad, not the client's
    ("e404", openai.NotFoundError, True),
    ("e429", openai.RateLimitError, False),
    ("e500", openai.InternalServerError, True),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model,error,words", ERRORS, ids=[e[0] for e in ERRORS])
def test_openai_errors(bench, oai, model, error, words, stream):
    with pytest.raises(error) as e:
        oai.chat.completions.create(model="all:" + model, messages=SAY, stream=stream)
    assert type(e.value) is error
    sent = dialects.behave(bench[1].seen(model)[-1])[0]
    message = json.loads(sent.split(b"\r\n\r\n")[1])["error"]["message"]
    assert (message in str(e.value)) == words
    assert e.value.response.headers["x-should-retry"] in ("true", "false")
    if model == "e429":
        assert e.value.response.headers["retry-after"] == "7"


def test_openai_client_does_not_repeat_what_cannot_help(bench, oai):
    """The SDK retries 5xx twice by itself; x-should-retry: false stops it where the key is bad, so upstream is called once."""
    with pytest.raises(openai.InternalServerError):
        oai.with_options(max_retries=2).chat.completions.create(model="all:e401", messages=SAY)
    assert len(bench[1].seen("e401")) == 1


def test_openai_client_repeats_what_may_heal(bench, oai):
    """The one provider's 500 arrives as it came, and the SDK comes again as it would without a gateway between."""
    with pytest.raises(openai.InternalServerError) as e:
        oai.with_options(max_retries=1).chat.completions.create(model="all:e500", messages=SAY)
    assert e.value.response.headers["x-should-retry"] == "true" and e.value.response.headers["retry-after"] == "1"
    assert len(bench[1].seen("e500")) == 2


def test_openai_bad_access_key(bench, oai):
    with pytest.raises(openai.AuthenticationError) as e:
        oai.with_options(api_key="wrong-key-canary").chat.completions.create(model="all:text", messages=SAY)
    assert "wrong-key-canary" not in str(e.value) and e.value.code == "invalid_access_key"
    assert not bench[1].requests


def test_openai_unknown_model(bench, oai):
    with pytest.raises(openai.UnprocessableEntityError) as e:
        oai.chat.completions.create(model="nobody-knows-this", messages=SAY)
    assert e.value.code == "no_matching_model" and not bench[1].requests


def test_openai_stream_cut(oai):
    """Content that was sent arrives; then the client raises instead of taking the part for the whole."""
    got = []
    with pytest.raises(openai.APIError):
        for c in oai.chat.completions.create(model="all:cut", messages=SAY, stream=True):
            got.append(c.choices[0].delta.content or "" if c.choices else "")
    assert "".join(got) == TEXT


def test_openai_stream_late_error(oai):
    got = []
    with pytest.raises(openai.APIError):
        for c in oai.chat.completions.create(model="all:late-error", messages=SAY, stream=True):
            got.append(c.choices[0].delta.content or "" if c.choices else "")
    assert "".join(got) == TEXT


def test_openai_cancel_in_mid_stream(bench, oai):
    s = oai.chat.completions.create(model="all:slow", messages=SAY, stream=True)
    next(iter(s))
    s.close()
    oai.close()
    gone_within(bench[1], "slow", 0.1)


def test_openai_cancel_while_waiting(bench, oai):
    with pytest.raises(openai.APITimeoutError):
        oai.with_options(timeout=0.3).chat.completions.create(model="all:mute", messages=SAY)
    gone_within(bench[1], "mute", 0.1)
    time.sleep(0.1)
    assert len(bench[1].seen("mute")) == 1


# ---- openai: responses, embeddings, models ------------------------------------------------------------------------
RESPONSES_PROVIDERS = ["all", "openai", "chat-only", "messages-only"]


@pytest.mark.parametrize("who", RESPONSES_PROVIDERS)
def test_openai_responses(oai, who):
    translates(who, "responses")
    r = oai.responses.create(model=who + ":text", input="hi")
    assert r.output_text == TEXT and r.status == "completed"
    assert (r.usage.input_tokens, r.usage.output_tokens) == dialects.USAGE


@pytest.mark.parametrize("who", RESPONSES_PROVIDERS)
def test_openai_responses_stream(oai, who):
    translates(who, "responses")
    with oai.responses.stream(model=who + ":text", input="hi") as s:
        text = "".join(e.delta for e in s if e.type == "response.output_text.delta")
        final = s.get_final_response()
    assert text == TEXT and final.output_text == TEXT and final.status == "completed"


@pytest.mark.parametrize("who", RESPONSES_PROVIDERS)
@pytest.mark.parametrize("stream", [False, True])
def test_openai_responses_tool(oai, who, stream):
    translates(who, "responses")
    if stream:
        with oai.responses.stream(model=who + ":tool", input="hi", tools=[RESPONSES_TOOL]) as s:
            r = s.get_final_response()
    else:
        r = oai.responses.create(model=who + ":tool", input="hi", tools=[RESPONSES_TOOL])
    call = [i for i in r.output if i.type == "function_call"][0]
    assert call.name == TOOL_NAME and json.loads(call.arguments) == TOOL


def test_openai_responses_cancel(bench, oai):
    s = oai.responses.create(model="all:slow", input="hi", stream=True)
    next(iter(s))
    s.close()
    oai.close()
    gone_within(bench[1], "slow", 0.1)


def test_openai_embeddings(oai):
    r = oai.embeddings.create(model="openai:text-embedding-3-small", input="hi", encoding_format="float")
    assert r.data[0].embedding == [0.25, -0.5, 0.125]


def test_openai_models(oai):
    listed = [m.id for m in oai.models.list()]
    assert "all:text" in listed or "text" in listed
    assert oai.models.retrieve(listed[0]).id == listed[0]
    with pytest.raises(openai.NotFoundError):
        oai.models.retrieve("nobody-knows-this")


def test_openai_async_cancel(bench):
    """The asyncio client drops the connection when its task is cancelled."""
    import asyncio

    async def run():
        bench[1].clear()
        async with openai.AsyncOpenAI(base_url="http://127.0.0.1:%d/v1" % bench[0].port, api_key=TOKEN, max_retries=0) as c:
            async def read():
                async for _ in await c.chat.completions.create(model="all:slow", messages=SAY, stream=True):
                    pass
            task = asyncio.create_task(read())
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    asyncio.run(run())
    gone_within(bench[1], "slow", 0.15)


# ---- anthropic ----------------------------------------------------------------------------------------------------
CLAUDE_PROVIDERS = ["all", "anthropic", "messages-only", "chat-only"]


@pytest.mark.parametrize("who", CLAUDE_PROVIDERS)
def test_anthropic(ant, who):
    translates(who, "messages")
    r = ant.messages.create(model=who + ":text", max_tokens=64, messages=SAY)
    assert r.content[0].text == TEXT and r.stop_reason == "end_turn"
    assert (r.usage.input_tokens, r.usage.output_tokens) == dialects.USAGE


@pytest.mark.parametrize("who", CLAUDE_PROVIDERS)
def test_anthropic_stream(ant, who):
    translates(who, "messages")
    with ant.messages.stream(model=who + ":text", max_tokens=64, messages=SAY) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    assert text == TEXT and final.stop_reason == "end_turn" and final.usage.output_tokens == dialects.USAGE[1]


@pytest.mark.parametrize("who", CLAUDE_PROVIDERS)
@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_tool(ant, who, stream):
    translates(who, "messages")
    if stream:
        with ant.messages.stream(model=who + ":tool", max_tokens=64, messages=SAY, tools=[CLAUDE_TOOL]) as s:
            r = s.get_final_message()
    else:
        r = ant.messages.create(model=who + ":tool", max_tokens=64, messages=SAY, tools=[CLAUDE_TOOL])
    use = [b for b in r.content if b.type == "tool_use"][0]
    assert r.stop_reason == "tool_use" and use.name == TOOL_NAME and use.input == TOOL


def test_anthropic_headers_reach_upstream(bench, ant):
    ant.beta.messages.create(model="anthropic:text", max_tokens=64, messages=SAY, betas=["tools-2024-04-04"], extra_query={"beta": "true"})
    q = bench[1].requests[-1]
    assert q.get("anthropic-beta") == "tools-2024-04-04" and q.get("anthropic-version") == ant.default_headers["anthropic-version"]
    assert q.target.endswith("/messages?beta=true") and q.get("x-api-key") == "sk-ant-canary-0123456789"
    assert q.get("authorization") is None and TOKEN.encode() not in q.raw_head


def test_anthropic_count_tokens(ant):
    assert ant.messages.count_tokens(model="anthropic:text", messages=SAY).input_tokens == 42


def test_anthropic_models_in_extra_body(ant):
    r = ant.messages.create(model="all:e500", max_tokens=64, messages=SAY, extra_body={"models": ["spare:text"]})
    assert r.content[0].text == TEXT


CLAUDE_ERRORS = [
    ("e400", anthropic.BadRequestError), ("e401", anthropic.InternalServerError), ("e404", anthropic.NotFoundError),
    ("e429", anthropic.RateLimitError), ("e500", anthropic.InternalServerError)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model,error", CLAUDE_ERRORS, ids=[e[0] for e in CLAUDE_ERRORS])
def test_anthropic_errors(ant, model, error, stream):
    with pytest.raises(anthropic.APIStatusError) as e:
        ant.messages.create(model="all:" + model, max_tokens=64, messages=SAY, stream=stream)
    assert isinstance(e.value, error)
    assert "sk-canary" not in str(e.value) and e.value.body["type"] == "error"


def test_anthropic_bad_access_key(bench, ant):
    with pytest.raises(anthropic.AuthenticationError) as e:
        ant.with_options(api_key="wrong-key-canary").messages.create(model="all:text", max_tokens=9, messages=SAY)
    assert e.value.body["type"] == "error" and not bench[1].requests


@pytest.mark.parametrize("model", ["cut", "late-error"])
def test_anthropic_stream_fails_late(ant, model):
    got = []
    with pytest.raises(anthropic.APIError):
        with ant.messages.stream(model="all:" + model, max_tokens=64, messages=SAY) as s:
            for t in s.text_stream:
                got.append(t)
    assert "".join(got) == TEXT


def test_anthropic_cancel_in_mid_stream(bench, ant):
    with ant.messages.stream(model="all:slow", max_tokens=64, messages=SAY) as s:
        next(iter(s.text_stream))
    ant.close()
    gone_within(bench[1], "slow", 0.1)


def test_anthropic_models(ant):
    assert any(m.id.endswith("text") and m.type == "model" for m in ant.models.list())


# ---- LangChain ----------------------------------------------------------------------------------------------------
def langchain(kind, port, model):
    pytest.importorskip("langchain_" + kind)
    if kind == "openai":
        from langchain_openai import ChatOpenAI
        return ChatOpenAI(base_url="http://127.0.0.1:%d/v1" % port, api_key=TOKEN, model=model, max_retries=0)
    from langchain_anthropic import ChatAnthropic
    return ChatAnthropic(base_url="http://127.0.0.1:%d" % port, api_key=TOKEN, model=model, max_tokens=64, max_retries=0)


@pytest.mark.parametrize("who", ["chat-only", "messages-only"])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_langchain(bench, kind, who):
    translates(who, {"openai": "chat-completions", "anthropic": "messages"}[kind])
    llm = langchain(kind, bench[0].port, who + ":text")
    r = llm.invoke("hi")
    assert (r.content if isinstance(r.content, str) else "".join(b["text"] for b in r.content)) == TEXT
    assert (r.usage_metadata["input_tokens"], r.usage_metadata["output_tokens"]) == dialects.USAGE
    chunks = [c.content if isinstance(c.content, str) else "".join(b.get("text", "") for b in c.content) for c in llm.stream("hi")]
    assert "".join(chunks) == TEXT


@pytest.mark.parametrize("who", ["chat-only", "messages-only"])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_langchain_tools(bench, kind, who):
    translates(who, {"openai": "chat-completions", "anthropic": "messages"}[kind])
    llm = langchain(kind, bench[0].port, who + ":tool").bind_tools([OPENAI_TOOL])
    call = llm.invoke("hi").tool_calls[0]
    assert call["name"] == TOOL_NAME and call["args"] == TOOL
    total = None
    for c in llm.stream("hi"):
        total = c if total is None else total + c
    assert total.tool_calls[0]["name"] == TOOL_NAME and total.tool_calls[0]["args"] == TOOL


@pytest.mark.parametrize("d", [dialects.Chat, dialects.Messages])
def test_continued_stream(d):
    """router.continueStreams: the first provider breaks off, the second gets the text so far; the official client sees one answer."""
    said, rest = ["Der Anfang ", "geht \u201eso\u201c:\n"], ["und ", "weiter \U0001f600."]
    asked = []

    def play(request):
        if request.model == "breaks":
            return fake.sse(d.opening() + d.content(said), last=[("sleep", 0.05), ("rst",)])
        asked.append(request.json)
        return fake.sse(d.opening() + d.content(rest) + d.closing())

    with fake.Upstream(play) as up:
        conf = config(providers=[provider("one", up.base + "/v1", models=["breaks"]),
                                 {**provider("two", up.base + "/v1", models=["goes-on"]), "assistantPrefix": "trailing"}],
                      accessKeyConfigurations=[{"id": "aigac_c", "name": "c", "router": {"continueStreams": True}}],
                      accessKeys=[{"id": "aigk_test", "name": "test", "token": TOKEN, "accessKeyConfigurationId": "aigac_c"}])
        with Weir(conf) as weir:
            if d is dialects.Chat:
                with openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % weir.port, api_key=TOKEN, max_retries=0, timeout=15) as c:
                    chunks = list(c.chat.completions.create(model="one:breaks", messages=SAY, stream=True, max_tokens=99,
                                                            extra_body={"models": ["two:goes-on"]}, stream_options={"include_usage": True}))
                text = "".join(k.choices[0].delta.content or "" for k in chunks if k.choices)
                assert [k.choices[0].finish_reason for k in chunks if k.choices and k.choices[0].finish_reason] == ["stop"]
                assert len({k.id for k in chunks}) == 1 and chunks[-1].usage.completion_tokens == dialects.USAGE[1] + len(said)
            else:
                with anthropic.Anthropic(base_url="http://127.0.0.1:%d" % weir.port, api_key=TOKEN, max_retries=0, timeout=15) as c:
                    with c.messages.stream(model="one:breaks", messages=SAY, max_tokens=99, extra_body={"models": ["two:goes-on"]}) as s:
                        message = s.get_final_message()
                text = "".join(b.text for b in message.content)
                assert len(message.content) == 1 and message.stop_reason == "end_turn"
                assert message.usage.output_tokens == dialects.USAGE[1] + len(said)
            assert text == "".join(said + rest)
            assert asked[0]["messages"] == SAY + [{"role": "assistant", "content": "".join(said).rstrip()}]
            assert asked[0]["max_tokens"] == 99 - len(said)
            line = weir.wait_line(lambda l: l.get("msg") == "request")
            assert line["continued"] == 1 and [a["outcome"] for a in line["attempts"]] == ["cut", "ok"] and line["end"] == "complete"
