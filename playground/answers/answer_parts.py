"""Collects the parts of an answer besides its text from its events: tool calls, sources, media."""

import base64
import binascii
import struct
from collections.abc import Iterable
from typing import Any, Final

from dialects.chat.events import (
    AudioDelta,
    Citation,
    Event,
    ImageOutput,
    LogprobsDelta,
    RefusalDelta,
    TextDelta,
    TokenLogprob,
    ToolArgumentsDelta,
    ToolCallStart,
)
from playground.attachments.rules import Medium
from playground.rendering.render import storable

_SAMPLES_PER_S: Final = 24_000
"""Streamed sound is raw samples: 16 bits, one channel."""
_TOKENS_MAX: Final = 4_000
_LOGPROB_MIN: Final = -9_999.0
"""OpenAI's value for the logarithm of probability 0, because JSON has no minus infinity."""
_MEDIA_BYTES_MAX: Final = 32 * 1024 * 1024


class AnswerCollector:
    """Takes the events of one answer."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.sources: list[dict[str, str]] = []
        self.transcript = ""
        self.tokens: list[dict[str, Any]] = []
        self._further_choices: dict[int, list[str]] = {}
        self._images: list[Medium] = []
        self._sound: list[bytes] = []
        self._sound_type = ""
        self._bytes = 0

    def take(self, events: Iterable[Event]) -> None:
        """Add events. Of further choices, only the text is kept."""
        for event in events:
            if choice := getattr(event, "choice", 0):
                if isinstance(event, (TextDelta, RefusalDelta)):
                    self._further_choices.setdefault(choice, []).append(event.text)
                continue
            if isinstance(event, ToolCallStart):
                id = event.id or f"call_{event.index}"
                self.calls.append({"id": id, "name": event.name, "arguments": ""})
            elif isinstance(event, ToolArgumentsDelta) and event.index < len(self.calls):
                self.calls[event.index]["arguments"] += event.text
            elif isinstance(event, Citation):
                source = {"url": event.source.url, "title": event.source.title}
                if source not in self.sources:
                    self.sources.append(source)
            elif isinstance(event, ImageOutput) and event.data:
                self._images += [
                    Medium("image", event.media_type, data) for data in self._decode(event.data)
                ]
            elif isinstance(event, LogprobsDelta):
                room = _TOKENS_MAX - len(self.tokens)
                self.tokens += [_likelihood(token) for token in event.tokens[:room]]
            elif isinstance(event, AudioDelta):
                self._sound += self._decode(event.data)
                self._sound_type = event.media_type or self._sound_type
                self.transcript += event.transcript

    def further_choices(self) -> list[str]:
        """Return the texts of the second choice and those after it."""
        return [
            storable("".join(self._further_choices[choice]))
            for choice in sorted(self._further_choices)
        ]

    def media(self) -> list[Medium]:
        """Return the pictures, and the sound in a format that browsers play."""
        media = list(self._images)
        if self._sound:
            sound = b"".join(self._sound)
            if self._sound_type in ("", "audio/L16", "audio/pcm", "audio/pcm16", "audio/l16"):
                media.append(Medium("audio", "audio/wav", _wave_file(sound)))
            else:
                media.append(Medium("audio", self._sound_type, sound))
        return media

    def parts(self) -> dict[str, Any]:
        """Return the parts to store in the message; see `turns/request.py`."""
        lists = (("calls", self.calls), ("sources", self.sources))
        parts: dict[str, Any] = {
            name: [{key: storable(text) for key, text in item.items()} for item in value]
            for name, value in lists
            if value
        }
        return parts | ({"tokens": self.tokens} if self.tokens else {})

    def _decode(self, text: str) -> list[bytes]:
        try:
            data = base64.b64decode(text, validate=False)
        except (binascii.Error, ValueError):
            return []
        self._bytes += len(data)
        return [data] if data and self._bytes <= _MEDIA_BYTES_MAX else []


def _likelihood(token: TokenLogprob) -> dict[str, Any]:
    """Return a token, the natural logarithm of its probability, and the likeliest alternatives."""
    return {
        "text": storable(token.token),
        "logprob": max(token.logprob, _LOGPROB_MIN),
        "top": [
            [storable(alternative.token), max(alternative.logprob, _LOGPROB_MIN)]
            for alternative in token.top
        ],
    }


def _wave_file(samples: bytes) -> bytes:
    """Return raw samples as a WAV file."""
    size, rate = len(samples), _SAMPLES_PER_S
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
    return head + form + struct.pack("<4sI", b"data", size) + samples
