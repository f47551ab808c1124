"""Functions on conversations that the dialects share: system text, turns, calls, seals, ids."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

import msgspec

from dialects.chat.chat import (
    Base64,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.events import Seal, SealOwner

OPENING: Final = "(continued)"
"""The user's turn before a conversation that begins with the assistant's, in dialects that require
one.
"""

_OWNERS: tuple[SealOwner, ...] = ("anthropic", "openai", "gemini")


@dataclass(frozen=True, slots=True)
class MergedMessage:
    """Consecutive messages of one side, as anthropic and gemini require them."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


def split_system(messages: tuple[Message, ...]) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """Return the non-empty system and developer texts in order, and the other messages."""
    system = [m for m in messages if m.role in ("system", "developer")]
    texts = [part for m in system for part in m.parts if isinstance(part, Text) and part.text]
    rest = [m for m in messages if m.role not in ("system", "developer")]
    return tuple(texts), tuple(rest)


def merge_messages(messages: tuple[Message, ...]) -> tuple[MergedMessage, ...]:
    """Return the messages without system ones as alternating turns, without empty texts and turns.
    Tool results are on the user's side, before the other parts of their turn, in the order of the
    calls that they answer.
    """
    turns: list[tuple[Literal["user", "assistant"], list[Part]]] = []
    for message in messages:
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        parts = [part for part in message.parts if not (isinstance(part, Text) and not part.text)]
        if not parts:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
    places = {id_: place for place, id_ in enumerate(call_names(messages))}
    return tuple(MergedMessage(role, _results_first(parts, places)) for role, parts in turns)


def move_results_to_calls(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages with tool results moved right after the turn that made the calls, for
    providers that refuse other messages in between."""
    ordered: list[Message] = []
    behind: int | None = None
    for message in messages:
        at = len(ordered) if behind is None or message.role != "tool" else behind
        ordered.insert(at, message)
        if message.role in ("assistant", "tool"):
            behind = at + 1
    return tuple(ordered)


def _results_first(parts: list[Part], places: Mapping[str, int]) -> tuple[Part, ...]:
    results = [part for part in parts if isinstance(part, ToolResult)]
    results.sort(key=lambda result: places.get(result.call_id, len(places)))
    return (*results, *(part for part in parts if not isinstance(part, ToolResult)))


def call_names(messages: tuple[Message, ...]) -> dict[str, str]:
    """Return the function name of every tool call of the history by its id, in order."""
    return {
        part.id: part.name
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCall)
    }


def urls(request: ChatRequest, wanted: Callable[[Image | File | Video], bool]) -> tuple[str, ...]:
    """Return the distinct URLs of the parts that `wanted` selects."""
    addresses = [
        part.source.url for part in _media(request) if isinstance(part.source, Url) and wanted(part)
    ]
    return tuple(dict.fromkeys(addresses))


def replace_urls(request: ChatRequest, fetched: Mapping[str, Base64]) -> ChatRequest:
    """Return the request with its URLs replaced by the fetched data."""
    messages = [
        msgspec.structs.replace(m, parts=tuple(_with_data(part, fetched) for part in m.parts))
        for m in request.messages
    ]
    return msgspec.structs.replace(request, messages=tuple(messages))


def _media(request: ChatRequest) -> Iterator[Image | File | Video]:
    for message in request.messages:
        for part in message.parts:
            inner = part.parts if isinstance(part, ToolResult) else (part,)
            yield from (media for media in inner if isinstance(media, Image | File | Video))


def _with_data(part: Part, fetched: Mapping[str, Base64]) -> Part:
    if isinstance(part, ToolResult):
        parts = tuple(_with_data(inner, fetched) for inner in part.parts)
        return msgspec.structs.replace(part, parts=parts)
    if isinstance(part, Image | File | Video) and isinstance(part.source, Url):
        data = fetched.get(part.source.url)
        return part if data is None else msgspec.structs.replace(part, source=data)
    return part


def derive_id(prefix: str, request_id: str, *places: object) -> str:
    """Return `prefix` and 24 hex digits, which are the same for the same position in the same
    request.
    """
    text = "/".join([request_id, *map(str, places)])
    return prefix + sha256(text.encode()).hexdigest()[:24]


def mark_seal(seal: Seal, owner: SealOwner) -> str:
    """Write a seal into a member that belongs to `owner`. The seal of another provider gets a
    mark."""
    return seal.value if seal.owner == owner else f"{seal.owner}:{seal.value}"


def read_seal(value: str, owner: SealOwner) -> Seal:
    """Return the seal in a member that belongs to `owner`, by its mark."""
    mark, colon, rest = value.partition(":")
    for other in _OWNERS:
        if colon and mark == other:
            return Seal(other, rest)
    return Seal(owner, value)


def join_reasoning(parts: tuple[Part, ...]) -> list[Part]:
    """Merge reasoning parts with the seal that follows them."""
    joined: list[Part] = []
    for part in parts:
        last = joined[-1] if joined else None
        if (
            isinstance(last, Reasoning)
            and last.seal is None
            and isinstance(part, Reasoning)
            and not part.text
            and not (part.seal and part.seal.redacted)
        ):
            joined[-1] = Reasoning(last.text, part.seal)
        else:
            joined.append(part)
    return joined
