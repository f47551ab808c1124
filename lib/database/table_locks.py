"""The lock timeout of a statement that changes a table."""

from typing import Final

LOCK_WAIT_MS: Final = 300
"""Statements that come later wait behind a waiting change, even reads. A request waits at most
1,000 ms for a lock (relay/database/database.py), so a change gives up well before that."""
