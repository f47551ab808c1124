"""The order of the events of an answer in a dialect whose tool calls cannot overlap."""

from abc import ABC, abstractmethod
from collections import deque

from dialects.chat import events as neutral


class CallOrder(ABC):
    """While a tool call is open, everything else waits until it closes: the first call streams,
    later ones are written in turn.
    """

    def __init__(self) -> None:
        self._call: int | None = None
        self._waiting: deque[list[neutral.Event]] = deque()
        self._waiting_calls: dict[int, list[neutral.Event]] = {}

    @abstractmethod
    def _write(self, event: neutral.Event) -> bytes:
        """Write an event that has its turn."""

    def _write_in_turn(self, event: neutral.Event) -> bytes:
        """Return what an event, and those that waited for it, are written as; b"" if it waits."""
        written = self._write_or_hold(event)
        return written + self._write_held() if self._waiting else written

    def _write_or_hold(self, event: neutral.Event) -> bytes:
        if self._call is not None:
            if not self._belongs(event):
                self._hold(event)
                return b""
            if isinstance(event, neutral.ToolCallEnd):
                self._call = None
        elif isinstance(event, neutral.ToolCallStart):
            self._call = event.index
        return self._write(event)

    def _belongs(self, event: neutral.Event) -> bool:
        return (
            isinstance(event, neutral.ToolArgumentsDelta | neutral.ToolCallEnd)
            and event.index == self._call
        )

    def _hold(self, event: neutral.Event) -> None:
        """Queue an event in the order of writing: events of one call stay together."""
        if isinstance(event, neutral.ToolArgumentsDelta | neutral.ToolCallEnd):
            self._waiting_calls.get(event.index, []).append(event)
            return
        group = [event]
        self._waiting.append(group)
        if isinstance(event, neutral.ToolCallStart):
            self._waiting_calls[event.index] = group

    def _write_held(self, *, last: bool = False) -> bytes:
        """Return the events that waited for the open call; `last` ignores a call that never
        closed.
        """
        written: list[bytes] = []
        while self._waiting and (last or self._call is None):
            group = self._waiting.popleft()
            if isinstance(group[0], neutral.ToolCallStart):
                del self._waiting_calls[group[0].index]
            self._call = None
            written += [self._write_or_hold(event) for event in group]
        return b"".join(written)
