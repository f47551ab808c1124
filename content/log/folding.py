"""Streamed answers as the whole answers that their clients would have got without streaming."""

from typing import Any, Final, NamedTuple, cast

import msgspec

from dialects.chat.chat import (
    ChatRequest,
    Dialect,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from dialects.chat.events import Broken, Event, UpstreamError
from dialects.chat.fold import cut_call, fold, with_cut_calls
from dialects.codec import Codec, Decoder, Target
from dialects.endpoints.codecs import CODECS, MEDIA_CODECS, TEXT_CODECS
from dialects.errors.errors import DialectError
from dialects.json.body import read_body
from dialects.json.not_json import NOT_JSON
from dialects.streams.background import asks_for_background, request_body
from dialects.streams.sse import FrameSplitter


class _Error(msgspec.Struct):
    message: str = ""


class _MediaEvent(msgspec.Struct):
    type: str = ""
    delta: str = ""
    error: _Error = msgspec.field(default_factory=_Error)


_media_event: Final = msgspec.json.Decoder(_MediaEvent)


class Folded(NamedTuple):
    """A whole answer in the client's dialect, as far as its stream came. `error` is what the stream
    said where it failed, `cut` the texts in which it broke off or reached its length."""

    answer: bytes
    broken: bool = False
    error: str = ""
    cut: tuple[str, ...] = ()


def fold_stream(
    frames: bytes,
    request: bytes,
    *,
    dialect: str,
    operation: str,
    model: str,
    request_id: str,
    received_at: int,
) -> Folded | None:
    """Return the answer that these frames form. Return None for an unknown stream. `request_id`
    and `received_at` (Unix seconds) are in the answers of dialects that have them."""
    if operation in MEDIA_CODECS:
        return _fold_media(frames)
    name, target = cast(Dialect, dialect), Target(model, stream=True)
    if operation not in TEXT_CODECS and operation not in _chats(CODECS[name]):
        return None
    codec = TEXT_CODECS.get(operation) or CODECS[name]
    bare = ChatRequest(
        dialect=name, request_id=request_id, received_at=received_at, model=model, messages=()
    )
    asked, decoder = _decoder(codec, request, target, bare, is_chat=operation not in TEXT_CODECS)
    events = list[Event]()
    framing = codec.framing(lambda: 0)
    for step in (
        *decoder.feed(frames if framing is None else framing.feed(frames)),
        *decoder.end(),
    ):
        events += step.events
    failures = [event for event in events if isinstance(event, UpstreamError | Broken)]
    answer = fold(event for event in events if not isinstance(event, UpstreamError | Broken))
    if not failures:
        calls = map(cut_call, answer.choices)
        cut = tuple(call.arguments for call in calls if call is not None)
        whole = codec.response_of(decoder)
        # The client got a call that the limit cut, as far as it came.
        raw = codec.write_answer(with_cut_calls(answer), asked) if whole is None else whole
        return Folded(raw, cut=cut)
    raw = codec.write_answer(answer, asked)
    error = next((event.message for event in failures if isinstance(event, UpstreamError)), "")
    last = [choice.parts[-1] for choice in answer.choices if choice.parts]
    return Folded(raw, True, error, tuple(map(_text_of, last)))


def _fold_media(frames: bytes) -> Folded | None:
    """Return the last event of a stream of pictures, sound or a transcript, which has the whole; or
    as much of the transcript as came. Return None if neither came."""
    texts, error = list[str](), ""
    for frame in FrameSplitter().feed(frames):
        data = frame.data or b""
        try:
            event = _media_event.decode(data)
        except NOT_JSON:
            continue
        if event.type.endswith((".done", ".completed")):
            return Folded(data)
        if event.type == "transcript.text.delta":
            texts.append(event.delta)
        error = event.error.message or error
    text = "".join(texts)
    if not text and not error:
        return None
    return Folded(msgspec.json.encode({"text": text}), True, error, (text,))


def in_foreground(raw: bytes) -> bytes:
    """Return the body of a request as it runs: without `background: true`. Raises RequestFault."""
    if b'"background"' not in raw:
        return raw
    body = read_body(raw)
    return request_body(body) if asks_for_background(body) else raw


def _text_of(part: Part) -> str:
    match part:
        case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
            return text
        case ToolCall(arguments=text):
            return text
    return ""


def _chats(codec: Codec[Any]) -> set[str]:
    return {codec.upstream_operation(stream=stream) for stream in (False, True)}


def _decoder(
    codec: Codec[Any], raw: bytes, target: Target, bare: ChatRequest, *, is_chat: bool
) -> tuple[ChatRequest, Decoder]:
    """Return the request, and what reads the stream that answers it. A provider may understand a
    request that no other dialect can express: its answer is read with the `bare` one."""
    try:
        facts = codec.read(in_foreground(raw), target)
        if not is_chat:
            return bare, codec.decoder(facts, target)
        asked = codec.decode(facts, target, bare.request_id, bare.received_at)
    except DialectError:
        asked = bare
    return asked, codec.translating_decoder(asked, "")
