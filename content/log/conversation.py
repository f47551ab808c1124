"""A kept request and its answer as a conversation, whatever the client's dialect."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

from content.log.kept import Kept
from content.log.media import read_reference
from dialects.chat.chat import (
    Audio,
    Base64,
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
from dialects.chat.fold import fold
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault

PieceKind = Literal["text", "reasoning", "refusal", "tool_call", "tool_result", "media", "other"]


class Piece(NamedTuple):
    """A part of a turn. `name` is that of a tool, or of a file; media have their address as text,
    or else their type, size in bytes and digest.
    """

    kind: PieceKind
    text: str
    name: str = ""
    media_type: str = ""
    size: int = 0
    digest: str = ""


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
    whole = CODECS[dialect].translate_answer(kept.answer, request, "")
    return None if whole.error or whole.broken else fold(whole.events)


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
            name = getattr(part, "name", "") or type(part).__name__
            match part.source:
                case Url(url=url):
                    yield Piece("media", url, name)
                case Base64(media_type=media_type, data=data):
                    yield Piece("media", "", name, media_type, *read_reference(data))
                case _:
                    yield Piece("media", "", name)
        case _:
            yield Piece("other", "")
