"""A web process that nobody asks wakes for the second and for the answers of the database."""

import time
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.runner.databases import own_database
from tests.support.hub import Hub

# A wake for the second, and about three for the answers of the database and the rounds of a thread.
# uvicorn's own loop would add ten.
WAKES_A_SECOND_MAX: Final = 9.0
RENEWALS: Final = 3
_LEASE: Final = "SELECT max(alive_until) AS alive_until FROM billing_process"


def wakes(pid: int) -> int:
    """How often the main thread of a process has gone to sleep by itself."""
    lines = Path(f"/proc/{pid}/task/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def test_an_idle_web_process_wakes_a_few_times_a_second() -> None:
    with own_database("wakes") as dsn, closing(Hub(dsn)) as hub:
        hub.settings()
        hub.start()
        assert hub.process is not None
        pid = hub.process.pid
        await_renewal(hub)
        before, began = wakes(pid), time.monotonic()
        for _ in range(RENEWALS):
            await_renewal(hub)
        woken, took_s = wakes(pid) - before, time.monotonic() - began
    assert woken / took_s < WAKES_A_SECOND_MAX


def await_renewal(hub: Hub) -> None:
    """Until the process has renewed its lease, which it does every other second."""
    before = hub.rows(_LEASE)
    hub.wait(lambda: hub.rows(_LEASE) != before, "its lease is not renewed")
