"""What the rules of money say just below, at, and just above each of their edges."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from billing.currency.conversion import ExchangeRateInvalid, read_rate
from billing.currency.display import charge_places, display, price_places
from billing.currency.money import (
    INT64_MAX,
    format_multiplier,
    format_price,
    format_scaled,
    parse_multiplier,
)
from billing.invoices.document import _row_display
from billing.invoices.rules import (
    Charge,
    Line,
    Tax,
    TaxRow,
    add_totals,
    covered_nano,
    format_document_number,
    paid_part_nano,
    percent_text,
    taxes_of,
    usage_lines,
)
from billing.ledger.funding import Wallet, adjust, close_invoice, cut_line, repay
from billing.ledger.posting import (
    Entry,
    Posting,
    PostingInvalid,
    adjust_attempt,
    opening_credit,
    opening_debt,
)
from billing.limits.budgets import BudgetUsage
from billing.models import Budget
from billing.periods.months import last_month
from billing.periods.period_starts import Span
from billing.prices.conditions import Hours, PriceKey, read_hours
from billing.prices.meters import Bound
from billing.prices.pricing import (
    PPM,
    Condition,
    PriceVersion,
    Unpriced,
    dearest,
    saved_by_cache,
    total_of,
)
from billing.subscriptions.included_units import (
    Allowance,
    Paid,
    UnitTerm,
    applicable,
    beyond_nano,
    kept_back,
    wanted_units,
)
from billing.subscriptions.rules import Change, Terms, change_plan
from billing.templatetags.money import money_signed

OWNER: Final = UUID(int=1)
DAY: Final = dt.date(2026, 11, 16)
CENT: Final = 10**7
BERLIN: Final = ZoneInfo("Europe/Berlin")
HALF_DAY: Final = Hours(43_200, 86_400)
NIGHT: Final = Hours(79_200, 3_600)


def wallet(available: int, owed: int = 0, line: int = 0, promo: int = 0) -> Wallet:
    return Wallet(OWNER, available, owed, promo, line)


def lines_of(posting: Posting | None) -> dict[str, int] | None:
    if posting is None:
        return None
    return {line.account_kind: line.amount_nano for line in posting.entries}


def late(charge: int, available: int, *, loss: int = 0, owed: int = 0, included: int = 0) -> object:
    return lines_of(
        adjust_attempt(
            OWNER, OWNER, "late", charge_nano=charge, loss_nano=loss, owed_nano=owed,
            available_nano=available, included_nano=included,
        )
    )  # fmt: skip


def standing(spent: int, passed_h: int, limit: int = 100, period: str = "day") -> BudgetUsage:
    start = dt.datetime(2026, 11, 16, tzinfo=dt.UTC)
    span = Span(start, start + dt.timedelta(days=1))
    at = start + dt.timedelta(hours=passed_h)
    return BudgetUsage(Budget(period=period), span, spent, 0, limit, at)


def hours_until(found: BudgetUsage) -> float | None:
    at = found.forecast_at
    return None if at is None else (at - found.span.start_at) / dt.timedelta(hours=1)


def place_of(project: str, team: str) -> str:
    """What a line of usage says before its amounts."""
    return _row_display(Line("usage", 0, project, team, "m", "in_text"), 2, 2).what


def under_two(first_ppm: int, second_ppm: int) -> int | None:
    conditions = (
        Condition("speed", "fast", token_ppm=first_ppm),
        Condition("inference_geo", "us", token_ppm=second_ppm),
    )
    version = PriceVersion({}, conditions=conditions)
    found = version.under({"speed": "fast", "inference_geo": "us"})
    return None if found is None else found.token_ppm


NOON: Final = dt.datetime(2026, 11, 16, 12, tzinfo=dt.UTC)
TICK: Final = dt.timedelta(microseconds=1)
INCREASED: Final = Budget(amount_nano=1, raised_nano=2, raised_until=NOON)
CACHE: Final = PriceVersion({"in_text": 2, "in_cache_read": 1})
UNITS: Final = Terms(30, 0, (UnitTerm("in_text", (), 30),))
NONE: Final = Terms(0, 0)

EDGES: Final[list[tuple[Callable[..., Any], tuple[Any, ...], Any]]] = [
    # Amounts on the screen.
    (display, (0, 2), "$0.00"),
    (display, (-1, 2), ">−$0.01"),
    (display, (5_000_000, 2), "<$0.01"),
    (display, (5_000_001, 2), "$0.01"),
    (display, (-(10**7), 2), "−$0.01"),
    (display, (1_234_567_890, 9), "$1.23456789"),
    (charge_places, ([],), 2),
    (charge_places, ([0],), 2),
    (charge_places, ([1],), 9),
    (charge_places, ([10],), 8),
    (charge_places, ([10**8],), 2),
    (price_places, ([],), 2),
    (price_places, ([0],), 2),
    (price_places, ([75_000_000],), 3),
    (format_price, (10**7, 9), "0.01"),
    (format_price, (0, 9), "0.00"),
    (format_scaled, (0, 9), "0"),
    (format_scaled, (-1, 9), "-0.000000001"),
    (format_multiplier, (1_070_000,), "1.07"),
    (parse_multiplier, ("1.07",), 1_070_000),
    (money_signed, (0,), "$0.00"),
    (money_signed, (CENT,), "+$0.01"),
    (money_signed, (-CENT,), "−$0.01"),
    # Documents.
    (place_of, ("web", "core"), "web · m"),
    (place_of, ("", "core"), "core · m"),
    (place_of, ("", ""), "– · m"),
    (percent_text, (190_000,), "19"),
    (percent_text, (81_000,), "8.1"),
    (format_document_number, ("INV", 2026, 117), "INV-2026-0117"),
    (covered_nano, (100 * CENT, 0, 0), 100 * CENT),
    (covered_nano, (100 * CENT, CENT, 0), 99 * CENT),
    (covered_nano, (100 * CENT, 101 * CENT, 0), 0),
    (covered_nano, (100 * CENT, 60 * CENT, 60 * CENT), 100 * CENT),
    (covered_nano, (100 * CENT, 61 * CENT, 60 * CENT), 99 * CENT),
    (covered_nano, (100 * CENT, 10 * CENT, 60 * CENT), 100 * CENT),
    (covered_nano, (100 * CENT, 1, 0), 99 * CENT),
    (covered_nano, (100 * CENT, CENT + 1, 0), 98 * CENT),
    (covered_nano, (100 * CENT, 99 * CENT + 1, 0), 0),
    (paid_part_nano, (2 * CENT, -1), 0),
    (paid_part_nano, (2 * CENT, 0), 0),
    (paid_part_nano, (2 * CENT, CENT - 1), 0),
    (paid_part_nano, (2 * CENT, CENT), CENT),
    (paid_part_nano, (2 * CENT, 2 * CENT - 1), CENT),
    (paid_part_nano, (2 * CENT, 2 * CENT), 2 * CENT),
    (paid_part_nano, (CENT + 1, CENT + 1), CENT + 1),
    (paid_part_nano, (CENT, 3 * CENT), CENT),
    (last_month, (dt.datetime(2026, 10, 31, 22, 59, 59, tzinfo=dt.UTC), BERLIN),
     dt.date(2026, 9, 1)),
    (last_month, (dt.datetime(2026, 10, 31, 23, 0, tzinfo=dt.UTC), BERLIN), dt.date(2026, 10, 1)),
    (usage_lines, ([Line("usage", 0, quantity=0)], []), []),
    (usage_lines, ([], [Charge("a", "", None, 5)]), [Line("remainder", 5, "a")]),
    # The latest row of a name, of the country's own rows, from its first day on.
    (taxes_of, ([TaxRow("VAT", "", 1, DAY)], "DE", False, DAY), [Tax("VAT", 1)]),
    (taxes_of, ([TaxRow("VAT", "", 1, DAY)], "DE", False, DAY - dt.timedelta(days=1)), []),
    (taxes_of, ([TaxRow("VAT", "DE", 2, DAY), TaxRow("VAT", "", 1, DAY)], "DE", False, DAY),
     [Tax("VAT", 2)]),
    (taxes_of, ([TaxRow("VAT", "DE", 2, DAY), TaxRow("VAT", "", 1, DAY)], "", False, DAY),
     [Tax("VAT", 1)]),
    (taxes_of, ([TaxRow("VAT", "DE", 2, DAY, "§ 13b")], "DE", True, DAY), [Tax("VAT: § 13b", 0)]),
    (taxes_of, ([TaxRow("VAT", "DE", 2, DAY, "§ 13b")], "DE", False, DAY), [Tax("VAT", 2)]),
    (taxes_of, ([TaxRow("VAT", "DE", 2, DAY)], "DE", True, DAY), [Tax("VAT", 2)]),
    # Several taxes are listed by name, whatever day they began on.
    (taxes_of, ([TaxRow("B", "", 1, DAY - dt.timedelta(days=1)), TaxRow("A", "", 2, DAY)], "DE",
                False, DAY), [Tax("A", 2), Tax("B", 1)]),
    (add_totals, ([Line("note", 10**7)], []), ([Line("note", 10**7)], (10**7, 0, 0, 10**7))),
    (add_totals, ([Line("note", 10**7 + 1)], []),
     ([Line("note", 10**7 + 1), Line("rounding", -1)], (10**7 + 1, 0, -1, 10**7))),
    # A wallet: debt first, the credit line before debt.
    (lambda w: w.cash_nano, (wallet(10, 3, 4, 2),), 9),
    (lambda *a: lines_of(adjust(OWNER, *a)), (5, wallet(0, 4)),
     {"equity:adjustment": -5, "customer:debt": 4, "customer:available": 1}),
    (lambda *a: lines_of(adjust(OWNER, *a)), (4, wallet(0, 4)),
     {"equity:adjustment": -4, "customer:debt": 4}),
    (lambda *a: lines_of(adjust(OWNER, *a)), (-5, wallet(5)),
     {"equity:adjustment": 5, "customer:available": -5}),
    (lambda *a: lines_of(adjust(OWNER, *a)), (-6, wallet(5)),
     {"equity:adjustment": 6, "customer:debt": -1, "customer:available": -5}),
    (lambda *a: lines_of(adjust(OWNER, *a)), (-6, wallet(5, 0, 1)),
     {"equity:adjustment": 6, "customer:available": -6}),
    (lambda *a: lines_of(close_invoice(OWNER, *a)), (0, 1, 0, wallet(5)),
     {"tax:payable": 1, "customer:available": -1}),
    (lambda *a: lines_of(cut_line(OWNER, *a)), (3, wallet(-3)), None),
    (lambda *a: lines_of(cut_line(OWNER, *a)), (3, wallet(-4)),
     {"customer:available": 1, "customer:debt": -1}),
    (lambda *a: lines_of(repay(OWNER, *a)), (wallet(1, 1),),
     {"customer:available": -1, "customer:debt": 1}),
    # Late usage: from the balance, then debt; what was included goes back to itself.
    (late, (5, 5), {"revenue": 5, "customer:available": -5}),
    (late, (5, 4), {"revenue": 5, "customer:available": -4, "customer:debt": -1}),
    (late, (5, 0), {"revenue": 5, "customer:debt": -5}),
    (late, (5, -1), {"revenue": 5, "customer:debt": -5}),
    (late, (-5, 0), {"revenue": -5, "customer:available": 5}),
    (late, (0, 5), None),
    # Budgets: when the limit is reached at this pace.
    (lambda *a: hours_until(standing(*a)), (50, 6), 12),
    (lambda *a: hours_until(standing(*a)), (25, 6), None),
    (lambda *a: hours_until(standing(*a)), (26, 6), 23.0769),
    (lambda *a: hours_until(standing(*a)), (0, 6), None),
    (lambda *a: hours_until(standing(*a)), (1, 0), 0),
    (lambda *a: hours_until(standing(*a)), (99, 6), 6.0606),
    (lambda *a: hours_until(standing(*a)), (100, 6), None),
    (lambda *a: hours_until(standing(*a)), (50, 6, 100, "total"), None),
    (lambda s: s.left_nano, (standing(99, 0),), 1),
    (lambda s: s.left_nano, (standing(100, 0),), 0),
    (lambda s: s.left_nano, (standing(101, 0),), 0),
    (lambda s: s.resets_at, (standing(0, 0, 1, "total"),), None),
    # An increase is over at its end.
    (lambda early: INCREASED.limit_nano(NOON - early), (TICK,), 3),
    (lambda early: INCREASED.limit_nano(NOON - early), (dt.timedelta(0),), 1),
    # Hours of the day: the first second is of a span, its end is not.
    (HALF_DAY.hold_at, (43_199,), False),
    (HALF_DAY.hold_at, (43_200,), True),
    (HALF_DAY.hold_at, (86_399,), True),
    (HALF_DAY.hold_at, (86_400,), False),
    (NIGHT.hold_at, (79_199,), False),
    (NIGHT.hold_at, (79_200,), True),
    (NIGHT.hold_at, (3_599,), True),
    (NIGHT.hold_at, (3_600,), False),
    (NIGHT.overlap, (Hours(3_600, 7_200),), False),
    (NIGHT.overlap, (Hours(3_599, 7_200),), True),
    (NIGHT.overlap, (Hours(0, 60),), True),
    (Hours(0, 60).overlap, (NIGHT,), True),
    (read_hours, ("16:30-00:29",), Hours(59_400, 1_740)),
    (str, (PriceKey("m"),), "m"),
    (str, (PriceKey("m", "cost", "main"),), "m cost main"),
    (lambda v: dearest([v]) is v, (PriceVersion({"in_text": 1}, (), "marginal"),), True),
    # The highest multiplier of each kind sizes a hold, wherever it stands.
    (lambda *ppm: dearest([PriceVersion({}, multiplier_ppm=one) for one in ppm]).multiplier_ppm,
     (1, 3, 2), 3),
    (lambda *ppm: dearest([PriceVersion({}, token_ppm=one) for one in ppm]).token_ppm,
     (1, 3, 2), 3),
    # A charge may be as large as an account, and no larger.
    (total_of, ({"in_text": 10**6}, PriceVersion({"in_text": INT64_MAX})), INT64_MAX),
    (total_of, ({"in_text": 10**6}, PriceVersion({"in_text": INT64_MAX + 1})),
     Unpriced("out_of_range", ("in_text",))),
    # What the cache saved has the multipliers of the plan and of the condition.
    (saved_by_cache, ({"in_cache_read": 10**6}, CACHE), 1),
    (saved_by_cache, ({"in_cache_read": 10**6}, replace(CACHE, token_ppm=7 * PPM)), 7),
    (saved_by_cache, ({"in_cache_read": 10**6}, CACHE.multiplied(5 * PPM)), 5),
    # Two multipliers whose product is no whole part per million have no price.
    (under_two, (1_100_000, 1_500_000), 1_650_000),
    (under_two, (1_000_001, 1_000_001), None),
    # Included units.
    (beyond_nano, ([[Bound(("out_text",), 5)], [Bound(("out_text",), 3)]], ["in_text"],
                   PriceVersion({"out_text": 10**6})), 5),
    (Paid(5, {"in_text": 3}).of_each, (["in_text", "out_text"],), (3, 0)),
    (applicable, ([Allowance(1, "in_text", ()), Allowance(2, "in_text", ())], "m"),
     {"in_text": Allowance(1, "in_text", ())}),
    (applicable, ([Allowance(1, "in_text", ("x-*",))], "m"), {}),
    (wanted_units, ([[Bound(("in_text",), 3)], [Bound(("in_text",), 5)]], ["in_text"]),
     {"in_text": 5}),
    (wanted_units, ([[Bound(("in_text",), 3), Bound(("in_text",), 5)]], ["in_text"]),
     {"in_text": 8}),
    (wanted_units, ([[Bound(("out_text",), 3)]], ["in_text"]), {}),
    (kept_back, (0, [(10, 0)]), 0),
    (kept_back, (-9, []), -9),
    (kept_back, (-9, [(0, 0)]), -9),
    (kept_back, (-9, [(10, 10)]), -9),
    (kept_back, (-9, [(10, 11)]), -9),
    (kept_back, (-9, [(10, 9)]), -8),
    (kept_back, (-9, [(10, 0)]), 0),
    (change_plan, (UNITS, NONE, DAY, 0, {}), Change(0, 0, 0, ((("in_text", ()), 0),))),
    (change_plan, (UNITS, NONE, DAY, 0, {("in_text", ()): -1}),
     Change(0, 0, 0, ((("in_text", ()), 0),))),
    (change_plan, (UNITS, NONE, DAY, 0, {("in_text", ()): 15}),
     Change(-15, 0, 0, ((("in_text", ()), -15),))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "given", "expected"), EDGES)
def test_limits_are_accepted(
    rule: Callable[..., Any], given: tuple[Any, ...], expected: Any
) -> None:
    found = rule(*given)
    assert found == (pytest.approx(expected, abs=1e-3) if isinstance(expected, float) else expected)


REFUSED: Final[list[tuple[Callable[..., Any], tuple[Any, ...]]]] = [
    (opening_credit, (OWNER, 0)),
    (opening_debt, (OWNER, 0)),
    (Posting, ("x", "adjust", (Entry("revenue", OWNER, 0),))),
    (Posting, ("x", "adjust", (Entry("revenue", OWNER, 1), Entry("rounding", OWNER, 0)))),
]


@pytest.mark.parametrize(
    ("text", "taken"),
    [("0", False), ("0.0000000001", True), ("0.00000000001", False), ("1000000000", True),
     ("1000000000.0000000001", False), ("1.5.", False), ("-1", False), ("1e3", False),
     ("\N{SUPERSCRIPT TWO}", False), ("0.92", True)],
)  # fmt: skip
def test_valid_exchange_rates(text: str, taken: bool) -> None:
    if taken:
        assert read_rate(text) == Decimal(text)
    else:
        with pytest.raises(ExchangeRateInvalid):
            read_rate(text)


@pytest.mark.parametrize(("rule", "given"), REFUSED)
def test_impossible_postings(rule: Callable[..., Any], given: tuple[Any, ...]) -> None:
    with pytest.raises(PostingInvalid):
        rule(*given)


def test_smallest_possible_posting() -> None:
    assert lines_of(opening_credit(OWNER, 1)) == {"equity:opening": -1, "customer:available": 1}
    assert lines_of(opening_debt(OWNER, 1)) == {"equity:opening": 1, "customer:debt": -1}
