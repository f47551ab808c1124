"""Invoices as pure rules: months in zones, lines, taxes, one rounding (I17, I19)."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.document import party
from billing.invoices.rules import (
    MINOR_NANO,
    Charge,
    Line,
    Tax,
    TaxRow,
    add_totals,
    format_document_number,
    percent_text,
    taxes_of,
    usage_lines,
)
from billing.periods.months import last_month, month_span

UTC = dt.UTC


def _utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "month", "start", "end"),
    [
        ("UTC", "2026-02-01", "2026-02-01T00:00", "2026-03-01T00:00"),
        ("Asia/Kolkata", "2026-11-01", "2026-10-31T18:30", "2026-11-30T18:30"),
        # Lord Howe moves its clocks by half an hour: out of summer in April, into it in October.
        ("Australia/Lord_Howe", "2026-04-01", "2026-03-31T13:00", "2026-04-30T13:30"),
        ("Australia/Lord_Howe", "2026-10-01", "2026-09-30T13:30", "2026-10-31T13:00"),
        # Samoa left out 30 December 2011 and went over the date line: the month has 30 days.
        ("Pacific/Apia", "2011-12-01", "2011-12-01T10:00", "2011-12-31T10:00"),
        ("Europe/Berlin", "2026-03-01", "2026-02-28T23:00", "2026-03-31T22:00"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00", "2026-12-01T05:00"),
        # Midnight of 1 October 2000 was jumped over in Paraguay.
        ("America/Asuncion", "2000-10-01", "2000-10-01T04:00", "2000-11-01T03:00"),
    ],
)
def test_month_has_the_limits_of_its_zone(zone: str, month: str, start: str, end: str) -> None:
    span = month_span(dt.date.fromisoformat(month), ZoneInfo(zone))
    assert span == (_utc(start), _utc(end))


@given(
    st.sampled_from(["UTC", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia",
                     "America/Sao_Paulo", "Africa/Casablanca"]),
    st.dates(dt.date(2000, 1, 1), dt.date(2035, 1, 1)),
)  # fmt: skip
def test_months_tile_time(zone_name: str, day: dt.date) -> None:
    """I17: no gap and no overlap between two months, and the last one that is over is over."""
    zone, month = ZoneInfo(zone_name), day.replace(day=1)
    following = (month + dt.timedelta(days=32)).replace(day=1)
    span = month_span(month, zone)
    assert span.end_at == month_span(following, zone).start_at
    assert span.start_at < span.end_at
    assert last_month(span.end_at, zone) == month
    assert last_month(span.end_at - dt.timedelta(microseconds=1), zone) < month


def test_equal_lines_are_merged_and_the_remainder_is_stated() -> None:
    """Two requests of half a nano each were charged 0 and 1: the line says 1, and nothing is left;
    what was above its hold is, and for whom."""
    asked = [
        Line("usage", 0, "web", "", "m", "in_text", 150_000_000, 1_070_000, 1_000),
        Line("usage", 0, "web", "", "m", "in_text", 150_000_000, 1_070_000, 2_000),
        Line("usage", 0, "", "core", "m", "out_text", 600_000_000, 1_000_000, 100),
        Line("usage", 0, "", "core", "m", "in_text", 150_000_000, 1_000_000, 0),
    ]
    charges = [
        Charge("web", "", None, 400_000), Charge("web", "", None, 81_500),
        Charge("", "core", None, 59_990), Charge("chat", "", None, 7),
    ]  # fmt: skip
    created = usage_lines(asked, charges)
    assert [(line.team or line.project, line.quantity, line.amount_nano) for line in created] == [
        ("core", 100, 60_000),
        ("web", 3_000, 481_500),
        ("core", 0, -10),
        ("chat", 0, 7),
    ]
    assert [line.kind for line in created] == ["usage", "usage", "remainder", "remainder"]


def test_late_usage_is_listed_separately_and_first() -> None:
    october = dt.date(2026, 10, 1)
    own = Line("usage", 0, "", "a", "m", "in_text", 1_000_000, 1_000_000, 5)
    late = Line("usage", 0, "", "z", "m", "in_text", 1_000_000, 1_000_000, 7, october)
    charges = [Charge("", "a", None, 6), Charge("", "z", october, 14), Charge("", "a", october, 1)]
    created = usage_lines([own, late, late], charges)
    assert [(line.kind, line.origin, line.quantity, line.amount_nano) for line in created] == [
        ("usage", october, 14, 14), ("usage", None, 5, 5),
        ("remainder", october, 0, 1), ("remainder", None, 0, 1),
    ]  # fmt: skip


VAT = TaxRow("VAT", "DE", 190_000, dt.date(2024, 1, 1), "The buyer owes the tax.")
OLD = TaxRow("VAT", "DE", 160_000, dt.date(2020, 7, 1))
COMING = TaxRow("VAT", "DE", 200_000, dt.date(2026, 12, 1))
OTHERS = TaxRow("GST", "", 50_000, dt.date(2020, 1, 1))


def test_a_party_is_in_a_country_by_its_name() -> None:
    for language, name in (("en", "Ireland"), ("zh-hans", "爱尔兰")):
        with translation.override(language):
            assert party({"address": "1 Lock Lane", "country": "IE"}) == ("1 Lock Lane", name)
            assert party({"country": "QQ"}) == ("QQ",)


@pytest.mark.parametrize(
    ("country", "tax_id", "expected"),
    [
        ("DE", False, [Tax("VAT", 190_000)]),
        ("DE", True, [Tax("VAT: The buyer owes the tax.", 0)]),
        ("SG", True, [Tax("GST", 50_000)]),
        ("", False, [Tax("GST", 50_000)]),
    ],
)
def test_the_taxes_of_a_buyer(country: str, tax_id: bool, expected: list[Tax]) -> None:
    rows = [COMING, VAT, OLD, OTHERS]
    assert taxes_of(rows, country, tax_id, dt.date(2026, 11, 30)) == expected


@given(
    st.lists(st.integers(-(10**15), 10**15), max_size=8),
    st.lists(st.integers(0, 300_000), max_size=3),
)
def test_the_total_is_the_sum_of_the_lines(amounts: list[int], rates: list[int]) -> None:
    """I19; the total is whole minor units, at most half of one away from what is exact."""
    lines, totals = add_totals(
        [Line("usage", amount) for amount in amounts], [Tax("t", rate) for rate in rates]
    )
    assert sum(line.amount_nano for line in lines) == totals.total_nano
    assert totals.total_nano % MINOR_NANO == 0
    assert abs(totals.rounding_nano) * 2 <= MINOR_NANO
    assert totals.net_nano == sum(amounts)
    assert totals.net_nano + totals.tax_nano + totals.rounding_nano == totals.total_nano


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["web", ""]), st.sampled_from("ab"),
            st.integers(0, 10**9), st.integers(0, 10**10),
        ),
        max_size=9,
    ),
    st.dictionaries(st.sampled_from(["web", "chat", ""]), st.integers(-(10**12), 10**15)),
)  # fmt: skip
def test_usage_lines_sum_to_what_each_project_was_charged(
    used: list[tuple[str, str, int, int]], charged: dict[str, int]
) -> None:
    """I19: whatever the requests were charged, in whatever order they come."""

    def team(project: str) -> str:
        return "" if project else "t"

    lines = [
        Line("usage", 0, project, team(project), model, "in_text", rate, 1_000_000, n)
        for project, model, n, rate in used
    ]
    charges = [Charge(project, team(project), None, nano) for project, nano in charged.items()]
    created = usage_lines(lines, charges)
    for project in ("web", "chat", ""):
        of_project = [line for line in created if line.project == project]
        assert {line.team for line in of_project} <= {team(project)}
        assert sum(line.amount_nano for line in of_project) == charged.get(project, 0)
    assert usage_lines(reversed(lines), charges) == created


def test_words_of_figures() -> None:
    assert format_document_number("INV", 2026, 117) == "INV-2026-0117"
    assert (percent_text(190_000), percent_text(81_000)) == ("19", "8.1")
