"""Compactions for models whose provider has none: the model is asked for a summary.

request    the conversation as texts, then a user message that asks for its summary
answer     one item of type compaction with the summary (`summary.py`)
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from dialects.chat.chat import (
    ChatAnswer,
    ChatRequest,
    JsonObject,
    Message,
    OwnPart,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from dialects.chat.turns import call_names, derive_id
from dialects.responses.answer.response_object import ID_PREFIX
from dialects.responses.summary import write_summary
from dialects.responses.usage import encode as write_usage
from dialects.usage.usage import Counts

_REQUEST: Final = (
    "Write a summary of this conversation that replaces it: you will continue from the summary "
    "alone. Keep the goal, decisions with their reasons, constraints, names, numbers, file paths "
    "and identifiers exactly, what has been done, and what comes next. Answer with the summary "
    "only."
)
REQUEST_BYTES: Final = len(_REQUEST)
"""How much longer than the client's input the input of the model is, in bytes."""


def ask_for_summary(request: ChatRequest) -> ChatRequest:
    """Return the request for the summary of a conversation. Calls and their results become texts,
    because no tools are offered: providers refuse calls of tools that they are not offered.
    """
    names = call_names(request.messages)
    texts = [_as_texts(message, names) for message in request.messages]
    return msgspec.structs.replace(
        request,
        messages=(
            *(message for message in texts if message.parts),
            Message("user", (Text(_REQUEST),)),
        ),
        tools=(),
        tool_choice=None,
        parallel_tool_calls=None,
        output_form=None,
        stream=False,
    )


def write_compaction(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the compaction for the client, from the answer that has the summary."""
    parts = answer.choices[0].parts if answer.choices else ()
    summary = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    item = {
        "id": derive_id("cmp_", request.request_id),
        "type": "compaction",
        "encrypted_content": write_summary(summary),
    }
    compaction: JsonObject = {
        "id": derive_id(ID_PREFIX, request.request_id),
        "object": "response.compaction",
        "created_at": request.received_at,
        "output": [item],
        "usage": write_usage(answer.counts or Counts()),
    }
    return msgspec.json.encode(compaction)


def _as_texts(message: Message, names: dict[str, str]) -> Message:
    role = "user" if message.role == "tool" else message.role
    parts = tuple(text for part in message.parts for text in _text_parts(part, names))
    return msgspec.structs.replace(message, role=role, parts=parts)


def _text_parts(part: Part, names: dict[str, str]) -> Iterator[Part]:
    match part:
        case ToolCall(name=name, arguments=arguments):
            yield Text(f"[Called {name} with {arguments or '{}'}]")
        case ToolResult(call_id=call_id, parts=parts):
            yield Text(f"[{names.get(call_id) or 'The tool'} answered:]")
            yield from parts
        case Reasoning() | OwnPart():
            return
        case _:
            yield part
