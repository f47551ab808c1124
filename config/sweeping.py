"""The sweeper of a web process: holds are resolved even where no worker lives (I24)."""

import asyncio
import logging
import random

from django.db import connection

log = logging.getLogger(__name__)

_EVERY_S = 5.0


async def sweep_for_ever() -> None:
    """Sweep every few seconds, not in step with other processes. Ends when it is cancelled."""
    while True:
        await asyncio.sleep(_EVERY_S * random.uniform(0.75, 1.25))
        await asyncio.to_thread(_sweep)


def _sweep() -> None:
    # Models can be imported only now that Django stands.
    from gateway.sweep import sweep

    try:
        sweep()
    except Exception:
        # As in a worker: what went wrong is said, and the next round comes nevertheless.
        log.exception("holds cannot be swept")
    finally:
        connection.close()
