"""Keeps what is said on a connection without turns, on which both sides may speak at once: an entry
for each of its minutes.

    transcripts, texts     in the order in which they began; what a side says after a pause, in
                           which something else was said, is a new message
    the minute is over     by the provider's time: the model's last words are the answer, what came
                           before them is the request
    the minute is settled  the entry is handed over

What is said after its minute was settled belongs to the next one. What the model delegates is a
conversation of its own (`delegated`), with an entry for each response.
"""

from collections import deque
from io import StringIO
from typing import Final, Literal, NamedTuple

import msgspec

from lib.id_types import RequestId
from relay.content_log.recorded_answer import BYTES_MAX
from relay.content_log.talk import Item, Sound, Talk, message
from relay.content_log.voice import Voice
from relay.requests.outcome import Outcome

Side = Literal["user", "assistant"]
_SIDES: Final[tuple[Side, ...]] = ("user", "assistant")
_PAUSE_MS: Final = 1_000
# The messages of a minute that are made of transcripts; what is said beyond them is part of them.
_RUNS_MAX: Final = 256
# The minutes that are over and not settled. Until then what is said belongs to the next one.
_UNSETTLED_MAX: Final = 2
# A text with which what waits of an earlier one is stored. Pages do not show it.
_BLANK: Final = " "


class _WholeItem(NamedTuple):
    """An item that came as a whole; `by_model`: it is part of an answer."""

    item: msgspec.Raw
    by_model: bool


class _Run:
    """What a side said until it paused."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.by_model = side == "assistant"
        self.end_ms = 0
        self._text = StringIO()

    def add(self, text: str) -> None:
        self._text.write(text)

    @property
    def text(self) -> str:
        return self._text.getvalue()

    @property
    def item(self) -> Item:
        return message(self.side, self.text)


class _Minute(NamedTuple):
    """A minute that ends at `to_ms` of its connection, and the id of its request."""

    id: RequestId
    to_ms: int


class SpokenMinutes:
    """What is said on one connection. `talk` keeps the entries of its minutes."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.delegated = talk.beside()
        # Those that are not over, from the present one on, and those that are over.
        self._minutes = deque[_Minute]()
        self._over = set[RequestId]()
        # The present minute: its parts in their order, their size, the part that came last or was
        # added to, and what each side says now.
        self._parts: list[_WholeItem | _Run] = []
        self._size = 0
        self._latest: _WholeItem | _Run | None = None
        self._speaking: dict[Side, _Run] = {}
        self._sound = Sound()
        self._voices: dict[Side, Voice] = {side: Voice() for side in _SIDES}

    def begin(self, instructions: str) -> None:
        """Record the instructions of the connection."""
        self._talk.instructions = instructions

    # ---- the time

    def open(self, id: RequestId, to_ms: int) -> None:
        """Record that a minute was opened, which ends at `to_ms` of the connection."""
        self._minutes.append(_Minute(id, to_ms))

    def reach(self, ms: int) -> None:
        """Record that so much time of the connection has passed, for what is said from now on."""
        while (
            len(self._minutes) > 1
            and ms > self._minutes[0].to_ms
            and len(self._over) < _UNSETTLED_MAX
        ):
            self._finish(ends=False)

    # ---- what is said

    def tell(self, item: Item | msgspec.Raw, *, by_model: bool = False) -> None:
        """Record an item that came as a whole."""
        raw = msgspec.json.encode(item)
        self._size += len(raw)
        if self._size <= BYTES_MAX:
            self._latest = _WholeItem(msgspec.Raw(raw), by_model)
            self._parts.append(self._latest)

    def say(self, side: Side, text: str, start_ms: int, end_ms: int) -> None:
        """Record a piece of the transcript of what a side says."""
        self._voices[side].add(text)
        self._size += len(text)
        if self._size > BYTES_MAX:
            return
        run = self._speaking.get(side)
        if run is None or (
            self._latest is not run
            and start_ms - run.end_ms > _PAUSE_MS
            and len(self._parts) < _RUNS_MAX
        ):
            run = self._speaking[side] = _Run(side)
            self._parts.append(run)
        self._latest = run
        run.end_ms = max(run.end_ms, end_ms)
        run.add(text)

    def hear(self, data: bytes | str) -> None:
        """Count sound of the client, base64."""
        self._talk.hear(data)

    def sound(self, data: bytes | str) -> None:
        """Count sound of the model, base64."""
        self._sound.add(data)

    # ---- its end

    def end(
        self,
        id: RequestId,
        model: str,
        outcome: Outcome,
        *,
        broken: bool = False,
        used: bool = True,
    ) -> None:
        """Hand over a minute that was settled; one that was not `used` only if something was said
        in it. Minutes end in their order."""
        if id not in self._over:
            if not used:
                self._minutes.popleft()
                return
            self._finish(ends=False)
        self._over.remove(id)
        self._talk.end(str(id), model, outcome, broken=broken)

    def close(self, *, ends: bool) -> None:
        """Record that nothing follows; `ends`: both sides have said what they wanted to say."""
        for item in self.delegated.take_back():
            # It may be the result of a call that this conversation does not have.
            self.tell(message("developer", msgspec.json.encode(item).decode()))
        self._finish(ends=ends)

    def _finish(self, *, ends: bool) -> None:
        """End the present minute: from now on, what is said belongs to the next one."""
        id = self._minutes.popleft().id
        parts, key, talk = self._parts, str(id), self._talk
        answered = len(parts)
        while answered and parts[answered - 1].by_model:
            answered -= 1
        for part in parts[:answered]:
            talk.ask(part.item)
        for side in _SIDES:
            texts = [part.text for part in parts if isinstance(part, _Run) and part.side == side]
            if ends and not texts and self._voices[side].goes_on:
                texts = [_BLANK]
                talk.ask(message(side, _BLANK))
            talk.cut(self._voices[side].take_part(texts, ends=ends))
        talk.put_sound()
        if self._size > BYTES_MAX:
            talk.drop()
        talk.begin(key, id)
        if self._sound.size:
            talk.complete(key, "", self._sound.answer())
        for part in parts[answered:]:
            talk.complete(key, "", part.item)
        self._over.add(id)
        self._parts, self._size, self._speaking, self._sound = [], 0, {}, Sound()
