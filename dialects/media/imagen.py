"""Imagen, Google's models of images: `predict` on Vertex AI. Google's client no longer asks the
Gemini API for them.

    {"instances": [{"prompt"}], "parameters": {"sampleCount", "aspectRatio", "sampleImageSize"}}
        -> {"predictions": [{"bytesBase64Encoded", "mimeType"} | {"raiFilteredReason"}]}

A filtered picture is not billed. Source: the official client `google-genai` 3.3, and
docs.cloud.google.com, "Imagen API" (2026-11).
"""

from typing import Any, Final

import msgspec

from dialects.chat.chat import Encoded
from dialects.chat.cloud_names import bare_names
from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault, message_of
from dialects.errors.masking import clean_upstream
from dialects.json.members import read_members
from dialects.json.not_json import NOT_JSON
from dialects.media.images import ImageFacts, MadeImages, qwen_dropped
from dialects.media.video_fit import aspect_ratio
from dialects.openai.unary import answer_fault, open_answer
from dialects.usage.usage import Quantities

_RATIOS: Final = ("1:1", "3:4", "4:3", "9:16", "16:9")
# From this length on, a side is of the larger of Imagen's two sizes.
_LARGE: Final = 1_792
_KNOWN: Final = frozenset({"model", "prompt", "size", "n", "response_format", "max_cost"})


def makes(model: str) -> bool:
    """Return whether a model, by the provider's name, is one of Imagen's."""
    return any(name.startswith("imagen") for name in bare_names(model))


def encode(facts: ImageFacts) -> Encoded:
    """Return the body of a request in OpenAI's or Qwen's form. Raises RequestFault for members that
    it cannot express."""
    if facts.stream:
        what = "stream is not supported by this model: its provider answers whole"
        raise RequestFault("unsupported_capability", "stream", what)
    if facts.pictures:
        what = "input.messages has an image, and this model takes none"
        raise RequestFault("unsupported_capability", "input.messages", what)
    parameters: dict[str, Any] = {"sampleCount": facts.n}
    width, _, height = facts.size.partition("x")
    if width.isdigit() and height.isdigit() and int(width) and int(height):
        parameters["aspectRatio"] = aspect_ratio(facts.size, _RATIOS)
        if max(int(width), int(height)) >= _LARGE:
            parameters["sampleImageSize"] = "2K"
    body = {"instances": [{"prompt": facts.prompt}], "parameters": parameters}
    if facts.qwen:
        return Encoded(msgspec.json.encode(body), qwen_dropped(facts))
    return Encoded(msgspec.json.encode(body), tuple(read_members(facts.body.raw).rest(_KNOWN)))


def read_answer(raw: bytes, facts: ImageFacts) -> tuple[list[str], MadeImages]:
    """Return the pictures in base64, and their number. Raises AnswerFault."""
    open_answer(raw)
    try:
        predictions = _answer.decode(raw).predictions
    except NOT_JSON:
        raise answer_fault("F15") from None
    pictures = [one.bytesBase64Encoded for one in predictions if one.bytesBase64Encoded]
    if not pictures:
        raise _nothing(next((one.raiFilteredReason for one in predictions), ""))
    missing = Quantities({}, ("usage_missing",))
    return pictures, MadeImages(len(pictures), facts.size, facts.quality, missing)


def _nothing(reason: str) -> AnswerFault:
    if not reason:
        # Google answers without predictions when it has filtered all of them.
        reason = "the provider's filter let no image pass"
    text = message_of("content_filtered", clean_upstream(reason))
    return AnswerFault(UpstreamError("content_filtered", text, None))


class _Prediction(msgspec.Struct):
    bytesBase64Encoded: str = ""
    raiFilteredReason: str = ""


class _Answer(msgspec.Struct):
    predictions: list[_Prediction] = []


_answer = msgspec.json.Decoder(_Answer)
