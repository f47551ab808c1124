"""Spans tile time, whatever was written when, and none has too many rows."""

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.seals.spans import BEGINNING, spans

END = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)


class Written:
    """A table in which a row stands for each of these seconds before the end."""

    def __init__(self, seconds: list[int]) -> None:
        self.instants = [END - dt.timedelta(seconds=second) for second in seconds]
        self._answer = 0
        self.read = 0

    def execute(self, query: str, params: Any = None) -> None:
        found = sum(params["from"] <= at < params["to"] for at in self.instants)
        self._answer = min(found, params["limit"])
        self.read += self._answer

    def fetchall(self) -> list[Any]:
        return [(self._answer,)]


@given(st.lists(st.integers(1, 5_000_000), max_size=60), st.integers(1, 5))
def test_spans_cover_every_instant_with_limited_rows(seconds: list[int], rows_max: int) -> None:
    table = Written(seconds)
    results = list(spans(table, "ledger", BEGINNING, END, rows_max))
    edges = [BEGINNING, *(to_at for _, to_at in results)]
    assert [from_at for from_at, _ in results] == edges[:-1]
    assert edges == sorted(set(edges))
    assert edges[-1] == END
    for from_at, to_at in results:
        inside = [at for at in table.instants if from_at <= at < to_at]
        assert len(inside) <= rows_max or len(set(inside)) == 1


def test_rows_of_one_instant_are_in_one_span() -> None:
    table = Written([7] * 50)
    sizes = []
    for from_at, to_at in spans(table, "trail", BEGINNING, END, 10):
        sizes.append(sum(from_at <= at < to_at for at in table.instants))
    assert max(sizes) == 50


def test_twice_as_much_is_read_in_twice_the_time() -> None:
    """Rows at an even pace, over a month."""
    read = []
    for rows in (500, 1_000, 2_000):
        table = Written([1 + 2_592_000 * n // rows for n in range(rows)])
        assert len(list(spans(table, "ledger", BEGINNING, END, 20))) < rows / 5
        read.append(table.read / rows)
    assert max(read) < 1.5 * min(read)


def test_one_span_costs_as_much_however_many_rows_come_after_it() -> None:
    """A walk goes on for a while, and then begins anew where it stopped."""
    for rows in (500, 1_000, 2_000):
        table = Written([1 + 10 * n for n in range(rows)])
        began = min(table.instants)
        next(spans(table, "ledger", began, END, 20))
        assert table.read <= 21 * 10


def test_years_without_rows_are_one_span() -> None:
    (from_at, to_at), *others = spans(Written(list(range(1, 100))), "ledger", BEGINNING, END, 20)
    assert from_at == BEGINNING
    assert 98 <= (END - to_at).total_seconds() <= 101
    assert len(others) < 20


def test_equal_instants_contain_nothing() -> None:
    assert list(spans(Written([1]), "ledger", END, END, 1)) == []
