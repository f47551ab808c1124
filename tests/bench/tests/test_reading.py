"""The section of what grows: a column for each number of requests, and what LiteLLM took beside."""

import json

from tests.bench.cost import Cost, cost_of, seconds_of
from tests.bench.growth import Filed, Measured, Pairs
from tests.bench.page import section_of, with_section
from tests.bench.reading import read_found, table

COST = Cost(30.0, 70.0, 101.4)
FOUND = Measured(
    {"admission": 51.2},
    {"seal": COST},
    {"Usage, 90 days": COST},
    Pairs(3, 80.0, 790.6, "model=a&app=b"),
    {"csv": Filed(1_000, 51_234.5, 120.4)},
    12.3,
    [("Usage, of its sums", "Usage, 90 days", 140.0)],
    {"Postgres": 3.14, "all": 12.3},
)


def test_a_column_for_each_number_of_requests() -> None:
    text = table({1_000: FOUND, 10_000: FOUND._replace(peer=[])}, "Today.")
    for line in (
        "|  | 1,000 | 10,000 |",
        "| admission | 51 | 51 |",
        "| Postgres | 3.1 | 3.1 |",
        "| all | 12.3 | 12.3 |",
        "| seal | 100 | 100 |",
        "| Usage, 90 days | 100 / 101 | 100 / 101 |",
        "| CSV | 51,234 a second, 120 MB | 51,234 a second, 120 MB |",
        "| Usage, of its sums | 70, 140: 2.0 | – |",
    ):
        assert line in text.splitlines()
    assert "791 (`model=a&app=b`)" in text
    page = with_section("# Performance\n\n## Memory\n", text)
    assert section_of(page, "Reading") == text.rstrip()


def test_measurements_come_through_a_pipe() -> None:
    assert read_found(json.dumps(FOUND)) == FOUND._replace(peer=FOUND.peer)


def test_the_cost_of_work_is_that_of_both_processes() -> None:
    asked: list[int] = []
    cost = cost_of(lambda: sum(range(200_000)), 1, runs=3, before=lambda: asked.append(1))
    assert len(asked) == 4
    assert cost.own_ms > 0
    assert cost.cpu_ms == cost.own_ms + cost.database_ms
    assert seconds_of(1) >= 0
