"""What clients are shown of money: the balance in OpenAI's former form, and an estimate in full."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from billing.prices.pricing import CostLine, CostLines
from dialects.errors.errors import RequestFault
from relay.endpoints import balance, estimate
from relay.hold_sizes.bound import Bound
from relay.previews import expected_cost
from relay.previews.route_preview import RoutePreview

DAYS = [
    ("2026-11-01", "m", 1_000_000_000), ("2026-11-01", "n", 500_000_000),
    ("2026-11-03", "m", 250_000_000),
]  # fmt: skip


class Source:
    """What a key has used and can still use."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def available_nano(self, principal: Any, budget_ids: Any) -> int:
        self.asked.append(budget_ids)
        return 3_000_000_000

    async def charges(self, principal: Any, days: Any) -> list[tuple[str, str, int]]:
        self.asked.append(days)
        return DAYS


def principal(expires_at: float | None = None) -> Any:
    return SimpleNamespace(expires_at=expires_at, unconditional_budget_ids=lambda: (4, 5))


async def shown(operation: str, expires_at: float | None = None, **query: str) -> Any:
    source = Source()
    raw = await balance.render(source, principal(expires_at), operation, query)
    return json.loads(raw), source.asked


async def test_subscription_shows_used_and_available_together_as_the_limit() -> None:
    body, asked = await shown("billing_subscription", 1_795_262_400.9)
    assert body == {
        "object": "billing_subscription", "has_payment_method": True, "soft_limit_usd": 4.75,
        "hard_limit_usd": 4.75, "system_hard_limit_usd": 4.75, "access_until": 1_795_262_400,
    }  # fmt: skip
    # The lowest of the wallet and the budgets of all requests is what is available.
    assert asked == [None, (4, 5)]
    assert (await shown("billing_subscription"))[0]["access_until"] == 0


async def test_credit_shows_what_was_granted_used_and_is_left() -> None:
    body, _ = await shown("billing_credit_grants")
    assert (body["total_granted"], body["total_used"], body["total_available"]) == (4.75, 1.75, 3.0)
    assert body["grants"] == {"object": "list", "data": []}


async def test_usage_is_in_cents_by_day_and_model() -> None:
    body, asked = await shown("billing_usage", start_date="2026-11-01", end_date="2026-11-04")
    assert asked == [("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z")]
    assert body == {
        "object": "list", "total_usage": 175.0,
        "daily_costs": [
            {"timestamp": 1_793_491_200.0,
             "line_items": [{"name": "m", "cost": 100.0}, {"name": "n", "cost": 50.0}]},
            {"timestamp": 1_793_664_000.0, "line_items": [{"name": "m", "cost": 25.0}]},
        ],
    }  # fmt: skip
    whole, asked = await shown("billing_usage", start_date="2026-11-01")
    assert (whole, asked) == ({"object": "list", "total_usage": 175.0}, [None])


@pytest.mark.parametrize(
    ("start", "end", "param"),
    [("soon", "2026-11-01", "start_date"), ("2026-11-01", "soon", "end_date"),
     ("2026-11-02", "2026-11-01", "end_date")],
)  # fmt: skip
async def test_dates_that_are_none_are_refused_by_name(start: str, end: str, param: str) -> None:
    with pytest.raises(RequestFault) as fault:
        await shown("billing_usage", start_date=start, end_date=end)
    assert (fault.value.kind, fault.value.param) == ("invalid_value", param)


# ---- an estimate


def bound(hold: int, available: int, expected: int | None, *, fits: bool = True) -> Bound:
    return Bound(hold, 9, 1, 2, None, available, fits, expected)


def estimated(*bounds: Bound) -> dict[str, Any]:
    context: Any = SimpleNamespace(invocation=SimpleNamespace(operation="completions"))
    routed: Any = SimpleNamespace(estimate=None)
    previews = [RoutePreview("m", bound=one, routed=routed) for one in bounds]
    return estimate._answer_of(context, previews)


def test_estimate_of_several_prompts_is_their_sum_and_fits_if_all_do() -> None:
    one, two = bound(2 * 10**9, 9 * 10**9, 10**9), bound(3 * 10**9, 7 * 10**9, 2 * 10**9)
    result = estimated(one, two)
    assert result == {
        "object": "estimate", "operation": "completions", "model": "m", "currency": "USD",
        "reserved": "5.00", "expected": "3.00", "available": "7.00", "fits": True, "output_cap": 9,
        "meters": [],
    }  # fmt: skip
    assert not estimated(one, two._replace(fits=False))["fits"]
    # What is unknown of one is unknown of all.
    assert estimated(one, two._replace(expected_nano=None))["expected"] is None


def test_line_of_an_estimate_has_the_rate_with_the_plan_and_the_conditions() -> None:
    line = CostLine("in_text", 2_000, 10**9, 1_500_000, 500_000)
    written = estimate._write_line(line)
    assert written == {"meter": "in_text", "quantity": 2_000, "rate": "0.75", "amount": "0.0015"}


def test_lines_of_another_model_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "price_bound", lambda *_: CostLines(("a", "b"), 3))  # type: ignore[arg-type]
    monkeypatch.setattr(estimate, "_write_line", lambda line: {"meter": line})
    for model, more in (("", {}), ("judge", {"model": "judge"})):
        part: Any = SimpleNamespace(quantities={}, version=None, model=model)
        assert list(estimate._lines_of(part)) == [{"meter": "a", **more}, {"meter": "b", **more}]


@pytest.mark.parametrize("own", [True, False])
def test_own_key_is_estimated_by_its_fee(monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    hold = SimpleNamespace(fee_nano=7_000_000) if own else None
    monkeypatch.setattr(estimate, "own_hold_of", lambda *_: hold)
    monkeypatch.setattr(estimate, "_lines_of", lambda part: [{"meter": part}])
    routed: Any = SimpleNamespace(
        estimate=SimpleNamespace(first=lambda: None, parts=lambda cap: [f"part at {cap}"]),
        candidates=[SimpleNamespace(channel_id="a")],
    )
    context: Any = SimpleNamespace(snapshot=SimpleNamespace(channels={"a": None}))
    assert estimate._lines(context, routed, 5) == (
        [{"meter": "own_key_fee", "amount": "0.007"}] if own else [{"meter": "part at 5"}]
    )


# ---- what it will probably cost


def expected(
    monkeypatch: pytest.MonkeyPatch, *, cap: int = 1_000, choices: int = 1, tools: Any = (),
    hold: int = 10**12, own: Any = None, rates: Any = None,
) -> tuple[int | None, dict[str, int]]:  # fmt: skip
    """The expected charge at one nano for each unit, and the meters that are priced."""
    priced: list[dict[str, int]] = []

    def total_of(meters: dict[str, int], version: Any) -> int:
        priced.append(dict(meters))
        return sum(meters.values())

    monkeypatch.setattr(expected_cost, "total_of", total_of)
    monkeypatch.setattr(expected_cost, "count_request", lambda raw, family: 100)
    monkeypatch.setattr(expected_cost, "usual_result_tokens", lambda *_: 30)
    version = SimpleNamespace(rates=rates or {"in_text": 1, "out_text": 1})
    facts = SimpleNamespace(body=SimpleNamespace(raw=b""), text_bytes=0, choices=choices)
    routed: Any = SimpleNamespace(
        price=SimpleNamespace(version=version), estimate="some", facts=facts,
        candidates=[SimpleNamespace(channel_id="a", upstream_model="gpt-5")],
    )  # fmt: skip
    provider = SimpleNamespace(chat_template=None, hosted_tools={})
    channel = SimpleNamespace(provider=provider, own=own)
    context: Any = SimpleNamespace(
        snapshot=SimpleNamespace(channels={"a": channel}),
        invocation=SimpleNamespace(codec=SimpleNamespace(hosted_tools=lambda _: tools)),
    )
    whole = Bound(hold, None, 0, cap, None, 0, True)
    nano = expected_cost.expected_nano(context, routed, whole)
    return nano, priced[0] if priced else {}


def test_expected_answer_is_of_usual_length_for_each_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert expected(monkeypatch)[1] == {"in_text": 100, "out_text": 400}
    assert expected(monkeypatch, cap=50)[1] == {"in_text": 100, "out_text": 50}
    assert expected(monkeypatch, choices=3)[1] == {"in_text": 100, "out_text": 1_200}
    # It costs at most what is held.
    assert expected(monkeypatch, hold=120)[0] == 120


def test_expected_use_of_a_hosted_tool_reads_the_request_again_with_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = {"in_text": 1, "out_text": 1, "searches": 1, "searches[high]": 9}
    for searches in (1, 0):
        tool = SimpleNamespace(searches=searches)
        _, meters = expected(monkeypatch, tools=(tool,), rates=rates)
        assert meters == {"in_text": 230, "out_text": 400} | ({"searches": 1} if searches else {})


def test_expected_charge_of_an_own_key_is_its_fee(monkeypatch: pytest.MonkeyPatch) -> None:
    fee = SimpleNamespace(nano_of=lambda meters: sum(meters.values()) // 10)
    nano, priced = expected(monkeypatch, own=SimpleNamespace(fee=fee, key_id=UUID(int=1)))
    assert (nano, priced) == (50, {})
    assert expected(monkeypatch, own=SimpleNamespace(fee=fee), hold=20)[0] == 20
    assert cast(Any, expected_cost.ANSWER_TOKENS) == 400
