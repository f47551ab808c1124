"""Providers with signed requests: a channel's key has parts, `access|secret`, and every request has
its own headers. A key without a bar is sent as it is, as proxies expect."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol
from urllib.parse import parse_qsl, quote, urlsplit

from gateway.providers.aws_signature import AwsKey, authorization

_TOKEN_S: Final = 1800
_CLOCK_S: Final = 5
_PORTS: Final = {"http": 80, "https": 443}
_URLS_MAX: Final = 1024
_WORD_MAX: Final = 24
_AWS_REGION: Final = re.compile(r"\.([a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.")
# The region of addresses that are not Amazon's, such as a proxy or an emulator.
_AWS_DEFAULT_REGION: Final = "us-east-1"


class Signer(Protocol):
    """Creates the headers of one request from its method, URL and body at an instant (Unix
    seconds)."""

    def headers(self, method: str, url: str, body: bytes, now_s: int) -> Mapping[str, str]: ...


def secret_words(signed: Mapping[str, str]) -> set[str]:
    """Return the words of a signer's headers that no client or page may see: the short ones are
    dates and the name of the scheme."""
    return {word for value in signed.values() for word in value.split() if len(word) > _WORD_MAX}


# The number of parts of a key.
MakeSigner = Callable[..., Signer]


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A token that the secret signs (RFC 7519, HS256), valid for half an hour. Source: Kling's
    "General Information", as of 2026-03."""

    access_key: str
    secret_key: str = field(repr=False)

    def headers(self, method: str, url: str, body: bytes, now_s: int) -> Mapping[str, str]:
        head = _encode_json({"alg": "HS256", "typ": "JWT"})
        claims = {"iss": self.access_key, "exp": now_s + _TOKEN_S, "nbf": now_s - _CLOCK_S}
        text = f"{head}.{_encode_json(claims)}"
        return {"authorization": f"Bearer {text}.{_base64(_hmac(self.secret_key, text))}"}


@dataclass(frozen=True, slots=True)
class VolcengineSigner:
    """Volcengine's signature of the request. Source: volcengine.com/docs/6369/67269, as of 2026-02;
    agrees with the SDK `volcengine` 1.0.229."""

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "cn-north-1"
    service: str = "cv"

    def headers(self, method: str, url: str, body: bytes, now_s: int) -> Mapping[str, str]:
        stamp = _stamp(now_s)
        digest = hashlib.sha256(body).hexdigest()
        signed = {
            "content-type": "application/json",
            "host": _host(url),
            "x-content-sha256": digest,
            "x-date": stamp,
        }
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        path, query = urlsplit(url).path or "/", _sorted_query(url)
        canonical = "\n".join((method, path, query, lines, names, digest))
        scope = f"{stamp[:8]}/{self.region}/{self.service}/request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = self.secret_key.encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        signature = _hmac(key, f"HMAC-SHA256\n{stamp}\n{scope}\n{hashed}").hex()
        credential = f"{self.access_key}/{scope}"
        return {
            "x-date": stamp,
            "x-content-sha256": digest,
            "authorization": f"HMAC-SHA256 Credential={credential}, SignedHeaders={names}, "
            f"Signature={signature}",
        }


@dataclass(frozen=True, slots=True)
class AwsSigner:
    """AWS Signature Version 4 for Bedrock, in the host's region. `session_token` belongs to
    temporary keys."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    _keys: dict[str, AwsKey] = field(default_factory=dict, repr=False, compare=False)

    def headers(self, method: str, url: str, body: bytes, now_s: int) -> Mapping[str, str]:
        host, target, region = _aws_address(url)
        key = self._keys.get(region)
        if key is None:
            key = self._keys[region] = AwsKey(self.access_key, self.secret_key, region, "bedrock")
        added = {"x-amz-date": _stamp(now_s)}
        if self.session_token:
            added["x-amz-security-token"] = self.session_token
        signed = (("host", host), *added.items())
        digest = hashlib.sha256(body).hexdigest()
        return added | {"authorization": authorization(key, method, target, signed, digest)}


def aws_region(host: str) -> str:
    """Return the region in the name of one of Amazon's hosts; "" for another host."""
    match = _AWS_REGION.search(host)
    return match[1] if match else ""


@lru_cache(_URLS_MAX)
def _aws_address(url: str) -> tuple[str, str, str]:
    """Return the `Host` of a URL, its path with the query, and its region."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _host(url), target, aws_region(parts.hostname or "") or _AWS_DEFAULT_REGION


def _stamp(now_s: int) -> str:
    return dt.datetime.fromtimestamp(now_s, dt.UTC).strftime("%Y%m%dT%H%M%SZ")


def _hmac(key: str | bytes, text: str) -> bytes:
    key = key.encode() if isinstance(key, str) else key
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encode_json(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _host(url: str) -> str:
    """Return the value of `Host`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    named = f"[{host}]" if ":" in host else host
    standard = parts.port in (None, _PORTS.get(parts.scheme))
    return named if standard else f"{named}:{parts.port}"


def _sorted_query(url: str) -> str:
    pairs = sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs
    )
