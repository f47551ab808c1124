"""The steps of docs/production.md, as they stand there: what was in the database and the secrets of
an installation of `make run` is in the restored one."""

import re
import subprocess
from pathlib import Path

import psycopg

from stack import postgres
from tests.house.test_style import ROOT


def steps() -> list[str]:
    text = (ROOT / "docs/production.md").read_text()
    section = text.split("### Of `make run`")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def test_what_is_backed_up_by_the_documented_steps_is_restored_by_them(tmp_path: Path) -> None:
    back_up, restore = steps()
    restore, served = restore.rstrip().rsplit("\n", 1)
    assert served == "make run DATA_DIR=restored"
    for name in (".venv", "stack"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("run", "secrets"):
        (tmp_path / ".data" / name).mkdir(parents=True)
    (tmp_path / ".data/secrets/WEIR_KEK").write_text("k\n")
    with postgres.server(tmp_path / ".data/postgres") as dsn:
        (tmp_path / ".data/run/DATABASE_URL").write_text(dsn + "\n")
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'it''s \"so\" \\ 🦊' AS text")
        subprocess.run(["bash", "-euc", back_up], cwd=tmp_path, check=True)
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    subprocess.run(["bash", "-euc", restore], cwd=tmp_path, check=True)
    assert (tmp_path / "restored/secrets/WEIR_KEK").read_text() == "k\n"
    with (
        postgres.server(tmp_path / "restored/postgres") as dsn,
        psycopg.connect(dsn) as connection,
    ):
        assert connection.execute("SELECT text FROM kept").fetchall() == [('it\'s "so" \\ 🦊',)]
