"""The secrets of one installation: created once, in DATA_DIR/secrets, one file each, mode 0600. An
environment variable of the same name, or a file that it names, takes precedence, as in
config/settings.py, so that an operator can store them elsewhere.
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from accounts.secrets import key_format
from lib import env

MAKERS: Mapping[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "WEIR_KEK": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
    "WEIR_KEY_PEPPER": lambda: secrets.token_urlsafe(32),
    "WEIR_DEMO_KEY": lambda: key_format.compose(
        "relay", secrets.token_bytes(key_format.RANDOM_BYTES)
    ),
    "WEIR_MODEL_KEY": lambda: secrets.token_urlsafe(32),
}


def open_keyring(directory: Path) -> dict[str, str]:
    """Return the secrets by name, from the environment or `directory`; missing ones are created.
    Raises ConfigurationError."""
    return {
        name: env.text(name, "") or _read_or_make(directory / name, make)
        for name, make in MAKERS.items()
    }


def _read_or_make(path: Path, make: Callable[[], str]) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        write_private(path, make() + "\n")
        return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write the whole file or nothing, readable by its owner only. With a half-written WEIR_KEK no
    channel key could be decrypted, so the content is synced before the name appears.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
