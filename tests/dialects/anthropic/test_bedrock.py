"""Claude's messages in Bedrock's form: the body, and the binary stream."""

import json
from base64 import b64decode
from typing import get_args

import pytest
from anthropic.types import AnthropicBetaParam
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.bedrock import BETAS, BedrockDecoder, BedrockMessagesCodec
from dialects.anthropic.hosted import urls_to_fetch
from dialects.anthropic.stream.decode import Decoder
from dialects.chat.chat import (
    File,
    FunctionTool,
    Image,
    Message,
    Text,
    Upstream,
    Url,
    WebSearch,
)
from dialects.chat.events import Broken, End, Event, UpstreamError
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from tests.dialects import neutral
from tests.dialects.anthropic.golden import GOLDEN
from tests.fakes.aws_stream import chunk, exception

CODEC = BedrockMessagesCodec()
BODY = (
    b'{"model": "m", "stream": true, "max_tokens": 5, "metadata": {"user_id": "u"},\n "messages": '
    b'[{"role": "user", "content": "hi"}], "service_tier": "auto", "weird": [1.50]}'
)
STREAMS = ["anthropic_stream_thinking_tool_use.sse", "anthropic_stream_web_search.sse"]
UPSTREAM = Upstream("anthropic.claude-sonnet-4-5-20250929-v1:0")


def _sent(
    body: bytes, headers: dict[str, str], cap: int | None = None
) -> tuple[bytes, tuple[str, ...]]:
    facts = CODEC.read(body, Target())
    quirks = CODEC.fit_headers(facts, CODEC.quirks_for(facts, UPSTREAM, {}), headers)
    return CODEC.edit(facts, "ignored", cap, None, quirks), quirks.dropped


def test_pictures_and_documents_are_fetched() -> None:
    parts = (Image(Url("https://a/x.png")), Text("Read."), File(Url("https://a/x.pdf")))
    request = neutral.request(Message("user", parts))
    assert urls_to_fetch(request) == ("https://a/x.png", "https://a/x.pdf")


def test_the_clients_bytes_are_kept() -> None:
    body, dropped = _sent(BODY, {})
    assert body == (
        b'{"max_tokens": 5, "metadata": {"user_id": "u"},\n "messages": [{"role": "user", "content"'
        b': "hi"}], "weird": [1.50],"anthropic_version":"bedrock-2023-05-31"}'
    )
    assert dropped == ("service_tier",)
    assert json.loads(_sent(BODY, {}, cap=3)[0])["max_tokens"] == 3


def test_a_foreign_thought_is_removed_too() -> None:
    turn = {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "openai:x"},
            {"type": "text", "text": "Hello"},
        ],
    }
    sent = json.loads(BODY) | {"messages": [{"role": "user", "content": "hi"}, turn]}
    body = json.loads(_sent(json.dumps(sent).encode(), {})[0])
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Hello"}]
    assert body["anthropic_version"] == "bedrock-2023-05-31"


@given(st.lists(st.sampled_from(sorted(BETAS)), unique=True), st.booleans())
def test_betas_of_the_header_and_of_the_body(wanted: list[str], own: bool) -> None:
    sent = json.loads(BODY) | ({"anthropic_beta": ["own-2026-01-01"]} if own else {})
    header = ", ".join([*wanted, "unknown-2030-01-01"])
    body, dropped = _sent(json.dumps(sent).encode(), {"anthropic-beta": header})
    betas = [*(["own-2026-01-01"] if own else []), *wanted]
    assert json.loads(body).get("anthropic_beta", []) == betas
    assert dropped == ("service_tier", "unknown-2030-01-01")


def test_betas_are_those_that_bedrock_documents() -> None:
    """docs.aws.amazon.com, "Anthropic Claude Messages API", Beta headers: ten that the official
    client knows too, and four of Bedrock's own. A lost one would silently switch a feature off."""
    official = {*get_args(get_args(AnthropicBetaParam)[1])}
    assert len(BETAS & official) == 10
    assert BETAS - official == {
        "effort-2025-11-24", "fine-grained-tool-streaming-2025-05-14",
        "tool-examples-2025-10-29", "tool-search-tool-2025-10-19",
    }  # fmt: skip


def test_a_translated_body() -> None:
    picture = Image(Url("https://a.example/x.png"))
    request = neutral.request(
        Message("user", (Text("hi"), picture)), stream=True, service_tier="auto", output_cap=9
    )
    encoded = CODEC.encode(request, UPSTREAM)
    body = json.loads(encoded.body)
    assert body.keys() == {"anthropic_version", "max_tokens", "messages"}
    assert encoded.dropped == ("service_tier",)
    # Bedrock fetches nothing.
    assert CODEC.urls_to_fetch(request) == ("https://a.example/x.png",)


def test_there_is_no_web_search() -> None:
    """An agent can do without, if it has tools of its own; who asks for nothing else is refused."""
    search = WebSearch("anthropic", {"type": "web_search_20250305", "name": "web_search"})
    encoded = CODEC.encode(neutral.request(tools=(search, FunctionTool("f"))), UPSTREAM)
    assert [tool["name"] for tool in json.loads(encoded.body)["tools"]] == ["f"]
    assert encoded.dropped == ("tools.web_search",)
    with pytest.raises(RequestFault):
        CODEC.encode(neutral.request(tools=(search,)), UPSTREAM)


def _frames(raw: bytes) -> list[bytes]:
    """The data of each server-sent event."""
    lines = raw.replace(b"\r\n", b"\n").split(b"\n")
    return [line[6:] for line in lines if line.startswith(b"data: ")]


def _run(decoder: Decoder, *pieces: bytes) -> tuple[bytes, list[Event]]:
    steps = [step for piece in pieces for step in decoder.feed(piece)] + decoder.end()
    return b"".join(s.raw for s in steps), [event for s in steps for event in s.events]


@pytest.mark.parametrize("translate", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_stream_means_the_same_as_claudes_own(name: str, translate: bool) -> None:
    recorded = (GOLDEN / name).read_bytes()
    data = _frames(recorded)
    binary = b"".join(map(chunk, data))
    raw, events = _run(BedrockDecoder(translate=translate), binary)
    assert events == _run(Decoder(translate=translate), recorded)[1]
    if not translate:
        # What the client reads is a stream of Claude's own.
        again, _ = _run(Decoder(), raw)
        assert again == raw
        assert [json.loads(one) for one in _frames(raw)] == [json.loads(one) for one in data]
    pieces = [binary[at : at + 7] for at in range(0, len(binary), 7)]
    assert _run(BedrockDecoder(translate=translate), *pieces)[1] == events


def test_the_metrics_of_amazon_are_not_shown() -> None:
    start = b'{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}'
    stop = b'{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}'
    raw, events = _run(BedrockDecoder(), chunk(start), chunk(stop))
    assert raw.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert events[-1] == End(True)


@pytest.mark.parametrize(
    "event",
    [
        b'{"delta":{"type":"text_delta","text":"a"},"index":0,"type":"content_block_delta"}',
        b'{"type":"content_block_delta",\n"index":0,\r"delta":{"type":"text_delta","text":"a"}}',
    ],
)
def test_line_ends_and_order_of_members_break_no_frame(event: bytes) -> None:
    """F31."""
    raw, _ = _run(BedrockDecoder(), chunk(event))
    name, data, end = raw.split(b"\n", 2)
    assert (name, end) == (b"event: content_block_delta", b"\n")
    assert json.loads(data.removeprefix(b"data: ")) == json.loads(event)


def test_an_exception_ends_the_stream_in_the_clients_words() -> None:
    start = b'{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}'
    raw, events = _run(BedrockDecoder(), chunk(start), exception("throttlingException", "AKIA no"))
    assert isinstance(events[-1], UpstreamError)
    assert events[-1].kind == "upstream_rate_limited"
    (error,) = _frames(raw)[1:]
    assert json.loads(error)["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize("name", STREAMS)
def test_a_cut_is_never_an_end(name: str) -> None:
    data = _frames((GOLDEN / name).read_bytes())
    binary = b"".join(map(chunk, data))
    finish = binary.index(
        chunk(next(one for one in data if b"stop_reason" in one and b"delta" in one))
    )
    for at in range(0, finish, 11):
        events = _run(BedrockDecoder(), binary[:at])[1]
        assert isinstance(events[-1], Broken)
        assert events[-1].fault in ("F14", "F24")


def test_nested_count_comes_back_in_claudes_form() -> None:
    body = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    sent = json.loads(CODEC.count_request(body))
    inner = json.loads(b64decode(sent["input"]["invokeModel"]["body"]))
    assert inner == {
        "messages": [{"role": "user", "content": "hi"}],
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 1,
    }
    assert json.loads(CODEC.count_answer(b'{"inputTokens": 7}')) == {"input_tokens": 7}
    assert CODEC.count_answer(b"{}") == b""


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("anthropic.claude-opus-4-6-v1", "anthropic.claude-opus-4-6-v1"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-6-v1",
            "anthropic.claude-opus-4-6-v1",
        ),
        ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/a1b2c3", None),
    ],
)
def test_profiles_are_counted_by_their_model(model: str, counted: str | None) -> None:
    assert CODEC.count_model(model) == counted
