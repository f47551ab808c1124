"""The secrets of channel keys, which are stored sealed."""

from accounts.secrets.sealing import open_sealed, seal
from gateway.models import ChannelKey


def seal_secret(key: ChannelKey, secret: str) -> bytes:
    """Return the secret as it is stored in `key.sealed`."""
    return seal(secret, _seal_context(key))


def open_secret(key: ChannelKey) -> str:
    """Return the decrypted secret, which may only be sent to its channel's provider. Raises
    VaultError."""
    return open_sealed(key.sealed, _seal_context(key))


def _seal_context(key: ChannelKey) -> str:
    return f"gateway_channelkey|{key.id}|sealed"
