"""The body of an HTTP request: the headers about it, and its bytes, limited in size and time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from accounts.organisations.data_policy import NO_POLICY, DataPolicy, combine_policies
from dialects.chat.max_cost import read_amount
from dialects.errors.errors import RequestFault, message_of
from lib.process.asgi import Receive
from lib.process.waiting import timeout
from relay.answers.idempotency import read_key
from relay.config import RelayConfig
from relay.errors import ClientGone
from relay.requests.data_policy import DATA_POLICY_HEADER, read_data_policy
from relay.requests.labels import LABELS_HEADER, NO_LABELS, Labels, read_labels

_MAX_COST_HEADER: Final = "x-weir-max-cost"


class BodyFields(msgspec.Struct):
    """The headers about the body, and our own headers: cost, labels, idempotency key, and the name
    of the calling application.
    """

    bytes_max: int
    # The Content-Type of a form, if one is accepted; "" for JSON.
    form_type: str = ""
    takes_form: bool = False
    idempotency_key: str | None = None
    length: int | None = None
    max_cost_nano: int | None = None
    labels: Labels = NO_LABELS
    include_cost: bool | None = None
    data_policy: DataPolicy = NO_POLICY
    app_title: str = ""
    app_address: str = ""


def read_body_fields(
    headers: Sequence[tuple[bytes, bytes]], bytes_max: int, *, takes_form: bool = False
) -> BodyFields:
    """Reject by the headers alone: another content type or encoding, a body that is too large."""
    fields = BodyFields(bytes_max, takes_form=takes_form)
    for name, value in headers:
        read = _READERS.get(name)
        if read is not None:
            read(fields, value)
    return fields


def _check_type(fields: BodyFields, value: bytes) -> None:
    if value == b"application/json":
        return
    kind = value.partition(b";")[0].strip().lower()
    if fields.takes_form and kind == b"multipart/form-data":
        fields.form_type = value.decode("latin-1")
    elif kind not in (b"application/json", b""):
        wanted = " or multipart/form-data" if fields.takes_form else ""
        what = f"Content-Type must be application/json{wanted}"
        raise RequestFault("unsupported_media_type", None, what)


def _check_encoding(fields: BodyFields, value: bytes) -> None:
    if value.strip().lower() not in (b"identity", b""):
        raise RequestFault("unsupported_media_type", None, "Content-Encoding must be identity")


def _read_length(fields: BodyFields, value: bytes) -> None:
    # The server's parser only accepts digits.
    fields.length = int(value)
    if fields.length > fields.bytes_max:
        raise too_large(fields.length, fields.bytes_max)


def _read_key(fields: BodyFields, value: bytes) -> None:
    fields.idempotency_key = read_key(value)


def _read_max_cost(fields: BodyFields, value: bytes) -> None:
    fields.max_cost_nano = read_amount(value.decode("latin-1"), _MAX_COST_HEADER)


def _read_include_cost(fields: BodyFields, value: bytes) -> None:
    fields.include_cost = value.strip().lower() in (b"true", b"1")


def _read_labels(fields: BodyFields, value: bytes) -> None:
    fields.labels = read_labels(value)


def _read_data_policy(fields: BodyFields, value: bytes) -> None:
    # Stated twice, both hold.
    fields.data_policy = combine_policies((fields.data_policy, read_data_policy(value)))


def _read_app_title(fields: BodyFields, value: bytes) -> None:
    fields.app_title = value.decode(errors="replace")


def _read_app_address(fields: BodyFields, value: bytes) -> None:
    fields.app_address = value.decode(errors="replace")


_READERS: Final[Mapping[bytes, Callable[[BodyFields, bytes], None]]] = {
    b"content-type": _check_type,
    b"content-encoding": _check_encoding,
    b"content-length": _read_length,
    b"idempotency-key": _read_key,
    _MAX_COST_HEADER.encode(): _read_max_cost,
    b"x-weir-include-cost": _read_include_cost,
    LABELS_HEADER.encode(): _read_labels,
    DATA_POLICY_HEADER.encode(): _read_data_policy,
    b"x-title": _read_app_title,
    b"http-referer": _read_app_address,
}


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
                    raise too_large(size, bytes_max)
    except TimeoutError:
        what = f"the body did not arrive within {int(seconds)} s; send it again"
        raise RequestFault("request_timeout", None, what) from None
    return b"".join(pieces)


class TooLarge(RequestFault):
    """Names both sizes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__("body_too_large", None, "the body")
        self.message = message_of("body_too_large", "the body", size=size, limit=limit)


def too_large(size: int, limit: int) -> RequestFault:
    """The refusal of a body."""
    return TooLarge(size, limit)
