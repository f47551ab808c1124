"""The events of a Send for one page: from the last numbers that it has seen, until all runs have
ended.

The page misses nothing and sees nothing twice, even after a reconnection: every message carries the
numbers of its last events, one for each column, and a page that reconnects sends them back.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence

from accounts.guards.stream_access import CHECK_S, MayRead
from lib.database.async_database import run_in_database
from lib.process.server_sent import PING_S, server_sent
from playground.answers.events import read_after
from playground.answers.notifications import notifications
from playground.compare_page import compare
from playground.messages import page
from playground.models import Message, Run
from playground.runs.runs import interrupt
from playground.runs.watching import note_poll, watching

_EVENTS_AT_ONCE = 25


async def stream_events(
    batch: Sequence[Run],
    after: Sequence[int],
    slug: str,
    *,
    may_read: MayRead,
    brief: bool = False,
) -> AsyncIterator[str]:
    """Yield server-sent events of the runs after these numbers, until all have ended; with `brief`
    only those that there are, because the page keeps no connection open (static/js/streams.js).

    `may_read` is called regularly; the stream ends when it returns False (P11).
    """
    time = asyncio.get_running_loop().time
    sent_at, check_at = time(), -math.inf
    columns = [_Column(run, number) for run, number in zip(batch, after, strict=True)]
    if brief:
        # Before the page is answered: it then closes the stream by which it watched.
        await run_in_database(note_poll, batch)
    yield ": open\n\n"
    with contextlib.ExitStack() as stack:
        if not brief:
            stack.enter_context(watching(batch))
        subscriptions = [stack.enter_context(notifications().subscribe(run.id)) for run in batch]
        while True:
            for notified in subscriptions:
                notified.clear()
            if time() >= check_at:
                check_at = time() + CHECK_S
                if not await may_read():
                    html = await run_in_database(page.access_ended_html, batch)
                    yield server_sent(html, id=_resume_position(columns))
                    return
            any_new = False
            for column in columns:
                for seq, html in await column.read(slug):
                    column.last_seq, any_new = seq, True
                    # One message each: htmx looks up all targets of a message before its first
                    # change, so an event needs a later message than the event that created its
                    # target.
                    yield server_sent(html, id=_resume_position(columns))
            if all(column.ended for column in columns):
                if len(columns) > 1:
                    yield server_sent(
                        await run_in_database(compare.ended_html, batch, slug),
                        id=_resume_position(columns),
                    )
                return
            if any_new:
                sent_at = time()
                continue
            if brief:
                return
            if time() - sent_at > PING_S:
                sent_at = time()
                yield ": ping\n\n"
            await _wait_for_any(subscriptions, notifications().poll_s)


class _Column:
    """A run, and the position up to which it was read."""

    def __init__(self, run: Run, last_seq: int) -> None:
        self.run = run
        self.last_seq = last_seq
        self.ended = False

    async def read(self, slug: str) -> list[tuple[int, str]]:
        """Return the new events in order; nothing after the end."""
        if self.ended:
            return []
        new = await run_in_database(read_after, self.run.id, self.last_seq, _EVENTS_AT_ONCE)
        if new.events:
            self.ended = new.ended and len(new.events) < _EVENTS_AT_ONCE
            if self.ended and new.cut:
                last_seq = new.events[-1][0]
                return [(last_seq, await run_in_database(_replaced_html, self.run, slug))]
        elif new.ended:
            self.ended = True
            return [(self.last_seq, await run_in_database(_replaced_html, self.run, slug))]
        elif new.stale:
            await run_in_database(interrupt, self.run)
        return new.events


def _resume_position(columns: Sequence[_Column]) -> str:
    return ".".join(str(column.last_seq) for column in columns)


async def _wait_for_any(subscriptions: Sequence[asyncio.Event], seconds: float) -> None:
    """Wait until one of the subscriptions is notified, at most for `seconds`."""
    waits = [asyncio.create_task(notified.wait()) for notified in subscriptions]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _replaced_html(run: Run, slug: str) -> str:
    """Return the whole answer. A page that has the end has stopped listening, and for a late one
    the events have expired."""
    messages = Message.objects.select_related("run", "conversation")
    message = messages.get(id=run.assistant_message_id)
    return page.replaced_html(message, slug, message.conversation)
