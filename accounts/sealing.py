"""Secrets at rest, sealed by the installation's own key for the row and field that keep them."""

from django.conf import settings

from lib.env import ConfigurationError
from lib.vault import Vault


def seal(secret: str, place: str) -> bytes:
    """The sealed secret; `place` is ``table|row id|field``."""
    return _vault().seal(secret, place)


def open_sealed(sealed: bytes | memoryview, place: str) -> str:
    """The secret that was sealed for that place. Raises VaultError."""
    return _vault().open(bytes(sealed), place)


def _vault() -> Vault:
    if not settings.WEIR_KEK:
        raise ConfigurationError("WEIR_KEK is not set. Set it in the environment.")
    return Vault(settings.WEIR_KEK)
