"""Many requests to the hub at once, each on a connection of its own, read to its end."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import uvloop

from tests.support.hub import Answer, Hub

LIMIT_S = 60.0


class Post(NamedTuple):
    """One request. A client that sees an answer whose last chunk never comes sees it `cut`."""

    key: str
    path: str
    body: Any


class Torn(AssertionError):
    """The connection ended before the answer did."""


def post_all(
    hub: Hub,
    posts: Sequence[Post],
    *,
    at_once: int = 40,
    begun: Callable[[], None] | None = None,
) -> list[Answer]:
    """The answers, in the order of the requests. Raises Torn where one has no proper end.

    With `begun` they are asked all at once, and it is called when every answer has begun.
    """

    async def all_of_them() -> list[Answer]:
        gate = asyncio.Semaphore(at_once if begun is None else len(posts))
        silent = len(posts)

        async def hears() -> None:
            nonlocal silent
            silent -= 1
            if not silent and begun is not None:
                await asyncio.to_thread(begun)

        async def one(post: Post) -> Answer:
            async with gate, asyncio.timeout(LIMIT_S):
                return await _exchange(hub.port, post, hears)

        return await asyncio.gather(*map(one, posts))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(all_of_them())


async def _exchange(port: int, post: Post, hears: Callable[[], Awaitable[None]]) -> Answer:
    body = json.dumps(post.body).encode()
    head = (
        f"POST {post.path} HTTP/1.1\r\nhost: hub\r\nauthorization: Bearer {post.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        first = await reader.read(1)
        await hears()
        return _parse(first + await reader.read(-1))
    finally:
        writer.close()


def _parse(raw: bytes) -> Answer:
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        raise Torn(raw[-200:])
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    elif len(body) != int(headers.get("content-length", 0)):
        raise Torn(raw[-200:])
    return Answer(int(first.split(" ")[1]), headers, body)


def _joined(body: bytes) -> bytes:
    """The chunks as one."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        if end < 0:
            raise Torn(body[-200:])
        size = int(body[at:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
