"""The exact rows that the relay answers; everything else is Django's, or nobody's.

`{p}` stands for `/v1` and `/api/v1`. A trailing slash is accepted, and `/v1/v1/…` is read as
`/v1/…` (a base URL with `/v1` typed twice). Unknown paths under `/v1` are answered here, in the
dialect of its clients; `/api/v1/…` that is no row belongs to the management API.
"""

from dataclasses import dataclass
from typing import Final, Literal

from gateway.relay.config import MIB

Handler = Literal["chat", "models"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its method, and how large a body may be (0 = none is read)."""

    handler: Handler
    method: str
    body_bytes_max: int = 0
    key_in_query: bool = False

    @property
    def allow(self) -> str:
        """The value of `Allow`."""
        return f"{self.method}, OPTIONS"


_CHAT: Final = Endpoint("chat", "POST", body_bytes_max=72 * MIB)
_MODELS: Final = Endpoint("models", "GET", key_in_query=True)

ENDPOINTS: Final[dict[str, Endpoint]] = {
    "/v1/chat/completions": _CHAT,
    "/api/v1/chat/completions": _CHAT,
    "/chat/completions": _CHAT,
    "/v1/models": _MODELS,
    "/api/v1/models": _MODELS,
}


def find_endpoint(path: str) -> Endpoint | None:
    """The row of a path, aliases included."""
    return ENDPOINTS.get(path) or ENDPOINTS.get(_plain(path))


def claimed(path: str) -> bool:
    """Whether the relay answers this path, be it with 404."""
    return (
        path in ENDPOINTS or path == "/v1" or path.startswith("/v1/") or _plain(path) in ENDPOINTS
    )


def _plain(path: str) -> str:
    path = path.removesuffix("/")
    while path.startswith(("/v1/v1/", "/api/v1/v1/")):
        path = path.replace("/v1/v1/", "/v1/", 1)
    return path
