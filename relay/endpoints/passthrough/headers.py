"""Which headers of a pass-through are forwarded: in both directions only those on a list. Any other
could name a method, path or account that no rule allows, or carry a key."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from dialects.errors.errors import RequestFault

Fields = list[tuple[bytes, bytes]]

# About the body, its parts, and the conditions under which it is sent (RFC 9110, sections 8, 12 to
# 14), and the key by which a provider recognises a repetition.
FORWARDED: Final = frozenset(
    {
        "content-type", "content-encoding", "content-language", "content-range", "accept",
        "accept-language", "range", "if-range", "if-match", "if-none-match", "if-modified-since",
        "if-unmodified-since", "idempotency-key",
    }
)  # fmt: skip
RETURNED: Final = frozenset(
    {
        "content-type", "content-language", "content-range", "content-disposition", "accept-ranges",
        "etag", "last-modified", "expires", "cache-control", "age", "allow", "retry-after",
    }
)  # fmt: skip
_VISIBLE: Final = re.compile(r"[ -~\t]*")


def forwarded_headers(
    lines: Iterable[tuple[bytes, bytes]], of_channel: Collection[bytes]
) -> dict[str, str]:
    """Return the client's headers to send to the provider: those on the list, and those that the
    channel passes on. Raises RequestFault for one that is not ASCII."""
    headers: dict[str, str] = {}
    texts = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in lines]
    names = FORWARDED.union(name.decode() for name in of_channel) - _connection_headers(texts)
    for name, text in texts:
        if name not in names:
            continue
        if not _VISIBLE.fullmatch(text):
            what = f"the header {name[:60]} contains a character that is not ASCII"
            raise RequestFault("malformed_json", None, what)
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def returned_headers(headers: Mapping[str, str], secrets: Iterable[str]) -> Fields:
    """Return the headers of a provider's answer to send to the client: those on the list, without
    any that contains one of `secrets`."""
    names = RETURNED - _connection_headers(headers.items())
    return [
        (name.encode(), text.encode("latin-1"))
        for name, text in headers.items()
        if name in names and not any(secret in text for secret in secrets)
    ]


def _connection_headers(headers: Iterable[tuple[str, str]]) -> set[str]:
    return {
        word.strip().lower()
        for name, text in headers
        if name == "connection"
        for word in text.split(",")
    }
