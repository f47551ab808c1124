"""The hub without collections of garbage, for `Hub(application=…)`: `GET /_garbage` answers with
what only a collection frees since it was last asked, by type, as JSON."""

import gc
import json
from collections import Counter

from lib.process.asgi import Receive, Scope, Send
from tests.support.soon import application as product


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["path"] != "/_garbage":
        await product(scope, receive, send)
        return
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    counter = Counter(type(thing).__qualname__ for thing in gc.garbage)
    gc.garbage.clear()
    gc.set_debug(0)
    gc.collect()
    body = json.dumps(counter).encode()
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
