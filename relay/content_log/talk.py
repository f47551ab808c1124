"""What a realtime connection reports to the content log, in the form of Responses."""

import binascii
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Protocol

import msgspec

from content.log.media import reference_of
from lib.id_types import RequestId
from relay.content_log.voice import VoicePart
from relay.requests.outcome import Outcome

Item = dict[str, Any]
"""An item of a conversation in the form of Responses."""


class Talk(Protocol):
    """What is said on one connection, by keys of its responses (`RecordedTalk`). `instructions` are
    those of the responses that begin; `transcribes` says whether the provider sends transcripts of
    what it hears."""

    instructions: str
    transcribes: bool

    def ask(self, item: Item | msgspec.Raw) -> None: ...
    def hear(self, data: bytes | str) -> None: ...
    def forget_sound(self) -> None: ...
    def put_sound(self, id: str = "") -> None: ...
    def write_down(self, text: str, id: str = "") -> None: ...
    def cut(self, part: VoicePart) -> None: ...
    def drop(self) -> None: ...
    def take_back(self) -> list[Item | msgspec.Raw]: ...
    def begin(self, key: str, request_id: RequestId) -> None: ...
    def say(self, key: str, item: str, text: str) -> None: ...
    def sound(self, key: str, data: bytes | str) -> None: ...
    def complete(self, key: str, item: str, whole: Item | msgspec.Raw) -> None: ...
    def replace(self, key: str, items: Iterable[Item]) -> None: ...
    def end(self, key: str, model: str, outcome: Outcome, *, broken: bool = False) -> None: ...
    def close(self) -> None: ...
    def beside(self) -> "Talk": ...


class Sound:
    """A sound, of which only the size and the digest are known."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = sha256()

    def add(self, data: bytes | str) -> None:
        """Count base64 of more sound; what is none is not counted."""
        try:
            sound = binascii.a2b_base64(data)
        except (binascii.Error, ValueError):
            return
        self.size += len(sound)
        self._digest.update(sound)

    @property
    def reference(self) -> str:
        return reference_of(self.size, self._digest.hexdigest())

    def part(self) -> Item:
        """Return the part of a message of the client."""
        audio = {"data": self.reference, "format": "pcm16"}
        return {"type": "input_audio", "input_audio": audio}

    def answer(self) -> Item:
        """Return a message of the model."""
        part = {"type": "output_audio", "data": self.reference, "format": "pcm16"}
        return {"type": "message", "role": "assistant", "content": [part]}


def message(role: str, text: str) -> Item:
    """Return a message with a text."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
