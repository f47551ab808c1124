"""Indexes of large tables are built while others write; an interrupted run is continued (P10)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import environ
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection, connections, models
from django.db.migrations.state import ProjectState

from lib.database import concurrent_indexes
from lib.database.concurrent_indexes import AddIndexAgain, build_index
from tests.support.waiting_locks import await_waiting

pytestmark = pytest.mark.django_db(transaction=True)

OPERATION = AddIndexAgain("jobrun", models.Index(fields=["task"], name="made_again"))
# What of an index is not complete yet.
STATE = """
    SELECT indexrelid::regclass::text, indexrelid::bigint, indisvalid FROM pg_index
    WHERE indexrelid::regclass::text LIKE %s ORDER BY 1"""


def run(text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters or None)
        return cursor.fetchall() if cursor.description else []


def add_index() -> None:
    state = ProjectState.from_apps(apps)
    with connection.schema_editor(atomic=False) as editor:
        OPERATION.database_forwards("config", editor, state, state)


@contextmanager
def other_session() -> Iterator["psycopg.Connection[Any]"]:
    name = connection.settings_dict["NAME"]
    with psycopg.connect(environ["DATABASE_URL"], dbname=name) as session:
        yield session


@pytest.fixture
def made() -> Iterator[None]:
    yield
    run("DROP INDEX IF EXISTS made_again")


@pytest.mark.usefixtures("made")
def test_an_interrupted_index_is_built_anew_and_a_complete_one_stays() -> None:
    run("CREATE INDEX made_again ON config_jobrun (task)")
    run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'made_again'::regclass")
    [(_, left, valid)] = run(STATE, "made_again")
    assert not valid
    add_index()
    [(_, first, valid)] = run(STATE, "made_again")
    assert (valid, first != left) == (True, True)
    add_index()
    assert run(STATE, "made_again") == [("made_again", first, True)]


@pytest.mark.usefixtures("made")
def test_an_index_waits_for_older_transactions_and_nobody_for_it() -> None:
    """Other changes of tables give up soon, as those who wait behind them would wait too."""

    def migrate() -> tuple[str]:
        try:
            run("SET lock_timeout = 1")
            add_index()
            [limit] = run("SHOW lock_timeout")
            return limit
        finally:
            connections.close_all()

    with other_session() as reader, ThreadPoolExecutor(1) as pool:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM config_jobrun")
        migrated = pool.submit(migrate)
        await_waiting()
        with other_session() as writer:
            writer.execute("SET lock_timeout = 1")
            writer.execute("INSERT INTO config_jobrun (task) VALUES ('of a writer')")
        reader.rollback()
        assert migrated.result() == ("1ms",)
    assert [valid for _, _, valid in run(STATE, "made_again")] == [True]


@pytest.fixture
def partitioned() -> Iterator[str]:
    run(
        "CREATE TABLE parted (at int, n int) PARTITION BY LIST (at);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);"
        "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);"
        "INSERT INTO parted SELECT 1 + n % 2, n FROM generate_series(1, 100) n"
    )
    yield "parted"
    run("DROP TABLE parted")


def test_each_partition_gets_its_index_also_after_an_interruption(partitioned: str) -> None:
    build_index(partitioned, "by_n", "(n) WHERE n > 7", "of_n")
    run("DROP INDEX by_n")
    run("CREATE INDEX by_n ON ONLY parted (n) WHERE n > 7")
    run("CREATE INDEX parted_1_of_n ON parted_1 (n) WHERE n > 7")
    run("ALTER INDEX by_n ATTACH PARTITION parted_1_of_n")
    run("CREATE INDEX parted_2_of_n ON parted_2 (n) WHERE n > 7")
    run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'parted_2_of_n'::regclass")
    before = {name: id for name, id, _ in run(STATE, "parted_%")}
    build_index(partitioned, "by_n", "(n) WHERE n > 7", "of_n")
    after = run(STATE, "parted_%")
    assert [(name, valid) for name, _, valid in after] == [
        ("parted_1_of_n", True), ("parted_2_of_n", True)
    ]  # fmt: skip
    assert [name for name, id, _ in after if before[name] == id] == ["parted_1_of_n"]
    [(_, _, valid)] = run(STATE, "by_n")
    assert valid
    # One that is made later has it from the table.
    run("CREATE TABLE parted_3 (at int, n int)")
    run("ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES IN (3)")
    assert len(run(STATE, "parted_3%")) == 1


def test_a_partition_that_is_dropped_meanwhile_is_left_out(
    partitioned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = concurrent_indexes._waiting
    monkeypatch.setattr(
        concurrent_indexes, "_waiting",
        lambda cursor: (cursor.execute("DROP TABLE IF EXISTS parted_1"), waiting(cursor))[1],
    )  # fmt: skip
    build_index(partitioned, "by_n", "(n)", "of_n")
    assert [name for name, _, valid in run(STATE, "parted_%") if valid] == ["parted_2_of_n"]
