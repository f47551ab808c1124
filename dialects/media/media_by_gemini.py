"""Images and speech by Gemini's models, which produce both in a chat: convert requests in OpenAI's
form to `generateContent`, and read its answers.
"""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault, message_of
from dialects.gemini.usage import quantities
from dialects.json.members import read_members
from dialects.json.raw_json import value_of
from dialects.media.images import ImageFacts, MadeImages, qwen_dropped
from dialects.media.sound import PCM_RATE, SpeechFacts
from dialects.openai.unary import RawMembers, answer_fault, member_bytes, open_answer
from dialects.usage.usage import Quantities

# Gemini API, "Image generation" and "Speech generation" (ai.google.dev, 2026-11).
_RATIOS: Final[tuple[tuple[int, int], ...]] = (
    (1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9), (21, 9),
)  # fmt: skip
_IMAGE_KNOWN: Final = frozenset({"model", "prompt", "size", "n", "image", "images", "max_cost"})
_SPEECH_KNOWN: Final = frozenset(
    {"model", "input", "voice", "instructions", "response_format", "stream_format", "max_cost"}
)
_BLOCKED: Final = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "IMAGE_SAFETY", "SPII"})


def image_request(facts: ImageFacts, pictures: Sequence[tuple[str, str]]) -> Encoded:
    """Return the body of a picture request. `pictures` are the input, each with media type and
    base64. Raises RequestFault for members that it cannot express."""
    for wanted, name in ((facts.stream, "stream"), (facts.n > 1, "n")):
        if wanted:
            what = f"{name} is not supported by this model: its provider makes one image at a time"
            raise RequestFault("unsupported_capability", name, what)
    parts: list[dict[str, Any]] = [
        {"inlineData": {"mimeType": kind, "data": data}} for kind, data in pictures
    ]
    parts.append({"text": facts.prompt})
    config: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    width, _, height = facts.size.partition("x")
    if width.isdigit() and height.isdigit() and int(width) and int(height):
        config["imageConfig"] = {"aspectRatio": _nearest(int(width), int(height))}
    body = {"contents": [{"role": "user", "parts": parts}], "generationConfig": config}
    if facts.qwen:
        return Encoded(msgspec.json.encode(body), qwen_dropped(facts))
    names = read_members(facts.body.raw).rest(_IMAGE_KNOWN)
    return Encoded(msgspec.json.encode(body), tuple(names))


def _nearest(width: int, height: int) -> str:
    """Return the ratio nearest to a size."""
    wide, high = min(
        _RATIOS, key=lambda one: max(width * one[1], height * one[0]) * 1000 // min(
            width * one[1], height * one[0]
        )
    )  # fmt: skip
    return f"{wide}:{high}"


def read_image_answer(raw: bytes, facts: ImageFacts) -> tuple[list[str], MadeImages, bytes | None]:
    """Return the pictures in base64, their meters, and the raw usage. Raises AnswerFault."""
    members = open_answer(raw)
    pictures = [data for kind, data in _inline(members) if kind.startswith("image/")]
    if not pictures:
        raise _nothing(members)
    usage = member_bytes(members, "usageMetadata")
    images = MadeImages(len(pictures), facts.size, facts.quality, _read_usage(usage, "IMAGE"))
    return pictures, images, usage


def speech_request(facts: SpeechFacts) -> Encoded:
    """Return the body of a speech request. Raises RequestFault for members that it cannot
    express."""
    members = read_members(facts.body.raw)
    if facts.stream:
        what = "stream_format sse is not supported by this model: its provider answers whole"
        raise RequestFault("unsupported_capability", "stream_format", what)
    if members.has("response_format") and facts.format not in ("wav", "pcm"):
        what = f"response_format must be wav or pcm for this model, not {facts.format[:32]}"
        raise RequestFault("unsupported_capability", "response_format", what)
    voice = members.value.get("voice")
    named = voice.get("id") if isinstance(voice, dict) else voice
    if not isinstance(named, str):
        members.refuse_type("voice", "a string or an object with an id")
    text = members.text("input") or ""
    if instructions := members.text("instructions"):
        text = f"{instructions}: {text}"
    speech = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": named.capitalize()}}}
    config = {"responseModalities": ["AUDIO"], "speechConfig": speech}
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": config,
    }
    return Encoded(msgspec.json.encode(body), tuple(members.rest(_SPEECH_KNOWN)))


def speech_type(facts: SpeechFacts) -> str:
    """Return the media type of the sound that `write_speech` returns."""
    return "audio/pcm" if facts.format == "pcm" else "audio/wav"


def read_speech_answer(raw: bytes) -> tuple[bytes, Quantities, bytes | None]:
    """Return the samples, their meters, and the raw usage. Raises AnswerFault."""
    members = open_answer(raw)
    pieces = [data for kind, data in _inline(members) if kind.startswith("audio/")]
    if not pieces:
        raise _nothing(members)
    try:
        samples = b"".join(base64.b64decode(data, validate=True) for data in pieces)
    except ValueError:
        raise answer_fault("F15") from None
    usage = member_bytes(members, "usageMetadata")
    return samples, _read_usage(usage, "AUDIO"), usage


def write_speech(samples: bytes, facts: SpeechFacts) -> bytes:
    """Return the samples in the client's format: raw, or as a WAV file."""
    if facts.format == "pcm":
        return samples
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(samples), b"WAVE", b"fmt ", 16, 1, 1, PCM_RATE,
        PCM_RATE * 2, 2, 16, b"data", len(samples),
    )  # fmt: skip
    return head + samples


def _read_usage(usage: bytes | None, modality: str) -> Quantities:
    """Return the meters of a usage. Output without details counts as `modality` alone."""
    counted = quantities(usage)
    meter = "out_image" if modality == "IMAGE" else "out_audio"
    if not counted.meters or meter in counted.meters:
        return counted
    meters: Mapping[str, int] = counted.meters
    images = meters.get("out_text", 0)
    return Quantities({**meters, "out_text": 0, meter: images}, counted.flags)


def _inline(members: RawMembers) -> list[tuple[str, str]]:
    """Return the media types and base64 of an answer's content other than text."""
    encoded_pictures: list[tuple[str, str]] = []
    candidates = value_of(member_bytes(members, "candidates"))
    for candidate in candidates if isinstance(candidates, list) else []:
        content = candidate.get("content") if isinstance(candidate, dict) else None
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else []:
            data = part.get("inlineData") if isinstance(part, dict) else None
            if isinstance(data, dict) and not part.get("thought"):
                encoded_pictures.append((str(data.get("mimeType", "")), str(data.get("data", ""))))
    return encoded_pictures


def _nothing(members: RawMembers) -> AnswerFault:
    """Return the fault of an answer that has no content."""
    feedback = value_of(member_bytes(members, "promptFeedback"))
    candidates = value_of(member_bytes(members, "candidates"))
    reasons = {feedback.get("blockReason")} if isinstance(feedback, dict) else set()
    if isinstance(candidates, list):
        reasons |= {
            candidate.get("finishReason") for candidate in candidates if isinstance(candidate, dict)
        }
    if reasons & _BLOCKED:
        message = message_of("content_filtered", "the provider refused the prompt")
        return AnswerFault(UpstreamError("content_filtered", message, None))
    return answer_fault("F24")
