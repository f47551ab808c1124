"""Write a neutral answer in the anthropic dialect; only its first choice."""

import re

import msgspec

from dialects.anthropic.answer.finish_reasons import write_reason
from dialects.anthropic.usage import encode as write_usage
from dialects.chat.chat import (
    Base64,
    ChatAnswer,
    ChatRequest,
    Choice,
    FileId,
    Image,
    JsonObject,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Url,
)
from dialects.chat.events import Source
from dialects.chat.fold import finished_parts
from dialects.chat.turns import derive_id, join_reasoning, mark_seal
from dialects.json.lone_surrogates import make_readable
from dialects.json.not_json import NOT_JSON
from dialects.usage.usage import Counts

MESSAGE_ID_PREFIX = "msg_"
CALL_ID_PREFIX = "toolu_"
# The name under which arguments that are not a JSON object are sent.
RAW_ARGUMENTS = "_raw"

_CALL_ID = re.compile(r"[A-Za-z0-9_-]+")


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the body for the client of `request`. `model` in it is the name that the provider
    reports."""
    choice = answer.choices[0] if answer.choices else Choice(index=0, parts=(), finish=None)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    return msgspec.json.encode(
        {
            "id": derive_id(MESSAGE_ID_PREFIX, request.request_id),
            "type": "message",
            "role": "assistant",
            "model": answer.model or request.model,
            "content": _write_blocks(choice, request.request_id),
            "stop_reason": write_reason(choice.finish or "stop", refused=refused),
            "stop_sequence": choice.stop_sequence or None,
            "usage": write_usage(answer.counts or Counts()),
        }
    )


def write_citation(source: Source) -> JsonObject:
    """Return a source as a citation of a text block. Only the provider can make an
    `encrypted_index`, so it is empty."""
    return {
        "type": "web_search_result_location",
        "url": source.url,
        "title": source.title,
        "encrypted_index": "",
        "cited_text": source.quote,
    }


def write_image(source: Url | Base64 | FileId) -> JsonObject:
    """Return a picture as a block."""
    return {"type": "image", "source": write_source(source)}


def write_source(source: Url | Base64 | FileId) -> JsonObject:
    """Return the location of a picture's or document's data."""
    if isinstance(source, Url):
        return {"type": "url", "url": source.url}
    if isinstance(source, FileId):
        return {"type": "file", "file_id": source.id}
    return {"type": "base64", "media_type": source.media_type, "data": source.data}


def write_call_id(id_: str, request_id: str, index: int) -> str:
    """Return the upstream's id of a call if the dialect permits it, else one of ours."""
    return id_ if _CALL_ID.fullmatch(id_) else derive_id(CALL_ID_PREFIX, request_id, index)


def read_arguments(text: str) -> JsonObject:
    """Return arguments as the object that the dialect requires; anything else is wrapped."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(make_readable(text.encode()))
    except (UnicodeEncodeError, *NOT_JSON):
        value = None
    return value if isinstance(value, dict) else {RAW_ARGUMENTS: text}


def _write_blocks(choice: Choice, request_id: str) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    texts: list[tuple[int, JsonObject]] = []
    characters = calls = 0
    for part in join_reasoning(finished_parts(choice)):
        block = _write_block(part, request_id, calls)
        if block is None:
            continue
        calls += isinstance(part, ToolCall)
        blocks.append(block)
        if block["type"] == "text":
            texts.append((characters, block))
            characters += len(block["text"])
    for source in choice.citations if texts else ():
        # A citation belongs to the block in which its position begins, otherwise to the last one.
        at = characters if source.start is None else source.start
        block = next((text for start, text in reversed(texts) if start <= at), texts[-1][1])
        block.setdefault("citations", []).append(write_citation(source))
    return blocks


def _write_block(part: Part, request_id: str, calls: int) -> JsonObject | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "text": text}
        case Reasoning():
            return write_reasoning(part)
        case ToolCall(id=id_, name=name, arguments=arguments):
            return {
                "type": "tool_use",
                "id": write_call_id(id_, request_id, calls),
                "name": name,
                "input": read_arguments(arguments),
            }
        case Image(source=source):
            return write_image(source)
        case _:
            return None


def write_reasoning(part: Reasoning) -> JsonObject:
    """Return reasoning as a block. The seal of another provider is written with a mark that names
    the provider."""
    seal = part.seal
    if seal is not None and seal.redacted:
        return {"type": "redacted_thinking", "data": seal.value}
    signature = "" if seal is None else mark_seal(seal, "anthropic")
    return {"type": "thinking", "thinking": part.text, "signature": signature}
