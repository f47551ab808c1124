"""A model that says nothing for long, by a clock that the test moves (W10)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from html import unescape
from typing import Any

import pytest

from lib.database.async_database import run_in_database
from playground.models import RunEvent
from relay.front.downstream import Head
from relay.requests.context import Outcome
from tests.cast import Cast
from tests.playground.turns.test_views import ScriptedRelay, outcome, people, send

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

LOOKS_MAX = 2_000


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock of every event loop ahead by so many seconds."""
    passed = 0.0

    def pass_time(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda loop: time.monotonic() + passed)
    return pass_time


class SilentRelay(ScriptedRelay):
    """Says nothing until the page has been told so twice."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__(outcome(504, "timeout", charge_nano=0, meters={}, basis="none"))
        self.pass_time = pass_time
        self.shown: list[list[str]] = []

    async def chat(self, *args: Any, **over: Any) -> AsyncIterator[Head | bytes | Outcome]:
        for number, seconds in enumerate((3.0, 2.5, 11.0, 4.0)):
            self.pass_time(seconds)
            for _ in range(LOOKS_MAX if number % 2 else 20):
                await asyncio.sleep(0)
                page_text = await run_in_database(_frame_texts)
                if len(page_text) > number // 2 and number % 2:
                    break
            self.shown.append(page_text)
        async for item in super().chat(*args, **over):
            yield item


def _frame_texts() -> list[str]:
    return [
        unescape(html) for html in RunEvent.objects.order_by("seq").values_list("html", flat=True)
    ]


def test_after_5_seconds_the_page_says_so_and_after_20_it_offers_ways_out(
    people: Cast, pass_time: Callable[[float], None]
) -> None:
    relay = SilentRelay(pass_time)
    send(people.bob, relay, patience_s=100.0, text="Hi")
    before_5, after_5, before_20, after_20 = relay.shown
    assert before_5 == []
    assert len(after_5) == len(before_20) == 1
    assert "Still waiting for the first token · 5 s" in after_5[0]
    assert "Stop" not in after_5[0]
    assert len(after_20) == 2
    assert "Still waiting for the first token · 20 s" in after_20[1]
    assert "Stop" in after_20[1]
    assert "Try another model" in after_20[1]
