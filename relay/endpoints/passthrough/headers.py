"""Which headers of a pass-through are forwarded, in both directions: all except those of a
connection, those that carry a key or a cookie, those of proxies, and our own."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from dialects.errors.errors import RequestFault

Fields = list[tuple[bytes, bytes]]

# Headers of one connection (RFC 9110, section 7.6.1), and of a body's framing.
_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
     "upgrade", "content-length"}
)  # fmt: skip
_FROM_CLIENT: Final = _HOP | {
    "host", "expect", "accept-encoding", "authorization", "proxy-authorization", "x-api-key",
    "x-goog-api-key", "api-key", "mj-api-secret", "cookie", "cookie2", "forwarded", "via",
    "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-client-request-id", "x-request-id",
    # Operators say which channels get the context of a trace.
    "traceparent", "tracestate", "baggage",
}  # fmt: skip
_FROM_PROVIDER: Final = _HOP | {
    "set-cookie", "set-cookie2", "www-authenticate", "proxy-authenticate", "authorization",
    "authentication-info", "proxy-authentication-info", "location", "content-location", "refresh",
    "alt-svc", "strict-transport-security", "public-key-pins", "clear-site-data", "date", "server",
    "via", "x-accel-buffering", "x-accel-redirect", "x-request-id",
    "request-id", "x-content-type-options", "openai-organization",
    "openai-project", "anthropic-organization-id", "service-worker-allowed", "report-to", "nel",
}  # fmt: skip
# Headers that are not returned: our own, those of proxies, the provider's limits, which concern the
# operator, and its rules for pages.
_CLIENT_PREFIXES: Final = ("x-weir-", "x-forwarded-", "proxy-", "sec-", "access-control-")
_PROVIDER_PREFIXES: Final = (
    "x-weir-", "proxy-", "access-control-", "x-ratelimit-", "ratelimit-", "anthropic-ratelimit-",
)  # fmt: skip
_VISIBLE: Final = re.compile(r"[ -~\t]*")


def forwarded_headers(
    lines: Iterable[tuple[bytes, bytes]], *, names_client: bool
) -> dict[str, str]:
    """Return the client's headers to send to the provider; with the user agent if `names_client`.
    Raises RequestFault for a header that is not ASCII."""
    headers: dict[str, str] = {}
    texts = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in lines]
    dropped = _connection_headers(texts)
    if not names_client:
        dropped.add("user-agent")
    for name, text in texts:
        if name in _FROM_CLIENT or name in dropped or name.startswith(_CLIENT_PREFIXES):
            continue
        if not _VISIBLE.fullmatch(text):
            what = f"the header {name[:60]} contains a character that is not ASCII"
            raise RequestFault("malformed_json", None, what)
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers


def returned_headers(headers: Mapping[str, str], secrets: Iterable[str]) -> Fields:
    """Return the headers of a provider's answer to send to the client, without any that contains
    one of `secrets`."""
    dropped = _connection_headers(headers.items())
    return [
        (name.encode(), text.encode("latin-1"))
        for name, text in headers.items()
        if name not in _FROM_PROVIDER
        and name not in dropped
        and not name.startswith(_PROVIDER_PREFIXES)
        and not any(secret in text for secret in secrets)
    ]


def _connection_headers(headers: Iterable[tuple[str, str]]) -> set[str]:
    return {
        word.strip().lower()
        for name, text in headers
        if name == "connection"
        for word in text.split(",")
    }
