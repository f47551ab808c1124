"""Write a neutral answer as a chat completion of the openai dialect."""

from collections.abc import Iterable
from typing import Any

import msgspec

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    ChatRequest,
    Choice,
    FileId,
    Image,
    Refusal,
    Text,
    Url,
)
from dialects.chat.custom_tools import freeform_names, read_input
from dialects.chat.events import TokenLogprob
from dialects.chat.media import data_url
from dialects.chat.turns import derive_id
from dialects.openai.answer.finish_reasons import write_reason
from dialects.openai.message_encode import reasoning_text, write_calls, write_citation
from dialects.openai.usage import encode as write_usage
from dialects.usage.usage import Counts

ID_PREFIX = "chatcmpl-"


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the body for the client: our id and time, the provider's model."""
    freeform = freeform_names(request.tools)
    body: dict[str, Any] = {
        "id": derive_id(ID_PREFIX, request.request_id),
        "object": "chat.completion",
        "created": request.received_at,
        "model": answer.model or request.model,
        "choices": [
            _write_choice(choice, freeform, legacy_functions=request.legacy_functions)
            for choice in answer.choices
        ],
        "usage": write_usage(answer.counts or Counts()),
    }
    if answer.service_tier:
        body["service_tier"] = answer.service_tier
    if answer.fingerprint:
        body["system_fingerprint"] = answer.fingerprint
    return msgspec.json.encode(body)


def write_logprobs(tokens: Iterable[TokenLogprob]) -> list[dict[str, Any]]:
    """Return the likelihoods of a piece of text."""
    return [
        {
            "token": token.token,
            "logprob": token.logprob,
            "bytes": token.bytes,
            "top_logprobs": [
                {"token": top.token, "logprob": top.logprob, "bytes": top.bytes}
                for top in token.top
            ],
        }
        for token in tokens
    ]


def write_image(source: Url | Base64 | FileId) -> dict[str, Any]:
    """Write a picture of an answer. A picture that is stored at a provider has only its id."""
    if isinstance(source, Base64):
        url = data_url(source)
    else:
        url = source.url if isinstance(source, Url) else source.id
    return {"type": "image_url", "image_url": {"url": url}}


def _write_choice(
    choice: Choice, freeform: frozenset[str], *, legacy_functions: bool
) -> dict[str, Any]:
    logprobs = None
    if choice.logprobs or choice.refusal_logprobs:
        logprobs = {
            "content": write_logprobs(choice.logprobs) or None,
            "refusal": write_logprobs(choice.refusal_logprobs) or None,
        }
    return {
        "index": choice.index,
        "message": _write_message(choice, freeform, legacy_functions=legacy_functions),
        "logprobs": logprobs,
        "finish_reason": write_reason(choice.finish, legacy_functions=legacy_functions),
    }


def _write_message(
    choice: Choice, freeform: frozenset[str], *, legacy_functions: bool
) -> dict[str, Any]:
    parts = choice.parts
    texts = [part.text for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    calls = write_calls(parts, others=True)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
        "annotations": [write_citation(source) for source in choice.citations],
    }
    if reasoning := reasoning_text(parts):
        message["reasoning_content"] = reasoning
    if calls and legacy_functions:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = [_as_declared(call, freeform) for call in calls]
    for part in parts:
        match part:
            case Image(source=source):
                message.setdefault("images", []).append(write_image(source))
            case Audio(source=Base64(data=data)):
                message["audio"] = {
                    "id": part.id,
                    "data": data,
                    "transcript": part.transcript,
                    "expires_at": part.expires_at,
                }
    return message


def _as_declared(call: dict[str, Any], freeform: frozenset[str]) -> dict[str, Any]:
    """Write a call; as a freeform call if the client declared the tool as freeform."""
    function = call["function"]
    if function["name"] not in freeform:
        return call
    custom = {"name": function["name"], "input": read_input(function["arguments"])}
    body = {name: value for name, value in call.items() if name != "function"}
    return body | {"type": "custom", "custom": custom}
