"""Converse for the fake Bedrock: botocore judges requests, Claude's answers become Converse's."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from tests.fakes.answer import compact
from tests.fakes.aws_stream import error_message, event_message

_STOPS = {"refusal": "content_filtered", "model_context_window_exceeded": "max_tokens"}
_KINDS = {"jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp"}


@cache
def operation(name: str = "Converse") -> OperationModel:
    model = botocore.session.Session().get_service_model("bedrock-runtime")
    return model.operation_model(name)


def judge(model: str, body: bytes, name: str = "Converse") -> None:
    """Raise ValueError for what boto3 would not send: unknown members, wrong types or bounds."""
    fields = json.loads(body)
    shape = operation(name).input_shape
    parameters = _with_bytes(fields, shape) | {"modelId": model}
    problems = ParamValidator().validate(parameters, shape)
    if problems.has_errors():
        raise ValueError(problems.generate_report())
    for text, pattern in _patterns(fields, shape):
        if not re.fullmatch(pattern, text):
            raise ValueError(f"{text!r} does not match {pattern}")
    for tool in fields.get("toolConfig", {}).get("tools", ()):
        if len(tool.get("toolSpec", {}).get("name", "")) > 64:
            raise ValueError("toolSpec.name: Member must have length less than or equal to 64")
    written = create_serializer("rest-json").serialize_to_request(parameters, operation(name))
    again = json.loads(written["body"])
    if again != fields:
        raise ValueError(f"boto3 sends {again}")


def _patterns(value: Any, shape: Shape) -> Iterator[tuple[str, str]]:
    """Every text that has a pattern, and the pattern, which boto3 does not look at."""
    pattern = shape.metadata.get("pattern")
    if isinstance(value, str) and pattern and shape.type_name == "string":
        yield value, pattern
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        for name, inner in value.items():
            yield from _patterns(inner, shape.members[name])
    elif shape.type_name == "list":
        for inner in value:
            yield from _patterns(inner, shape.member)


def _with_bytes(value: Any, shape: Shape) -> Any:
    """The parameters that boto3 takes, from their JSON form: bytes where it has base64."""
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    if shape.type_name == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return value
        members = shape.members
        return {
            name: _with_bytes(inner, members[name]) if name in members else inner
            for name, inner in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_with_bytes(inner, shape.member) for inner in value]
    return value


# ---- requests


def to_messages(fields: dict[str, Any]) -> dict[str, Any]:
    """The same request in Claude's form, which the fake provider reads."""
    config = fields.get("inferenceConfig", {})
    sent: dict[str, Any] = {
        "max_tokens": config.get("maxTokens", 4096),
        "messages": [
            {"role": turn["role"], "content": _blocks(turn["content"])}
            for turn in fields["messages"]
        ],
    }
    if "system" in fields:
        sent["system"] = _blocks(fields["system"])
    if "temperature" in config:
        sent["temperature"] = config["temperature"]
    if "stopSequences" in config:
        sent["stop_sequences"] = config["stopSequences"]
    tools = fields.get("toolConfig", {})
    if tools:
        specs = [tool["toolSpec"] for tool in tools["tools"] if "toolSpec" in tool]
        sent["tools"] = [
            {"name": spec["name"], "input_schema": spec["inputSchema"]["json"]} for spec in specs
        ]
    match fields.get("outputConfig"):
        case {"textFormat": {"structure": {"jsonSchema": {"schema": schema}}}}:
            form = {"type": "json_schema", "schema": json.loads(schema)}
            sent["output_config"] = {"format": form}
    match tools.get("toolChoice"):
        case {"any": _}:
            sent["tool_choice"] = {"type": "any"}
        case {"tool": {"name": name}}:
            sent["tool_choice"] = {"type": "tool", "name": name}
    return sent


def _blocks(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for block in content:
        match block:
            case {"text": text}:
                blocks.append({"type": "text", "text": text})
            # Of a tool's result alone.
            case {"json": value}:
                blocks.append({"type": "text", "text": json.dumps(value)})
            case {"image": {"format": kind, "source": {"bytes": data}}}:
                blocks.append(_media("image", _KINDS[kind], data))
            case {"document": {"source": {"bytes": data}}}:
                blocks.append(_media("document", "application/pdf", data))
            case {"reasoningContent": {"reasoningText": {"text": text, "signature": seal}}}:
                blocks.append({"type": "thinking", "thinking": text, "signature": seal})
            case {"reasoningContent": {"redactedContent": data}}:
                blocks.append({"type": "redacted_thinking", "data": data})
            case {"toolUse": {"toolUseId": id_, "name": name, "input": fields}}:
                blocks.append({"type": "tool_use", "id": id_, "name": name, "input": fields})
            case {"toolResult": {"toolUseId": id_, "content": inner} as result}:
                failed = result.get("status") == "error"
                blocks.append(
                    {
                        "type": "tool_result",
                        "tool_use_id": id_,
                        "content": _blocks(inner),
                        "is_error": failed,
                    }
                )
    return blocks


def _media(kind: str, media_type: str, data: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": media_type, "data": data}
    return {"type": kind, "source": source}


# ---- answers


@dataclass
class Form:
    """Converse's answers, from Claude's."""

    stream: bool
    _usage: dict[str, Any] = field(default_factory=dict)
    _stop: str = ""

    def whole(self, answer: dict[str, Any], usage: Mapping[str, int]) -> bytes:
        body = {
            "output": {"message": {"role": "assistant", "content": content(answer["content"])}},
            "stopReason": reason(answer["stop_reason"]),
            "metrics": {"latencyMs": 420},
        }
        if "usage" in answer:
            body["usage"] = {**_count(answer["usage"]), **usage}
        return json.dumps(body).encode()

    def message_of(self, event: dict[str, Any], usage: Mapping[str, int]) -> bytes:
        match event:
            case {"type": "error", "error": error}:
                return error_message(error)
            case {"type": "message_start", "message": message}:
                self._usage |= message.get("usage") or {}
                return _event("messageStart", {"role": "assistant"})
            case {"type": "content_block_start", "index": index, "content_block": block}:
                if block["type"] == "redacted_thinking":
                    hidden = {"reasoningContent": {"redactedContent": block["data"]}}
                    told = {"delta": hidden, "contentBlockIndex": index}
                    return _event("contentBlockDelta", told)
                if block["type"] != "tool_use":
                    return b""
                start = {"toolUse": {"toolUseId": block["id"], "name": block["name"]}}
                return _event("contentBlockStart", {"start": start, "contentBlockIndex": index})
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                body = {"delta": _delta(delta), "contentBlockIndex": index}
                return _event("contentBlockDelta", body)
            case {"type": "content_block_stop", "index": index}:
                return _event("contentBlockStop", {"contentBlockIndex": index})
            case {"type": "message_delta", "delta": delta}:
                self._usage |= event.get("usage") or {}
                return _event("messageStop", {"stopReason": reason(delta["stop_reason"])})
            case {"type": "message_stop"}:
                body = {"usage": {**_count(self._usage), **usage}, "metrics": {"latencyMs": 420}}
                return _event("metadata", body)
        return b""


def _event(kind: str, body: dict[str, Any]) -> bytes:
    return event_message(kind, compact(body | {"p": "abcdefgh"}))


def reason(word: str) -> str:
    return _STOPS.get(word, word)


def content(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for block in blocks:
        match block:
            case {"type": "text", "text": text}:
                content.append({"text": text})
            case {"type": "thinking", "thinking": text, "signature": seal}:
                reasoning = {"text": text, "signature": seal}
                content.append({"reasoningContent": {"reasoningText": reasoning}})
            case {"type": "redacted_thinking", "data": data}:
                content.append({"reasoningContent": {"redactedContent": data}})
            case {"type": "tool_use", "id": id_, "name": name, "input": fields}:
                use = {"toolUseId": id_, "name": name, "input": fields}
                content.append({"toolUse": use})
    return content


def _delta(delta: dict[str, Any]) -> dict[str, Any]:
    match delta:
        case {"type": "text_delta", "text": text}:
            return {"text": text}
        case {"type": "thinking_delta", "thinking": text}:
            return {"reasoningContent": {"text": text}}
        case {"type": "signature_delta", "signature": seal}:
            return {"reasoningContent": {"signature": seal}}
        case {"type": "input_json_delta", "partial_json": text}:
            return {"toolUse": {"input": text}}
    raise ValueError(delta)


def _count(usage: dict[str, Any]) -> dict[str, Any]:
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    counts = {"inputTokens": usage["input_tokens"], "outputTokens": usage["output_tokens"]}
    counts |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
    return counts | {"totalTokens": sum(counts.values())}
