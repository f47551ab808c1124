"""The shape of a provider: data, and the two questions that are answered from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

Dialect = Literal["openai"]
Operation = Literal["chat_completions", "models"]
MediaKind = Literal["image", "audio", "file", "video"]

_SECRET = re.compile(r"[\x21-\x7e]+")


class Quirk(StrEnum):
    """Where a provider differs from what its dialect promises."""

    NO_CONNECTION_REUSE = "no_connection_reuse"
    NO_TOOLS = "no_tools"


class BadAddress(ValueError):
    """A base URL or a secret that no request could be made with; the message says why."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider.

    `base_url` is what a new channel proposes, "" when there is nothing to propose. `paths` are
    relative to a channel's base URL. `media_tokens_max` bounds, for a hold, the tokens of one
    content part of each kind.
    """

    name: str
    label: str
    dialect: Dialect
    base_url: str
    needs_secret: bool
    paths: Mapping[Operation, str]
    quirks: frozenset[Quirk] = frozenset()
    media_tokens_max: Mapping[MediaKind, int] = field(default_factory=dict)

    def url(self, operation: Operation, base_url: str) -> str:
        """The address of an operation below a channel's base URL.

        A base URL without a path gets `/v1`, which every server of the dialect answers under.
        Raises BadAddress for anything but http(s)://host[:port][/path].
        """
        parts = _split(base_url)
        path = parts.path.rstrip("/") or "/v1"
        return f"{parts.scheme}://{parts.netloc}{path}{self.paths[operation]}"

    def headers(self, secret: str | None) -> dict[str, str]:
        """The headers that authenticate a request. Raises BadAddress for an unusable secret."""
        if not secret:
            if self.needs_secret:
                raise BadAddress(f"a channel of provider {self.name} needs a key")
            return {}
        if not _SECRET.fullmatch(secret):
            raise BadAddress("a provider's key may hold visible ASCII characters only")
        return {"authorization": f"Bearer {secret}"}


@dataclass(frozen=True, slots=True)
class _Address:
    scheme: str
    netloc: str
    path: str


def _split(base_url: str) -> _Address:
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as fault:
        raise BadAddress(f"the base URL cannot be read: {fault}") from None
    if not base_url.isascii() or not base_url.isprintable() or " " in base_url:
        raise BadAddress("the base URL may hold visible ASCII characters only")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise BadAddress("the base URL must be http(s)://host[:port][/path]")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("the base URL may not hold a user or a password")
    if "?" in base_url or "#" in base_url:
        raise BadAddress("the base URL may not hold a query or a fragment")
    return _Address(parts.scheme, parts.netloc, parts.path)
