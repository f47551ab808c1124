"""I24: a web process goes on sweeping, whatever one round meets."""

import asyncio
import math
from unittest.mock import Mock

import pytest

from config.jobs import sweeping
from gateway.provider_accounts.reconciliation import usage_reconciliation


def test_a_round_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_the_second() -> None:
        second = asyncio.Event()
        loop = asyncio.get_running_loop()

        def round_of() -> int:
            if not failed:
                failed.append(True)
                raise RuntimeError("a defect")
            loop.call_soon_threadsafe(second.set)
            return 0

        failed: list[bool] = []
        monkeypatch.setattr(usage_reconciliation, "sweep", round_of)
        task = asyncio.create_task(sweeping.sweep_for_ever())
        await asyncio.wait_for(second.wait(), 30)
        task.cancel()
        await asyncio.wait([task])

    monkeypatch.setattr(sweeping, "_EVERY_S", 0.0)
    monkeypatch.setattr(sweeping, "_swept_at", -math.inf)
    monkeypatch.setattr(sweeping, "connection", Mock())
    asyncio.run(until_the_second())
