"""A kept request and its answer as a conversation, whatever the client's dialect."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

from msgspec.structs import replace

from content.log.folding import in_foreground
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
    Message,
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
    or else their type, size in bytes and digest. `failed` marks the result of a tool that failed.
    """

    kind: PieceKind
    text: str
    name: str = ""
    media_type: str = ""
    size: int = 0
    digest: str = ""
    failed: bool = False


class Turn(NamedTuple):
    """What one side said: `role` is system, developer, user, assistant or tool."""

    role: str
    pieces: tuple[Piece, ...]


class Exchange(NamedTuple):
    """A request that is a chat, and its answer: one turn for each choice. `id` is the answer's, and
    `continues` the id of the answer whose conversation the request continues; "" for none."""

    request: tuple[Turn, ...]
    answer: tuple[Turn, ...] = ()
    id: str = ""
    continues: str = ""


def conversation_of(kept: Kept, dialect: str, model: str) -> list[Turn] | None:
    """Return the turns of a chat, the answer last; None if the bodies cannot be read as a chat, as
    those of embeddings."""
    exchange = exchange_of(kept, dialect, model)
    return None if exchange is None else [*exchange.request, *exchange.answer]


def exchange_of(kept: Kept, dialect: str, model: str) -> Exchange | None:
    """Return the turns of a chat; None if the bodies cannot be read as a chat."""
    request = request_of(kept, dialect, model)
    if request is None:
        return None
    turns = tuple(_turns(request.messages))
    answer = answer_of(kept, dialect, request)
    continues = request.previous_response_id or ""
    if answer is None:
        return Exchange(turns, continues=continues)
    answered = tuple(Turn("assistant", _pieces(choice.parts)) for choice in answer.choices)
    return Exchange(turns, answered, answer.id, continues)


def _turns(messages: Sequence[Message]) -> Iterator[Turn]:
    """Yield the turns of a request. Results of tools have the names that their calls have."""
    names: dict[str, str] = {}
    for message in messages:
        parts = [
            replace(part, name=names.get(part.call_id, ""))
            if isinstance(part, ToolResult) and not part.name
            else part
            for part in message.parts
        ]
        names |= {part.id: part.name for part in parts if isinstance(part, ToolCall)}
        yield Turn(message.role, _pieces(parts))


def request_of(kept: Kept, dialect: str, model: str) -> ChatRequest | None:
    """Return a chat as it was asked; None if the body cannot be read as a chat."""
    codec = CODECS[cast(Dialect, dialect)]
    target = Target(model, stream=kept.stream)
    try:
        return codec.decode(codec.read(in_foreground(kept.request), target), target, "", 0)
    except RequestFault:
        return None


def answer_of(kept: Kept, dialect: str, request: ChatRequest) -> ChatAnswer | None:
    """Return the answer as far as it was sent; None if it cannot be read as one of a chat."""
    whole = CODECS[cast(Dialect, dialect)].translate_answer(kept.answer, request, "")
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
            for inner in part.parts or (Text(""),):
                for piece in _pieces_of(inner):
                    if piece.kind == "text":
                        piece = piece._replace(kind="tool_result", name=part.name)
                    yield piece._replace(failed=part.failed)
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
