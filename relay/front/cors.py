"""What web pages of other origins may send and read (CORS): everything but cookies."""

from typing import Final

ALLOW_ORIGIN: Final = (b"access-control-allow-origin", b"*")
EXPOSE_HEADERS: Final = (
    b"access-control-expose-headers",
    b"x-request-id, request-id, x-weir-hold, x-weir-cost, x-weir-output-cap, "
    b"x-weir-dropped-params, deprecation, sunset, "
    b"retry-after, retry-after-ms, idempotent-replayed, "
    b"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    b"x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens",
)
PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET, POST, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"*, authorization"),
    (b"access-control-max-age", b"86400"),
]
