"""What a list keeps in its addresses: its filters, chips, columns, order, size and period."""

import datetime as dt
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from django.test import RequestFactory
from django.utils import timezone

from lib import clock
from lib.tables.exports import export_name
from lib.tables.filter_bar import Field, FilterBar, bar_of
from lib.tables.pages import answer_table, export_table, page_of
from lib.tables.sources import COUNTED_MAX, ListSource, count_text, read_page
from lib.tables.table import (
    REGISTERED,
    Badge,
    Column,
    Filter,
    Preference,
    State,
    Table,
    status_filter,
)

COLUMNS = (
    Column("name", "Name", sort=True),
    Column("cost", "Cost", "money", sort=True),
    Column("at", "At", "time", sort=True),
    Column("id", "ID", sort=True, in_files=True, chosen=False),
    Column("extra", "Extra", chosen=False),
    Column("secret", "Secret", sort=True),
)
FILTERS = (
    Filter("q", "Search", "search"),
    Filter("state", "Status", choices=(("on", "On"), ("off", "Off"), ("", "Any")), default="on"),
    Filter("model", "Model"),
    Filter("since", "From", "date"),
    Filter("until", "To", "date"),
)
ROWS = [{"id": f"{n:02d}", "name": f"n{n}", "cost": n, "at": None} for n in range(30)]


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    yield Table("test-addresses", "Test", COLUMNS, "-cost", filters=FILTERS)
    REGISTERED.pop("test-addresses")


def read(table: Table, query: str = "", **known: Any) -> State:
    return table.read(parse_qs(query, keep_blank_values=True), **known)


def query_of(href: str) -> dict[str, list[str]]:
    return parse_qs(href.removeprefix("?"), keep_blank_values=True)


# Filters ------------------------------------------------------------------------------------------


def test_each_active_filter_has_a_chip_that_takes_it_away(table: Table) -> None:
    choices = {"model": (("", "Any"), ("gpt", "GPT"))}
    state = read(
        table, "q=cat&state=off&model=gpt&sort=name&rows=25&tab=b", choices=choices,
        others=[("tab", "b")],
    )  # fmt: skip
    bar = bar_of(state)
    assert [(one.label, one.text) for one in bar.chips] == [
        ("Search", "cat"), ("Status", "Off"), ("Model", "GPT"),
    ]  # fmt: skip
    kept = {"sort": ["name"], "rows": ["25"], "tab": ["b"]}
    assert [query_of(one.href) for one in bar.chips] == [
        kept | {"state": ["off"], "model": ["gpt"]},
        kept | {"q": ["cat"], "model": ["gpt"]},
        kept | {"q": ["cat"], "state": ["off"]},
    ]
    assert query_of(bar.clear_href) == kept
    assert {*bar.hidden} == {("tab", "b"), ("sort", "name"), ("rows", "25")}
    assert query_of(state.query(tab="c"))["tab"] == ["c"]


def test_default_of_a_filter_is_no_chip_and_any_is_one(table: Table) -> None:
    assert bar_of(read(table)).chips == []
    assert not read(table).filtered
    assert (read(table).value("state"), read(table, "state=").value("state")) == ("on", "on")
    unknown = read(table, "state=gone&q=%20a%00b%20")
    assert (unknown.value("state"), unknown.value("q")) == ("on", "ab")
    assert len(read(table, "q=" + "x" * 300).value("q")) == 200


def test_choice_with_nothing_to_choose_is_not_shown(table: Table) -> None:
    def names(*models: tuple[str, str]) -> list[str]:
        return [one.name for one in bar_of(read(table, choices={"model": models})).fields]

    assert names(("", "Any")) == ["q", "state", "since", "until"]
    assert names(("", "Any"), ("gpt", "GPT")) == ["q", "state", "model", "since", "until"]


def test_search_stands_alone_and_the_rest_is_folded() -> None:
    fields = [Field("q", "", "search"), Field("a", ""), Field("b", "", rest=True)]
    bar = FilterBar(fields, [], [], "")
    assert [[one.name for one in part] for part in (bar.searches, bar.folded, bar.rest)] == [
        ["q"], ["a"], ["b"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("", None, None),
        ("since=2026-11-30", "2026-11-29T18:30", None),
        ("until=2026-11-30", None, "2026-11-30T18:30"),
        ("since=2026-02-30&until=x", None, None),
        ("until=9999-12-31", None, None),
    ],
)
def test_period_is_of_whole_days_of_the_reader(
    table: Table, query: str, since: str | None, until: str | None
) -> None:
    """The last day belongs to it."""
    with timezone.override(ZoneInfo("Asia/Kolkata")):
        period = read(table, query).period
    assert [at and f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M}" for at in period] == [since, until]


def test_states_of_a_list_are_its_filter() -> None:
    badges = {"on": Badge("On", "ok"), "off": Badge("Off", "bad")}
    choices = [(value, str(text)) for value, text in status_filter(badges).choices]
    assert choices[1:] == [("on", "On"), ("off", "Off")]
    assert choices[0][0] == ""


# Columns, order and size --------------------------------------------------------------------------


def test_settings_of_a_person_are_not_in_addresses(table: Table) -> None:
    mine = Preference(columns=("cost", "name"), page_size=100)
    state = read(table, preference=mine)
    assert ([one.name for one in state.columns], state.page_size) == (["cost", "name"], 100)
    assert state.query() == ""
    asked = read(table, "cols=name,extra&rows=25", preference=mine)
    assert ([one.name for one in asked.columns], asked.page_size) == (["name", "extra"], 25)
    assert query_of(asked.query()) == {"cols": ["name,extra"], "rows": ["25"]}
    page = page_of("/list", asked, ListSource(ROWS))
    assert (page.plain, page.here) == ("/list", "/list?cols=name%2Cextra&rows=25")
    assert read(table, "rows=26").page_size == 50


def test_hidden_column_is_neither_offered_nor_sorted_by(table: Table) -> None:
    state = read(table, "sort=secret&cols=secret,name", hidden=["secret"])
    assert [one.name for one in state.columns] == ["name"]
    assert "secret" not in [one.name for one in state.available]
    assert [one.name for one in state.available][:2] == ["name", "cost"]
    assert state.sort == (("cost", True),)


def test_heads_say_where_a_click_leads(table: Table) -> None:
    def heads(query: str) -> dict[str, Any]:
        return {
            one.column.name: one for one in page_of("/", read(table, query), ListSource([])).heads
        }

    plain = heads("")
    assert (plain["cost"].direction, plain["cost"].place) == ("descending", 0)
    # A name begins at its first letter, a figure with the most.
    assert query_of(plain["name"].href) == {"sort": ["name"]}
    assert query_of(plain["at"].href) == {"sort": ["-at"]}
    assert query_of(plain["cost"].href) == {"sort": ["cost"]}
    assert query_of(plain["name"].added_href) == {"sort": ["-cost,name"]}
    both = heads("sort=name,-at&cols=name,at,extra")
    assert [(one.direction, one.place) for one in both.values()] == [
        ("ascending", 1), ("descending", 2), ("", 0),
    ]  # fmt: skip
    assert both["extra"].href == ""


def test_pages_lead_to_each_other_and_to_the_ends(table: Table) -> None:
    def ends(query: str) -> list[bool]:
        page = page_of("/list", read(table, query), ListSource(ROWS))
        return [
            bool(one)
            for one in (page.first_href, page.previous_href, page.next_href, page.last_href)
        ]

    assert ends("rows=25") == [False, False, True, True]
    assert ends("rows=25&before=end") == [True, True, False, False]
    assert ends("rows=50") == [False] * 4


def test_page_beyond_the_last_row_is_the_first(table: Table) -> None:
    state = read(table, "rows=25&before=end")
    after = read_page(ListSource(ROWS), state.orders, 25, state.position)
    assert after.previous is not None
    emptied = read_page(ListSource(ROWS[-1:]), state.orders, 25, after.previous)
    assert [row["id"] for row in emptied.rows] == ["29"]


def test_long_list_says_that_it_has_more(table: Table) -> None:
    for n, exact, at_least in (
        (COUNTED_MAX - 1, True, False), (COUNTED_MAX, True, False), (COUNTED_MAX + 1, False, True),
    ):  # fmt: skip
        count = count_text(n)
        assert (count.n, count.exact, count.at_least) == (min(n, COUNTED_MAX), exact, at_least)


# Answers and files --------------------------------------------------------------------------------


def test_files_have_what_the_page_shows_and_hidden_ids(table: Table) -> None:
    def columns(query: str) -> list[str]:
        page = page_of("/list", read(table, query), ListSource([]), files="/export?")
        [href, *others] = [href for _, href in page.exports]
        assert href.startswith("/export?")
        assert [query_of(one.partition("?")[2])["export"] for one in (href, *others)] == [
            ["csv"], ["jsonl"], ["xlsx"], ["parquet"],
        ]  # fmt: skip
        return query_of(href.partition("?")[2])["cols"][0].split(",")

    assert columns("") == ["name", "cost", "at", "secret", "id"]
    assert columns("cols=name,extra") == ["name", "extra"]


def test_file_is_named_after_its_list_and_day(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime(2026, 11, 30, 23, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    request, state = RequestFactory().get("/"), read(table, "export=csv&cols=name")
    for suffix, name in (("", ""), ("-part", "-part")):
        response = export_table(request, state, ListSource([]), list, suffix)
        assert response["Content-Disposition"] == (
            f'attachment; filename="test-addresses-2026-11-30{name}.csv"'
        )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("text", "x"), ("money", "x_usd"), ("total", "x_usd"), ("meter", "x_usd"),
        ("duration", "x_ms"), ("price", "x_usd_per_1m"), ("number", "x"), ("time", "x"),
    ],
)  # fmt: skip
def test_head_of_a_file_has_its_unit(kind: Any, name: str) -> None:
    assert export_name(Column("x", "X", kind)) == name


@pytest.mark.parametrize(
    ("current", "pushed"),
    [("/list", "/list?q=a"), ("/list?q=a", None), ("/list?q=b", "/list?q=a")],
)
def test_address_bar_has_the_filters_of_now(
    table: Table, monkeypatch: pytest.MonkeyPatch, current: str, pushed: str | None
) -> None:
    """A list that refreshes itself adds nothing to the history."""
    monkeypatch.setattr("lib.tables.pages.render_part", lambda *_: {})
    request: Any = RequestFactory().get("/list", {"q": "a", "since": ""})
    request.htmx = SimpleNamespace(current_url_abs_path=current)
    answer: Any = answer_table(
        request, read(table, "q=a&since="), ListSource([]), ("page", "part"), {}
    )
    assert answer.get("HX-Push-Url") == pushed
