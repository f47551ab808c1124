"""Find keys by the stored digest of their text, and tell whether they work now."""

import datetime as dt
import hmac

from accounts.models import FormerSecret, Key, SecretUse
from accounts.secrets import key_format
from accounts.secrets.sealing import pepper
from lib import clock


def find_key(digest: bytes) -> tuple[Key | None, dt.datetime | None]:
    """Return the key with that digest. A former secret's digest finds the key until the secret
    ends; its end is then returned too."""
    keys = Key.objects.select_related(
        "organisation", "team", "user", "service_account__custom_role"
    )
    key = keys.filter(digest=digest).first()
    if key is not None:
        return (key if hmac.compare_digest(bytes(key.digest), digest) else None), None
    former = FormerSecret.objects.filter(digest=digest, until__gt=clock.now()).first()
    if former is None or not hmac.compare_digest(bytes(former.digest), digest):
        return None, None
    return keys.get(id=former.key_id), former.until


def find_key_of(text: str) -> tuple[Key | None, dt.datetime | None]:
    """Find the key for a presented text, in whichever form it is stored."""
    entry: tuple[Key | None, dt.datetime | None] = (None, None)
    for digest in key_format.digests_of(pepper(), text):
        entry = find_key(digest)
        if entry[0] is not None:
            break
    return entry


def used_digest(key: Key, text: str) -> bytes:
    """Return the digest under which this text of a key is stored."""
    first, *others = key_format.digests_of(pepper(), text)
    return next((digest for digest in others if digest == bytes(key.digest)), first)


def digest_of(text: str) -> bytes:
    """Return the stored digest of a key: the HMAC-SHA-256 of its text under the installation's
    pepper."""
    return key_format.digest(pepper(), text)


def digest_of_hash(sha256_digest: bytes) -> bytes:
    """Return the stored digest of a key of which only the SHA-256 is known."""
    return key_format.digest_of_hash(pepper(), sha256_digest)


def end_user_secret(key: Key) -> str:
    """Return the secret with which an application signs the names of its end users."""
    return key_format.end_user_secret(pepper(), bytes(key.digest))


def living_former_secrets(key: Key, now: dt.datetime) -> list[FormerSecret]:
    """Return the former secrets of a key that still work, the one that ends last first."""
    living = [former for former in key.former_secrets.all() if former.until > now]
    return sorted(living, key=lambda former: former.until, reverse=True)


def former_uses(key: Key, now: dt.datetime) -> list[tuple[FormerSecret, SecretUse | None]]:
    """Return the former secrets of a key that still work, each with its last use."""
    uses = {bytes(use.digest): use for use in key.uses.all()}
    return [(former, uses.get(bytes(former.digest))) for former in living_former_secrets(key, now)]


def last_use(key: Key) -> SecretUse | None:
    """Return the last use of any secret of a key, or None for a key that was never used."""
    return max(key.uses.all(), key=lambda use: use.at, default=None)


def key_state(key: Key, now: dt.datetime) -> str:
    """Return `active`, `disabled`, `expired` or `revoked`, as of `now`."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "disabled" if key.disabled else "active"
