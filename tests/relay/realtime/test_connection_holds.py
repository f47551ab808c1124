"""The hold of a session's next request: when another one replaces it, and what happens where the
database fails while it is placed (P1)."""

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from lib.id_types import RequestId
from relay.errors import DatabaseAway
from relay.ledger.settlement import Settlement
from relay.realtime import connection_holds
from relay.realtime.connection_holds import ConnectionHolds, RealtimeOver, Replaced, Wanted
from relay.realtime.next_hold import Kind, NextHold
from tests.relay.calls import Calls


@pytest.mark.parametrize(
    ("needed", "is_full", "stays"),
    [(100, False, True), (101, False, False), (100, True, True), (101, True, True)],
)
async def test_a_hold_is_replaced_only_where_the_input_has_outgrown_it(
    needed: int, is_full: bool, stays: bool
) -> None:
    """P2: what is said is held before it is answered, and nothing is held twice for it."""

    async def granted(placing: Awaitable[object]) -> object:
        return await placing

    calls, bound = Calls(), SimpleNamespace(context_tokens=100, is_full=is_full)
    first = SimpleNamespace(bound=bound, request_id=RequestId(UUID(int=1)), number=1)
    holds = SimpleNamespace(limited=None, granted=granted, place=calls.waited("placed"))
    of_kind = (lambda: needed, lambda most: most, lambda most: most, lambda placed, most: most)
    next_hold: NextHold[Any, Any] = NextHold(*cast(Any, (None, holds, Kind(*of_kind), first)))
    held = await next_hold.next(asked=True)
    assert (held, len(calls)) == ((first, 0) if stays else (needed, 1))


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
    monkeypatch.setattr(ConnectionHolds, "_next_context", lambda *_: context)
    monkeypatch.setattr(connection_holds, "RequestReader", lambda _: reader)
    monkeypatch.setattr(connection_holds, "stay", lambda *_: routed)
    monkeypatch.setattr(connection_holds, "HoldPlacer", Away)
    admitted = SimpleNamespace(channel=channel)
    holds = ConnectionHolds(*cast(Any, (context, admitted, 0, None, None)))
    end = cast(Settlement, object())
    replaced = Replaced(RequestId(UUID(int=1)), 1, lambda: end) if replaces else None
    wanted = Wanted("m", cast(Any, unary), cast(Any, None))
    with pytest.raises(RealtimeOver) as over:
        await holds.granted(holds.place(wanted, replaced))
    assert over.value.error is not None
    assert over.value.error.status == 503
    assert settled == ([(end, False)] if replaces else [])
