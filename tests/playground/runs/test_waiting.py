"""A model that says nothing for long, by a clock that the test moves (W10)."""

import asyncio
import time
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest

from lib.database.async_database import run_in_database
from playground.models import RunEvent
from relay.downstream.downstream import Head
from relay.requests.outcome import Outcome
from tests.playground.sending.test_views import ScriptedRelay, outcome, people, send
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["people"]

LOOKS_MAX = 2_000


class Clock:
    """The time of every event loop, in seconds. Once it is stopped it goes on only by `pass_time`,
    however long the machine takes."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.stopped_s: float | None = None

    def read(self) -> float:
        now_s = time.monotonic() if self.stopped_s is None else self.stopped_s
        return now_s + self.ahead_s

    def stop(self) -> None:
        self.stopped_s = time.monotonic()

    def pass_time(self, seconds: float) -> None:
        self.ahead_s += seconds

    def go_on(self) -> None:
        self.stopped_s = None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda loop: clock.read())
    return clock


class SilentRelay(ScriptedRelay):
    """Says nothing until the page has been told so twice, behind what is reserved for it."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(outcome(504, "timeout", charge_nano=0, meters={}, basis="none"))
        self.clock = clock
        self.shown: list[list[str]] = []

    async def chat(self, *args: Any, **over: Any) -> AsyncIterator[Head | bytes | Outcome]:
        self.clock.stop()
        for number, seconds in enumerate((3.0, 2.5, 11.0, 4.0)):
            self.clock.pass_time(seconds)
            for _ in range(LOOKS_MAX if number % 2 else 20):
                await asyncio.sleep(0)
                page_text = await run_in_database(_frame_texts)
                if len(page_text) > number // 2 + 1 and number % 2:
                    break
            self.shown.append(page_text)
        self.clock.go_on()
        async for item in super().chat(*args, **over):
            yield item


def _frame_texts() -> list[str]:
    return [
        unescape(html) for html in RunEvent.objects.order_by("seq").values_list("html", flat=True)
    ]


def test_silent_model_is_announced_after_5_and_20_seconds(people: Cast, clock: Clock) -> None:
    relay = SilentRelay(clock)
    send(people.bob, relay, patience_s=100.0, text="Hi")
    before_5, after_5, before_20, after_20 = (
        [html for html in texts if "Still waiting" in html] for texts in relay.shown
    )
    assert before_5 == []
    assert len(after_5) == len(before_20) == 1
    assert "Still waiting for the first token · 5 s" in after_5[0]
    assert "Stop" not in after_5[0]
    assert len(after_20) == 2
    assert "Still waiting for the first token · 20 s" in after_20[1]
    assert "Stop" in after_20[1]
    assert "Try another model" in after_20[1]
