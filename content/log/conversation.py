"""A kept request and its answer as a conversation, whatever the client's dialect."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

from content.log.kept import Kept
from dialects.chat.chat import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Dialect,
    File,
    Image,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.events import Event
from dialects.chat.fold import AnswerFault, fold
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault

PieceKind = Literal["text", "reasoning", "refusal", "tool_call", "tool_result", "media", "other"]


class Piece(NamedTuple):
    """A part of a turn. `name` is that of a tool, or of a file; media have no text."""

    kind: PieceKind
    text: str
    name: str = ""


class Turn(NamedTuple):
    """What one side said: `role` is system, developer, user, assistant or tool."""

    role: str
    pieces: tuple[Piece, ...]


def conversation_of(kept: Kept, dialect: str, model: str) -> list[Turn] | None:
    """Return the turns of a chat, the answer last; None if the bodies cannot be read as a chat, as
    those of embeddings."""
    codec = CODECS[cast(Dialect, dialect)]
    target = Target(model, stream=kept.stream)
    try:
        request = codec.decode(codec.read(kept.request, target), target, "", 0)
    except RequestFault:
        return None
    turns = [Turn(message.role, _pieces(message.parts)) for message in request.messages]
    answer = _answer(kept, cast(Dialect, dialect), request)
    if answer is not None:
        turns += [Turn("assistant", _pieces(choice.parts)) for choice in answer.choices]
    return turns


def _answer(kept: Kept, dialect: Dialect, request: ChatRequest) -> ChatAnswer | None:
    """Return the answer as far as it was sent."""
    codec = CODECS[dialect]
    if not kept.stream:
        whole = codec.translate_answer(kept.answer, request, "")
        return None if whole.error or whole.broken else fold(whole.events)
    decoder = codec.translating_decoder(request, "")
    events = list[Event]()
    for step in (*decoder.feed(kept.answer), *decoder.end()):
        events += step.events
    while events:
        try:
            return fold(events)
        except AnswerFault:
            # What the stream had sent before it failed.
            events.pop()
    return None


def _pieces(parts: Sequence[Part]) -> tuple[Piece, ...]:
    return tuple(piece for part in parts for piece in _pieces_of(part))


def _pieces_of(part: Part) -> Iterator[Piece]:
    match part:
        case Text():
            yield Piece("text", part.text)
        case Reasoning():
            if part.text:
                yield Piece("reasoning", part.text)
        case Refusal():
            yield Piece("refusal", part.text)
        case ToolCall():
            yield Piece("tool_call", part.arguments, part.name)
        case ToolResult():
            for inner in part.parts:
                for piece in _pieces_of(inner):
                    kind = "tool_result" if piece.kind == "text" else piece.kind
                    yield Piece(kind, piece.text, part.name)
        case File(source=PlainText() as source):
            yield Piece("text", source.text, part.name)
        case Image() | Audio() | File() | Video():
            address = part.source.url if isinstance(part.source, Url) else ""
            yield Piece("media", address, getattr(part, "name", "") or type(part).__name__)
        case _:
            yield Piece("other", "")
