"""The random texts of one-time links, of which only digests are stored."""

import base64
import hashlib
import os
from typing import Final

_BYTES: Final = 32


def new_link_text() -> str:
    """Return 256 random bits as text for a URL."""
    return base64.urlsafe_b64encode(os.urandom(_BYTES)).rstrip(b"=").decode()


def link_digest(text: str) -> bytes:
    # 256 random bits: no pepper or slow hash adds anything (ASVS 6.5.2).
    return hashlib.sha256(text.encode()).digest()
