"""The hub, of which each request that it takes costs some milliseconds more: so it is the hub's own
CPU that is short, whatever else the machine does."""

import time

from lib.asgi import Message, Receive, Scope, Send
from tests.from_source import application as hub

COST_S = 0.004


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    async def costly() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            # Whoever is refused is not read.
            end = time.thread_time() + COST_S
            while time.thread_time() < end:
                pass
        return message

    await hub(scope, costly if scope["type"] == "http" else receive, send)
