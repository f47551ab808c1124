from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from config.system import secret_check
from lib.vault import WrongSecret
from stack.database import postgres, prepare
from tests.support.cast import person


def test_the_queues_are_loaded_once(tmp_path: Path) -> None:
    with postgres.server(tmp_path / "postgres") as dsn:
        prepare.await_database(dsn, 0)
        for _ in range(2):
            prepare.load_queues(dsn)
        with psycopg.connect(dsn) as connection:
            connection.execute("SELECT pgmq.create('doorbell')")
            connection.execute("""SELECT pgmq.send('doorbell', '{"n": 1}')""")
            row = connection.execute("SELECT message FROM pgmq.read('doorbell', 1, 1)").fetchone()
    assert row == ({"n": 1},)


def test_unresponsive_database_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"cannot be reached\. Check DATABASE_URL"):
        prepare.await_database(f"host={tmp_path} dbname=weir", 0)


def test_another_secret_ends_the_preparation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sealed with it, or the web process may start."""

    def refuse() -> None:
        raise WrongSecret("WEIR_KEK is not the one.")

    monkeypatch.setattr(secret_check, "check_secrets", refuse)
    after: list[bool] = []
    steps: prepare.Steps = {"secrets": prepare.compare_secrets, "demo": lambda: after.append(True)}
    with pytest.raises(SystemExit, match="WEIR_KEK is not the one"):
        prepare.take(steps)
    assert after == []


@pytest.mark.django_db
def test_a_database_of_a_newer_weir_is_left_alone() -> None:
    prepare.refuse_newer()
    MigrationRecorder(connection).record_applied("usage", "9999_of_tomorrow")
    with pytest.raises(SystemExit, match=r"newer Weir.*usage\.9999_of_tomorrow.*Update Weir"):
        prepare.refuse_newer()


@pytest.mark.django_db
def test_tables_that_are_up_to_date_are_not_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []
    monkeypatch.setattr(prepare, "call_command", lambda name, **_: commands.append(name))
    prepare.update_tables()
    assert commands == []
    MigrationRecorder(connection).record_unapplied("sessions", "0001_initial")
    prepare.update_tables()
    assert commands == ["migrate"]


def test_the_mark_follows_files_variables_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "ROOT", tmp_path / "code")
    module = tmp_path / "code" / "room" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text("one = 1")
    demo = tmp_path / "demo.yaml"
    demo.write_text("url: env:WEIR_ELSEWHERE")
    files = [str(demo)]
    marks = [prepare.code_mark(files)]
    assert prepare.code_mark(files) == marks[0]
    monkeypatch.setenv("WEIR_UNNAMED", "1")
    assert prepare.code_mark(files) == marks[0]
    monkeypatch.setenv("WEIR_ELSEWHERE", "http://127.0.0.1:9")
    marks.append(prepare.code_mark(files))
    demo.write_text("url: env:WEIR_ELSEWHERE # again")
    marks.append(prepare.code_mark(files))
    module.write_text("one = 1.0")
    marks.append(prepare.code_mark(files))
    (module.parent / "other.py").touch()
    marks.append(prepare.code_mark(files))
    assert len(set(marks)) == 5


@pytest.mark.django_db
def test_preparation_repeats_until_it_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that is killed before its end leaves no mark. Neither does a mark count once the
    static files are gone, or the person whom the link signs in."""
    monkeypatch.setattr(settings, "STATIC_ROOT", tmp_path)
    (tmp_path / "staticfiles.json").touch()
    commands: list[str] = []
    monkeypatch.setattr(prepare, "call_command", lambda name, *_, **__: commands.append(name))
    demo = person("demo")
    assert not prepare.is_prepared("mark", demo.email)
    prepare.finish("mark")
    assert commands == ["load_catalogue"]
    assert prepare.is_prepared("mark", demo.email)
    assert not prepare.is_prepared("another", demo.email)
    assert not prepare.is_prepared("mark", "nobody@weir.example")
    (tmp_path / "staticfiles.json").unlink()
    assert not prepare.is_prepared("mark", demo.email)
