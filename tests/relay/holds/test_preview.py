"""What a request would hold, from its estimate and the balance, without a database."""

from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.errors.errors import RequestFault
from relay.downstream.limit_answers import UsedUp
from relay.hold_sizes.bound import Bound
from relay.holds import preview
from relay.holds.admitted_attempt import OwnKeyHold

NANO = 10**9
# The whole answer, and one of half its length.
WHOLE = SimpleNamespace(hold_nano=8 * NANO, output_cap=None)
HALF = SimpleNamespace(hold_nano=4 * NANO, output_cap=500)
ESTIMATE = SimpleNamespace(
    first=lambda: WHOLE, input_tokens=70, cap=1_000, least_nano=3 * NANO,
    within=lambda nano: HALF if nano >= HALF.hold_nano else None,
)  # fmt: skip
PRICE = SimpleNamespace(id=5)
BUDGETS = (11, 12)
TAKEN: Any = SimpleNamespace(nano=NANO)


def routed(estimate: Any = ESTIMATE, price: Any = PRICE, candidates: bool = True) -> Any:
    one = [SimpleNamespace(channel_id="a")] if candidates else []
    return SimpleNamespace(estimate=estimate, price=price, model="m", candidates=one)


class World:
    """One key. `wallet` is what its team has, `budget` the least that is left of its budgets."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        wallet: int,
        budget: int | None = None,
        fee: int | None = None,
    ) -> None:
        self.wallet, self.budget = wallet, wallet if budget is None else budget
        self.asked: list[Any] = []
        self.principal = SimpleNamespace(key_id=UUID(int=1))
        snapshot = SimpleNamespace(channels={"a": "channel of a"})
        parts = SimpleNamespace(
            available_nano=self.available, config=SimpleNamespace(public_url="https://hub.example")
        )
        self.context: Any = SimpleNamespace(
            principal=self.principal, snapshot=snapshot, parts=parts
        )

        def own_hold_of(channel: str, one: Any, size: Any) -> OwnKeyHold | None:
            assert (channel, size) == ("channel of a", WHOLE)
            return None if fee is None else OwnKeyHold(cast(Any, None), fee)

        monkeypatch.setattr(preview, "own_hold_of", own_hold_of)
        monkeypatch.setattr(preview, "budgets_of", lambda context, principal, model: BUDGETS)
        monkeypatch.setattr(preview, "take_units", lambda principal, one, size, known: TAKEN)

    async def available(self, principal: Any, budgets: Any, taken: Any) -> int:
        assert principal is self.principal
        self.asked.append((tuple(budgets), taken.nano))
        return self.budget if budgets else self.wallet

    async def bound(self, one: Any = None) -> Bound:
        return await preview.bound_of(self.context, one or routed(), self.available)


@pytest.mark.parametrize(
    ("available", "hold", "cap", "tokens", "fits"),
    [
        (9 * NANO, 8 * NANO, None, 1_000, True),
        (8 * NANO, 8 * NANO, None, 1_000, True),
        # A smaller answer is enough.
        (8 * NANO - 1, 4 * NANO, 500, 500, True),
        (4 * NANO, 4 * NANO, 500, 500, True),
        (4 * NANO - 1, 8 * NANO, None, 1_000, False),
    ],
)
async def test_answer_is_as_long_as_the_balance_allows(
    monkeypatch: pytest.MonkeyPatch, available: int, hold: int, cap: Any, tokens: int, fits: bool
) -> None:
    world = World(monkeypatch, available)
    assert await world.bound() == Bound(
        hold_nano=hold, output_cap=cap, input_tokens=70, output_tokens=tokens,
        price_version_id=5, available_nano=available, fits=fits, units_nano=NANO,
    )  # fmt: skip
    assert world.asked == [(BUDGETS, NANO)]


async def test_cap_of_the_client_stays_if_nothing_smaller_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capped = SimpleNamespace(hold_nano=8 * NANO, output_cap=900)
    shorter = SimpleNamespace(hold_nano=6 * NANO, output_cap=None)
    estimate = SimpleNamespace(**vars(ESTIMATE) | {"within": lambda nano: shorter})
    world = World(monkeypatch, 7 * NANO)
    bound = await world.bound(routed(estimate))
    assert (bound.hold_nano, bound.output_cap, bound.output_tokens) == (6 * NANO, 1_000, 1_000)
    estimate = SimpleNamespace(**vars(ESTIMATE) | {"first": lambda: capped})
    monkeypatch.setattr(preview, "own_hold_of", lambda *_: None)
    bound = await World(monkeypatch, 9 * NANO).bound(routed(estimate, candidates=False))
    assert (bound.output_cap, bound.output_tokens) == (900, 900)


async def test_free_request_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0)
    nothing = Bound(0, None, 0, 0, None, 0, fits=True)
    assert await world.bound(routed(None)) == nothing
    # There is nothing to pay by units.
    assert world.asked == [(BUDGETS, 0)]


@pytest.mark.parametrize(("wallet", "fits"), [(3, True), (2, False)])
async def test_own_key_holds_its_fee_of_the_wallet(
    monkeypatch: pytest.MonkeyPatch, wallet: int, fits: bool
) -> None:
    """The organisation pays its provider the price; no budget and no unit is asked for."""
    world = World(monkeypatch, wallet, budget=0, fee=3)
    bound = await world.bound()
    assert (bound.hold_nano, bound.available_nano, bound.fits) == (3, wallet, fits)
    assert (bound.units_nano, bound.output_tokens) == (0, 1_000)
    assert world.asked == [((), 0)]


@pytest.mark.parametrize(
    ("wallet", "budget", "fee", "refusal"),
    [
        (8 * NANO, None, None, ""),
        (4 * NANO, None, None, ""),
        (3 * NANO, None, None, "needed 3.00 USD, available 3.00 USD"),
        (9 * NANO, 2 * NANO, None, "2.00 USD; this request may cost 3.00 USD"),
        (2, None, 3, "team balance is used up"),
        (3, None, 3, ""),
    ],
)
async def test_request_that_no_channel_could_be_paid_for_does_not_wait(
    monkeypatch: pytest.MonkeyPatch, wallet: int, budget: int | None, fee: int | None, refusal: str
) -> None:
    world = World(monkeypatch, wallet, budget, fee)
    routes: list[Any] = []

    def route(context: Any, facts: Any, model: Any, *, whatever_rests: bool) -> Any:
        routes.append((facts, model, whatever_rests))
        return routed()

    monkeypatch.setattr(preview, "route", route)
    check = preview.check_means(world.context, cast(Any, "facts"), cast(Any, "model"))
    if not refusal:
        await check
    else:
        with pytest.raises(RequestFault) as refused:
            await check
        assert refusal in refused.value.message
        assert refused.value.kind == "insufficient_balance"
        assert isinstance(refused.value, UsedUp) == (budget is None)
        if budget is None:
            assert "https://hub.example" in refused.value.message
    assert routes == [("facts", "model", True)]


async def test_free_request_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, 0)
    monkeypatch.setattr(preview, "route", lambda *_, **__: routed(None))
    await preview.check_means(world.context, cast(Any, None), cast(Any, None))
    assert world.asked == []
