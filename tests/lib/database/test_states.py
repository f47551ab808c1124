"""What the state of a database means: errors, clocks, migrations, and places of secrets."""

from unittest.mock import Mock

import pytest
from django.db import InterfaceError, OperationalError, ProgrammingError

from lib.database import code_migrations
from lib.database.database_clock import DatabaseClock
from lib.database.outage import is_away, is_transient


class Cause(Exception):
    def __init__(self, state: str | None) -> None:
        self.sqlstate = state


def failed(state: str | None, kind: type[Exception] = OperationalError) -> Exception:
    error = kind()
    error.__cause__ = Cause(state)
    return error


@pytest.mark.parametrize(
    ("error", "away", "transient"),
    [
        (failed(None), True, True),  # no connection
        (failed("08006"), True, True),  # it broke
        (failed("57P01"), True, True),  # the server stops
        (failed("57014"), False, False),  # the statement was cancelled
        (failed("53100"), True, True),  # no disk space
        (failed("53300"), True, True),  # too many connections
        (failed("53400"), False, False),  # a limit of the statement
        (failed("40P01"), False, True),  # a deadlock
        (failed("40001"), False, True),  # a serialisation failure
        (failed("55P03"), False, False),  # a lock
        (failed(None, InterfaceError), True, True),
        (failed("08006", ProgrammingError), False, False),
        (ValueError(), False, False),
        (None, False, False),
    ],
)
def test_error_says_whether_the_database_is_away(
    error: Exception | None, away: bool, transient: bool
) -> None:
    """P17: what is away is waited for, what is refused is an error."""
    assert (is_away(error), is_transient(error)) == (away, transient)


def test_clock_is_read_in_the_middle_of_the_question() -> None:
    clock = DatabaseClock()
    clock.read(1_000.0, 10.0, 12.0)
    assert clock.ahead_s == 1_000 - 11
    # A slower reading is less exact, until the quicker one is old.
    clock.read(2_000.0, 20.0, 25.0)
    assert clock.ahead_s == 989
    clock.read(2_000.0, 20.0, 20.5)
    assert clock.ahead_s == 2_000 - 20.25
    clock.read(3_000.0, 52.0, 54.0)
    assert clock.ahead_s == 3_000 - 53


def test_migrations_of_a_newer_version_are_not_missing_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = (("a", "0001_x"), ("a", "0002_y"), ("b", "0001_squashed_0009_z"))
    monkeypatch.setattr(code_migrations, "code_migrations", lambda: ours)

    def state(*applied: tuple[str, str]) -> tuple[list[str], list[str], str]:
        rows = Mock(values_list=lambda *_: applied)
        recorder = Mock(applied_migrations=lambda: applied, migration_qs=rows)
        monkeypatch.setattr(code_migrations, "MigrationRecorder", lambda _: recorder)
        difference = code_migrations.schema_difference()
        return (
            code_migrations.pending_migrations(), code_migrations.newer_migrations(), difference
        )  # fmt: skip

    assert state(*ours) == ([], [], "")
    missing = state(*ours[:2])
    assert missing[:2] == (["b.0001_squashed_0009_z"], [])
    assert "lacks 1 " in missing[2]
    newer = state(*ours, ("a", "0003_new"), ("b", "0010_new"))
    assert newer[:2] == ([], ["a.0003_new", "b.0010_new"])
    assert "has 2 " in newer[2]
    # Replaced ones are older, and other applications are not ours.
    assert state(*ours, ("b", "0005_old"), ("b", "0009_z"), ("auth", "0099"))[:2] == ([], [])
