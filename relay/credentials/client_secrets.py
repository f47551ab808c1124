"""Client secrets: credentials that open realtime connections for a short time, so that a web page
never holds an API key. They have two forms, which open sessions of their own form only:

    ek_           OpenAI's client secrets
    auth_tokens/  Google's ephemeral tokens, with `AuthTokenTerms`

each followed by a sealed text (sealed_texts.py) of the JSON of `ClientSecret`.

Nothing is stored, except how often a token was used. A secret contains the digest of the key that
created it. The key is looked up again at each use (P11): whatever ends or limits the key ends or
limits its client secrets.
"""

from typing import Any, Final
from uuid import UUID

import msgspec

from accounts.limits.data_policy import NO_POLICY, DataPolicy
from accounts.secrets.key_format import AUTH_TOKEN_PREFIX, CLIENT_SECRET_PREFIX
from dialects.errors.errors import RequestFault
from relay.credentials.sealed_texts import open_text, seal_text
from relay.errors import RelayError
from relay.requests.labels import NO_LABELS, Labels

CONTENT_BYTES_MAX: Final = 5_000
"""The longest content: its secret fits into one header of 8 KiB, the default limit of proxies."""

_PURPOSE: Final = b"weir client secret, AES-256-GCM"
_PURPOSES: Final = {
    CLIENT_SECRET_PREFIX: _PURPOSE,
    AUTH_TOKEN_PREFIX: b"weir ephemeral token, AES-256-GCM",
}


class AuthTokenTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What an ephemeral token has beside: its id, the end of its sessions in Unix seconds, how many
    it opens (0 = any number), and the locked paths of its setup.
    """

    id: UUID
    ends_at: int
    uses: int
    paths: tuple[str, ...]


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a secret contains: the digest of its key, its end in Unix seconds, the settings of its
    sessions in its form, and what the headers of its creation say about its sessions.
    """

    digest: bytes
    expires_at: int
    session: dict[str, Any]
    labels: Labels = NO_LABELS
    data_policy: DataPolicy = NO_POLICY
    max_cost_nano: int | None = None
    session_cap_nano: int | None = None
    token: AuthTokenTerms | None = None

    @property
    def prefix(self) -> str:
        """The beginning of its text."""
        return CLIENT_SECRET_PREFIX if self.token is None else AUTH_TOKEN_PREFIX


class SecretRefused(RequestFault):
    """A client secret is not valid here; the message says why."""

    def __init__(self, reason: str) -> None:
        super().__init__("authentication", None, "")
        self.message = f"{self.message}: {reason}"


class SecretTooLong(RelayError):
    """The content exceeds its maximum; `size` is its bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


_decoder: Final = msgspec.json.Decoder(ClientSecret)


def seal(pepper: str, secret: ClientSecret) -> str:
    """Return the text of a secret. Raises SecretTooLong."""
    content = msgspec.json.encode(secret)
    if len(content) > CONTENT_BYTES_MAX:
        raise SecretTooLong(len(content))
    return secret.prefix + seal_text(pepper, _PURPOSES[secret.prefix], content)


def open_sealed(pepper: str, text: str) -> ClientSecret | None:
    """Return what a text contains, whether it has expired or not; None for any text that was not
    sealed under this pepper.
    """
    prefix = next((one for one in _PURPOSES if text.startswith(one)), None)
    if prefix is None:
        return None
    body = text.removeprefix(prefix)
    content = open_text(pepper, _PURPOSES[prefix], body, CONTENT_BYTES_MAX)
    return None if content is None else _decoder.decode(content)
