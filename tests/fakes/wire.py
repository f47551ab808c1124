"""What an answer is made of: steps that a connection plays one after the other."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from tests.fakes.answer import compact


class Raw(NamedTuple):
    """Bytes for the socket that are no part of a framed body: heads, broken framing."""

    data: bytes


class Emit(NamedTuple):
    """Bytes of a body that complete so many tokens."""

    data: bytes
    tokens: int


class Signal(Enum):
    """Steps without bytes."""

    FLUSH = "write what has gathered in a turn of its own"
    HOLD = "wait until a test releases the answer"
    CLOSE = "close the connection here"
    RESET = "reset the connection here"


# bytes = body without tokens; float = seconds of silence.
Step = Raw | Emit | bytes | float | Signal


@dataclass(slots=True)
class Answer:
    """`steps` begin with the head; a framed (`chunked`) body gets its frames on the way out."""

    steps: Iterator[Step]
    chunked: bool = False
    trailers: bytes = b""
    close_after: bool = False
    on_end: Callable[[], None] | None = None


REASONS = {
    200: "OK", 204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large", 422: "Unprocessable Content", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout", 529: "Overloaded",
}  # fmt: skip


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers as they go on the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {REASONS[status]}\r\n{lines}\r\n".encode("latin-1")


def whole(
    status: int, body: bytes, content_type: str = "application/json", **headers: str
) -> Answer:
    """An answer in one write."""
    fields = {"content-type": content_type, "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    if status == 204:
        fields = {}
    return Answer(iter((Raw(head(status, fields) + body),)))


def error_object(
    message: str, kind: str = "invalid_request_error", code: str | None = None, param: Any = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def refusal(
    status: int,
    message: str,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    **headers: str,
) -> Answer:
    """An error answer in OpenAI's shape."""
    return whole(status, compact(error_object(message, kind, code, param)), **headers)
