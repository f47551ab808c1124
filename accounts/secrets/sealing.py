"""The installation's own secrets, and encryption of values for a row and a field."""

from functools import lru_cache

from django.conf import settings

from lib.env import require_value
from lib.vault import Vault


def kek() -> str:
    """Return the ring of key encryption keys as text. The first one seals; each of them can
    open."""
    return require_value("WEIR_KEK", settings.WEIR_KEK)


def pepper() -> str:
    """Return the key for digests of secrets that are only compared."""
    return require_value("WEIR_KEY_PEPPER", settings.WEIR_KEY_PEPPER)


def vault() -> Vault:
    """Return the vault with the ring of KEKs. Raises WrongSecret."""
    return _vault(kek())


def seal(secret: str, place: str) -> bytes:
    """Return the secret sealed for a place: ``table|row id|field``."""
    return vault().seal(secret, place)


def open_sealed(sealed: bytes | memoryview, place: str) -> str:
    """Return the secret that was sealed for that place. Raises VaultError."""
    return vault().open(bytes(sealed), place)


@lru_cache(maxsize=4)
def _vault(keks: str) -> Vault:
    return Vault(keks)
