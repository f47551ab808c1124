"""Write a neutral answer as a generateContent answer of the gemini dialect."""

from collections.abc import Iterable
from typing import Any

import msgspec

from dialects.chat.chat import (
    Audio,
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
    Url,
)
from dialects.chat.events import Seal, TokenLogprob
from dialects.chat.fold import finished_parts
from dialects.chat.google_seals import write_signature
from dialects.chat.turns import derive_id
from dialects.gemini.answer.finish_reasons import write_reason
from dialects.gemini.answer.grounding import write_grounding
from dialects.gemini.part_forms import write_address, write_call, write_data
from dialects.gemini.usage import encode as write_usage
from dialects.usage.usage import Counts

# The media type of sound if the upstream does not name it.
SOUND_UNSAID = "audio/wav"


def encode(answer: ChatAnswer, request: ChatRequest) -> bytes:
    """Return the body for the client, with the provider's model and our own id."""
    show_thoughts = shows_thoughts(request)
    body: dict[str, Any] = {
        "candidates": [
            _write_choice(choice, show_thoughts=show_thoughts) for choice in answer.choices
        ],
        "usageMetadata": write_usage(answer.counts or Counts()),
    }
    return msgspec.json.encode(body | write_head(request, answer.model))


def write_head(request: ChatRequest, model: str) -> JsonObject:
    """Write the members that every frame and answer has."""
    return {
        "modelVersion": model or request.model,
        "responseId": derive_id("", request.request_id, "response"),
    }


def shows_thoughts(request: ChatRequest) -> bool:
    """Return whether the client sees reasoning, which is the default."""
    return request.reasoning is None or request.reasoning.shown is not False


def write_thought(text: str, seal: Seal | None = None) -> JsonObject:
    """Return reasoning as a part, with its seal if that is another provider's."""
    signature = {} if seal is None else {"thoughtSignature": write_signature(seal)}
    return {"text": text, "thought": True} | signature


def write_seal(seal: Seal) -> JsonObject:
    """Write a gemini seal that has no part to attach to."""
    return {"text": "", "thoughtSignature": seal.value}


def write_hidden(seal: Seal) -> JsonObject | None:
    """Return the seal of hidden reasoning; None if the seal is useless without the text."""
    worthless = seal.owner == "anthropic" and not seal.redacted
    return None if worthless else write_thought("", seal)


def write_logprobs(tokens: Iterable[TokenLogprob]) -> JsonObject:
    """Return the likelihoods of the text."""
    chosen, tops = [], []
    for token in tokens:
        chosen.append({"token": token.token, "logProbability": token.logprob})
        top = [
            {"token": alternative.token, "logProbability": alternative.logprob}
            for alternative in token.top
        ]
        tops.append({"candidates": top})
    return {"chosenCandidates": chosen, "topCandidates": tops}


def _write_choice(choice: Choice, *, show_thoughts: bool) -> JsonObject:
    candidate: JsonObject = {}
    parts = _write_parts(finished_parts(choice), show_thoughts=show_thoughts)
    if parts:
        candidate["content"] = {"parts": parts, "role": "model"}
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    reason = write_reason(choice.finish, refused=refused)
    if reason is not None:
        candidate["finishReason"] = reason
    candidate["index"] = choice.index
    visible_text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    if grounding := write_grounding(choice.citations, visible_text):
        candidate["groundingMetadata"] = grounding
    if choice.logprobs:
        candidate["logprobsResult"] = write_logprobs(choice.logprobs)
    return candidate


def _write_parts(parts: Iterable[Part], *, show_thoughts: bool) -> list[JsonObject]:
    written: list[JsonObject] = []
    waiting: Seal | None = None
    for part in parts:
        if isinstance(part, Reasoning):
            seal = part.seal
            if seal is not None and seal.owner == "gemini":
                written += [] if waiting is None else [write_seal(waiting)]
                waiting, seal = seal, None
            if show_thoughts and (part.text or seal is not None):
                written.append(write_thought(part.text, seal))
            elif seal is not None and (hidden := write_hidden(seal)) is not None:
                written.append(hidden)
            continue
        body = _write_part(part)
        if body is not None and waiting is not None:
            body["thoughtSignature"] = waiting.value
            waiting = None
        written += [] if body is None else [body]
    if waiting is not None:
        written.append(write_seal(waiting))
    return written


def _write_part(part: Part) -> JsonObject | None:
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"text": text}
        case ToolCall():
            return write_call(part.name, part.arguments, part.id)
        case Image(source=Base64(data=data, media_type=media_type)):
            return write_data(data, media_type)
        case Image(source=Url(url=url, media_type=media_type)):
            return write_address(url, media_type)
        case Audio(source=Base64(data=data, media_type=media_type)) if data:
            return write_data(data, media_type or SOUND_UNSAID)
        case _:
            return None
