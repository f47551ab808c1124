"""AWS Signature Version 4 of a request's headers (docs.aws.amazon.com, "Create a signed AWS API
request", 2026-08). Pure: no clock, no environment, no network."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_UNRESERVED: Final = "-_.~"
_URLS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class AwsKey:
    """A key for one service of one region. The key that signs changes each day."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str
    service: str
    _daily: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def sign(self, scope: str, text: str) -> str:
        """Return the signature of a text by the key of a scope's day."""
        key = self._daily.get(scope)
        if key is None:
            key = b"AWS4" + self.secret_key.encode()
            for part in scope.split("/"):
                key = _hmac(key, part)
            self._daily.clear()
            self._daily[scope] = key
        return _hmac(key, text).hex()


def authorization(
    key: AwsKey, method: str, target: str, headers: Sequence[tuple[str, str]], digest: str
) -> str:
    """Return the `Authorization` header of a request.

    `target` is the path and query as they are sent, `headers` are those to sign, with `x-amz-date`
    among them, and `digest` is the SHA-256 of the body in hexadecimal.
    """
    canonical, names = canonical_request(method, target, headers, digest)
    stamp = next(value for name, value in headers if name.lower() == "x-amz-date")
    scope = f"{stamp[:8]}/{key.region}/{key.service}/aws4_request"
    signature = key.sign(scope, string_to_sign(stamp, scope, canonical))
    credential = f"{key.access_key}/{scope}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"


def canonical_request(
    method: str, target: str, headers: Sequence[tuple[str, str]], digest: str
) -> tuple[str, str]:
    """Return the canonical form of a request, and the names of its signed headers."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = ";".join(sorted(values))
    lines = "".join(f"{name}:{','.join(values[name])}\n" for name in sorted(values))
    return f"{method}\n{_canonical_target(target)}\n{lines}\n{names}\n{digest}", names


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    """Return the text whose signature is sent."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"


@lru_cache(_URLS_MAX)
def _canonical_target(target: str) -> str:
    """Return the path and the query, each on a line. The path is encoded once more than it is sent;
    the query is not."""
    path, _, query = target.partition("?")
    pairs = sorted(_canonical_pair(pair) for pair in query.split("&") if pair)
    encoded = quote(_normal_path(path), safe="/" + _UNRESERVED)
    return encoded + "\n" + "&".join(f"{name}={value}" for name, value in pairs)


def _canonical_pair(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return quote(unquote(name), safe=_UNRESERVED), quote(unquote(value), safe=_UNRESERVED)


def _normal_path(path: str) -> str:
    """Return a path without empty and relative segments (RFC 3986, 5.2.4)."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    normal = "/" + "/".join(segments)
    return normal + "/" if segments and path.endswith("/") else normal


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)
