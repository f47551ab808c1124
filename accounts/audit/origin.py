"""The origin of a request, a command or a background job, for the audit trail."""

import hmac
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final, NamedTuple

from django.http import HttpRequest

from accounts.secrets.sealing import pepper

CLIENT_MAX: Final = 200
_ADDRESS_MAX: Final = 45


class Origin(NamedTuple):
    """The network address, the client, the digest of the session, and the id of the request."""

    address: str = ""
    client: str = ""
    session: str = ""
    request_id: str = ""


ORIGIN: Final[ContextVar[Callable[[], Origin]]] = ContextVar("origin", default=Origin)
"""Set at the start of a request, command or job; read only when an event is recorded."""


def origin_of(request: HttpRequest) -> Origin:
    """Return the origin of a request."""
    # The server has applied the headers of trusted proxies. Headers from other clients are ignored.
    return Origin(
        address=request.META.get("REMOTE_ADDR", "")[:_ADDRESS_MAX],
        client=request.headers.get("user-agent", "").replace("\x00", "")[:CLIENT_MAX],
        session=session_digest(request.session.session_key),
        request_id=getattr(request, "id", ""),
    )


def session_digest(session_key: str | None) -> str:
    """Return the digest that identifies a session in events, or "" without one. It cannot open the
    session."""
    if not session_key:
        return ""
    text = b"session|" + session_key.encode()
    return hmac.digest(pepper().encode(), text, "sha256")[:8].hex()
