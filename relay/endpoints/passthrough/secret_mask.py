"""Mask a provider's key in an answer, because an endpoint may return what it was sent. The length
of the answer stays the same."""

from collections.abc import Sequence
from typing import Final

SECRET_CHARACTERS_MIN: Final = 8
"""A shorter text is no key that could be told from others."""


class SecretMask:
    """Masks secrets in the pieces of one answer, also where they are split between two pieces."""

    __slots__ = ("_kept", "_secrets")

    def __init__(self, secrets: Sequence[str]) -> None:
        # The longest first: one may be the start of another.
        self._secrets = [
            secret.encode()
            for secret in sorted(secrets, key=len, reverse=True)
            if len(secret) >= SECRET_CHARACTERS_MIN
        ]
        # The end of the last piece, which may be the start of a secret.
        self._kept = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the bytes that can be forwarded once this piece has arrived."""
        if not self._secrets:
            return piece
        raw = self._kept + piece if self._kept else piece
        for secret in self._secrets:
            if secret in raw:
                raw = raw.replace(secret, b"*" * len(secret))
        size = max(_secret_prefix_length(raw, secret) for secret in self._secrets)
        self._kept = raw[len(raw) - size :]
        return raw[: len(raw) - size] if size else raw

    def end(self) -> bytes:
        """Return the remaining bytes."""
        rest, self._kept = self._kept, b""
        return rest


def _secret_prefix_length(raw: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of `raw` are the start of the secret."""
    for size in range(min(len(raw), len(secret) - 1), 0, -1):
        if secret.startswith(raw[len(raw) - size :]):
            return size
    return 0
