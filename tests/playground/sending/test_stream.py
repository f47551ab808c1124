"""What the stream of a page reads of one run, without its database."""

from collections.abc import Callable
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
