"""The calls of tools in an answer, as the firewall lets them through.

From the start of a call on, everything waits until its arguments are whole: then its rules judge
it. A refused call is not seen by the client, not even its name.
"""

from collections.abc import Sequence
from typing import Final

from content.guards.tool_calls import judge_call
from dialects.chat.events import (
    Broken,
    End,
    Event,
    Finish,
    ToolArgumentsDelta,
    ToolCallEnd,
    ToolCallStart,
    UpstreamError,
)
from relay.errors import RelayError
from relay.guarding.asking import RequestGuards
from relay.guarding.refusals import GuardRefused

_LAST: Final = (UpstreamError, Broken)


class _Call:
    def __init__(self, name: str) -> None:
        self.name = name
        self.arguments: list[str] = []


class ToolGate:
    """Judges the calls of one answer, if a rule is about them."""

    def __init__(self, guarding: RequestGuards) -> None:
        self._guarding = guarding
        self.judges = guarding.rules.judges_calls
        self._calls: dict[tuple[int, int], _Call] = {}
        self._waiting: list[Event] = []

    @property
    def waits(self) -> bool:
        """Whether a call is open, for which everything waits."""
        return bool(self._calls)

    def pass_(self, events: Sequence[Event]) -> list[Event]:
        """Return the events that may go out. Raises ToolRefused."""
        if not self.judges:
            return list(events)
        sent: list[Event] = []
        for event in events:
            self._follow(event, sent)
            if isinstance(event, _LAST):
                self._waiting, self._calls = [], {}
                sent.append(event)
            elif self._calls:
                self._waiting.append(event)
            else:
                sent += self._waiting
                self._waiting = []
                sent.append(event)
        return sent

    def _follow(self, event: Event, sent: list[Event]) -> None:
        if isinstance(event, ToolCallStart):
            self._calls[event.choice, event.index] = _Call(event.name)
        elif isinstance(event, ToolArgumentsDelta):
            if call := self._calls.get((event.choice, event.index)):
                call.arguments.append(event.text)
        elif isinstance(event, ToolCallEnd):
            self._judge((event.choice, event.index), sent)
        elif isinstance(event, Finish | End):
            ended = [key for key in self._calls if isinstance(event, End) or key[0] == event.choice]
            for key in ended:
                self._judge(key, sent)

    def _judge(self, key: tuple[int, int], sent: list[Event]) -> None:
        call = self._calls.pop(key, None)
        if call is None:
            return
        judged = judge_call(
            self._guarding.rules.pure, "tool_call", call.name, "".join(call.arguments)
        )
        self._guarding.flag(judged.flags)
        if judged.by is not None:
            refusal = self._guarding.refusal(judged.by, "tool_call", judged.code)
            raise ToolRefused(refusal, sent)


class ToolRefused(RelayError):
    """A call is refused. `sent` are the events before it."""

    def __init__(self, refusal: GuardRefused, sent: list[Event]) -> None:
        super().__init__(refusal.message)
        self.refusal, self.sent = refusal, sent
