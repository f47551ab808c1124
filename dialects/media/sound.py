"""Speech, transcripts and translations in OpenAI's form: requests, and the usage of answers. Speech
is billed by characters of input or by tokens, transcription by milliseconds or by tokens, depending
on the rates of the price.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.body import Body, read_body
from dialects.json.members import (
    edit_body,
    read_max_cost,
    read_model,
    read_user,
    required_value,
    small_members,
)
from dialects.json.raw_json import value_of
from dialects.media.passed_answer import PassedAnswer, PassedEvents, PassedFile, PassedJson
from dialects.media.sound_length import length_ms, samples_ms
from dialects.openai.unary import answer_fault, member_bytes
from dialects.usage.usage import Quantities, present
from dialects.usage.usage import read_members as read_usage

TranscriptionOperation = Literal["transcriptions", "translations"]

FORM_KINDS: Final[Mapping[str, type]] = {"stream": bool}
SPEECH_FORMATS: Final[Mapping[str, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
# Raw samples, as OpenAI and Gemini send them.
PCM_RATE: Final = 24_000
TEXT_FORMATS: Final = frozenset({"text", "srt", "vtt"})
# Bounds for a hold. Speech output: OpenAI's has 20 tokens per second and Gemini's 25 (2026-10), and
# the slowest speech takes less than a second per character. Sound input: OpenAI's has 10 per
# second, Gemini's 32; a transcript has fewer than 20 tokens per second.
_SAID_TOKENS_A_CHARACTER: Final = 25
_HEARD_TOKENS_A_SECOND: Final = 32
_WRITTEN_TOKENS_A_SECOND: Final = 20
_WRITTEN_TOKENS_MIN: Final = 256
# The maximum that a model reads and writes: gpt-4o-transcribe has a context of 16,000 (2026-11).
_HEARD_TOKENS_MAX: Final = 131_072
_WRITTEN_TOKENS_MAX: Final = 32_768
# OpenAI's values, as estimates if the upstream reports none.
_SAID_TOKENS: Final = 20
_HEARD_TOKENS: Final = 10
_STAMP: Final = re.compile(rb"(?:([0-9]{2,}):)?([0-9]{2}):([0-9]{2})[.,]([0-9]{3})")


class SpeechFacts(msgspec.Struct, frozen=True):
    """The facts that the gateway needs about a speech request. `characters` are the characters of
    the input; `slowness` is the factor by which the speech may last longer than at normal speed."""

    body: Body
    model: str
    characters: int
    format: str
    stream: bool
    slowness: int
    user: str
    text_bytes: int
    max_cost_nano: int | None

    def token_bound(self) -> dict[str, int]:
        """Return the most tokens possible, by meter."""
        tokens = self.characters * _SAID_TOKENS_A_CHARACTER * self.slowness
        return {"in_text": self.text_bytes, "out_audio": tokens}

    def token_estimate(self, ms: int) -> dict[str, int]:
        """Return an estimate of the tokens of `ms` of sound, for upstreams that report none."""
        return {"in_text": -(-self.text_bytes // 4), "out_audio": ms * _SAID_TOKENS // 1000}


class TranscriptionFacts(msgspec.Struct, frozen=True):
    """The facts that the gateway needs about a transcription or translation request. `bound_ms` is
    the maximum length of the sound, `ms` the estimated length."""

    body: Body
    operation: TranscriptionOperation
    model: str
    format: str
    stream: bool
    bound_ms: int
    ms: int
    user: str
    text_bytes: int
    max_cost_nano: int | None

    def token_bound(self) -> dict[str, int]:
        """Return the most tokens possible, by meter."""
        seconds = -(-self.bound_ms // 1000)
        return {
            "in_text": self.text_bytes,
            "in_audio": min(seconds * _HEARD_TOKENS_A_SECOND, _HEARD_TOKENS_MAX),
            "out_text": min(
                seconds * _WRITTEN_TOKENS_A_SECOND + _WRITTEN_TOKENS_MIN, _WRITTEN_TOKENS_MAX
            ),
        }

    def token_estimate(self, text_bytes: int) -> dict[str, int]:
        """Return an estimate of the tokens of `text_bytes` of text, for upstreams that report
        none."""
        return {
            "in_text": -(-self.text_bytes // 4),
            "in_audio": -(-self.ms * _HEARD_TOKENS // 1000),
            "out_text": -(-text_bytes // 4),
        }


def read_speech(raw: bytes) -> SpeechFacts:
    """Read a speech request. Raises RequestFault in the contract's order."""
    body = read_body(raw)
    members = small_members(body, ("model", "input", "response_format", "stream_format", "speed"))
    model = read_model(members)
    required_value(body, "input")
    text = members.text("input") or ""
    required_value(body, "voice")
    format_ = members.text("response_format") or "mp3"
    stream = members.text("stream_format") == "sse"
    speed, max_cost_nano = members.number("speed", 0, 4), read_max_cost(body)
    if not text:
        raise RequestFault("invalid_value", "input", "input must not be empty")
    slowness = 4 if speed is not None and speed < 1 else 1
    instruction_bytes = len(_text(body, "instructions").encode("utf-8", "replace"))
    return SpeechFacts(
        body, model, len(text), format_, stream, slowness, read_user(body),
        len(text.encode("utf-8", "replace")) + instruction_bytes, max_cost_nano,
    )  # fmt: skip


def read_transcription(
    raw: bytes, operation: TranscriptionOperation, files: Sequence[str], *, bound_ms: int, ms: int
) -> TranscriptionFacts:
    """Read a transcription or translation request; `files` are the names of its files. Raises
    RequestFault in the contract's order.
    """
    body = read_body(raw)
    members = small_members(body, ("model", "response_format", "stream"))
    model = read_model(members)
    if "file" not in files:
        raise RequestFault("missing_parameter", "file", "file is required: a form with a file")
    if len(files) > 1:
        raise RequestFault("invalid_value", "file", "file must be the only one of its form")
    format_ = members.text("response_format") or "json"
    stream = bool(members.boolean("stream")) and operation == "transcriptions"
    return TranscriptionFacts(
        body, operation, model, format_, stream, bound_ms, ms, read_user(body),
        len(_text(body, "prompt").encode("utf-8", "replace")) + 16, read_max_cost(body),
    )  # fmt: skip


def edit(facts: SpeechFacts | TranscriptionFacts, upstream_model: str) -> bytes:
    """Return the body for an upstream in the same form."""
    return edit_body(facts.body, upstream_model)


# ---- answers


class PassedTranscript(PassedJson):
    """A forwarded transcript in JSON. An answer without a text is a fault."""

    def end(self) -> bytes:
        rest = super().end()
        if member_bytes(self.members, "text") is None:
            raise answer_fault("F24")
        return rest


def speech_ms(answer: PassedAnswer | None, format_: str) -> int:
    """Return the length of the speech that has arrived, in milliseconds."""
    if not isinstance(answer, PassedFile):
        return 0
    if format_ == "pcm":
        return samples_ms(answer.size, PCM_RATE)
    return length_ms(answer.head, answer.tail, answer.size)


def transcribed_ms(answer: PassedAnswer | None, facts: TranscriptionFacts) -> int:
    """Return the length of the sound in milliseconds, by the transcript, else by the file."""
    if isinstance(answer, PassedJson):
        seconds = value_of(member_bytes(answer.members, "duration"))
        if isinstance(seconds, str):
            # OpenAI's older answers have it as text.
            seconds = value_of(seconds.encode())
        if isinstance(seconds, int | float) and seconds > 0:
            return min(round(seconds * 1000), facts.bound_ms)
    elif isinstance(answer, PassedFile) and facts.format in ("srt", "vtt"):
        stamps = _STAMP.findall(answer.tail)
        if stamps:
            hours, minutes, seconds, ms = (int(part or 0) for part in stamps[-1])
            last = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
            return max(min(last, facts.bound_ms), facts.ms)
    return facts.ms


def transcript_bytes(answer: PassedAnswer | None) -> int:
    """Return the size in bytes of the transcript that has arrived."""
    if isinstance(answer, PassedJson):
        return len(member_bytes(answer.members, "text") or b"")
    if isinstance(answer, PassedEvents):
        return len(member_bytes(answer.last, "text") or b"")
    return 0 if answer is None else answer.size


def duration_quantities(raw: bytes | None) -> Quantities:
    """Return a usage object `{"type": "duration", "seconds"}` as milliseconds."""
    usage = read_usage(raw, "unary")
    if isinstance(usage, Quantities):
        return usage
    seconds = usage.count("seconds")
    if seconds is None:
        return usage.missing()
    return usage.result({"audio_ms": seconds * 1000})


def token_quantities(raw: bytes | None, side: Literal["said", "heard"]) -> Quantities:
    """Read a usage object of tokens. Tokens without details count as sound, spoken or heard by
    `side`."""
    usage = read_usage(raw, "unary")
    if isinstance(usage, Quantities):
        return usage
    input_tokens, output_tokens = usage.count("input_tokens"), usage.count("output_tokens")
    if input_tokens is None or output_tokens is None:
        return usage.missing()
    if side == "said":
        return usage.result({"in_text": input_tokens, "out_audio": output_tokens})
    parts = usage.nested("input_token_details")
    text = usage.count("text_tokens", parts) or 0
    if text > input_tokens:
        usage.flags.add("usage_parts_above_total")
    return usage.result(
        {"in_text": text, "out_text": output_tokens} | present(in_audio=input_tokens - text)
    )


def _text(body: Body, name: str) -> str:
    value: Any = value_of(body.value(name))
    return value if isinstance(value, str) else ""
