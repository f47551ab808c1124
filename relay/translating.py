"""A stream of one dialect, read and written anew in another."""

from typing import Protocol

import msgspec

from dialects.codec import Encoder
from dialects.errors import ErrorKind
from dialects.events import End, Event, Finish, Start, Step, UpstreamError
from dialects.lone_surrogates import Pairs


class Source(Protocol):
    """A decoder, or what stands before one."""

    def feed(self, chunk: bytes) -> list[Step]: ...
    def end(self) -> list[Step]: ...


class Translating:
    """Feeds an encoder from a decoder; where it stands, a decoder of the client's dialect could.

    The bytes of its steps are the client's. `model` is what they name in place of the upstream's
    name, "" for that.
    """

    def __init__(self, decoder: Source, encoder: Encoder, choices: int, model: str = "") -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._open = set(range(choices))
        self._pairs = Pairs()
        self._model = model

    @property
    def encoder(self) -> Encoder:
        """What writes for the client."""
        return self._encoder

    def feed(self, chunk: bytes) -> list[Step]:
        """What is whole now."""
        return [self._write(step) for step in self._decoder.feed(chunk)]

    def end(self) -> list[Step]:
        """The upstream has closed."""
        return [self._write(step) for step in self._decoder.end()]

    def fail(self, kind: ErrorKind, message: str) -> bytes:
        """What ends the client's stream when it fails."""
        return self._encoder.fail(kind, message)

    def cut(self) -> bytes:
        """What ends the client's stream as if it had reached its length (F18)."""
        ends = [self._encoder.feed(Finish(choice, "length")) for choice in sorted(self._open)]
        return b"".join(ends) + self._encoder.end()

    def _write(self, step: Step) -> Step:
        events = self._pairs.join(step.events)
        pieces = [self._encode(event) for event in events]
        return Step(pieces[0] if len(pieces) == 1 else b"".join(pieces), events)

    def _encode(self, event: Event) -> bytes:
        if isinstance(event, End):
            return self._encoder.end()
        if isinstance(event, UpstreamError):
            return self._encoder.fail(event.kind, event.message)
        if isinstance(event, Start) and self._model:
            event = msgspec.structs.replace(event, model=self._model)
        elif isinstance(event, Finish):
            self._open.discard(event.choice)
        return self._encoder.feed(event)
