"""Reads a run's answer from the relay: its bytes, their content, and how it ended."""

from dialects.chat.events import Event
from dialects.openai.stream.decode import Decoder
from playground.answers.answer_parts import AnswerCollector
from playground.answers.progress import Progress
from playground.rendering.render import storable
from relay.downstream.downstream import Head
from relay.requests.outcome import Outcome


class IncomingAnswer:
    """`head` and `outcome` are None until they have arrived. `collected` is everything except the
    text."""

    def __init__(self, began_at: float) -> None:
        self.head: Head | None = None
        self.outcome: Outcome | None = None
        self.collected = AnswerCollector()
        self.progress = Progress(began_at)
        self._decoder = Decoder(include_usage=True, translate=True)
        self._events: list[Event] = []
        self._wire: list[bytes] = []

    def take(self, item: Head | bytes | Outcome, now: float) -> None:
        """Process the next item from the relay."""
        if isinstance(item, Outcome):
            self.outcome = item
        elif isinstance(item, Head):
            self.head = item
        else:
            self._read(item, now)

    def _read(self, raw: bytes, now: float) -> None:
        self._wire.append(raw)
        for step in self._decoder.feed(raw):
            self.collected.take(step.events)
            self._events += step.events
            for event in step.events:
                self.progress.note(event, now)

    @property
    def has_begun(self) -> bool:
        """Whether any content has arrived."""
        return self.progress.first_at is not None

    @property
    def has_events(self) -> bool:
        """Whether there are events that were not taken yet."""
        return bool(self._events)

    def take_events(self) -> list[Event]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def take_wire(self) -> str:
        """Return the received data since the last call, as text that the database can store."""
        wire, self._wire = b"".join(self._wire), []
        return storable(wire.decode("utf-8", "replace"))
