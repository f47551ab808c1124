"""The signature of an event, according to the Standard Webhooks specification 1.0.

Three headers: `webhook-id` (the fact's id, the same for every attempt, by which receivers recognise
duplicates), `webhook-timestamp` (seconds) and `webhook-signature`: one `v1,<base64>` per secret in
force, separated by spaces. The signature is the HMAC-SHA-256 of `id.timestamp.body`. A secret is
`whsec_` and the base64 of its bytes; every language has libraries for this.
"""

import base64
import datetime as dt
import hmac
from collections.abc import Sequence
from typing import Final

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how every secret begins
SECRET_BYTES: Final = 32
PREVIOUS_SIGNS_FOR: Final = dt.timedelta(hours=24)
"""How long the secret before a rotation still signs."""
_HOOK: Final = b"weir-task-hook"


def secret_text(random: bytes) -> str:
    """Return the text of a secret, which is shown once."""
    return SECRET_PREFIX + base64.b64encode(random).decode()


def key_secret(key: str) -> str:
    """Return the secret that signs calls for the owner of an API key. The owner can derive it too;
    the key cannot be derived from it."""
    return secret_text(hmac.digest(key.encode(), _HOOK, "sha256"))


def signature_headers(
    secrets: Sequence[str], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """Return the headers of an attempt at `timestamp` (seconds), signed with every secret in
    force."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
