"""How long a change of a table may wait for its lock."""

from typing import Final

LOCK_WAIT_MS: Final = 300
"""Statements that come later wait behind the one that waits, even reads. A request waits at most
1,000 ms for a lock (relay/ledger/database.py), so a change gives up well before."""
