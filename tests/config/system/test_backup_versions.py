"""Backup and restore with each supported version of PostgreSQL, by that version's own programs."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.runner.databases import ROOT
from tests.runner.postgres_versions import SUPPORTED, find_programs, server_of

pytestmark = pytest.mark.slow


def manage(dsn: str, programs: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows(dsn: str) -> dict[str, int]:
    """How many rows each table has, but for those that a restore itself writes or empties."""
    with psycopg.connect(dsn) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"'.encode()).fetchone()[0]  # type: ignore[index]
            for (name,) in names.fetchall()
            if name.startswith(("gateway_", "billing_price"))
        }


@pytest.mark.parametrize("major", SUPPORTED)
def test_own_programs_restore_what_they_back_up(tmp_path: Path, major: int) -> None:
    programs = find_programs(major)
    if programs is None:
        pytest.skip(reason=f"the programs of PostgreSQL {major} are not installed")
    file = tmp_path / "weir.zip"
    with server_of(tmp_path / "server", programs) as server:
        dsn, restored = (make_conninfo(server, dbname=name) for name in ("before", "after"))
        with psycopg.connect(make_conninfo(server, dbname="postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE before")
            admin.execute("CREATE DATABASE after")
        manage(dsn, programs, "migrate", "--verbosity=0", "--skip-checks")
        manage(dsn, programs, "load_catalogue")
        manage(dsn, programs, "backup", str(file))
        with zipfile.ZipFile(file) as archive:
            assert json.loads(archive.read("manifest.json"))["postgres"] == major
        manage(restored, programs, "restore", str(file))
        before, after = rows(dsn), rows(restored)
        assert before == after
        assert sum(before.values()) > 100
