"""The reasoning that led to tool calls, stored by the id of its call. Clients of some dialects have
no place for a provider's seals, or drop unknown members. A later request that contains the call
without its reasoning gets it back; the encoder decides whether it fits the channel.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dialects.chat.chat import ChatRequest, Message, Part, Reasoning, ToolCall
from dialects.chat.events import Event, ReasoningDelta, ReasoningSeal, ToolCallEnd, ToolCallStart
from dialects.chat.fold import fold

# Events that are collected until the end of the answer.
REMEMBERED = (ReasoningDelta, ReasoningSeal, ToolCallStart, ToolCallEnd)

_parts = msgspec.json.Decoder(list[Reasoning])


def collect_reasoning(events: Iterable[Event], *, texts: bool) -> dict[str, bytes]:
    """Return the reasoning to store for an answer, by the ids of its calls: reasoning with a seal,
    or with `texts` also plain text.
    """
    thoughts: dict[str, bytes] = {}
    for choice in fold(events).choices:
        thought: list[Reasoning] = []
        for part in choice.parts:
            if isinstance(part, Reasoning):
                thought.append(part)
            elif isinstance(part, ToolCall) and part.id:
                if any(piece.seal is not None or (texts and piece.text) for piece in thought):
                    thoughts[part.id] = msgspec.json.encode(thought)
                thought = []
    return thoughts


def decode_reasoning(content: bytes) -> list[Reasoning]:
    """Decode what `collect_reasoning` returned for one call."""
    return _parts.decode(content)


def calls_without_reasoning(request: ChatRequest) -> list[str]:
    """Return the ids of earlier calls that come without their reasoning."""
    return [
        part.id
        for message in request.messages
        if _lacks_reasoning(message)
        for part in message.parts
        if isinstance(part, ToolCall)
    ]


def restore_reasoning(
    request: ChatRequest, known: Mapping[str, Sequence[Reasoning]]
) -> ChatRequest:
    """Return the request with known reasoning inserted before its calls."""
    if not known:
        return request
    messages = [
        msgspec.structs.replace(message, parts=tuple(_with_reasoning(message.parts, known)))
        if _lacks_reasoning(message)
        else message
        for message in request.messages
    ]
    return msgspec.structs.replace(request, messages=tuple(messages))


def _lacks_reasoning(message: Message) -> bool:
    if message.role != "assistant":
        return False
    return not any(isinstance(part, Reasoning) for part in message.parts)


def _with_reasoning(
    parts: Sequence[Part], known: Mapping[str, Sequence[Reasoning]]
) -> Iterable[Part]:
    for part in parts:
        if isinstance(part, ToolCall):
            yield from known.get(part.id, ())
        yield part
