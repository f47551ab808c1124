"""Write a neutral answer in the converse dialect; only its first choice.

The dialect requires `metrics.latencyMs`, which only the relay knows: it adds them (`add_latency`).
"""

import msgspec

from dialects.chat.chat import (
    Base64,
    ChatAnswer,
    ChatRequest,
    Choice,
    Image,
    JsonObject,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from dialects.chat.events import Seal, Source
from dialects.chat.fold import finished_parts
from dialects.chat.turns import derive_id, join_reasoning, mark_seal
from dialects.converse.answer.finish_reasons import write_reason
from dialects.converse.forms import IMAGES
from dialects.converse.seals import write_redacted
from dialects.converse.usage import encode as write_usage
from dialects.json.raw_json import value_of
from dialects.usage.usage import Counts

CALL_ID_PREFIX = "tooluse_"
# The name under which arguments that are not a JSON object are sent.
RAW_ARGUMENTS = "_raw"


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the body for the client of `request`, without `metrics`."""
    choice = answer.choices[0] if answer.choices else Choice(index=0, parts=(), finish=None)
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    content = _write_blocks(choice, request.request_id)
    return msgspec.json.encode(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": write_reason(choice.finish or "stop", refused=refused),
            "usage": write_usage(answer.counts or Counts()),
        }
    )


def add_latency(raw: bytes, latency_ms: int) -> bytes:
    """Return an answer, or the last event of a stream, with its time; unchanged if it has one."""
    if b'"latencyMs"' in raw or not raw.endswith(b"}"):
        return raw
    return raw[:-1] + b',"metrics":{"latencyMs":%d}}' % latency_ms


def write_call_id(id_: str, request_id: str, index: int) -> str:
    """Return the upstream's id of a call, or one of ours if it sent none."""
    return id_ or derive_id(CALL_ID_PREFIX, request_id, index)


def write_image(data: str, media_type: str) -> JsonObject | None:
    """Return a picture as a block; None for a kind that the dialect does not have."""
    kind = media_type.partition(";")[0].strip().lower().removeprefix("image/")
    kind = "jpeg" if kind == "jpg" else kind
    return {"image": {"format": kind, "source": {"bytes": data}}} if kind in IMAGES else None


def write_citation(source: Source) -> JsonObject:
    """Return a source as a citation."""
    citation: JsonObject = {"title": source.title, "source": source.url}
    if source.quote:
        citation["sourceContent"] = [{"text": source.quote}]
    return citation | {"location": {"web": {"url": source.url}}}


def write_reasoning(text: str, seal: Seal | None) -> JsonObject:
    """Return reasoning as the content of a block; a seal of another provider carries its mark."""
    if seal is not None and seal.redacted:
        return {"redactedContent": write_redacted(seal)}
    signature = {} if seal is None else {"signature": mark_seal(seal, "anthropic")}
    return {"reasoningText": {"text": text, **signature}}


def _write_blocks(choice: Choice, request_id: str) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    calls = 0
    for part in join_reasoning(finished_parts(choice)):
        block = _write_block(part, request_id, calls)
        calls += isinstance(part, ToolCall)
        if block is not None:
            blocks.append(block)
    last = next((block for block in reversed(blocks) if "text" in block), None)
    if choice.citations and last is not None:
        citations = [write_citation(source) for source in choice.citations]
        content = [{"text": last.pop("text")}]
        last["citationsContent"] = {"content": content, "citations": citations}
    return blocks


def _write_block(part: Part, request_id: str, calls: int) -> JsonObject | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"text": text}
        case Reasoning(text=text, seal=seal):
            return {"reasoningContent": write_reasoning(text, seal)}
        case ToolCall(id=id_, name=name, arguments=arguments):
            use = {"toolUseId": write_call_id(id_, request_id, calls), "name": name}
            return {"toolUse": use | {"input": _read_arguments(arguments)}}
        case Image(source=Base64(data=data, media_type=media_type)):
            return write_image(data, media_type)
        case _:
            return None


def _read_arguments(text: str) -> JsonObject:
    value = value_of(text.encode()) if text.strip() else {}
    return value if isinstance(value, dict) else {RAW_ARGUMENTS: text}
