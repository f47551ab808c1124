"""P31: a streamed answer is stored as the whole answer that it forms, as far as it came, and
redacted as a whole: cutting a stream lets nothing through."""

import json
from functools import partial
from typing import Any, Final

import pytest

from content.log.conversation import conversation_of
from content.log.folding import fold_stream
from content.log.kept import Kept
from content.log.redaction import Redaction, redacting_rules
from content.log.stored import to_store
from content.rules.rules import REDACTED_BY_DEFAULT
from dialects.chat import events as neutral
from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.kinds import ErrorKind

CARD: Final = "4111 1111 1111 1111"
ANSWERED: Final = f"Your card is {CARD}, it seems."
ARGUMENTS: Final = json.dumps({"number": f"\n{CARD}"})
_TOOL: Final = {"name": "pay", "description": "Pay", "parameters": {"type": "object"}}
REQUESTS: Final[dict[Dialect, dict[str, Any]]] = {
    "openai": {
        "messages": [{"role": "user", "content": "Pay"}],
        "tools": [{"type": "function", "function": _TOOL}],
    },
    "responses": {"input": "Pay", "tools": [{"type": "function", **_TOOL}]},
    "anthropic": {
        "max_tokens": 9, "messages": [{"role": "user", "content": "Pay"}],
        "tools": [{"name": "pay", "input_schema": {"type": "object"}}],
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "Pay"}]}],
        "tools": [{"functionDeclarations": [_TOOL]}],
    },
    "interactions": {"input": "Pay", "tools": [{"type": "function", **_TOOL}]},
    "converse": {
        "messages": [{"role": "user", "content": [{"text": "Pay"}]}],
        "toolConfig": {"tools": [
            {"toolSpec": {"name": "pay", "inputSchema": {"json": {"type": "object"}}}}
        ]},
    },
}  # fmt: skip
_OPERATIONS: Final = {
    "openai": "chat_completions", "responses": "responses", "anthropic": "messages",
    "gemini": "stream_generate_content", "interactions": "interactions",
    "converse": "converse_stream",
}  # fmt: skip


def body_of(dialect: Dialect) -> bytes:
    return json.dumps({"model": "m", "stream": True, **REQUESTS[dialect]}).encode()


def frames_of(dialect: Dialect, error: ErrorKind | None = None, *, array: bool = False) -> bytes:
    """A stream with a text and a call of a tool, each in small pieces."""
    codec, target = CODECS[dialect], Target("m", stream=True, array=array)
    asked = codec.decode(codec.read(body_of(dialect), target), target, "0" * 26, 1)
    encoder = codec.encoder(asked, target)
    frames = [encoder.feed(neutral.Start("a", "m", 1))]
    for at in range(0, len(ANSWERED), 5):
        frames.append(encoder.feed(neutral.TextDelta(0, ANSWERED[at : at + 5])))
    if error is not None:
        return b"".join([*frames, encoder.fail(error, f"It failed for {CARD}")])
    frames.append(encoder.feed(neutral.ToolCallStart(0, 0, "call_1", "pay")))
    for at in range(0, len(ARGUMENTS), 5):
        frames.append(encoder.feed(neutral.ToolArgumentsDelta(0, 0, ARGUMENTS[at : at + 5])))
    frames.append(encoder.feed(neutral.ToolCallEnd(0, 0)))
    frames.append(encoder.feed(neutral.Finish(0, "tool_calls")))
    return b"".join([*frames, encoder.end()])


def stored(
    dialect: Dialect,
    frames: bytes,
    request: bytes = b"",
    operation: str = "",
    content_type: str = "text/event-stream",
    *,
    stream: bool = True,
) -> Kept:
    request = request or body_of(dialect)
    fold = partial(
        fold_stream, request=request, dialect=dialect, model="m",
        operation=operation or _OPERATIONS[dialect], request_id="0" * 26, received_at=1,
    )  # fmt: skip
    kept = Kept(request, frames, content_type, stream)
    return to_store(kept, fold, Redaction(redacting_rules((), REDACTED_BY_DEFAULT), {}))


def said(kept: Kept, dialect: Dialect) -> list[str]:
    turns = conversation_of(kept, dialect, "m")
    assert turns is not None
    return [piece.text for turn in turns[1:] for piece in turn.pieces]


@pytest.mark.parametrize("dialect", REQUESTS)
def test_stream_is_stored_as_a_whole_answer(dialect: Dialect) -> None:
    frames = frames_of(dialect)
    kept = stored(dialect, frames)
    assert (kept.broken, kept.error, kept.left_out) == (False, "", ())
    text, arguments = said(kept, dialect)
    assert text == "Your card is <CARD_1>, it seems."
    assert json.loads(arguments) == {"number": "\n<CARD_1>"}
    assert len(kept.answer) < len(frames) * 0.7


@pytest.mark.parametrize("dialect", REQUESTS)
def test_stream_cut_anywhere_lets_no_number_through(dialect: Dialect) -> None:
    frames, ends = frames_of(dialect), set[str]()
    for end in range(0, len(frames), 13):
        kept = stored(dialect, frames[:end])
        assert kept.left_out == ()
        parts = said(kept, dialect)
        assert not parts or "Your card is <CARD_1>, it seems.".startswith(parts[0]), parts
        assert "4111" not in kept.answer.decode().replace("<CARD", "")
        ends.update(parts[:1])
    assert {"Your card is ", "Your card is <CARD_1>, it seems."} <= ends


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("dialect", [one for one in REQUESTS if one != "gemini"])
def test_call_that_the_limit_cut_is_kept_as_far_as_it_came(dialect: Dialect, ends: bool) -> None:
    """The client received it and paid for it. What could begin a number is left out, as of a text
    that broke off. `ends`: the provider ended the call; Weir does not. A stream of Gemini has only
    whole calls."""
    for number, came in (("12 and 4111 1111", "12 and "), (f"{CARD}, 1", "<CARD_1>, ")):
        kept = stored(dialect, cut_frames(dialect, f'{{"number": "No. {number}', ends=ends))
        assert (kept.broken, kept.left_out) == (False, ())
        (text,) = said(kept, dialect)
        raw = json.loads(text)["_raw"] if "_raw" in text else text
        assert raw == f'{{"number": "No. {came}'


def cut_frames(dialect: Dialect, arguments: str, *, ends: bool) -> bytes:
    codec, target = CODECS[dialect], Target("m", stream=True)
    asked = codec.decode(codec.read(body_of(dialect), target), target, "0" * 26, 1)
    encoder = codec.encoder(asked, target)
    told: list[neutral.Event] = [
        neutral.Start("a", "m", 1),
        neutral.ToolCallStart(0, 0, "call_1", "pay"),
        neutral.ToolArgumentsDelta(0, 0, arguments),
        *([neutral.ToolCallEnd(0, 0)] if ends else []),
        neutral.Finish(0, "length"),
    ]
    return b"".join(map(encoder.feed, told)) + encoder.end()


@pytest.mark.parametrize("dialect", REQUESTS)
def test_stream_that_failed_says_so(dialect: Dialect) -> None:
    kept = stored(dialect, frames_of(dialect, "upstream_error"))
    assert kept.broken
    assert kept.error.endswith("It failed for <CARD_1>")
    assert said(kept, dialect)[0] == "Your card is <CARD_1>, it seems."


def test_stream_of_an_array_is_read_as_one_of_events() -> None:
    kept = stored("gemini", frames_of("gemini", array=True), content_type="application/json")
    assert said(kept, "gemini")[0] == "Your card is <CARD_1>, it seems."


def test_answer_to_a_request_that_only_its_provider_understands_is_read() -> None:
    odd = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user"}]}).encode()
    kept = stored("openai", frames_of("openai"), odd)
    assert "Your card is <CARD_1>, it seems." in kept.answer.decode()


def test_streamed_completion_is_stored_whole() -> None:
    def chunk(text: str, finish: str | None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        body = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
        return b"data: " + json.dumps({**body, "choices": [choice]}).encode() + b"\n\n"

    frames = chunk("It is 4111 11", None) + chunk("11 1111 1111", "stop") + b"data: [DONE]\n\n"
    request = json.dumps({"model": "m", "prompt": f"Is it {CARD}?", "stream": True}).encode()
    kept = stored("openai", frames, request, "completions")
    assert json.loads(kept.answer)["choices"][0]["text"] == "It is <CARD_1>"
    assert json.loads(kept.request)["prompt"] == "Is it <CARD_1>?"


def test_stream_that_is_no_text_is_left_out() -> None:
    frames = b'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\n'
    kept = stored("openai", frames, operation="speech")
    assert (kept.answer, kept.left_out) == (b"", ("answer",))


def test_streamed_sound_is_stored_by_reference() -> None:
    kept = stored("openai", b"\xff\xfb sound", operation="speech", content_type="audio/mpeg")
    assert json.loads(kept.answer)["type"] == "audio/mpeg"


def test_body_that_is_nested_too_deeply_is_left_out() -> None:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    kept = stored("openai", b"{}", deep, stream=False, content_type="application/json")
    assert (kept.request, kept.answer, kept.left_out) == (b"", b"{}", ("request",))
