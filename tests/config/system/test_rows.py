"""The rows of the page of the system's health: each state has its own, in the unit that it says."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from config.models import ProcessReport
from config.system import rows
from config.system.state import (
    Backup,
    Checked,
    ContentSinkState,
    Emails,
    Partitions,
    SinkState,
    serialize_state,
    system_state,
)
from content.sinks.sinks import ContentBacklog
from lib import clock
from lib.network.trust import Authority
from usage.sinks.usage_sink import WAITING_MAX, Backlog

NOW = clock.now()
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("checked", "tone"),
    [
        (None, ""),
        (Checked(NOW, 0), "ok"),
        (Checked(NOW, 0, unfinished=True), "warn"),
        (Checked(NOW, 2, unfinished=True), "bad"),
        (Checked(NOW, 0, aside=True), "warn"),
        # The problems are those of a version that is no longer the database's.
        (Checked(NOW, 2, aside=True), "warn"),
    ],
)
def test_check_of_the_books_is_fine_only_if_it_saw_all(checked: Checked | None, tone: str) -> None:
    assert rows._ledger("Ledger", checked).tone == tone


@pytest.mark.parametrize(
    ("ago", "tone"), [(None, ""), (0.9 * HOUR, "ok"), (1.1 * HOUR, "warn"), (50 * HOUR, "warn")]
)
def test_walk_through_the_whole_ledger_is_late_after_an_hour(
    ago: dt.timedelta | None, tone: str
) -> None:
    state: Any = SimpleNamespace(whole_at=None if ago is None else clock.now() - ago)
    assert rows._whole_ledger_row(state).tone == tone


def test_authority_that_ends_first_decides() -> None:
    own = [
        Authority(name=str(hours), ends_at=clock.now() + hours * HOUR) for hours in (500, -1, 900)
    ]
    row = rows._authorities(own)
    assert (row.tone, row.at) == ("bad", own[1].ends_at)
    assert rows._authorities(own[::2]).tone == "ok"


@pytest.mark.parametrize(
    ("backlog", "tone", "count"),
    [
        (Backlog(0, NOW, ""), "ok", "0 "),
        (Backlog(1_234, NOW, ""), "ok", "1,234 "),
        (Backlog(WAITING_MAX, NOW, ""), "ok", f"{WAITING_MAX:,}+ "),
        (Backlog(5, None, ""), "warn", "5 "),
        (Backlog(5, None, "SinkError"), "bad", "5 "),
        (Backlog(5, NOW, "SinkError"), "bad", "5 "),
    ],
)
def test_sink_tells_what_waits_and_whether_it_fails(
    backlog: Backlog, tone: str, count: str
) -> None:
    row = rows._sink(SinkState("x", "X", backlog))
    assert (row.tone, row.at) == (tone, backlog.complete_to)
    assert row.value.startswith(count)


@pytest.mark.parametrize(
    ("error", "expired", "tone"), [("", 0, "ok"), ("", 3, "warn"), ("E", 0, "bad"), ("E", 3, "bad")]
)
def test_texts_that_expired_before_they_were_sent_are_a_warning(
    error: str, expired: int, tone: str
) -> None:
    row = rows._content_sink(ContentSinkState("x", "X", ContentBacklog(7, NOW, error, expired)))
    assert row.tone == tone
    assert ("3 " in row.value) is bool(expired)


@pytest.mark.parametrize(
    ("server", "unsent", "tone"), [(True, 0, "ok"), (True, 2, "warn"), (False, 0, "warn")]
)
def test_missing_mail_server_is_a_warning(server: bool, unsent: int, tone: str) -> None:
    row = rows._emails(Emails(server, unsent, "refused" if unsent else "", None))
    assert row.tone == tone


@pytest.mark.parametrize(
    ("until", "overflowed", "tone"),
    [
        (dt.date(2999, 1, 1), False, "ok"),
        (dt.date(2999, 1, 1), True, "warn"),
        (dt.date(2020, 1, 1), False, "bad"),
        (None, False, "bad"),
    ],
)
def test_missing_partitions_are_worse_than_rows_outside(
    until: dt.date | None, overflowed: bool, tone: str
) -> None:
    state: Any = SimpleNamespace(partitions=Partitions(until, overflowed))
    assert rows._partitions(state).tone == tone


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("over", "tone"),
    [
        ({}, "ok"),
        ({"late": True, "error": "BackupError"}, "bad"),
        ({"error": "BackupError"}, "bad"),
        ({"made_at": None}, ""),
        ({"every_hours": 0}, "warn"),
    ],
)
def test_backup_says_what_is_wrong_with_it(settings: Any, over: dict[str, Any], tone: str) -> None:
    """Nobody has decided here whether there are any."""
    settings.BACKUP_EVERY_HOURS = None
    whole = {"made_at": NOW, "error": "", "every_hours": 24, "late": False, **over}
    assert rows.backup_row(Backup(**whole)).tone == tone
    settings.BACKUP_EVERY_HOURS = 0
    decided = rows.backup_row(Backup(**{**whole, "error": "", "late": False, "every_hours": 0}))
    assert decided.tone == ""


def test_backup_tells_its_size_and_seconds() -> None:
    backup = Backup(NOW, "", 24, False, 3_000_000, dt.timedelta(seconds=75.4))
    size, took = rows._backup_facts(backup)
    assert "3" in size
    assert "75" in took
    assert rows._backup_facts(backup._replace(error="E")) == [size]


REPORT: dict[str, Any] = {
    "host": "h", "pid": 7, "role": "web", "version": "1", "reported_at": NOW, "started_at": NOW,
    "cpu_ms": 61_000, "cpu_percent": 34, "resident_bytes": 5_000_000, "open_fds": 11,
    "max_fds": 1_024, "connections": 90, "in_flight": 3, "loop_lag_us": 4_400,
}  # fmt: skip


def test_each_figure_of_a_process_is_in_its_own_column_and_unit() -> None:
    """In flight are fewer than the connections; the lag is told in milliseconds."""
    (row,) = rows.process_rows([ProcessReport(**REPORT)])
    assert (row.cpu, row.files, row.lag_ms, row.name) == ("34%", "11 of 1,024", 4, "h:7")
    assert row.connections.startswith("90")
    assert "3 in flight" in row.connections
    assert "5" in row.memory
    unknown = dict.fromkeys(
        ("cpu_percent", "resident_bytes", "open_fds", "connections", "loop_lag_us")
    )
    (none,) = rows.process_rows([ProcessReport(**REPORT | unknown)])
    assert (none.cpu, none.memory, none.files, none.connections, none.lag_ms) == (
        "", "", "", "", None,
    )  # fmt: skip


@pytest.mark.django_db
def test_every_queue_and_process_is_told_alike_on_the_page_and_by_the_api() -> None:
    ProcessReport.objects.create(**REPORT | {"reported_at": clock.now()})
    state = system_state()
    queues = [queue._replace(length=n, oldest_s=n + 1.4) for n, queue in enumerate(state.queues)]
    state = state._replace(queues=queues)
    told = serialize_state(state)
    assert [(queue["length"], queue["oldest_s"]) for queue in told["queues"]] == [
        (n, n + 1) for n in range(len(queues))
    ]
    shown = list(rows.queue_rows(state))
    assert [row.oldest_ms for row in shown] == [1_000 * n + 1_400 for n in range(len(queues))]
    assert [row.is_empty for row in shown] == [n == 0 for n in range(len(queues))]
    process = next(one for one in told["processes"] if one["pid"] == 7)
    figures = {
        "cpu_percent": 34, "memory_bytes": 5_000_000, "open_files": 11, "open_files_max": 1_024,
        "connections": 90, "requests_in_flight": 3, "loop_lag_ms": 4,
    }  # fmt: skip
    assert process.items() >= figures.items()


def test_months_in_files_are_listed_newest_first_with_what_waits_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def detached(name: str) -> Any:
        file = SimpleNamespace(name=name, digest=b"\x01\x02")
        return SimpleNamespace(file=file, detached_at=NOW)

    march, april, may = (dt.date(2026, month, 1) for month in (3, 4, 5))
    states = [
        SimpleNamespace(month=march, writable=False, detached=detached("m.zip")),
        SimpleNamespace(month=april, writable=False, detached=detached("a.zip")),
        SimpleNamespace(month=may, writable=False, detached=None),
        SimpleNamespace(month=dt.date(2026, 6, 1), writable=True, detached=None),
    ]
    monkeypatch.setattr(rows, "month_states", lambda: states)
    monkeypatch.setattr(rows, "late_counts", lambda: {march: 4})
    listed = [(row.file, row.tone, row.late[:2], row.checksum) for row in rows.month_rows()]
    assert listed == [
        ("", "bad", "", ""), ("a.zip", "ok", "", "0102"), ("m.zip", "warn", "4 ", "0102"),
    ]  # fmt: skip
