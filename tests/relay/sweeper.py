"""Another process of the installation, which sweeps a hub's database when a test says so. There is
one for each thread that asks, so that those asked at once sweep at once: it takes longer to start
than to sweep."""

import atexit
import os
import threading
from collections.abc import Callable
from functools import cache

from tests.beside import Beside
from tests.hub import Hub


@cache
def _process(thread: int) -> Beside:
    process = Beside(os.environ)
    atexit.register(process.close)
    return process


def sweep(hub: Hub) -> int:
    """Sweep once; how many holds were resolved."""
    return beside(hub, sweep_database)


def beside(hub: Hub, work: Callable[[str], int]) -> int:
    """Let that process do something with the hub's database, whose name it is given."""
    return _process(threading.get_ident()).call(work, hub.connection.info.dbname)


def sweep_database(name: str) -> int:
    """Beside the hub."""
    from django.db import connection

    from gateway import unsettled_attempts

    connection.settings_dict["NAME"] = name
    resolved = unsettled_attempts.sweep()
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    return resolved
