"""F16: a wrong byte in a name or a text, at any depth, is the typed fault of its place: 400 for a
client's request, a broken answer for a provider's. No codec lets UnicodeDecodeError out."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from dialects.chat.chat import Dialect, Text, ToolCall
from dialects.chat.events import (
    Broken,
    Event,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
)
from dialects.chat.fold import AnswerFault
from dialects.codec import Target
from dialects.endpoints import (
    auth_tokens,
    client_secrets,
    edits,
    embeddings,
    moderations,
    rerank,
    vertex_embeddings,
)
from dialects.endpoints.codecs import CODECS
from dialects.endpoints.completions import request_read as completions
from dialects.errors.errors import RequestFault
from dialects.gemini import count_tokens, embed
from dialects.media import images, sound, veo, video_generations, videos
from dialects.media.passed_answer import PassedAnswer, PassedEvents, PassedJson
from dialects.openai.think_tags import untag_answer
from dialects.openai.unary import input_quantities
from dialects.realtime import gemini_live, live, realtime
from dialects.responses import input_tokens, websocket
from dialects.translation import translate
from dialects.usage.usage import Counts
from tests.dialects.exchanges import events_of, fault_of
from tests.dialects.neutral import answer, request

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"')
DIALECTS: tuple[Dialect, ...] = tuple(CODECS)
TOOL = {"name": "run", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "role": "assistant",
            "content": "so",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ],
    "tools": [{"type": "function", "function": TOOL}],
    "max_tokens": 9,
}
ANSWER = answer(
    Text("the answer"),
    ToolCall("c1", "run", '{"a":{"b":"c"}}'),
    finish="tool_calls",
    usage=Counts(input=5, output=3),
)

EVENTS: list[Event] = [
    Start("i", "m"),
    TextDelta(0, "the answer"),
    ToolCallStart(0, 0, "c1", "run"),
    ToolArgumentsDelta(0, 0, '{"a":{"b":"c"}}'),
    ToolCallEnd(0, 0),
]


class Counted(NamedTuple):
    """What a codec takes the quantities of an answer from."""

    usage: bytes
    text_bytes: int = 0
    reasoning_bytes: int = 0
    searches: int = 0


def passing(open_answer: Callable[[], PassedAnswer], form: bytes = b"%b") -> Callable[[bytes], Any]:
    def read(raw: bytes) -> None:
        answer = open_answer()
        answer.feed(form % raw)
        answer.end()

    return read


def spoiled(raw: bytes) -> Iterator[bytes]:
    """The text with a wrong byte in one of its strings: a name, a value, or one deeper inside."""
    for string in _STRING.finditer(raw):
        yield raw[: string.end() - 1] + b"\xff" + raw[string.end() - 1 :]


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_request_of_each_dialect_is_malformed(dialect: Dialect) -> None:
    codec, target = CODECS[dialect], Target("m")
    raw = translate(as_json(CHAT), "openai", dialect, "m").body
    assert codec.read(raw, target)
    for wrong in spoiled(raw):
        with pytest.raises(RequestFault) as caught:
            codec.read(wrong, target)
        assert caught.value.kind == "malformed_json"
        assert "invalid UTF-8 at line 1, column " in str(caught.value)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whole_answer_of_each_dialect_is_broken(dialect: Dialect) -> None:
    codec = CODECS[dialect]
    raw = codec.write_answer(ANSWER, request(dialect=dialect))
    assert codec.read_answer(raw).broken is None
    for wrong in spoiled(raw):
        assert codec.read_answer(wrong).broken == "F16"
        assert codec.translate_answer(wrong, request(), "").broken == "F16"
        untag_answer(wrong)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_stream_of_each_dialect_is_broken(dialect: Dialect) -> None:
    """A text, and the arguments of a call."""
    codec = CODECS[dialect]
    encoder = codec.encoder(request(dialect=dialect), Target("m", stream=True))
    pieces = [encoder.feed(event) for event in EVENTS]
    for at, piece in enumerate(pieces):
        before = b"".join(pieces[:at])
        for wrong in spoiled(piece):
            decoder = codec.translating_decoder(request(), "")
            framing = CODECS[dialect].framing(lambda: 0)
            frames = before + wrong if framing is None else framing.feed(before + wrong)
            last = events_of([*decoder.feed(frames), *decoder.end()])[-1]
            assert last == Broken("F16")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_error_of_each_dialect_is_an_upstreams(dialect: Dialect) -> None:
    codec = CODECS[dialect]
    raw = codec.render(
        "rate_limited", "wait", param=None, code="c", request_id="r", wait_ms=9, target=Target()
    )
    for wrong in spoiled(raw):
        assert codec.read_error(429, {}, wrong, 0).event.kind == "upstream_rate_limited"
        codec.read_error_object(wrong)


READERS: dict[str, tuple[Callable[[bytes], Any], Any]] = {
    "auth tokens": (lambda raw: auth_tokens.read_request(raw, 0), {"uses": 1, "a": {"b": "c"}}),
    "client secrets": (client_secrets.read_request, {"session": {"model": "m", "a": ["b"]}}),
    "completions": (completions.read, {"model": "m", "prompt": ["hi"], "a": {"b": "c"}}),
    "edits": (
        lambda raw: edits.read(raw, request_id="r", received_at=0),
        {"model": "m", "instruction": "fix", "input": "x", "a": {"b": "c"}},
    ),
    "embeddings": (embeddings.read, {"model": "m", "input": ["hi"], "a": {"b": "c"}}),
    "moderations": (moderations.read, {"model": "m", "input": [{"type": "text", "text": "x"}]}),
    "rerank": (
        lambda raw: rerank.read(raw, form="jina"),
        {"model": "m", "query": "q", "documents": [{"text": "d"}]},
    ),
    "pictures": (
        lambda raw: images.read(raw, "image_generations"),
        {"model": "m", "prompt": "cat", "a": {"b": "c"}},
    ),
    "speech": (sound.read_speech, {"model": "m", "input": "hi", "voice": {"id": "v"}}),
    "videos": (videos.read, {"model": "m", "prompt": "cat", "a": {"b": "c"}}),
    "remixes": (videos.read_remix, {"prompt": "cat", "a": {"b": "c"}}),
    "generations": (video_generations.read, {"model": "m", "prompt": "cat", "a": {"b": "c"}}),
    "veo": (
        lambda raw: veo.read(raw, "m"),
        {"instances": [{"prompt": "cat"}], "parameters": {"a": "b"}},
    ),
    "gemini embeddings": (
        lambda raw: embed.read(raw, model="m", batch=False),
        {"content": {"parts": [{"text": "x"}]}},
    ),
    "gemini count": (
        lambda raw: count_tokens.read_request(raw, model="m"),
        {"contents": [{"parts": [{"text": "x"}]}]},
    ),
    "responses count": (input_tokens.read_request, {"model": "m", "input": [{"content": "x"}]}),
    "responses socket": (
        websocket.read_client_event,
        {"type": "response.create", "model": "m", "input": [{"content": "x"}]},
    ),
    "gemini live": (gemini_live.read_setup, {"setup": {"model": "m", "a": {"b": "c"}}}),
    "live": (
        lambda raw: live.read_update(raw, live.read_client_event(raw)),
        {"type": "session.update", "session": {"delegation": {"type": "client"}}},
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_request_of_each_endpoint_is_malformed(reader: str) -> None:
    read, body = READERS[reader]
    for wrong in spoiled(as_json(body)):
        with pytest.raises(RequestFault) as caught:
            read(wrong)
        assert caught.value.kind == "malformed_json"


USAGE = {"prompt_tokens": 3, "total_tokens": 3, "prompt_tokens_details": {"a": "b"}}
ANSWERS: dict[str, tuple[Callable[[bytes], Any], Any]] = {
    "embeddings": (
        embeddings.decode_answer,
        {"model": "m", "data": [{"index": 0, "embedding": "AACAPw=="}], "usage": USAGE},
    ),
    "gemini embeddings": (
        embeddings.decode_gemini_answer,
        {"embedding": {"values": [0.5], "a": "b"}, "a": "b"},
    ),
    "vertex embeddings": (
        vertex_embeddings.decode_answer,
        {"predictions": [{"embeddings": {"values": [0.5], "statistics": {"token_count": 1}}}]},
    ),
    "moderations": (
        moderations.decode_answer,
        {"results": [{"flagged": True, "categories": {"a": True}, "category_scores": {"a": 0.5}}]},
    ),
    "rerank": (
        rerank.decode_answer,
        {"results": [{"index": 0, "relevance_score": 0.5, "document": {"text": "d"}}]},
    ),
    "pictures": (passing(PassedJson), {"data": [{"b64_json": "AA=="}], "usage": USAGE}),
    "events of pictures": (
        passing(lambda: PassedEvents((".completed",)), b"data: %b\n\n"),
        {"type": "image_generation.completed", "b64_json": "AA==", "usage": USAGE},
    ),
    "accepted videos": (videos.read_accepted, {"id": "v1", "status": "queued", "a": {"b": "c"}}),
    "videos": (lambda raw: videos.read_status(raw, "v1"), {"id": "v1", "status": "queued"}),
}


@pytest.mark.parametrize("reader", ANSWERS)
def test_answer_of_each_endpoint_is_broken(reader: str) -> None:
    read, body = ANSWERS[reader]
    raw = as_json(body)
    read(raw)
    for wrong in spoiled(raw):
        with pytest.raises(AnswerFault) as caught:
            read(wrong)
        assert fault_of(caught) in ("F15", "F16")


EVENT = {
    "type": "response.done",
    "response": {"id": "r", "status": "completed", "usage": {"a": "b"}},
    "session": {"id": "s", "model": "m"},
    "error": {"code": "c"},
    "sessionResumptionUpdate": {"newHandle": "h"},
    "usageMetadata": {"a": "b"},
}


def test_realtime_event_is_unreadable_or_has_no_such_member() -> None:
    """The relay makes F15 of ValueError, and F16 of an event that is no UTF-8 as a whole."""
    for wrong in spoiled(as_json(EVENT)):
        heard = read_event(realtime.read_server_event, wrong)
        if heard is not None:
            realtime.read_settings(heard.session)
            read_event(realtime.read_response, heard)
        heard = read_event(live.read_server_event, wrong)
        if heard is not None:
            live.error_answer(heard)
        read_event(gemini_live.read_server_message, wrong)
        realtime.read_client_event(wrong)
        live.session_id(wrong)
        assert realtime.limit_tokens(wrong, "response", "max_output_tokens", 9, "inf") == wrong
        assert isinstance(websocket.read_stream_event(wrong), websocket.StreamEvent)


def read_event(read: Callable[[Any], Any], event: Any) -> Any:
    try:
        return read(event)
    except UnicodeDecodeError:
        pytest.fail("the event was decoded without a fault of its own")
    except ValueError:
        return None


def test_unary_usage_is_unreadable() -> None:
    for wrong in spoiled(as_json(USAGE)):
        assert "usage_unreadable" in input_quantities(wrong).flags
        for codec in CODECS.values():
            assert "usage_unreadable" in codec.quantities(Counted(wrong)).flags
