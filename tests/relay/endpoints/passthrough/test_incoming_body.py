"""The body of a pass-through on its way: how it is framed, who is waited for, and where it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from relay.endpoints.passthrough import incoming_body
from relay.endpoints.passthrough.incoming_body import IncomingBody

LEFT = {"type": "http.disconnect"}


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Reading:
    """Reads a body as a provider would; `steps` is what happened, in order."""

    def __init__(
        self, *messages: dict[str, Any], length: int | None = None, wait_s: float = 60
    ) -> None:
        self._messages = list(messages)
        self.body = IncomingBody(self._receive, length, wait_s=wait_s)
        self.steps: list[object] = []
        self.body.offer = lambda offered: self.steps.append(offered)

    async def _receive(self) -> Any:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self.body.pieces(lambda: self.steps.append("sent")):
            self.steps.append(piece)
            yield piece

    async def whole(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def interrupted(self) -> bytes:
        """What was read until the request was interrupted."""
        task = asyncio.create_task(self.whole())

        def interrupt() -> None:
            task.cancel()

        self.body.interrupt = interrupt
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return b"".join(step for step in self.steps if isinstance(step, bytes))


async def test_body_of_known_length_is_forwarded_unchanged() -> None:
    reading = Reading(part(b"ab"), part(b""), part(b"c", more=False), length=3)
    assert reading.body.framing == b"content-length: 3\r\n"
    assert await reading.whole() == b"abc"
    # The provider's time for a piece begins when it is offered, and the client's when it is taken.
    assert reading.steps == [
        True, b"ab", False, True, b"", False, True, b"c", False, "sent"
    ]  # fmt: skip


async def test_a_body_of_unknown_length_is_framed_in_chunks() -> None:
    """An empty piece is none: it would end the body."""
    reading = Reading(part(b"a" * 17), part(b""), part(b"", more=False))
    assert reading.body.framing == b"transfer-encoding: chunked\r\n"
    assert await reading.whole() == b"11\r\n" + b"a" * 17 + b"\r\n0\r\n\r\n"
    assert reading.steps[-1] == "sent"


@pytest.mark.parametrize("length", [None, 9])
async def test_leaving_client_is_no_fault(length: int | None) -> None:
    reading = Reading(part(b"ab"), LEFT, length=length)
    assert (await reading.interrupted()).strip(b"2\r\n") == b"ab"
    assert reading.body.fault is None
    assert "sent" not in reading.steps


async def test_stalled_upload_gets_a_timeout() -> None:
    reading = Reading(part(b"ab"), length=9, wait_s=0.01)
    assert await reading.interrupted() == b"ab"
    fault = reading.body.fault
    assert fault is not None
    assert fault.kind == "request_timeout"
    assert "sent" not in reading.steps


@pytest.mark.parametrize(("size", "taken"), [(8, True), (9, False)])
async def test_body_size_is_limited(
    monkeypatch: pytest.MonkeyPatch, size: int, taken: bool
) -> None:
    monkeypatch.setattr(incoming_body, "BODY_BYTES_MAX", 8)
    reading = Reading(part(b"a" * 4), part(b"a" * (size - 4), more=False), length=size)
    if taken:
        assert await reading.whole() == b"a" * size
        return
    assert await reading.interrupted() == b"a" * 4
    assert reading.body.fault is not None
    assert reading.body.fault.kind == "body_too_large"


async def test_nothing_is_read_after_an_unfinished_body() -> None:
    reading = Reading(part(b"a", more=False), LEFT)
    behind = asyncio.create_task(reading.body.receive_after())
    await asyncio.sleep(0)
    assert not behind.done()
    await reading.whole()
    assert await behind == LEFT
