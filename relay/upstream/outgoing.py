"""A request as it is sent to an upstream."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from dialects.codec import Codec
from relay.requests.uploads import OutgoingForm


class OutgoingRequest(msgspec.Struct, frozen=True):
    """An outgoing request: its address, dialect, the client's headers, and the content type that
    its answer must have; `others` are further acceptable types, where `audio/*` is any of sound. A
    `form` is sent instead of the body.
    """

    codec: Codec[Any]
    url: str
    body: bytes
    content_type: str
    client_headers: tuple[tuple[str, str], ...] = ()
    others: frozenset[str] = frozenset()
    form: OutgoingForm | None = None


class PassedRequest(msgspec.Struct, frozen=True):
    """A client's request to be sent as it came: the address at the provider, the client's headers,
    and its body while it arrives, None without one, with the header line of its length.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes] | None = None
    framing: bytes = b""
