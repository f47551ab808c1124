"""The body of a request: read as it arrives, limited in size and time."""

from typing import Final

from dialects.errors.errors import RequestFault, message_of
from lib.process.asgi import Receive
from lib.process.waiting import timeout
from relay.config import MIB, RelayConfig
from relay.errors import ClientGone

BODY_BYTES_MAX: Final = 72 * MIB
"""The maximum size of a request body, where a body is accepted."""


class TooLarge(RequestFault):
    """The body exceeds the limit; the message has both sizes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("body_too_large", None, "the body")
        self.message = message_of("body_too_large", "the body", size=size, limit=limit)


async def read_body(
    receive: Receive, length: int | None, bytes_max: int, config: RelayConfig
) -> bytes:
    """Read the whole body. Raises RequestFault if it is too large or too slow, ClientGone."""
    message = await receive()
    if message["type"] != "http.request":
        raise ClientGone
    raw: bytes = message["body"]
    if not message["more_body"]:
        return raw
    # One minute, or as long as the body takes at the minimum accepted rate.
    seconds = max(config.body_wait_s, (length or 0) // config.body_rate_min)
    pieces, size = [raw], len(raw)
    try:
        async with timeout(seconds):
            while message["more_body"]:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                pieces.append(message["body"])
                size += len(message["body"])
                if size > bytes_max:
                    raise TooLarge(size, bytes_max)
    except TimeoutError:
        what = f"the body did not arrive within {int(seconds)} s; send it again"
        raise RequestFault("request_timeout", None, what) from None
    return b"".join(pieces)
