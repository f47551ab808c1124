"""The hub, of which each request that it answers costs some milliseconds more, half of them as it
is read and half as its answer is written: so it is the hub's own CPU that is short, whatever else
the machine does."""

import time
from typing import Final

from lib.process.asgi import RESPOND, Fields, Message, Receive, Scope, Send
from tests.support.from_source import application as hub

COST_S: Final = 0.004


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    async def costly_receive() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            # Whoever is refused is not read.
            _work()
        return message

    async def costly_send(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            _work()
        await send(message)

    if scope["type"] != "http":
        await hub(scope, receive, send)
        return
    if (respond := scope.get(RESPOND)) is not None:

        def costly_respond(scope: Scope, status: int, fields: Fields, body: bytes) -> bool:
            if status == 200:
                _work()
            written: bool = respond(scope, status, fields, body)
            return written

        scope[RESPOND] = costly_respond
    await hub(scope, costly_receive, costly_send)


def _work() -> None:
    end = time.thread_time() + COST_S / 2
    while time.thread_time() < end:
        pass
