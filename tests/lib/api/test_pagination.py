import uuid

import pytest

from accounts.models import AuditEvent, User
from lib.api.pagination import BadCursor, after_id, cut_page, page_by_id, page_by_number
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
    second = page_by_id(AuditEvent.objects.all(), 2, first.next)
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
