"""Work that each web process does every few seconds, even without a worker: resolve holds (I24),
report stalled background jobs, count dropped log lines, and report the process itself."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from django.db import connection

from config.jobs.dropped_lines import count_dropped_lines
from lib.process.ticks import seconds_to_next

log = logging.getLogger(__name__)

_EVERY_S = 5.0
# What only shows how the installation is need not be as soon.
_SHOWN_EVERY_S = 2 * _EVERY_S
# When holds were last resolved. They are resolved if work is waiting, and every half minute.
_swept_at = -math.inf
# How often the lag of the event loop is measured, together with other work of each second.
_CHECK_S: Final = 1.0


class LoopLag:
    """How late the event loop runs what is due: the mean delay of a timer. Every step of every
    request waits that long. It is measured on the loop, and may be read in any thread."""

    def __init__(self) -> None:
        self._delays_s: list[float] = []

    async def measure_for_ever(self) -> None:
        """Measure the running loop until cancelled."""
        while True:
            # The loop's own clock cannot be used, because it stands still during a turn.
            wait_s = seconds_to_next(_CHECK_S, asyncio.get_running_loop().time())
            due_at = time.monotonic() + wait_s
            await asyncio.sleep(wait_s)
            self._delays_s.append(max(0.0, time.monotonic() - due_at))

    def take(self) -> float | None:
        """Return the mean delay in seconds since the last call; None if nothing was measured."""
        delays_s, self._delays_s = self._delays_s, []
        return sum(delays_s) / len(delays_s) if delays_s else None


async def sweep_for_ever() -> None:
    """Do each kind of work every few seconds, with a random offset between processes, until
    cancelled.

    A slow round of the watch, which may wait for a mail server, does not delay the others.
    """
    lag = LoopLag()
    await asyncio.gather(
        _repeat_forever(_EVERY_S, _sweep),
        _repeat_forever(_SHOWN_EVERY_S, count_dropped_lines, _reports(lag)),
        _repeat_forever(_SHOWN_EVERY_S, _watch),
        lag.measure_for_ever(),
    )


async def _repeat_forever(every_s: float, *works: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(every_s * random.uniform(0.75, 1.25))
        await asyncio.to_thread(_round, works)


def _round(works: Sequence[Callable[[], object]]) -> None:
    try:
        for work in works:
            _try(work)
    finally:
        connection.close()


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        # Log the error and continue with the next round, as a worker does.
        log.exception("a round of %s failed", work.__name__.strip("_").replace("_", " "))


# Models can be imported only after Django's setup.


def _sweep() -> None:
    from config.jobs.waiting_work import LOOK_PAST_S, has_waiting_work
    from gateway.provider_accounts.reconciliation.usage_reconciliation import sweep

    global _swept_at
    if time.monotonic() - _swept_at >= LOOK_PAST_S or has_waiting_work(
        "gateway.tasks.resolve_expired_holds"
    ):
        sweep()
        _swept_at = time.monotonic()


def _watch() -> None:
    from config.jobs.job_alarms import watch

    watch()


def _reports(lag: LoopLag) -> Callable[[], None]:
    from config.processes.processes import Reporter, WebLoad
    from config.server.protocol import count_connections

    reporter = Reporter("web")

    def report_process() -> None:
        reporter.report(WebLoad(*count_connections(), lag.take()))

    return report_process
