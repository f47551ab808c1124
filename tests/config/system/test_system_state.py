"""What operators see of the installation itself, on the page and by the API (P18)."""

import datetime as dt
import re
import tomllib
from collections.abc import Callable
from os import environ
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from accounts.models import AuditCheck
from config.system import state as system_state
from config.version import VERSION
from lib import clock
from lib.database.code_migrations import code_migrations
from tests.house.test_style import ROOT
from tests.support.cast import Cast, signed_in
from tests.support.markup import squeezed
from usage.models import BooksCheck
from usage.records import partitions

pytestmark = pytest.mark.django_db


def system(people: Cast) -> dict[str, Any]:
    body: dict[str, Any] = signed_in(people.dora).get("/api/v1/system").json()
    return body


def page(people: Cast) -> str:
    answer = signed_in(people.dora).get("/admin/health?open=checks&open=queues")
    return squeezed(answer.content.decode())


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


def test_healthy_state_shows_its_figures(people: Cast) -> None:
    partitions.ensure_partitions()
    BooksCheck.objects.create(ran_at=clock.now())
    AuditCheck.objects.create(checked_at=clock.now())
    result = system(people)
    assert (result["version"], result["pending_migrations"]) == (VERSION, [])
    assert re.fullmatch("[0-9a-f]{40}", result["commit"])
    assert result["partitions_behind"] is False
    assert abs(result["clock_skew_ms"]) < 2000
    assert 0 < result["disk_free_bytes"] <= result["disk_total_bytes"]
    assert {queue["name"] for queue in result["queues"]} >= {"holds", "deliveries"}
    assert (result["ledger_problems"], result["audit_log_problems"]) == (0, 0)
    assert (result["last_backup_at"], result["backup_every_hours"]) == (None, None)
    page_text = page(people)
    assert f"{VERSION} ({result['commit'][:12]})" in page_text
    for words in ("All applied", "Verified", "No backup yet", "Open holds", "PostgreSQL"):
        assert words in page_text


USAGE = max(name for room, name in code_migrations() if room == "usage")


def lack_a_migration(_: pytest.MonkeyPatch) -> None:
    MigrationRecorder.Migration.objects.filter(app="usage", name=USAGE).delete()


def break_the_books(_: pytest.MonkeyPatch) -> None:
    BooksCheck.objects.create(broken={"I1": ["x"], "I2": ["y"]})


def break_the_trail(_: pytest.MonkeyPatch) -> None:
    AuditCheck.objects.create(checked_at=clock.now(), problem="an event is missing")


def fill_the_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(system_state, "_disk", lambda folder: system_state.Disk(9, 100))


def move_the_clock(patch: pytest.MonkeyPatch) -> None:
    skewed = (1, dt.timedelta(seconds=-3), "18.4")
    patch.setattr(system_state, "_database", lambda: skewed)


def end_the_partitions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(partitions, "partitioned_until", lambda: clock.now().date().replace(day=1))


def overflow_a_partition(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(partitions, "has_rows_outside", lambda: True)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lack_a_migration, [f"1 pending: usage.{USAGE}", "Run migrate"]),
        (break_the_books, ["2 problems", "Run verify"]),
        (break_the_trail, ["1 problem", "Run verify"]),
        (fill_the_disk, ["9 B free of 100 B", "Low"]),
        (move_the_clock, ["3,000 ms from the database", "Skewed"]),
        (end_the_partitions, ["Behind"]),
        (overflow_a_partition, ["Rows outside"]),
    ],
)
def test_problems_are_reported(
    people: Cast,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pytest.MonkeyPatch], None],
    words: list[str],
) -> None:
    partitions.ensure_partitions()
    before = page(people)
    spoil(monkeypatch)
    page_text = page(people)
    for word in words:
        assert word in page_text
        assert word not in before


def test_partitions_are_found_by_their_months() -> None:
    partitions.ensure_partitions()
    until = partitions.partitioned_until()
    assert until is not None
    assert dt.timedelta(days=80) < until - clock.now().date().replace(day=1) < dt.timedelta(days=93)
    assert partitions.has_rows_outside() is False


@pytest.mark.django_db(transaction=True)
def test_blocked_partition_is_left_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who wants to lock the table of usage holds up whoever writes to it: not for long."""
    month = dt.date(2031, 5, 1)
    monkeypatch.setattr(partitions, "LOCK_WAIT_MS", 10)
    with psycopg.connect(
        environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]
    ) as reader:
        reader.execute("SELECT FROM usage_attempt")
        with (
            connection.cursor() as cursor,
            pytest.raises(OperationalError, match="lock timeout"),
        ):
            partitions._make(cursor, "usage_attempt", month)
    with transaction.atomic(), connection.cursor() as cursor:
        partitions._make(cursor, "usage_attempt", month)
        transaction.set_rollback(True)


def test_the_state_is_for_operators(people: Cast) -> None:
    assert signed_in(people.alice).get("/api/v1/system").status_code == 403
