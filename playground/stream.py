"""The events of a run for one page: from the number that it has seen last, until the run's end.

Whatever happens on the way, the page misses nothing and sees nothing twice: every message carries
the number of its last event, and a page that comes back names it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from lib.ids import id_text
from playground import page
from playground.bell import bell
from playground.database import in_database
from playground.events import read_after
from playground.models import Message, Run
from playground.rules.render import partial, server_sent
from playground.runs import interrupt

PING_S = 15.0
RIGHTS_S = 60.0
_EVENTS_AT_ONCE = 25


async def stream_events(
    run: Run, after: int, slug: str, *, may_read: Callable[[], Awaitable[bool]]
) -> AsyncIterator[str]:
    """Server-sent events of `run` after number `after`, to the end of the run.

    Every minute `may_read` is asked; its no ends them too.
    """
    time = asyncio.get_running_loop().time
    said_at = asked_at = time()
    yield ": open\n\n"
    with bell().heard_by(run.id) as rung:
        while True:
            rung.clear()
            read = await in_database(read_after, run.id, after, _EVENTS_AT_ONCE)
            if read.events:
                # One message each: htmx looks all targets of a message up before its first change,
                # so that no event may share one with the event that made its target.
                for after, html in read.events:
                    yield server_sent(html, id=after)
                said_at = time()
                if read.ended and len(read.events) < _EVENTS_AT_ONCE:
                    return
                continue
            if read.ended:
                yield server_sent(await in_database(_whole, run, slug), id=after)
                return
            if read.stale and await in_database(interrupt, run):
                continue
            if time() - asked_at > RIGHTS_S:
                asked_at = time()
                if not await may_read():
                    # The page must not come back: what it listens by is taken away.
                    foot = f"foot-{id_text(run.assistant_message_id)}"
                    yield server_sent(partial(foot, "", "delete"), id=after)
                    return
            if time() - said_at > PING_S:
                said_at = time()
                yield ": ping\n\n"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(bell().floor_s):
                    await rung.wait()


def _whole(run: Run, slug: str) -> str:
    """The answer whole. A page that has its end is not listening any more; one that comes late
    finds the events gone."""
    messages = Message.objects.select_related("run", "conversation")
    message = messages.get(id=run.assistant_message_id)
    return page.replaced_html(message, slug, message.conversation)
