"""Each dropped log line is counted once, whatever happens while it is counted (P34)."""

import logging
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from django.db import OperationalError

from config.jobs import dropped_lines


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A process: what its log dropped, its connection, and what was added to the total."""
    added: list[int] = []
    cursor = MagicMock()
    cursor.__enter__.return_value.execute = lambda family, value: added.append(value)
    connection = MagicMock(in_atomic_block=False)
    connection.cursor.return_value = cursor
    writer = SimpleNamespace(dropped=0)
    monkeypatch.setattr(dropped_lines, "_counted_lines", 0)
    monkeypatch.setattr(dropped_lines, "connection", connection)
    monkeypatch.setattr(dropped_lines, "add_to_total", lambda family, value: (family, value))
    handler = SimpleNamespace(writer=writer)
    monkeypatch.setattr(dropped_lines, "find_log_handler", lambda: handler)
    return SimpleNamespace(writer=writer, connection=connection, added=added)


def test_total_grows_by_what_was_dropped_since(process: Any) -> None:
    for dropped in (0, 3, 3, 5):
        process.writer.dropped = dropped
        dropped_lines.count_dropped_lines()
    assert process.added == [3, 2]


def test_lines_wait_for_a_database_that_is_away(
    process: Any, caplog: pytest.LogCaptureFixture
) -> None:
    process.writer.dropped = 3
    process.connection.cursor.side_effect = OperationalError("away")
    dropped_lines.count_dropped_lines()
    assert [(one.levelno, one.getMessage()) for one in caplog.records] == [
        (logging.WARNING, "cannot count 3 dropped log lines now: away")
    ]
    process.connection.cursor.side_effect = None
    process.writer.dropped = 4
    dropped_lines.count_dropped_lines()
    assert process.added == [4]


def test_nothing_is_counted_in_a_transaction_or_beside_another_count(process: Any) -> None:
    process.writer.dropped = 3
    process.connection.in_atomic_block = True
    dropped_lines.count_dropped_lines()
    process.connection.in_atomic_block = False
    with dropped_lines._counting:
        dropped_lines.count_dropped_lines()
    assert process.added == []
    dropped_lines.count_dropped_lines()
    assert process.added == [3]
