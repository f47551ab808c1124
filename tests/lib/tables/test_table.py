"""What an address asks of a list, whatever it says."""

from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.tables.sources import END, START, Position
from lib.tables.table import (
    PAGE_SIZES,
    REGISTERED,
    Column,
    Filter,
    Preference,
    State,
    Table,
    format_sort,
    parse_sort,
)
from tests.support.hostile import STORABLE

COLUMNS = (
    Column("name", "Name", sort=True),
    Column("cost", "Cost", "money", value="cost_nano", sort=True),
    Column("owner", "Owner", sort="owner__email"),
    Column("secret", "Secret"),
    Column("extra", "Extra", chosen=False),
)
FILTERS = (
    Filter("q", "Search", "search"),
    Filter("state", "Status", choices=(("on", "On"), ("off", "Off")), default="on"),
)


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    yield Table("test-table", "Test", COLUMNS, "-cost", filters=FILTERS)
    REGISTERED.pop("test-table")


@pytest.fixture(scope="module")
def big() -> Iterator[Table]:
    yield Table("test-big", "Test", COLUMNS, "-cost", big=True)
    REGISTERED.pop("test-big")


def read(table: Table, query: str, **known: object) -> State:
    return table.read(parse_qs(query, keep_blank_values=True), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("", ()),
        ("-cost", (("cost", True),)),
        ("-cost,name", (("cost", True), ("name", False))),
        (" name , -cost", (("name", False), ("cost", True))),
        ("name,-name,name", (("name", False),)),
        ("--cost,secret,nothing,-", ()),
        ("name,cost,owner,name", (("name", False), ("cost", False), ("owner", False))),
    ],
)
def test_an_order_is_read(text: str, sort: tuple[tuple[str, bool], ...]) -> None:
    assert parse_sort(text, {"name", "cost", "owner"}, 3) == sort
    assert parse_sort(format_sort(sort), {"name", "cost", "owner"}, 3) == sort


def test_unspecified_order_is_the_default(table: Table) -> None:
    state = read(table, "")
    assert state.sort == (("cost", True),)
    assert [column.name for column in state.columns] == ["name", "cost", "owner", "secret"]
    assert (state.page_size, state.export, state.position) == (50, "", START)
    assert (state.value("q"), state.value("state"), state.filtered) == ("", "on", False)
    assert state.query() == ""


def test_an_order_may_be_said_in_several_parts(table: Table) -> None:
    assert read(table, "sort=-cost&sort=name").sort == (("cost", True), ("name", False))


def test_a_big_list_is_sorted_by_one_column(big: Table) -> None:
    """Behind the first column its index knows no other order."""
    state = read(big, "sort=name,cost")
    assert state.sort == (("name", False),)
    assert state.sorted_by(big.column("cost"), added=True) == "sort=-cost"


def test_columns_come_from_address_person_or_list(table: Table) -> None:
    kept = Preference(("extra", "gone", "name"), 100)
    state = table.read({}, kept)
    assert [column.name for column in state.columns] == ["extra", "name"]
    assert state.page_size == 100
    assert state.query() == ""
    shared = table.read({"cols": ["cost,name"], "rows": ["25"]}, kept)
    assert [column.name for column in shared.columns] == ["cost", "name"]
    assert parse_qs(shared.query()) == {"cols": ["cost,name"], "rows": ["25"]}
    assert [column.name for column in shared.available] == [
        "cost", "name", "owner", "secret", "extra"
    ]  # fmt: skip


def test_hidden_columns_are_absent(table: Table) -> None:
    state = read(table, "cols=owner,name&sort=owner", hidden=["owner"])
    assert [column.name for column in state.columns] == ["name"]
    assert state.sort == (("cost", True),)
    assert "owner" not in [column.name for column in state.available]


def test_head_sorts_and_reverses(table: Table) -> None:
    name, cost = table.column("name"), table.column("cost")
    state = read(table, "")
    assert state.direction(cost) == "descending"
    assert state.sorted_by(cost) == "sort=cost"
    assert state.sorted_by(name) == "sort=name"
    assert state.sorted_by(name, added=True) == "sort=-cost%2Cname"
    both = read(table, "sort=-cost,name")
    assert both.sorted_by(name, added=True) == "sort=-cost%2C-name"
    assert [(order.path, order.descending) for order in both.orders] == [
        ("cost_nano", True), ("name", False), ("id", False)
    ]  # fmt: skip


def test_filters_keep_the_order_and_the_order_keeps_the_filters(table: Table) -> None:
    state = read(table, "q=a%00b+&state=off&sort=name&rows=25", others=[("tz", "Asia/Tokyo")])
    assert (state.value("q"), state.value("state"), state.filtered) == ("ab", "off", True)
    assert parse_qs(state.query()) == {
        "tz": ["Asia/Tokyo"], "q": ["ab"], "state": ["off"], "sort": ["name"], "rows": ["25"]
    }  # fmt: skip
    assert read(table, "state=made-up").value("state") == "on"


def test_cursors_belong_to_their_order(table: Table) -> None:
    state = read(table, "sort=name")
    position = Position(("web", 7))
    assert read(table, state.query_at(position)).position == position
    back = Position(("web", 7), backwards=True)
    assert read(table, state.query_at(back)).position == back
    assert read(table, state.query_at(END)).position == END
    other = state.query_at(position).replace("sort=name", "sort=-name")
    assert read(table, other).position == START


@given(
    st.dictionaries(
        st.sampled_from(["sort", "cols", "rows", "after", "before", "export", "q", "state"]),
        st.lists(st.text(max_size=30) | st.sampled_from(STORABLE), max_size=3),
    )
)
def test_every_address_is_read(table: Table, query: dict[str, list[str]]) -> None:
    state = table.read(query)
    assert state.columns
    assert state.sort
    assert state.page_size in PAGE_SIZES
    assert state.value("state") in ("on", "off")
    again = table.read(parse_qs(state.query_at(state.position)))
    assert again.query() == state.query()


def test_name_is_used_once(table: Table) -> None:
    with pytest.raises(ValueError, match="twice"):
        Table("test-table", "Test", COLUMNS, "name")
    with pytest.raises(ValueError, match="twice"):
        Table("test-twice", "Test", (*COLUMNS, COLUMNS[0]), "name")
