"""The hub that counts which of its functions run, for `Hub(application=…)`: `GET /_functions`
answers with `[[file, function, calls], …]` since it was last asked, as JSON."""

import json
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from lib.process.asgi import Receive, Scope, Send
from tests.support.soon import application as product

_ROOT = f"{Path(__file__).parents[2]}/"
_calls: Counter[tuple[str, str]] = Counter()


def _count(frame: FrameType, event: str, argument: Any) -> None:
    code = frame.f_code
    if event == "call" and code.co_filename.startswith(_ROOT):
        _calls[code.co_filename.removeprefix(_ROOT), code.co_qualname] += 1


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["path"] != "/_functions":
        await product(scope, receive, send)
        return
    sys.setprofile(None)
    body = json.dumps([[*function, calls] for function, calls in _calls.items()]).encode()
    _calls.clear()
    fields = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
    sys.setprofile(_count)
