import uuid
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic import ValidationError

from accounts.models import AuditEvent, User
from content.models import PromptVersion
from lib.api.pagination import (
    BadCursor,
    ModelPageQuery,
    NamedPageQuery,
    Page,
    PageQuery,
    after_id,
    cut_page,
    page_by_id,
    page_by_key,
    page_by_number,
    page_by_position,
)
from lib.ids import id_text, new_id


def test_a_cursor_is_an_id_or_refused() -> None:
    some = new_id()
    assert after_id(None) is None
    assert after_id(id_text(some)) == some
    for text in ("", "x", "!" * 26):
        with pytest.raises(BadCursor):
            after_id(text)


def test_extra_row_reveals_a_next_page() -> None:
    rows = [uuid.UUID(int=n) for n in (5, 4, 3)]
    assert cut_page(rows, 3, lambda row: row).next is None
    page = cut_page(rows, 2, lambda row: row)
    assert page.items == rows[:2]
    assert page.next == id_text(rows[1])
    assert cut_page([], 2, lambda row: row).next is None


def test_pages_stay_while_rows_arrive(db: None) -> None:
    def add(n: int) -> AuditEvent:
        id = uuid.UUID(int=n)
        return AuditEvent.objects.create(id=id, action="x", object_type="x", object_id="1")

    old = [add(n) for n in range(1, 5)]
    first = page_by_id(AuditEvent.objects.all(), 2, None)
    add(5)
    with CaptureQueriesContext(connection) as queries:
        second = page_by_id(AuditEvent.objects.all(), 2, first.next)
    assert "LIMIT 3" in queries[0]["sql"]
    assert [*first.items, *second.items] == old[::-1]
    assert second.next is None


@pytest.mark.parametrize("limit", range(1, 6))
def test_pages_of_numbered_rows_hold_each_row_once(db: None, limit: int) -> None:
    User.objects.bulk_create(User(id=n, email=f"{n}@example.org") for n in range(11, 15))
    rows = User.objects.all()
    texts: list[int] = []
    cursor: str | None = "0"
    while cursor:
        page = page_by_number(rows, limit, cursor)
        assert page.items
        texts += [row.id for row in page.items]
        cursor = page.next
    assert texts == [11, 12, 13, 14]
    with pytest.raises(BadCursor):
        page_by_number(rows, limit, "x")


@pytest.mark.parametrize("limit", range(1, 7))
def test_pages_of_a_computed_list_hold_each_row_once(limit: int) -> None:
    rows = ["a", "b", "c", "d", "e"]

    def read(page: Callable[[str | None], Page[str]]) -> list[str]:
        got, cursor = list[str](), None
        while True:
            one = page(cursor)
            assert one.items
            got += one.items
            if one.next is None:
                return got
            cursor = one.next

    assert read(lambda cursor: page_by_position(rows, limit, cursor)) == rows
    assert read(lambda cursor: page_by_key(rows, limit, cursor, str)) == rows


def test_page_by_key_stays_when_rows_are_added() -> None:
    first = page_by_key(["b", "d", "f"], 2, None, str)
    assert page_by_key(["a", "b", "c", "d", "f"], 2, first.next, str).items == ["f"]
    for text in ("x", ""):
        with pytest.raises(BadCursor):
            page_by_key(["b"], 2, text, str)
    with pytest.raises(BadCursor):
        page_by_position(["b"], 2, "x")


def test_filters_take_the_exact_name(db: None) -> None:
    User.objects.bulk_create(User(id=n, email=f"{n}@example.org") for n in (1, 11))

    def named(name: str | None) -> list[int]:
        query = NamedPageQuery(limit=50, cursor=None, name=name)
        rows = query.filter_by_name(User.objects.order_by("id"), "email")
        return [row.id for row in rows]

    assert named("1@example.org") == [1]
    assert named("1@EXAMPLE.org") == []
    assert named(None) == [1, 11]


def test_list_has_fifty_rows_unless_it_is_asked() -> None:
    assert PageQuery.model_validate({}).limit == 50
    for limit, valid in ((1, True), (200, True), (0, False), (201, False)):
        if valid:
            assert PageQuery.model_validate({"limit": limit}).limit == limit
        else:
            with pytest.raises(ValidationError):
                PageQuery.model_validate({"limit": limit})


def test_filter_of_a_model_takes_its_exact_name() -> None:
    def condition(model: str | None) -> str:
        query = ModelPageQuery(limit=50, cursor=None, model=model)
        return str(query.of_model(PromptVersion.objects.all()).query).partition(" WHERE ")[2]

    assert condition(None) == ""
    assert "gpt-5" in condition("gpt-5")
    assert "=" in condition("gpt-5")
