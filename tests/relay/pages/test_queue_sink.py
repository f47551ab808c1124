"""P9: the queue between a run and a page holds back the one that is ahead, by itself."""

import asyncio
from typing import Any, cast

import pytest

from relay.downstream.downstream import Head
from relay.pages.queue_sink import _QUEUED_MAX, QueueSink

HEAD = Head("text/event-stream", 0, None, None)


async def test_writer_waits_while_the_queue_is_full_until_the_next_read() -> None:
    sink = QueueSink()
    for _ in range(_QUEUED_MAX - 1):
        assert sink.write_now(b"x") is None
    for _ in range(3):
        room = sink.write_now(b"x")
        assert room is not None
        writing = asyncio.ensure_future(room)
        await asyncio.sleep(0)
        assert not writing.done()
        assert await sink.get() == b"x"
        await asyncio.sleep(0)
        assert writing.done()


@pytest.mark.parametrize("waiting", [1, 5])
async def test_queue_that_is_over_full_has_room_once_it_is_below_its_bound(waiting: int) -> None:
    """Several writers do not wait for each other."""
    sink = QueueSink()
    rooms = [sink.write_now(b"x") for _ in range(_QUEUED_MAX + waiting - 1)][-waiting:]
    writing = [asyncio.ensure_future(cast(Any, room)) for room in rooms]
    for _ in range(waiting - 1):
        await sink.get()
    await asyncio.sleep(0)
    assert not any(one.done() for one in writing)
    await sink.get()
    async with asyncio.timeout(5):
        await asyncio.gather(*writing)


async def test_page_that_gives_way_stops_no_writer() -> None:
    sink = QueueSink()
    rooms = [sink.write_now(b"x") for _ in range(_QUEUED_MAX)]
    writing = asyncio.ensure_future(cast(Any, rooms[-1]))
    sink.give_way()
    async with asyncio.timeout(5):
        await writing


async def test_items_come_in_order_and_end_with_none() -> None:
    sink = QueueSink()
    await sink.answer(HEAD, b"whole")
    await sink.write(b"", last=True)
    sink.close(cast(Any, None))
    assert [await sink.get() for _ in range(3)] == [HEAD, b"whole", None]
