"""What models want otherwise than their dialect has it, where the client's bytes go on as they
came, and the reasoning of earlier tool calls that clients do not show again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask, chunks_of
from tests.relay.speakers import SPEAKERS, SpokenAnswer, Wish
from tests.support.hub import Answer, Hub

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USAGE = (
    '{"prompt_tokens":100,"completion_tokens": 200,"total_tokens":600,'
    '"completion_tokens_details":{"reasoning_tokens":300}}'
)
GROK = (
    'data: {"id":"g","object":"chat.completion.chunk","created":1,"model":"grok-4","choices":'
    '[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}\n\n'
    f'data: {{"id":"g","object":"chat.completion.chunk","choices":[],"usage":{USAGE}}}\n\n'
    "data: [DONE]\n\n"
)
GROK_WHOLE = (
    '{"id":"g","object":"chat.completion","created":1,"model":"grok-4","choices":[{"index":0,'
    '"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}], '
    f'"usage":{USAGE}}}'
)


def read_row(hub: Hub, fake: FakeUpstream, answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("provider", "upstream_model", "fields", "dropped", "seen"),
    [
        ("azure_openai", "gpt-5", {"max_tokens": 50, "temperature": 0.5}, "temperature",
         {"max_completion_tokens": 50}),
        ("deepseek", "deepseek-v3-1-250821", {}, None, {"thinking": {"type": "disabled"}}),
        ("qwen", "qwen3-coder-plus", {"parameters": {"enable_search": True, "top_p": 1}}, None,
         {"enable_search": True, "top_p": 1}),
        ("glm", "glm-4.7", {"tools": [TOOL], "tool_choice": "required"}, "tool_choice",
         {"tools": [TOOL]}),
        ("kimi", "kimi-k2.5", {"temperature": 1.6, "parameters": {"x": 1}}, "parameters",
         {"temperature": 1}),
        ("xai", "grok-4", {"stop": "x", "reasoning_effort": "low"}, "stop,reasoning_effort", {}),
        ("openai_compatible", "local", {"parameters": {"x": 1}}, None, {"parameters": {"x": 1}}),
        ("mistral", "mistral-large-2512", {"seed": 7, "max_completion_tokens": 50, "user": "u"},
         "user", {"random_seed": 7, "max_tokens": 50}),
        ("groq", "openai/gpt-oss-120b", {"logprobs": True, "top_p": 1}, "logprobs", {"top_p": 1}),
    ],
)  # fmt: skip
def test_the_bytes_fit_the_model(
    hub: Hub,
    fake: FakeUpstream,
    provider: str,
    upstream_model: str,
    fields: dict[str, Any],
    dropped: str | None,
    seen: dict[str, Any],
) -> None:
    model = hub.model(fake, provider=provider, upstream_model=upstream_model)
    answer = hub.post(hub.tenant(), ask(model, "#keep #tokens=1", **fields))
    row = read_row(hub, fake, answer)
    body = json.loads(row["body"])
    assert {name: body[name] for name in body if name not in ("model", "messages")} == seen
    assert answer.headers.get("x-weir-dropped-params") == dropped


@contextmanager
def saying(streamed: str, whole: str) -> Iterator[str]:
    """A provider that answers this, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            message = (streamed if asked.get("stream") else whole).encode()
            kind = "text/event-stream" if asked.get("stream") else "application/json"
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(message)))
            self.end_headers()
            self.wfile.write(message)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("stream", [False, True])
def test_grok_reports_reasoning_inside(hub: Hub, stream: bool) -> None:
    """Of the whole answer one number is written anew, and the books count it as it was."""
    tenant = hub.tenant()
    with saying(GROK, GROK_WHOLE) as url:
        model = hub.model(url, upstream_model="grok-4")
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if stream else {}
        answer = hub.post(tenant, ask(model, stream=stream, **options))
    sent = (GROK if stream else GROK_WHOLE).replace('"grok-4"', f'"{model}"').encode()
    assert answer.body == sent.replace(b'"completion_tokens": 200', b'"completion_tokens": 500')
    record = hub.record(answer.headers["x-request-id"])
    assert record["meters"] == {"in_text": 100, "out_text": 200, "out_reasoning": 300}
    assert record["raw_usage"]["completion_tokens"] == 200


MISTRAL_DELTAS: tuple[Any, ...] = (
    [{"type": "thinking", "thinking": [{"type": "text", "text": "plan"}]}],
    [{"type": "text", "text": "ans"}],
    "wer",
)
MISTRAL_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "num_cached_tokens": 0,
}


def mistral() -> tuple[str, str]:
    """An answer of a model that reasons, as a stream and as a whole. The last chunk of the stream
    has the usage, which nobody asked for."""
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": content}, "finish_reason": None}
        for content in MISTRAL_DELTAS
    ]
    choices.append({"index": 0, "delta": {"content": ""}, "finish_reason": "stop"})
    head = {"id": "m", "created": 1, "model": "mistral-medium-3-5"}
    chunks: list[dict[str, Any]] = [
        head | {"object": "chat.completion.chunk", "choices": [choice]} for choice in choices
    ]
    chunks[-1]["usage"] = MISTRAL_USAGE
    frames = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    content = [*MISTRAL_DELTAS[0], {"type": "text", "text": "answer"}]
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = head | {"object": "chat.completion", "choices": [choice], "usage": MISTRAL_USAGE}
    return f"{frames}data: [DONE]\n\n", json.dumps(whole)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_mistral_reasoning_is_where_clients_expect_it(hub: Hub, client: str, stream: bool) -> None:
    """Its content is a list of chunks while it reasons, and it reports usage unasked."""
    speaker, tenant = SPEAKERS[client], hub.tenant()
    with saying(*mistral()) as url:
        model = hub.model(url, upstream_model="mistral-medium-3-5")
        body = speaker.body(model, Wish("hi", stream, think=True))
        answer = hub.post(tenant, body, path=speaker.path(model, stream=stream))
    assert answer.status == 200, answer.body
    spoken = speaker.read(answer)
    assert (spoken.text, spoken.reasoning, spoken.error) == ("answer", "plan", None)
    record = hub.record(answer.headers["x-request-id"])
    assert record["meters"] == {"in_text": 100, "out_text": 50}


def turn_of(answer: Answer, *, stream: bool) -> dict[str, Any]:
    """The assistant's turn of an answer, as a client keeps it that knows no reasoning."""
    if not stream:
        message = answer.json()["choices"][0]["message"]
        calls = message["tool_calls"]
    else:
        pieces = [
            call
            for chunk in chunks_of(answer)
            for choice in chunk["choices"]
            for call in choice["delta"].get("tool_calls") or ()
        ]
        arguments = "".join(piece["function"].get("arguments") or "" for piece in pieces)
        head = pieces[0]["function"]
        calls = [{"id": pieces[0]["id"], "type": "function",
                  "function": {"name": head["name"], "arguments": arguments}}]  # fmt: skip
    messages = [{name: call[name] for name in ("id", "type", "function")} for call in calls]
    return {"role": "assistant", "content": None, "tool_calls": messages}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("provider", "upstream_model"),
    [
        ("deepseek", "deepseek-v4-pro"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gemini", "gemini-3-pro-preview"),
    ],
)
def test_reasoning_comes_back_with_the_call_it_led_to(
    hub: Hub, fake: FakeUpstream, provider: str, upstream_model: str, stream: bool
) -> None:
    """The client drops what it does not know; the provider is shown it all the same."""
    tenant, model = hub.tenant(), hub.model(fake, provider=provider, upstream_model=upstream_model)
    body = ask(model, "#reasoning=3 #tools=1 #keep", tools=[TOOL], stream=stream, max_tokens=4096,
               reasoning_effort="high")  # fmt: skip
    first = hub.post(tenant, body)
    assert first.status == 200, first.body
    turn = turn_of(first, stream=stream)
    result = {"role": "tool", "tool_call_id": turn["tool_calls"][0]["id"], "content": "ok"}
    again = body | {"messages": [*body["messages"], turn, result]}
    row = read_row(hub, fake, hub.post(tenant, again))
    if provider == "deepseek":
        assert json.loads(row["body"])["messages"][1]["reasoning_content"]
    else:
        assert row["seals"] == 1
    # What another team's client shows is only what it was told itself.
    row = read_row(hub, fake, hub.post(hub.tenant(), again))
    if provider == "deepseek":
        assert json.loads(row["body"])["messages"][1]["reasoning_content"] == ""
    else:
        assert row["seals"] == 0


def test_reasoning_of_an_unstored_answer_is_gone(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    model = hub.model(fake, provider="deepseek", upstream_model="deepseek-v4-pro")
    body = ask(model, "#reasoning=3 #tools=1", tools=[TOOL], store=False)
    assert hub.post(tenant, body).status == 200
    kept = "SELECT * FROM gateway_keptstate WHERE organisation_id = %s"
    assert hub.rows(kept, tenant.organisation_id) == []


def chat_of(*texts: str) -> tuple[str, str]:
    """A stream of these pieces of text, and the same as a whole."""
    head: dict[str, Any] = {"id": "c", "created": 1, "model": "theirs"}
    chunks: list[Any] = [
        {"index": 0, "delta": {"content": text}, "finish_reason": None} for text in texts
    ]
    chunks.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    messages = [head | {"object": "chat.completion.chunk", "choices": [one]} for one in chunks]
    frames = [f"data: {json.dumps(one)}\n\n" for one in messages]
    message = {"role": "assistant", "content": "".join(texts)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = json.dumps(head | {"object": "chat.completion", "choices": [choice]})
    return "".join(frames), whole


def ask_speaker(
    hub: Hub, client: str, stream: bool, upstream_model: str, *texts: str
) -> SpokenAnswer:
    """What a client hears of a provider that says this, without an end marker (F14a)."""
    speaker = SPEAKERS[client]
    with saying(*chat_of(*texts)) as url:
        model = hub.model(url, upstream_model=upstream_model)
        body = speaker.body(model, Wish("hi", stream, think=True))
        answer = hub.post(hub.tenant(), body, path=speaker.path(model, stream=stream))
    assert answer.status == 200, answer.body
    # Amazon's dialect names no model.
    assert (f'"{model}"'.encode() in answer.body) == (client != "converse")
    assert b"theirs" not in answer.body
    text = speaker.read(answer)
    assert (text.whole, text.error) == (True, None)
    assert hub.record(answer.headers["x-request-id"])["status"] == 200
    return text


every_client = pytest.mark.parametrize("client", SPEAKERS)
plain_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@every_client
@plain_and_streamed
def test_reasoning_in_tags_is_reasoning_for_every_client(
    hub: Hub, client: str, stream: bool
) -> None:
    """Where the row of the model says so."""
    texts = ("<thi", "nk>\nlet me", " see</th", "ink>\n\nit is", " four")
    text = ask_speaker(hub, client, stream, "qwq-32b", *texts)
    assert (text.reasoning, text.text) == ("let me see", "it is four")
    text = ask_speaker(hub, client, stream, "other", *texts)
    assert (text.reasoning, text.text) == ("", "".join(texts))


@every_client
@plain_and_streamed
def test_lone_surrogate_ends_nothing(hub: Hub, client: str, stream: bool) -> None:
    """F15a: joined with its other half or U+FFFD on translation, as it came on a pass-through."""
    text = ask_speaker(hub, client, stream, "other", "a\ud83d", "\ude00b", "\ud83d").text
    if client == "openai":
        assert (
            text.encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
            .startswith("a\U0001f600b")
        )
    else:
        assert text == "a\U0001f600b\ufffd"
