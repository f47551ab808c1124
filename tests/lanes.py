"""Which rows of a parametrized test `make test` runs (`--quick`); `make test ALL=1` runs all.

A test that is pure, or asks only the database, runs whole. Each row of one that drives a running
hub or a browser takes a tenth of a second or more. Of these a function runs one row for each
promise that its rows name (F1, I7), or else its first and its last row.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest

# The fixtures that start a hub or a browser.
DRIVEN: Final = frozenset({"browser", "chromium", "hub", "running", "site", "stage"})
_PROMISE: Final = re.compile(r"\[([FIPW]\d+a?)\b")


class Row(NamedTuple):
    """A test as the rule sees it: its id, and whether it drives a hub or a browser."""

    nodeid: str
    driven: bool


def quick_rows(rows: Sequence[Row]) -> set[str]:
    """Return the ids of the rows that the quick lane runs. `rows` are in the order of the suite."""
    groups: dict[tuple[str, str], list[str]] = {}
    kept = set()
    for nodeid, driven in rows:
        if not driven:
            kept.add(nodeid)
            continue
        promise = _PROMISE.search(nodeid)
        group = nodeid.partition("[")[0], promise[1] if promise else ""
        groups.setdefault(group, []).append(nodeid)
    for (_, promise), nodeids in groups.items():
        kept |= {nodeids[0]} if promise else {nodeids[0], nodeids[-1]}
    return kept


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="run few rows of what drives a hub")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("quick"):
        return
    rows = [
        Row(item.nodeid, not DRIVEN.isdisjoint(getattr(item, "fixturenames", ()))) for item in items
    ]
    kept = quick_rows(rows)
    if others := [item for item in items if item.nodeid not in kept]:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item.nodeid in kept]
