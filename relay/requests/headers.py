"""The headers of a request about its body, and our own headers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from accounts.limits.data_policy import NO_POLICY, DataPolicy, combine_policies
from dialects.errors.errors import RequestFault
from dialects.json.max_cost import read_amount
from relay.requests.body import TooLarge
from relay.requests.data_policy import DATA_POLICY_HEADER, read_data_policy
from relay.requests.labels import LABELS_HEADER, NO_LABELS, Labels, read_labels
from relay.requests.sessions import SESSION_HEADERS
from usage.sessions.sources import CAP_HEADER

IDEMPOTENCY_KEY: Final = "idempotency-key"
_KEY_LENGTH_MAX: Final = 128
_MAX_COST_HEADER: Final = "x-weir-max-cost"
_STORE_HEADER: Final = "x-weir-store"


class RequestHeaders(msgspec.Struct):
    """The headers about the body, and our own headers: cost, labels, idempotency key, and the names
    of the calling application and its session.
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
    session_cap_nano: int | None = None
    # Whether the content log may keep the request.
    stores: bool = True
    # The headers that name a session.
    session: dict[bytes, bytes] = msgspec.field(default_factory=dict)


def read_headers(
    lines: Sequence[tuple[bytes, bytes]], bytes_max: int, *, takes_form: bool = False
) -> RequestHeaders:
    """Read the headers. Raises RequestFault for another content type or encoding, a body that is
    too large, or an invalid header of Weir."""
    headers = RequestHeaders(bytes_max, takes_form=takes_form)
    for name, value in lines:
        read = _READERS.get(name)
        if read is not None:
            read(headers, value)
    return headers


def _check_type(headers: RequestHeaders, value: bytes) -> None:
    if value == b"application/json":
        return
    kind = value.partition(b";")[0].strip().lower()
    if headers.takes_form and kind == b"multipart/form-data":
        headers.form_type = value.decode("latin-1")
    elif kind not in (b"application/json", b""):
        wanted = " or multipart/form-data" if headers.takes_form else ""
        what = f"Content-Type must be application/json{wanted}"
        raise RequestFault("unsupported_media_type", None, what)


def _check_encoding(headers: RequestHeaders, value: bytes) -> None:
    if value.strip().lower() not in (b"identity", b""):
        raise RequestFault("unsupported_media_type", None, "Content-Encoding must be identity")


def _read_length(headers: RequestHeaders, value: bytes) -> None:
    # The server's parser only accepts digits.
    headers.length = int(value)
    if headers.length > headers.bytes_max:
        raise TooLarge(headers.length, headers.bytes_max)


def _read_key(headers: RequestHeaders, value: bytes) -> None:
    text = value.decode("latin-1").strip()
    if not 1 <= len(text) <= _KEY_LENGTH_MAX:
        what = f"Idempotency-Key must have between 1 and {_KEY_LENGTH_MAX} characters"
        raise RequestFault("invalid_value", IDEMPOTENCY_KEY, what)
    headers.idempotency_key = text


def _read_max_cost(headers: RequestHeaders, value: bytes) -> None:
    headers.max_cost_nano = read_amount(value.decode("latin-1"), _MAX_COST_HEADER)


def _read_session_cap(headers: RequestHeaders, value: bytes) -> None:
    cap_nano = read_amount(value.decode("latin-1"), CAP_HEADER)
    earlier_nano = headers.session_cap_nano
    # If the header is repeated, all its limits apply.
    headers.session_cap_nano = cap_nano if earlier_nano is None else min(cap_nano, earlier_nano)


def _read_include_cost(headers: RequestHeaders, value: bytes) -> None:
    headers.include_cost = value.strip().lower() in (b"true", b"1")


def _read_store(headers: RequestHeaders, value: bytes) -> None:
    text = value.strip().lower()
    if text not in (b"true", b"false"):
        raise RequestFault("invalid_value", _STORE_HEADER, f"{_STORE_HEADER} must be true or false")
    headers.stores = text == b"true"


def _read_labels(headers: RequestHeaders, value: bytes) -> None:
    headers.labels = read_labels(value)


def _read_data_policy(headers: RequestHeaders, value: bytes) -> None:
    # If the header is repeated, both policies apply.
    headers.data_policy = combine_policies((headers.data_policy, read_data_policy(value)))


def _read_app_title(headers: RequestHeaders, value: bytes) -> None:
    headers.app_title = value.decode(errors="replace")


def _read_app_address(headers: RequestHeaders, value: bytes) -> None:
    headers.app_address = value.decode(errors="replace")


def _note_session(name: bytes, headers: RequestHeaders, value: bytes) -> None:
    headers.session[name] = value


_READERS: Final[Mapping[bytes, Callable[[RequestHeaders, bytes], None]]] = {
    b"content-type": _check_type,
    b"content-encoding": _check_encoding,
    b"content-length": _read_length,
    IDEMPOTENCY_KEY.encode(): _read_key,
    _MAX_COST_HEADER.encode(): _read_max_cost,
    CAP_HEADER.encode(): _read_session_cap,
    b"x-weir-include-cost": _read_include_cost,
    _STORE_HEADER.encode(): _read_store,
    LABELS_HEADER.encode(): _read_labels,
    DATA_POLICY_HEADER.encode(): _read_data_policy,
    b"x-title": _read_app_title,
    b"http-referer": _read_app_address,
    **{name: partial(_note_session, name) for name in SESSION_HEADERS},
}
