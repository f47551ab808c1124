"""Figures as pages show them: the table of display rules, with its edges."""

import datetime as dt
from decimal import Decimal

import pytest
from django.template import Context, Template
from django.utils import translation

from billing.templatetags import money, rates
from config.templatetags import ui
from lib.numbers import formatting
from lib.numbers.relative_time import relative_text
from lib.tables.table import REGISTERED, Column, Table


@pytest.mark.parametrize(
    ("number", "display"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (10_000, "10 K"),
        (12_345, "12.3 K"),
        (412_906, "413 K"),
        (999_499, "999 K"),
        (999_500, "1 M"),
        (999_950, "1 M"),
        (1_920_441_023, "1.92 B"),
        (-12_345, "−12.3 K"),
        (5_000_000_000_000_000, "5000 T"),
    ],
)
def test_compact_count_has_three_digits_and_never_a_thousand_units(
    number: int, display: str
) -> None:
    assert formatting.compact(number) == display


@pytest.mark.parametrize(
    ("number", "display"),
    [(9_999, "9,999"), (10_000, "1 万"), (12_345, "1.23 万"), (412_906, "41.3 万"),
     (12_345_678, "1235 万"), (99_994_999, "9999 万"), (99_999_999, "1 亿"),
     (1_920_441_023, "19.2 亿"), (999_999_999_999, "1 万亿"), (-12_345, "−1.23 万")],
)  # fmt: skip
def test_chinese_shortens_numbers_by_ten_thousands(number: int, display: str) -> None:
    with translation.override("zh-hans"):
        assert ui.compact(number) == display
        assert money.money_total(number * 10**9).startswith(("$", "−$"))
    with translation.override("en"):
        assert ui.compact(number) == formatting.compact(number)


@pytest.mark.parametrize(
    ("milliseconds", "display"),
    [(0, "0 ms"), (842, "842 ms"), (999, "999 ms"), (3_210, "3.21 s"), (59_994, "59.99 s"),
     (59_996, "1 min"), (72_000, "1 min 12 s"), (3_600_000, "60 min")],
)  # fmt: skip
def test_duration_changes_unit_at_a_second_and_at_a_minute(milliseconds: int, display: str) -> None:
    with translation.override("en"):
        assert ui.duration(milliseconds) == display


@pytest.mark.parametrize(
    ("part", "whole", "display"),
    [(0, 10, "0%"), (10, 10, "100%"), (1, 100_000, "<0.1%"), (99_999, 100_000, ">99.9%"),
     (124, 1_000, "12.4%"), (3, 0, "–")],
)  # fmt: skip
def test_percent_is_never_rounded_to_zero_or_all(part: int, whole: int, display: str) -> None:
    assert formatting.percent(part, whole) == display


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [(0, 0, ("none", "–")), (5, 0, ("new", "")), (5, 5, ("same", "0%")),
     (1124, 1000, ("up", "12.4%")), (900, 1000, ("down", "10.0%")), (0, 8, ("down", "100%"))],
)  # fmt: skip
def test_change_names_new_and_nothing(now: int, before: int, expected: tuple[str, str]) -> None:
    assert formatting.change(now, before) == expected


@pytest.mark.parametrize(
    ("octets", "display"),
    [(0, "0 B"), (999, "999 B"), (4_200_000, "4.2 MB"), (1_000, "1 kB"), (7 * 10**15, "7000 TB")],
)
def test_bytes_are_decimal(octets: int, display: str) -> None:
    assert formatting.data_size(octets) == display


def test_id_is_cut_in_the_middle_only_when_long() -> None:
    assert formatting.cut_id("01JCX5T9ABCDEFGHJKMN4H7QXY") == "01JCX…7QXY"
    assert formatting.cut_id("short") == "short"


def test_sparkline_stays_inside_its_box_and_rises_with_the_values() -> None:
    assert formatting.spark_points([3, 9]) == "0.0,23.0 80.0,1.0"
    assert formatting.spark_points([4, 4, 4]) == "0.0,1.0 40.0,1.0 80.0,1.0"
    assert formatting.spark_points([4]) == ""


def test_relative_time_speaks_of_the_past_and_the_future() -> None:
    now = dt.datetime(2026, 11, 20, 14, 0, tzinfo=dt.UTC)
    with translation.override("en"):
        words = [
            relative_text(now - dt.timedelta(seconds=seconds), now)
            for seconds in (0, 12, 59, 60, 3_599, 7_300, 86_400, -12, -7_300)
        ]
    assert words == ["just now", "12 s ago", "59 s ago", "1 min ago", "59 min ago", "2 h ago",
                     "19 Nov 2026", "in 12 s", "in 2 h"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("it broke off", "it broke off."),
        ("Try again.", "Try again."),
        ("为什么？", "为什么？"),
        ("", ""),
    ],
)
def test_foreign_text_ends_as_a_sentence(text: str, display: str) -> None:
    assert ui.sentence(text) == display


def test_script_gets_patterns_in_its_index_order() -> None:
    with translation.override("en"):
        patterns = ui.ago_patterns().split("|")
    assert patterns == ["%(n)s s ago", "%(n)s min ago", "%(n)s h ago",
                        "in %(n)s s", "in %(n)s min", "in %(n)s h"]  # fmt: skip


def test_delta_states_the_direction_and_colours_only_bad_changes() -> None:
    with translation.override("en"):
        assert 'data-tone=""' in ui.delta(1124, 1000)
        worse = ui.delta(9, 3, bad_when="up")
        assert 'data-tone="bad"' in worse
        assert '<span class="sr">up</span>' in worse
        assert "No earlier data" in ui.delta(4, 0)


@pytest.mark.parametrize(
    ("part", "whole", "width"),
    [(412, 500, "82.40"), (9, 3, "100.00"), (-1, 3, "0.00"), (1, 0, "0")],
)
def test_bar_never_leaves_its_track(part: int, whole: int, width: str) -> None:
    assert ui.share_of(part, whole) == width


def test_unknown_figures_are_a_dash_and_zero_is_zero() -> None:
    assert (ui.grouped(None), ui.compact(None), ui.duration(None)) == ("–", "–", "–")
    assert (money.money_total(None), money.money_request(None), rates.rate(None)) == ("–", "–", "–")
    assert (ui.grouped(0), money.money_total(0)) == ("0", "$0.00")


def test_money_follows_its_display_rules() -> None:
    assert money.money_total(1_284_070_000_000) == "$1,284.07"
    assert money.money_request(4_590_000) == "$0.00459"
    assert money.money_request(None) == "–"
    assert rates.rate(250_000_000) == "$0.25 / 1M"
    assert money.money_total(123_456_780_000_000) == "$123,456.78"


def test_an_amount_that_is_rounded_has_its_exact_form_as_a_title() -> None:
    titled = '<span title="{} USD">{}</span>'

    assert money.money_total(4_589_800) == titled.format("0.0045898", "&lt;$0.01")
    assert money.money_request(4_589_800) == titled.format("0.0045898", "$0.00459")
    assert money.money_request(4_590_000, 4) == titled.format("0.00459", "$0.0046")
    assert money.money_signed(1_234_500_000) == titled.format("1.2345", "+$1.23")
    assert money.money_price(Decimal("80250")) == "$0.00008025"


def test_charges_line_up_and_prices_have_their_own_decimals() -> None:
    columns = (Column("cost", "Cost", "money"), Column("rate", "Rate", "price"))
    state = Table("test-decimals", "Test", columns, "").read({})
    REGISTERED.pop("test-decimals")
    rows = [
        {"cost": 820_800_000, "rate": 60 * 10**9},
        {"cost": 4_589_800, "rate": Decimal("12500000.5")},
        {"cost": None, "rate": None},
    ]
    template = Template("{% load tables %}{% table_rows state rows places %}")

    first, second, third, _ = template.render(
        Context({"state": state, "rows": rows, "places": {}})
    ).split("</tr>")

    assert "$0.8208<" in first
    assert "$60.00<" in first
    assert '<span title="0.0045898 USD">$0.0046</span>' in second
    assert "$0.0125000005<" in second
    assert third.count("–") == 2
    live = template.render(Context({"state": state, "rows": rows, "places": {"cost": 6}}))
    assert "$0.8208\N{FIGURE SPACE}\N{FIGURE SPACE}<" in live
    assert "$0.00459\N{FIGURE SPACE}<" in live


def test_initials_come_from_a_name_or_an_address() -> None:
    assert [ui.initials(name) for name in ("Lin Chen", "lin.chen@acme.example", "root", "")] == [
        "LC", "lc", "r", ""]  # fmt: skip
