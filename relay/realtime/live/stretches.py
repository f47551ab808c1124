"""The stretches of a Live connection: each minute of it is a request of its own, held before it
begins and settled when its end is reported.

    hold of the 1st minute --> the session starts --> hold of the 2nd minute, before the 1st can end
    the provider's total   --> filled in, in order --> a full stretch is settled
    the end                --> the last one is settled by the final total, or by our own count
"""

import asyncio
from collections import deque
from typing import Final

from dialects.realtime.live import TimeReading
from dialects.usage.session_time import session_minutes
from relay.answers.attempt_end import AttemptEnd
from relay.content_log.spoken_minutes import SpokenMinutes
from relay.context.context import RequestContext
from relay.downstream.downstream import ErrorAnswer
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.metering.usage_meter import UsageMeter, meters_text
from relay.realtime.connection_holds import ConnectionHolds, Placed
from relay.realtime.live.connection_time import ConnectionTime, part_of
from relay.realtime.live.operation import METER, Stretch, StretchBound
from relay.realtime.response import MeteredRequest
from relay.requests.outcome import Outcome

FULL_STRETCH: Final = StretchBound(60_000)
"""The length of a stretch of a connection: each is a request."""
# The next stretch is held this long before the current one can be over, and the connection is ended
# this long before if that is refused.
LEAD_MS: Final = 5_000
MARGIN_MS: Final = 2_000


class StretchMeter(UsageMeter):
    """Counts a stretch."""

    __slots__ = ("_marked_ms", "_rated", "stretch")

    def __init__(self, admitted: AdmittedAttempt) -> None:
        super().__init__(admitted)
        self.passed = self.stretch = Stretch()
        price = admitted.hold.price
        # A mark cannot charge for meters without a rate.
        self._rated = price is None or METER in price.version.rates
        self._marked_ms = 0

    def mark(self) -> str | None:
        ms = self.stretch.least_ms
        if ms <= self._marked_ms or not self._rated:
            return None
        self._marked_ms = ms
        return meters_text({METER: session_minutes(ms)})


class MeteredStretch(MeteredRequest[StretchMeter, StretchBound]):
    """A stretch that begins at `from_ms` of its connection, the first one at 0."""

    __slots__ = ("from_ms",)

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        meter: StretchMeter,
        end: AttemptEnd,
        bound: StretchBound,
        from_ms: int = 0,
    ) -> None:
        super().__init__(context, admitted, meter, end, bound)
        self.from_ms = from_ms

    @property
    def stretch(self) -> Stretch:
        """The stretch's time, as far as it is known."""
        return self.meter.stretch

    def part_of(self, total_ms: int, *, is_last: bool) -> int:
        """Return this stretch's part of a time of the connection. The last stretch has the rest."""
        return part_of(total_ms, self.from_ms, self.bound.ms, is_last=is_last)


class Stretches:
    """The stretches of one connection of `model` that are not settled. The hold of `first` was
    placed with the connection's request."""

    __slots__ = ("_holds", "_model", "_open", "_placing", "_talk", "_time", "covered_ms")

    def __init__(
        self,
        first: MeteredStretch,
        holds: ConnectionHolds,
        model: str,
        time: ConnectionTime,
        talk: SpokenMinutes | None,
    ) -> None:
        self._holds = holds
        self._model = model
        self._time = time
        self._open = deque([first])
        self._placing = asyncio.Lock()
        # The time of the connection for which holds were placed.
        self.covered_ms = first.bound.ms
        # What is said, for the content log; None if nothing is kept.
        self._talk = talk
        if talk is not None:
            talk.open(first.request_id, self.covered_ms)

    async def cover(self, ms: int) -> None:
        """Place the holds for `ms` of the connection. Raises RealtimeOver, EventRefused."""
        async with self._placing:
            while self.covered_ms < ms:
                wanted = self._holds.wanted(self._model, FULL_STRETCH)
                placed = await self._holds.granted(self._holds.place(wanted))
                stretch = _meter(placed, self.covered_ms)
                stretch.start("")
                self._open.append(stretch)
                self.covered_ms += stretch.bound.ms
                if self._talk is not None:
                    self._talk.open(stretch.request_id, self.covered_ms)

    def note_least(self) -> None:
        """Record in each stretch the time that has certainly passed, for the high-water marks."""
        for stretch in self._open:
            stretch.stretch.least_ms = stretch.part_of(self._time.least_ms, is_last=False)

    def book(self, reading: TimeReading, now: float) -> bool:
        """Fill the stretches up to the total that the provider reports, and settle those that are
        full. Return whether the report could be used."""
        flags = [flag for flag in reading.flags if flag != "usage_missing"]
        from_ms = self._time.reported_ms
        if reading.ms is not None and (doubt := self._time.report(reading.ms, now)):
            flags.append(doubt)
        if flags or reading.unknown:
            self._doubt(from_ms, tuple(flags), reading.unknown)
        if reading.ms is None or flags:
            return False
        self.note_least()
        self._fill(reading.ms)
        while len(self._open) > 1 and self._time.reported_ms - self._open[0].from_ms >= (
            self._open[0].bound.ms
        ):
            full = self._open.popleft()
            outcome = full.settle(None, full.end.bill_so_far())
            if self._talk is not None:
                self._talk.end(full.request_id, self._model, outcome)
        return True

    def finish(
        self, error: ErrorAnswer | None, fault: str, now: float, *, is_final: bool
    ) -> Outcome:
        """Settle the remaining stretches: by the last report if that is final, else by our own
        count. Return the outcome of the earliest."""
        own_ms = self._time.reported_ms if is_final else self._time.own_ms(now)
        first: Outcome | None = None
        ended: list[tuple[MeteredStretch, Outcome, bool]] = []
        while self._open:
            stretch = self._open.popleft()
            known = stretch.stretch
            known.own_ms = stretch.part_of(own_ms, is_last=not self._open)
            if not is_final:
                known.used_ms = None
            opens = is_final and stretch.from_ms == 0
            if known.own_ms or known.flags or known.unknown or opens:
                outcome, is_used = stretch.settle(error, stretch.end.bill_so_far(), fault), True
            else:
                outcome, is_used = stretch.release(error, fault), False
            if self._talk is not None:
                ended.append((stretch, outcome, is_used))
            first = first or outcome
        if first is None:
            raise AssertionError("a session has a stretch until its end")
        if self._talk is not None:
            broken = error is not None
            self._talk.close(ends=not broken)
            for stretch, outcome, is_used in ended:
                id = stretch.request_id
                self._talk.end(id, self._model, outcome, broken=broken, used=is_used)
        return first

    def _fill(self, total_ms: int) -> None:
        last = self._open[-1]
        for stretch in self._open:
            part = stretch.part_of(total_ms, is_last=stretch is last)
            stretch.stretch.used_ms = stretch.stretch.own_ms = part

    def _doubt(self, from_ms: int, flags: tuple[str, ...], unknown: tuple[str, ...]) -> None:
        """Flag the stretches for review that the report covers, beginning at `from_ms`."""
        to_ms = max(from_ms + 1, self._time.reported_ms)
        for stretch in self._open:
            if stretch.from_ms < to_ms and stretch.from_ms + stretch.bound.ms > from_ms:
                known = stretch.stretch
                known.flags = tuple(sorted({*known.flags, *flags}))
                known.unknown = tuple(dict.fromkeys((*known.unknown, *unknown)))


def _meter(placed: Placed, from_ms: int) -> MeteredStretch:
    meter = StretchMeter(placed.admitted)
    end = AttemptEnd(placed.context, placed.admitted, meter)
    return MeteredStretch(
        placed.context, placed.admitted, meter, end, FULL_STRETCH, from_ms=from_ms
    )
