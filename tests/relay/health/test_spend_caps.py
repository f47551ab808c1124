"""P21: a channel that has cost as much as it may takes no requests until its day or month ends."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from relay.health.spend_caps import apply_spend_caps

ID = "00000000-0000-0000-0000-000000000007"
CAP = 1000


class HealthLog:
    """What the health of the channels is told."""

    def __init__(self) -> None:
        self.bars: dict[str, float] = {}
        self.alerts: list[str] = []

    def bar(self, channel: Any, reason: str, wait_s: float) -> None:
        self.bars[reason] = wait_s

    def alert_channel(self, channel: Any, reason: str) -> None:
        self.alerts.append(reason)


async def apply(caps: tuple[int | None, int | None], day: int, month: int) -> HealthLog:
    channel = SimpleNamespace(uuid=UUID(ID), spend_caps=caps)
    snapshot: Any = SimpleNamespace(spend_capped=[ID], channels={ID: channel})
    usage: Any = HealthLog()

    async def ask(_: Any) -> Sequence[Any]:
        return [(ID, str(day), str(month), "60", "3600")]

    await apply_spend_caps(usage, snapshot, ask)
    result: HealthLog = usage
    return result


@pytest.mark.parametrize(("spent", "reached"), [(CAP - 1, False), (CAP, True), (CAP + 1, True)])
@pytest.mark.parametrize("reason", ["spend_day", "spend_month"])
async def test_a_cap_is_reached_at_its_amount(reason: str, spent: int, reached: bool) -> None:
    by_day = reason == "spend_day"
    usage = await apply((CAP, None) if by_day else (None, CAP), spent, spent)
    left_s = {"spend_day": 60.0, "spend_month": 3600.0}
    other = "spend_month" if by_day else "spend_day"
    assert usage.bars == {reason: left_s[reason] if reached else 0.0, other: 0.0}
    assert usage.alerts == ([reason] if reached else [])


async def test_each_cap_is_compared_with_its_own_sum() -> None:
    assert (await apply((CAP, CAP), CAP - 1, CAP)).alerts == ["spend_month"]
    assert (await apply((CAP, CAP), CAP, CAP - 1)).alerts == ["spend_day"]
    assert (await apply((None, None), CAP, CAP)).alerts == []
