"""The tool calls of an answer that have begun and not ended.

A call that the length limit has cut never ends: a shortened command can be another valid command
(F38). Upstreams end such a call as any other, and only then say that the limit was reached. The end
of a call whose arguments are no whole JSON is therefore held back until more follows, or until the
answer's finish reason is known.
"""

from collections.abc import Iterable

import msgspec

from dialects.chat.events import Event, FinishReason, ToolArgumentsDelta, ToolCallEnd
from dialects.json.not_json import NOT_JSON


def is_whole(arguments: str) -> bool:
    """Return whether the arguments of a call are a whole JSON value, and so were not cut."""
    try:
        msgspec.json.decode(arguments, type=msgspec.Raw)
    except NOT_JSON:
        return False
    return True


class OpenCalls:
    """The open calls of one choice. `unargued` are the arguments that a call gets at its end if it
    has none, "" for none."""

    __slots__ = ("_began", "_choice", "_pieces", "_unargued", "_waiting")

    def __init__(self, choice: int = 0, unargued: str = "") -> None:
        self._choice = choice
        self._unargued = unargued
        self._pieces: dict[int, list[str]] = {}
        # The calls that the upstream has ended, although they look cut.
        self._waiting: list[int] = []
        self._began = False

    def open(self, index: int) -> None:
        """Begin a call."""
        self._pieces[index] = []
        self._began = True

    def add(self, index: int, text: str) -> None:
        """Add a piece of a call's arguments."""
        if (pieces := self._pieces.get(index)) is not None:
            pieces.append(text)

    def close(self, index: int) -> list[Event]:
        """End a call that its upstream has ended, unless its arguments look cut: then it waits for
        `go_on` or `close_all`."""
        if self._is_whole(index):
            return list(self._end([index]))
        self._waiting.append(index)
        return []

    def go_on(self) -> list[Event]:
        """End the calls that wait, because the answer goes on."""
        waiting, self._waiting = self._waiting, []
        return list(self._end(waiting))

    def close_all(self, reason: FinishReason | None) -> list[Event]:
        """End all calls; after `length` not the last one, if its arguments are cut."""
        ended = sorted(self._pieces)
        if reason == "length" and ended and not self._is_whole(ended[-1]):
            del self._pieces[ended.pop()]
        return list(self._end(ended))

    @property
    def reason(self) -> FinishReason:
        """Return the finish reason of a complete answer that states none. A call that is cut was
        cut by the length, as far as can be known."""
        last = max(self._pieces, default=None)
        if last is not None and self._pieces[last] and not self._is_whole(last):
            return "length"
        return "tool_calls" if self._began else "stop"

    def _is_whole(self, index: int) -> bool:
        return is_whole("".join(self._pieces.get(index, ())))

    def _end(self, indices: Iterable[int]) -> Iterable[Event]:
        for index in indices:
            if (pieces := self._pieces.pop(index, None)) is None:
                continue
            if not pieces and self._unargued:
                yield ToolArgumentsDelta(self._choice, index, self._unargued)
            yield ToolCallEnd(self._choice, index)
