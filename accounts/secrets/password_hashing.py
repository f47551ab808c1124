"""Hash only a few passwords at a time, and without holding a database connection.

A hash intentionally takes half a second of a core. If each held one of the pool's eight
connections, pages would have none, and many concurrent hashes would leave them no core.
"""

import os
import threading
from typing import Final

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import connection

_AT_ONCE: Final = max(1, (os.cpu_count() or 1) // 2)
_WAITING_MAX: Final = 8
_WAIT_S: Final = 4.0


class HashingBusy(Exception):
    """Too many passwords are being hashed. This one was not processed."""


class Turns:
    """Lets a few threads hash passwords at a time. A few more wait for a short time; others are
    refused."""

    def __init__(self, at_once: int, waiting_max: int, wait_s: float) -> None:
        self._free = threading.Semaphore(at_once)
        self._seats = threading.Semaphore(at_once + waiting_max)
        self._wait_s = wait_s

    def __enter__(self) -> None:
        if not self._seats.acquire(blocking=False):
            raise HashingBusy
        if not self._free.acquire(timeout=self._wait_s):
            self._seats.release()
            raise HashingBusy

    def __exit__(self, *_: object) -> None:
        self._free.release()
        self._seats.release()


turns = Turns(_AT_ONCE, _WAITING_MAX, _WAIT_S)


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's hasher. Hashing and verifying both go through `encode`."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        release_connection()
        with turns:
            encoded: str = super().encode(password, salt, iterations)
        return encoded


def release_connection() -> None:
    """Return the thread's connection to the pool. The next statement takes a connection again."""
    if not connection.in_atomic_block:
        connection.close()
