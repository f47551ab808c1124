"""The steps of docs/operate, as they stand there: what was in the database and the secrets of
an installation of `make run` is in the restored one."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from lib.database.postgres_tools import dump_stream, find_tool, login_of, restore_stream
from stack.database import postgres
from stack.keyring import MAKERS, open_keyring
from tests.house.test_style import ROOT
from tests.runner.databases import own_database


def steps() -> list[str]:
    pages = ("docs/operate/back-up.md", "docs/operate/restore.md")
    sections = [
        (ROOT / page).read_text().split("## With `make run`")[1].split("\n## ")[0] for page in pages
    ]
    return re.findall(r"```sh\n(.*?)```", "".join(sections), re.DOTALL)


def run(script: str, folder: Path) -> None:
    outside = ("DATABASE_URL", "DATA_DIR", "SECRET_KEY", "WEIR_KEK", "WEIR_KEY_PEPPER")
    fields = {name: value for name, value in os.environ.items() if name not in outside}
    # The code is where its links lead; the default folder would be there, too.
    fields["DATA_DIR"] = str(folder / ".data")
    subprocess.run(["bash", "-euc", script], cwd=folder, env=fields, check=True)


def migrate(dsn: str) -> None:
    """As all others of the run are, by a copy: migrating a second server would take ten times as
    long."""
    with (
        own_database("kept") as migrated,
        psycopg.connect(migrated) as source,
        psycopg.connect(dsn) as target,
    ):
        (snapshot,) = source.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        here, there = login_of(source), login_of(target)
        with (
            restore_stream(find_tool("pg_restore", 18, there), there) as into,
            dump_stream(find_tool("pg_dump", 18, here), here, snapshot) as dump,
        ):
            shutil.copyfileobj(dump, into)


@pytest.mark.slow
def test_documented_backup_steps_restore_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up, restore = steps()
    restore, served = restore.rstrip().rsplit(" &&\n", 1)
    assert served == "make run DATA_DIR=restored"
    for path in ROOT.iterdir():
        if path.name not in (".data", ".git"):
            (tmp_path / path.name).symlink_to(path)
    for name in ("run", "secrets"):
        (tmp_path / ".data" / name).mkdir(parents=True, mode=0o700)
    with monkeypatch.context() as bare:
        for name in MAKERS:
            bare.delenv(name, raising=False)
        open_keyring(tmp_path / ".data/secrets")
    with postgres.server(tmp_path / ".data/postgres") as dsn:
        (tmp_path / ".data/run/DATABASE_URL").write_text(dsn + "\n")
        migrate(dsn)
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'it''s \"so\" \\ 🦊' AS text")
        run(back_up, tmp_path)
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    run(restore, tmp_path)
    with (
        postgres.server(tmp_path / "restored/postgres") as dsn,
        psycopg.connect(dsn) as connection,
    ):
        assert connection.execute("SELECT text FROM kept").fetchall() == [('it\'s "so" \\ 🦊',)]
