"""Whether this process is alive and can accept paid requests. Answered without Django.

/healthz   200 when the event loop answers
/readyz    200 when a paid request can be accepted, else 503 (relay/front/readiness.py)
"""

from lib.process.asgi import Receive, Scope, Send
from relay.asgi import Relay

_PATHS = ("/healthz", "/readyz")


class Health:
    """Answers the two health checks of a supervisor."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    @staticmethod
    def claims(path: str) -> bool:
        return path in _PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fine = scope["path"] == "/healthz" or self._relay.ready
        body = b"ok\n" if fine else b"not ready\n"
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        status = 200 if fine else 503
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
