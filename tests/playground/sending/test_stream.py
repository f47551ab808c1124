"""What the stream of a page reads of one run, without its database."""

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from lib import clock
from playground.answers.events import NewEvents, read_after
from playground.models import Run
from playground.runs.runs import interrupt
from playground.sending import stream

FEW = [(7, "<p>a"), (8, "<p>b")]
MANY = [(seq, "<p>") for seq in range(7, 7 + stream._EVENTS_AT_ONCE)]


@pytest.mark.parametrize(
    ("new", "read", "ended"),
    [
        (NewEvents(FEW, ended=False, stale=False), FEW, False),
        (NewEvents(FEW, ended=True, stale=False), FEW, True),
        (NewEvents(FEW, ended=True, stale=False, cut=True), [(8, "whole")], True),
        # There may be more.
        (NewEvents(MANY, ended=True, stale=False), MANY, False),
        (NewEvents(MANY, ended=True, stale=False, cut=True), MANY, False),
        (NewEvents([], ended=True, stale=False), [(6, "whole")], True),
        (NewEvents([], ended=False, stale=False), [], False),
        (NewEvents([], ended=False, stale=True), ["interrupted"], False),
    ],
)
async def test_reader_gets_each_event_and_the_end_once(
    new: NewEvents, read: list[Any], ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a run that has ended before the page opens its stream."""
    done, run = list[Any](), Run(ended_at=clock.now() if new.ended else None)

    async def answer(ask: Callable[..., Any], *arguments: Any) -> Any:
        if ask is read_after:
            assert arguments == (run.id, 6, stream._EVENTS_AT_ONCE)
            return new
        assert arguments[0] is run
        if ask is interrupt:
            done.append("interrupted")
            return None
        assert ask is stream._replaced_html
        return "whole"

    monkeypatch.setattr(stream, "run_in_database", answer)
    column = stream._Column(run, 6)
    events = await column.read("acme")
    assert ([*events, *done], column.ended) == (read, ended)
    assert (await column.read("acme") == []) is (ended or not events)


async def test_stream_that_is_silent_says_that_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks now and then whether its reader may still read."""
    now, asked, events = [0.0], list[float](), {10.0: [(8, "<p>")]}

    async def wait(*_: Any) -> None:
        now[0] += 1

    async def may_read() -> bool:
        asked.append(now[0])
        return now[0] < 36

    async def answer(ask: Callable[..., Any], *_: Any) -> Any:
        if ask is read_after:
            return NewEvents(events.pop(now[0], []), ended=False, stale=False)
        return "ended"

    @contextlib.contextmanager
    def nothing(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(clear=lambda: None)

    loop = SimpleNamespace(time=lambda: now[0])
    monkeypatch.setattr(stream, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    monkeypatch.setattr(stream, "_wait_for_any", wait)
    monkeypatch.setattr(stream, "run_in_database", answer)
    monkeypatch.setattr(stream, "watching", nothing)
    own = SimpleNamespace(subscribe=nothing, poll_s=9)
    monkeypatch.setattr(stream, "notifications", lambda: own)
    opened = stream.stream_events([Run()], [7], "acme", may_read=may_read)
    got = [(now[0], one.partition("\n")[0]) async for one in opened]
    assert got == [
        (0, ": open"), (10, "id: 8"), (26, ": ping"), (36, "id: 8"),
    ]  # fmt: skip
    assert asked == [float(second) for second in range(0, 37, 2)]
