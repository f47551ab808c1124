"""The body of a request over HTTP: what its header section says of it, and its bytes, bounded in
size and in time."""

import asyncio
from collections.abc import Sequence

from dialects.errors import RequestFault, message_of
from dialects.max_cost import read_amount
from lib.asgi import Receive
from relay.config import RelayConfig
from relay.idempotency import read_key
from relay.labels import NO_LABELS, read_labels


class ClientGone(Exception):
    """The client went away before its request was whole."""


class BodyFields:
    """What the header section says of the body, our own fields of costs and of labels, and the key
    under which it may be sent again."""

    __slots__ = ("idempotency_key", "include_cost", "labels", "length", "max_cost_nano")

    def __init__(self) -> None:
        self.idempotency_key: str | None = None
        self.length: int | None = None
        self.max_cost_nano: int | None = None
        self.labels = NO_LABELS
        self.include_cost: bool | None = None


def read_body_fields(headers: Sequence[tuple[bytes, bytes]], bytes_max: int) -> BodyFields:
    """Refuse what needs no reading: another content type or encoding, a body too large."""
    fields = BodyFields()
    for name, value in headers:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind not in (b"application/json", b""):
                raise RequestFault(
                    "unsupported_media_type", None, "Content-Type must be application/json"
                )
        elif name == b"content-encoding":
            if value.strip().lower() not in (b"identity", b""):
                raise RequestFault(
                    "unsupported_media_type", None, "Content-Encoding must be identity"
                )
        elif name == b"content-length":
            # The server's parser lets digits only through.
            fields.length = int(value)
            if fields.length > bytes_max:
                raise _too_large(fields.length, bytes_max)
        elif name == b"idempotency-key":
            fields.idempotency_key = read_key(value)
        elif name == b"x-weir-max-cost":
            fields.max_cost_nano = read_amount(value.decode("latin-1"), "x-weir-max-cost")
        elif name == b"x-weir-include-cost":
            fields.include_cost = value.strip().lower() in (b"true", b"1")
        elif name == b"x-weir-labels":
            fields.labels = read_labels(value)
    return fields


async def read_body(
    receive: Receive, length: int | None, bytes_max: int, config: RelayConfig
) -> bytes:
    """The whole body. Raises RequestFault for one too large or too slow, ClientGone."""
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    raw: bytes = message["body"]
    if not message["more_body"]:
        return raw
    # A minute, or as long as the body needs at the slowest rate that is put up with.
    seconds = max(config.body_wait_s, (length or 0) // config.body_rate_min)
    pieces, size = [raw], len(raw)
    try:
        async with asyncio.timeout(seconds):
            while message["more_body"]:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                pieces.append(message["body"])
                size += len(message["body"])
                if size > bytes_max:
                    raise _too_large(size, bytes_max)
    except TimeoutError:
        what = f"the body did not arrive within {int(seconds)} s; send it again"
        raise RequestFault("request_timeout", None, what) from None
    return b"".join(pieces)


class _TooLarge(RequestFault):
    """Names both sizes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("body_too_large", None, "the body")
        self.message = message_of("body_too_large", "the body", size=size, limit=limit)


def _too_large(size: int, limit: int) -> RequestFault:
    return _TooLarge(size, limit)
