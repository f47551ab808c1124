"""The events of an answer, streamed or whole, as guards let them through.

Each text of each choice is checked by itself. What could begin a match waits for more text of the
same kind; the arguments of a tool call wait for their end if a rule is about them, because an
escape in JSON may be cut anywhere. Likelihoods are left out of a checked answer: they repeat its
text. Reasoning that breaks off takes what waits with it.

A guard that makes a call is asked about a text at its end, and all that comes after it waits for
the guard's answer.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any, Final

import msgspec

from content.guards.guard import Checked, Held
from content.guards.masks import Restored, restore
from content.guards.rules import Place
from dialects.chat.events import (
    Broken,
    Citation,
    End,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    UpstreamError,
    Usage,
)
from dialects.streams.splice import PassText
from dialects.streams.surrogate_pairs import MARKED
from relay.guarding.asking import CheckText, RequestGuards
from relay.guarding.refusals import GuardFailed, GuardRefused
from relay.guarding.request_texts import check_json
from relay.guarding.tool_gate import ToolGate, ToolRefused

_TEXTS: Final = frozenset({TextDelta, ReasoningDelta, RefusalDelta})
# Events that pass as they are, and close nothing.
_PASSED: Final = frozenset({Start, Usage})
_ASIDE: Final = (Usage, LogprobsDelta, Citation)
_BROKEN: Final = (UpstreamError, Broken)


class Refused(Event, frozen=True, gc=False):
    """A guard ends the answer here; it is the last event."""

    message: str
    error: GuardRefused | GuardFailed


def refused(error: GuardRefused | GuardFailed) -> Refused:
    """Return the event of an error."""
    return Refused(error.message, error)


class Asking(Event, frozen=True, gc=False):
    """Guards have to be asked before more goes out: see `GuardedAnswer.answer`."""


class _Question(Event, frozen=True):
    """Guards are asked about the texts of `content`, which `visit` visits. `write` makes an event
    of what they let pass.
    """

    content: Any
    visit: Callable[[Any, CheckText], Any]
    write: Callable[[Any], Event]


class _Waiting:
    """A text that is still arriving."""

    def __init__(self, guarded: "GuardedAnswer", kind: type[Any], choice: int) -> None:
        self.kind = kind
        self.choice = choice
        self.guarding = guarded.guarding
        self.held = Held(guarded.guarding.rules.looking("answer"), guarded.masks)
        masks = guarded.guarding.masks
        self.restored = Restored(masks) if masks.originals else None
        # For a guard that is asked at the end: the text, and the citations that follow it.
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        # What `pass_text` was told of a text that a rule refuses.
        self.refused: Checked | None = None

    def pass_text(self, text: str) -> str | None:
        """Return what may go out by now; None for a text that is to come as an event: one that a
        rule refuses, or one that has half of a character."""
        if not text.isascii() and MARKED.search(text):
            return None
        began = perf_counter()
        checked = self.held.search(text)
        self.guarding.pure_s += perf_counter() - began
        if checked.refused_by is not None:
            self.refused = checked
            return None
        if checked.flags:
            self.guarding.flag(checked.flags)
        return checked.text


class GuardedAnswer:
    """Guards one answer."""

    def __init__(self, guarding: RequestGuards) -> None:
        self.guarding = guarding
        self.masks = guarding.masks.of_answer()
        rules = guarding.rules
        self._checks_calls = "tool_call" in rules.places
        self._checks_texts = "answer" in rules.places
        self._asks_about_calls = "tool_call" in rules.called_places
        self._asks_about_texts = "answer" in rules.called_places
        # The open text of each choice, and the arguments of each open call.
        self._open: dict[int, _Waiting] = {}
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._restored: dict[tuple[int, int], Restored] = {}
        self._refused: Refused | None = None
        self._asks = self._asks_about_calls or self._asks_about_texts
        self._gate = ToolGate(guarding)
        # What waits for the answers of guards, from the first question on.
        self._queue: list[Event] = []

    def change(self, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        """Return the events for the client, and those that came: with Refused behind them if a rule
        refuses, and none after it; with Asking behind them if guards have to be asked."""
        if self._refused is not None:
            return [], []
        if not self._queue and not self._gate.judges and _PASSED.issuperset(map(type, events)):
            return list(events), list(events)
        ready = self._queue
        self._feed_all(events, ready)
        self._queue = []
        if self._asks:
            waiting, ready = ready, _before_question(ready)
            self._queue = waiting[len(ready) :]
        if self._gate.judges:
            ready = self._judged(ready)
        if self._refused is not None:
            self._queue = []
            return ready, [*events, self._refused]
        return ready, [*events, Asking()] if self._queue else list(events)

    def passing(self, choice: int) -> tuple[PassText, PassText] | None:
        """Return what lets out the words of a choice's text, and what lets out other text, if
        nothing but its rules looks at it and it waits for nothing else. `pure_s` is without words:
        to measure them would take a part of their time."""
        waiting = self._open.get(choice)
        if (
            waiting is None
            or waiting.kind is not TextDelta
            or waiting.restored is not None
            or self._refused is not None
            or self._asks_about_texts
            or self._queue
            or self._gate.waits
        ):
            return None
        words = waiting.held.words()
        return None if words is None else (words, waiting.pass_text)

    async def answer(self) -> list[Event]:
        """Ask guards about what waits, and return the events for the client. Raises GuardRefused,
        GuardFailed.
        """
        waiting, self._queue = self._queue, []
        sent: list[Event] = []
        for event in waiting:
            if isinstance(event, _Question):
                try:
                    content = await self.guarding.ask(event.content, event.visit, self.masks)
                except (GuardRefused, GuardFailed) as error:
                    self._refused = refused(error)
                    raise
                sent.append(event.write(content))
            else:
                sent.append(event)
        sent = self._judged(sent)
        if self._refused is not None:
            raise self._refused.error
        return sent

    def close(self) -> None:
        """Let what is open wait for `answer`, because nothing follows."""
        for choice in list(self._open):
            self._close(choice, self._queue)

    async def whole(self, events: Sequence[Event]) -> list[Event]:
        """Return the events of a whole answer. Raises GuardRefused, GuardFailed."""
        self._feed_all(events, self._queue)
        self.close()
        if self._refused is not None:
            raise self._refused.error
        return await self.answer()

    def _judged(self, sent: list[Event]) -> list[Event]:
        """Return the events that may go out by what they say of calls."""
        try:
            return self._gate.pass_(sent)
        except ToolRefused as stopped:
            self._refuse(stopped.refusal)
            return stopped.sent

    def _refuse(self, refusal: GuardRefused) -> None:
        if self._refused is None:
            self._refused = refused(refusal)

    def _feed_all(self, events: Sequence[Event], sent: list[Event]) -> None:
        began = perf_counter()
        for event in events:
            kind = type(event)
            if kind in _TEXTS:
                self._feed_text(event, sent)
            elif kind in _PASSED:
                sent.append(event)
            else:
                self._feed(event, sent)
            if self._refused is not None:
                break
        self.guarding.pure_s += perf_counter() - began

    def _feed(self, event: Event, sent: list[Event]) -> None:
        if isinstance(event, ToolArgumentsDelta):
            self._feed_arguments(event, sent)
        elif isinstance(event, LogprobsDelta):
            if not self._checks_texts:
                sent.append(event)
        elif isinstance(event, Citation):
            self._feed_citation(event, sent)
        elif isinstance(event, _BROKEN):
            # What waits may be half of a match.
            self._open.clear()
            sent.append(event)
        else:
            if not isinstance(event, _ASIDE):
                self._close_before(event, sent)
            if self._refused is None:
                sent.append(event)

    def _close_before(self, event: Any, sent: list[Event]) -> None:
        """Let out what waits before an event after which no more of it comes."""
        if isinstance(event, ToolCallEnd):
            self._end_call(event, sent)
        elif isinstance(event, End):
            for choice in list(self._open):
                self._close(choice, sent)
        elif (of := getattr(event, "choice", None)) is not None:
            self._close(of, sent)
            if isinstance(event, Finish):
                for key in [key for key in self._arguments if key[0] == of]:
                    self._end_call(ToolCallEnd(*key), sent)

    def _feed_text(self, event: Any, sent: list[Event]) -> None:
        choice, kind = event.choice, type(event)
        waiting = self._open.get(choice)
        if waiting is None or waiting.kind is not kind:
            self._close(choice, sent)
            if self._refused is not None:
                return
            waiting = self._open[choice] = _Waiting(self, kind, choice)
        checked = waiting.refused or waiting.held.feed(event.text)
        if checked.flags:
            self.guarding.flag(checked.flags)
        text = checked.text
        if self._asks_about_texts:
            waiting.pieces.append(text)
        elif text:
            if waiting.restored is not None:
                text = waiting.restored.feed(text)
            if text:
                sent.append(kind(choice, text))
        if checked.refused_by is not None:
            self._refuse(self.guarding.refusal(checked.refused_by, "answer"))

    def _close(self, choice: int, sent: list[Event]) -> None:
        waiting = self._open.pop(choice, None)
        if waiting is None or self._refused is not None:
            return
        checked = waiting.held.end()
        if checked.flags:
            self.guarding.flag(checked.flags)
        if checked.refused_by is not None:
            self._refuse(self.guarding.refusal(checked.refused_by, "answer"))
        if self._asks_about_texts:
            text = "".join(waiting.pieces) + checked.text
            sent.append(_Question(text, _visit_text, partial(self._write_text, waiting)))
            for citation in waiting.citations:
                sent.append(_Question(citation, _visit_citation, self._write_citation))
            return
        text = checked.text
        if waiting.restored is not None:
            text = waiting.restored.feed(text)
            if checked.refused_by is None:
                text += waiting.restored.end()
        if text:
            sent.append(waiting.kind(choice, text))

    def _write_text(self, waiting: _Waiting, text: str) -> Event:
        event: Event = waiting.kind(waiting.choice, restore(self.guarding.masks, text))
        return event

    # ---- tool calls

    def _feed_arguments(self, event: ToolArgumentsDelta, sent: list[Event]) -> None:
        key = event.choice, event.index
        if self._checks_calls:
            self._arguments.setdefault(key, []).append(event.text)
            return
        if key not in self._restored:
            self._restored[key] = Restored(self.guarding.masks, _escape)
        text = self._restored[key].feed(event.text)
        if text:
            sent.append(ToolArgumentsDelta(*key, text))

    def _end_call(self, event: ToolCallEnd, sent: list[Event]) -> None:
        key = event.choice, event.index
        if (restored := self._restored.pop(key, None)) is not None and (text := restored.end()):
            sent.append(ToolArgumentsDelta(*key, text))
        pieces = self._arguments.pop(key, None)
        if pieces is None:
            return
        try:
            text = check_json("".join(pieces), "tool_call", self._check)
        except GuardRefused:
            return
        if self._asks_about_calls:
            sent.append(_Question(text, _visit_call, partial(self._write_arguments, key)))
        else:
            sent.append(self._write_arguments(key, text))

    def _write_arguments(self, key: tuple[int, int], text: str) -> Event:
        return ToolArgumentsDelta(*key, restore(self.guarding.masks, text, _escape))

    def _check(self, place: Place, text: str) -> str:
        """Return a whole text. Raises GuardRefused."""
        checked = Held(self.guarding.rules.looking(place), self.masks).check(text)
        self.guarding.flag(checked.flags)
        if checked.refused_by is not None:
            refusal = self.guarding.refusal(checked.refused_by, place)
            self._refuse(refusal)
            raise refusal
        return checked.text

    def _feed_citation(self, event: Citation, sent: list[Event]) -> None:
        try:
            checked = _visit_citation(event, self._check)
        except GuardRefused:
            return
        if not self._asks_about_texts:
            sent.append(self._write_citation(checked))
        elif (waiting := self._open.get(event.choice)) is not None:
            waiting.citations.append(checked)
        else:
            sent.append(_Question(checked, _visit_citation, self._write_citation))

    def _write_citation(self, event: Citation) -> Event:
        masks = self.guarding.masks
        return _visit_citation(event, lambda place, text: restore(masks, text))


def _before_question(events: list[Event]) -> list[Event]:
    for n, event in enumerate(events):
        if isinstance(event, _Question):
            return events[:n]
    return events


def _visit_text(text: str, check: CheckText) -> str:
    return check("answer", text)


def _visit_call(text: str, check: CheckText) -> str:
    return check_json(text, "tool_call", check)


def _visit_citation(event: Citation, check: CheckText) -> Citation:
    source = event.source
    texts = {
        name: check("answer", text)
        for name in ("url", "title", "quote")
        if (text := getattr(source, name))
    }
    return msgspec.structs.replace(event, source=msgspec.structs.replace(source, **texts))


def _escape(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]
