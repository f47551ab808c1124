"""The events of an answer, streamed or whole, as guards let them through.

Each text of each choice is checked by itself. What could begin a match waits for more text of the
same kind; the arguments of a tool call wait for their end if a rule is about them, because an
escape in JSON may be cut anywhere. Likelihoods are left out of a checked answer: they repeat its
text. Reasoning that breaks off takes what waits with it.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from content.guards.guard import Held, Place
from content.guards.masks import Restored, restore
from dialects.chat.events import (
    Broken,
    Citation,
    End,
    Event,
    Finish,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallEnd,
    UpstreamError,
    Usage,
)
from relay.guarding.guarding import Guarding, GuardRefused
from relay.guarding.request_texts import check_json
from relay.guarding.tool_gate import ToolGate, ToolRefused

_TEXTS: Final = (TextDelta, ReasoningDelta, RefusalDelta)
_ASIDE: Final = (Usage, LogprobsDelta, Citation)


class Refused(Event, frozen=True, gc=False):
    """A guard ends the answer here; it is the last event."""

    message: str
    code: str


class _Waiting:
    """A text that is still arriving."""

    def __init__(self, guarded: "GuardedAnswer", kind: type[Any], choice: int) -> None:
        self.kind = kind
        self.choice = choice
        self.held = Held(guarded.guarding.rules, "answer", guarded.masks)
        self.restored = Restored(guarded.guarding.masks)


class GuardedAnswer:
    """Guards one answer."""

    def __init__(self, guarding: Guarding) -> None:
        self.guarding = guarding
        self.masks = guarding.masks.of_answer()
        self._checks_calls = any("tool_call" in rule.places for rule in guarding.rules)
        self._checks_texts = any("answer" in rule.places for rule in guarding.rules)
        # The open text of each choice, and the arguments of each open call.
        self._open: dict[int, _Waiting] = {}
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._restored: dict[tuple[int, int], Restored] = {}
        self._refused: Refused | None = None
        self._gate = ToolGate(guarding)

    def change(self, events: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        """Return the events for the client, and those that came: with Refused behind them if a rule
        refuses, and none after it."""
        if self._refused is not None:
            return [], []
        sent: list[Event] = []
        for event in events:
            self._feed(event, sent)
            if self._refused is not None:
                break
        sent = self._judged(sent)
        return sent, [*events, *self._end()]

    def whole(self, events: Sequence[Event]) -> list[Event]:
        """Return the events of a whole answer. Raises GuardRefused."""
        sent: list[Event] = []
        for event in events:
            self._feed(event, sent)
        for choice in list(self._open):
            self._close(choice, sent)
        sent = self._judged(sent)
        if self._refused is not None:
            raise self._refusal
        return sent

    _refusal: GuardRefused

    def _end(self) -> list[Event]:
        return [] if self._refused is None else [self._refused]

    def _judged(self, sent: list[Event]) -> list[Event]:
        """Return the events that may go out by what they say of calls."""
        try:
            return self._gate.pass_(sent)
        except ToolRefused as refused:
            self._refuse(refused.refusal)
            return refused.sent

    def _refuse(self, refusal: GuardRefused) -> None:
        if self._refused is None:
            self._refusal = refusal
            self._refused = Refused(refusal.message, refusal.code)

    def _feed(self, event: Event, sent: list[Event]) -> None:
        if self._refused is not None:
            return
        if isinstance(event, _TEXTS):
            self._feed_text(event, sent)
        elif isinstance(event, ToolArgumentsDelta):
            self._feed_arguments(event, sent)
        elif isinstance(event, LogprobsDelta):
            if not self._checks_texts:
                sent.append(event)
        elif isinstance(event, Citation):
            self._feed_citation(event, sent)
        elif isinstance(event, UpstreamError | Broken):
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
        waiting = self._open.get(event.choice)
        if waiting is not None and waiting.kind is not type(event):
            self._close(event.choice, sent)
            waiting = None
        if waiting is None:
            waiting = self._open[event.choice] = _Waiting(self, type(event), event.choice)
        checked = waiting.held.feed(event.text)
        self.guarding.flag(checked.flags)
        text = waiting.restored.feed(checked.text)
        if text:
            sent.append(waiting.kind(event.choice, text))
        if checked.refused_by is not None:
            self._refuse(GuardRefused(checked.refused_by, "answer"))

    def _close(self, choice: int, sent: list[Event]) -> None:
        waiting = self._open.pop(choice, None)
        if waiting is None or self._refused is not None:
            return
        checked = waiting.held.end()
        self.guarding.flag(checked.flags)
        text = waiting.restored.feed(checked.text)
        if checked.refused_by is None:
            text += waiting.restored.end()
        if text:
            sent.append(waiting.kind(choice, text))
        if checked.refused_by is not None:
            self._refuse(GuardRefused(checked.refused_by, "answer"))

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
        sent.append(ToolArgumentsDelta(*key, restore(self.guarding.masks, text, _escape)))

    def _check(self, place: Place, text: str) -> str:
        """Return a whole text. Raises GuardRefused."""
        checked = Held(self.guarding.rules, place, self.masks).check(text)
        self.guarding.flag(checked.flags)
        if checked.refused_by is not None:
            self._refuse(GuardRefused(checked.refused_by, place))
            raise self._refusal
        return checked.text

    def _feed_citation(self, event: Citation, sent: list[Event]) -> None:
        try:
            source = event.source
            changed = msgspec.structs.replace(
                source,
                url=self._cited(source.url),
                title=self._cited(source.title),
                quote=self._cited(source.quote),
            )
        except GuardRefused:
            return
        sent.append(msgspec.structs.replace(event, source=changed))

    def _cited(self, text: str) -> str:
        return restore(self.guarding.masks, self._check("answer", text)) if text else text


def _escape(text: str) -> str:
    return msgspec.json.encode(text).decode()[1:-1]
