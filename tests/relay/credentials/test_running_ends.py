"""P11: when the permission of a running request ends, by its key and by its own end."""

from types import SimpleNamespace
from typing import Any

import pytest

from relay.credentials.revocation import Running


class Run:
    """A request that says whether it was ended."""

    session_id = None
    ended = False

    def revoke(self, reason: str = "revoked") -> None:
        self.ended = True


async def nothing(statement: Any) -> list[Any]:
    return []


@pytest.mark.parametrize("key_ends_at", [None, 10.0, 30.0])
@pytest.mark.parametrize("own_end", [None, 10.0, 20.0, 40.0])
def test_the_earlier_end_counts(key_ends_at: float | None, own_end: float | None) -> None:
    ends = [end for end in (key_ends_at, own_end) if end is not None]
    for now in range(0, 60, 5):
        running, run = Running(nothing), Run()
        principal: Any = SimpleNamespace(expires_at=key_ends_at)
        running.enter(run, principal, own_end)
        running.end_expired(now)
        assert run.ended == (bool(ends) and now >= min(ends)), now
