"""The hold of a session's next request: when another one replaces it, and what happens where the
database fails while it is placed (P1)."""

from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from dialects.errors.errors import RequestFault
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


@pytest.mark.parametrize("replaces", [True, False])
async def test_hold_is_placed_at_the_channel_and_key_of_the_connection(
    monkeypatch: pytest.MonkeyPatch, replaces: bool
) -> None:
    placed: list[Any] = []

    class Placer:
        def __init__(self, *values: Any) -> None:
            placed.append(values)

        async def place(self, *values: Any) -> str:
            placed.append(values)
            return "hold"

    channel = SimpleNamespace(id="c", key_ids=(1,))
    context = SimpleNamespace(snapshot=SimpleNamespace(channels={"c": channel}))
    routed = SimpleNamespace(planned=[SimpleNamespace(why="why", upstream_model="there")])
    unary = SimpleNamespace(read=lambda raw, target: ("facts", raw, target.model))
    reader = SimpleNamespace(find_model=lambda name: SimpleNamespace(name="m", alias="usual"))

    def stay(*values: Any) -> Any:
        placed.append(values)
        return routed

    monkeypatch.setattr(ConnectionHolds, "_next_context", lambda *_: context)
    monkeypatch.setattr(connection_holds, "RequestReader", lambda _: reader)
    monkeypatch.setattr(connection_holds, "stay", stay)
    monkeypatch.setattr(connection_holds, "HoldPlacer", Placer)
    monkeypatch.setattr(msgspec.structs, "replace", lambda one, **changes: changes)
    holds = ConnectionHolds(*cast(Any, (context, SimpleNamespace(channel=channel), 5, None, None)))
    replaced = Replaced(RequestId(UUID(int=1)), 3, lambda: cast(Any, "end")) if replaces else None
    wanted = Wanted("usual", cast(Any, unary), cast(Any, None), b"raw")
    result: Any = await holds.place(wanted, replaced)
    facts, number = ("facts", b"raw", "m"), 4 if replaces else 1
    staying, placer, (chosen, n, ends) = placed
    assert staying == (context, facts, reader.find_model(""), "c")
    assert placer == (context, routed, "usual")
    assert (chosen.candidate, chosen.why, chosen.key, chosen.skipped) == (
        routed.planned[0], "why", 5, (),
    )  # fmt: skip
    assert (n, ends) == (number, "end" if replaces else None)
    assert result.context is context
    assert result.admitted == {
        "number": number, "facts": facts, "upstream_model": "there", "hold": "hold",
    }  # fmt: skip
    # A channel whose keys have changed is another one.
    channel.key_ids = (1,)
    context.snapshot.channels["c"] = SimpleNamespace(id="c", key_ids=(2,))
    with pytest.raises(RequestFault) as gone:
        await holds.place(wanted, replaced)
    assert gone.value.kind == "no_channel"


@pytest.mark.parametrize("held", [True, False])
async def test_next_hold_names_the_one_that_it_replaces(held: bool) -> None:
    async def granted(placing: Awaitable[object]) -> object:
        return await placing

    placed: list[Any] = []

    async def place(wanted: Any, earlier: Replaced | None) -> str:
        placed.append(earlier)
        return "placed"

    bound = SimpleNamespace(context_tokens=1, is_full=False)
    first = SimpleNamespace(
        bound=bound, request_id=RequestId(UUID(int=1)), number=2, give_way=lambda: "its end"
    )
    holds = SimpleNamespace(limited=None, granted=granted, place=place)
    kind = Kind(*cast(Any, (lambda: 9, lambda n: n, lambda n: n, lambda one, n: (one, n))))
    next_hold: NextHold[Any, Any] = NextHold(
        *cast(Any, (None, holds, kind, first if held else None))
    )
    assert await next_hold.take() == ("placed", 9)
    (earlier,) = placed
    assert (earlier is not None) is held
    if earlier is not None:
        assert (earlier.request_id, earlier.number) == (RequestId(UUID(int=1)), 2)
        assert earlier.give_way() == cast(Any, "its end")
