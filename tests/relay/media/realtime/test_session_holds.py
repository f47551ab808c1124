"""The hold of a session's next request where the database fails while it is placed (P1)."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from lib.id_types import RequestId
from relay.attempts.settlement import Settlement
from relay.front.errors import DatabaseAway
from relay.media.realtime import session_holds
from relay.media.realtime.session_holds import Replaced, SessionHolds, SessionOver, Wanted


class Away:
    """A placer whose database is away."""

    def __init__(self, *_: object) -> None: ...

    async def place(self, *_: object) -> None:
        raise DatabaseAway("gone")


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_hold_that_was_to_be_replaced_ends_though_the_database_failed(
    monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    """Nobody knows whether its end was written: it is written again, with the next transaction."""
    settled = list[tuple[object, bool]]()
    channel = SimpleNamespace(id="c", key_ids=(1,))
    ledger = SimpleNamespace(settle=lambda one, at_once: settled.append((one, at_once)))
    context = SimpleNamespace(
        snapshot=SimpleNamespace(channels={"c": channel}), parts=SimpleNamespace(ledger=ledger)
    )
    routed = SimpleNamespace(planned=[SimpleNamespace(why="")])
    unary = SimpleNamespace(read=lambda raw, target: None)
    reader = SimpleNamespace(find_model=lambda name: SimpleNamespace(name=name, alias=""))
    monkeypatch.setattr(SessionHolds, "_next_context", lambda *_: context)
    monkeypatch.setattr(session_holds, "RequestReader", lambda _: reader)
    monkeypatch.setattr(session_holds, "stay", lambda *_: routed)
    monkeypatch.setattr(session_holds, "HoldPlacer", Away)
    admitted = SimpleNamespace(channel=channel)
    holds = SessionHolds(*cast(Any, (context, admitted, 0, None, None)))
    end = cast(Settlement, object())
    replaced = Replaced(RequestId(UUID(int=1)), 1, lambda: end) if replaces else None
    wanted = Wanted("m", cast(Any, unary), cast(Any, None))
    with pytest.raises(SessionOver) as over:
        await holds.granted(holds.place(wanted, replaced))
    assert over.value.error is not None
    assert over.value.error.status == 503
    assert settled == ([(end, False)] if replaces else [])
