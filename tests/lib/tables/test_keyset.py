"""Walking all pages, in both directions and any order, shows every row once."""

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEvent
from lib.tables.keyset import (
    BadCursor,
    Order,
    Values,
    compare,
    condition,
    condition_text,
    decode_cursor,
    encode_cursor,
    ordering,
    ordering_text,
    value_at,
)
from lib.tables.sources import (
    COUNTED_MAX,
    END,
    START,
    Count,
    ListSource,
    Position,
    QuerySource,
    Source,
    StatementSource,
    read_page,
)
from tests.support.hostile import STORABLE


@dataclass(frozen=True)
class Row:
    id: int
    n: int | None
    text: str | None


ROWS = st.lists(
    st.builds(
        Row,
        id=st.integers(0, 60),
        n=st.none() | st.integers(0, 3),
        text=st.none() | st.sampled_from(["a", "A", "b", "ä", ""]),
    ),
    unique_by=lambda row: row.id,
    max_size=25,
)
ORDERS = st.tuples(
    st.lists(st.sampled_from(["n", "text"]), unique=True, max_size=2),
    st.lists(st.booleans(), min_size=3, max_size=3),
).map(
    lambda drawn: [
        Order(path, down) for path, down in zip([*drawn[0], "id"], drawn[1], strict=False)
    ]
)


def walk(source: Source[Any], orders: list[Order], limit: int, at: Position) -> list[list[Any]]:
    """All pages from one end to the other."""
    pages = []
    position: Position | None = at
    while position is not None:
        page = read_page(source, orders, limit, position)
        assert len(page.rows) <= limit
        pages.append(page.rows)
        position = page.previous if at == END else page.next
        assert len(pages) < 100
    return pages


def assert_walks(source: Source[Any], orders: list[Order], limit: int, ids: set[Any]) -> None:
    forward = [row for page in walk(source, orders, limit, START) for row in page]
    backward = [row for page in walk(source, orders, limit, END)[::-1] for row in page]
    assert [row.id for row in forward] == [row.id for row in backward]
    assert len(forward) == len(ids)
    assert {row.id for row in forward} == ids


@given(ROWS, ORDERS, st.integers(1, 7))
def test_every_row_of_a_list_once(rows: list[Row], orders: list[Order], limit: int) -> None:
    assert_walks(ListSource(rows), orders, limit, {row.id for row in rows})


@given(ROWS, ORDERS)
def test_rows_without_a_value_come_last(rows: list[Row], orders: list[Order]) -> None:
    rows_value = read_page(ListSource(rows), orders, 100).rows
    path = str(orders[0].path)
    empty = [value_at(row, path) is None for row in rows_value]
    assert empty == sorted(empty)


@pytest.mark.django_db
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), st.none() | st.sampled_from([uuid.UUID(int=1)])),
        max_size=9,
    ),
    downs=st.lists(st.booleans(), min_size=3, max_size=3),
    limit=st.integers(1, 4),
)
def test_every_row_of_a_query_once(
    rows: list[tuple[str, uuid.UUID | None]], downs: list[bool], limit: int
) -> None:
    mark = uuid.uuid4().hex
    ids = {
        AuditEvent.objects.create(
            id=uuid.uuid4(), action=action, actor_key=key, object_type="x", object_id=mark
        ).id
        for action, key in rows
    }
    orders = [
        Order(path, down) for path, down in zip(["action", "actor_key", "id"], downs, strict=True)
    ]
    source = QuerySource(AuditEvent.objects.filter(object_id=mark))
    for some in (orders, orders[1:], orders[2:]):
        assert_walks(source, some, limit, ids)
    assert source.count().n == len(ids)
    statement = StatementSource(_EVENTS, {"mark": mark}, _Event)
    for some in ([orders[0], orders[2]], orders[2:]):
        assert_walks(statement, some, limit, ids)
    assert statement.count().n == len(ids)


class _Event(NamedTuple):
    action: str
    id: uuid.UUID


_EVENTS = "SELECT action, id FROM accounts_auditevent WHERE object_id = %(mark)s"


def test_a_page_beyond_the_end_is_the_first() -> None:
    source = ListSource([Row(1, 1, "a"), Row(2, 2, "b")])
    page = read_page(source, [Order("id")], 2, Position((7,)))
    assert [row.id for row in page.rows] == [1, 2]


ORDERED = [Order("object_type", descending=True), Order("actor_key"), Order("id")]
EDGES = ("key", 5, 7)


def said(edges: Values, *, backwards: bool) -> tuple[str, list[tuple[Any, ...]]]:
    order = ordering(AuditEvent, ORDERED, backwards=backwards)
    return str(condition(AuditEvent, ORDERED, edges, backwards=backwards)), [
        (str(one.expression), one.descending, one.nulls_first, one.nulls_last) for one in order
    ]


def test_condition_and_order_of_a_query_fit_each_other() -> None:
    """Rows without a value come last, whichever way a page is read."""
    assert said(EDGES, backwards=False) == (
        "(AND: (OR: ('object_type__lt', 'key'), (AND: ('object_type', 'key'), "
        "(OR: ('actor_key__gt', 5), ('actor_key__isnull', True), "
        "(AND: ('actor_key', 5), ('id__gt', 7))))), ('object_type__lte', 'key'))",
        [("F(object_type)", True, None, None), ("F(actor_key)", False, None, True),
         ("F(id)", False, None, None)],
    )  # fmt: skip
    assert said(EDGES, backwards=True) == (
        "(AND: (OR: ('object_type__gt', 'key'), (AND: ('object_type', 'key'), "
        "(OR: ('actor_key__lt', 5), "
        "(AND: ('actor_key', 5), ('id__lt', 7))))), ('object_type__gte', 'key'))",
        [("F(object_type)", False, None, None), ("F(actor_key)", True, True, None),
         ("F(id)", True, None, None)],
    )  # fmt: skip
    without = [said(("key", None, 7), backwards=backwards)[0] for backwards in (False, True)]
    assert without == [
        "(AND: (OR: ('object_type__lt', 'key'), (AND: ('object_type', 'key'), "
        "(OR: ('pk__in', ()), (AND: ('actor_key__isnull', True), ('id__gt', 7))))), "
        "('object_type__lte', 'key'))",
        "(AND: (OR: ('object_type__gt', 'key'), (AND: ('object_type', 'key'), "
        "(OR: ('actor_key__isnull', False), (AND: ('actor_key__isnull', True), ('id__lt', 7))))), "
        "('object_type__gte', 'key'))",
    ]


def test_condition_and_order_of_a_statement_fit_each_other() -> None:
    found = [
        (
            *condition_text(ORDERED, EDGES, backwards=backwards),
            ordering_text(ORDERED, backwards=backwards),
        )
        for backwards in (False, True)
    ]
    edges = {"edge_0": "key", "edge_1": 5, "edge_2": 7}
    assert found == [
        (
            "(object_type < %(edge_0)s OR (object_type = %(edge_0)s AND (actor_key > %(edge_1)s OR "
            "(actor_key = %(edge_1)s AND (id > %(edge_2)s OR (id = %(edge_2)s AND false))))))",
            edges,
            "object_type DESC, actor_key ASC, id ASC",
        ),
        (
            "(object_type > %(edge_0)s OR (object_type = %(edge_0)s AND (actor_key < %(edge_1)s OR "
            "(actor_key = %(edge_1)s AND (id < %(edge_2)s OR (id = %(edge_2)s AND false))))))",
            edges,
            "object_type ASC, actor_key DESC, id DESC",
        ),
    ]
    with pytest.raises(TypeError):
        ordering_text([Order(lambda row: row.id)])


def test_statement_is_counted_up_to_a_bound(db: None) -> None:
    def count(rows: int) -> Count:
        text = "SELECT n FROM generate_series(1, %(rows)s) n"
        return StatementSource(text, {"rows": rows}, int).count()

    assert count(COUNTED_MAX) == Count(COUNTED_MAX)
    assert count(COUNTED_MAX + 5) == Count(COUNTED_MAX, exact=False, at_least=True)


def test_letters_of_either_case_sort_together() -> None:
    values = sorted(["b", "A", "a", "B"])
    rows = [Row(n, None, value) for n, value in enumerate(values)]
    rows_value = read_page(ListSource(rows), [Order("text"), Order("id")], 9).rows
    assert [row.text for row in rows_value] == ["A", "a", "B", "b"]


VALUES = [
    None,
    True,
    0,
    -(2**63),
    "",
    "ä\n",
    dt.datetime(2026, 11, 18, 12, 0, 0, 1, tzinfo=dt.UTC),
    dt.date(2026, 11, 18),
    uuid.UUID(int=7),
    Decimal("1.50"),
]


def test_cursor_returns_its_values() -> None:
    assert decode_cursor(encode_cursor(tuple(VALUES), "keys:-name"), "keys:-name") == tuple(VALUES)
    with pytest.raises(TypeError):
        encode_cursor((object(),), "keys:-name")


def test_foreign_cursor_is_invalid() -> None:
    """Neither another list's, nor another order's, nor one that somebody made up."""
    cursor = encode_cursor((1, "a"), "keys:-name")
    for text in (cursor, cursor[:-1], cursor[1:], cursor.upper(), "", "::", *STORABLE):
        with pytest.raises(BadCursor):
            decode_cursor(text, "keys:name")


def test_paths_go_through_attributes_and_keys() -> None:
    row = {"key": Row(1, None, "a"), "more": {"n": 3}}
    assert value_at(row, "key.text") == value_at(row, "key__text") == "a"
    assert value_at(row, "key.n.real") is None
    assert value_at(row, "missing.n") is None
    assert value_at(row, lambda one: one["more"]["n"]) == 3
    with pytest.raises(AttributeError):
        value_at(row, "key.missing")


@given(ORDERS, ROWS)
def test_comparing_is_an_order(orders: list[Order], rows: list[Row]) -> None:
    values = [tuple(value_at(row, order.path) for order in orders) for row in rows]
    for left in values:
        for right in values:
            assert compare(left, right, orders) == -compare(right, left, orders)
