"""What migrations make does not depend on how many models are rendered between two of them."""

import os
import subprocess
import sys

import pytest

from lib.database.postgres_tools import Login, find_tool
from tests.runner import databases

DJANGOS_OWN = """
import django
from django.core.management import call_command
from django.core.management.commands.migrate import Command

django.setup()
call_command(Command(), verbosity=0, skip_checks=True, interactive=False)
"""


@pytest.mark.slow
def test_tables_match_djangos_own_command() -> None:
    with (
        databases.own_database("ours") as ours,
        databases.own_database("djangos", of="template0") as djangos,
    ):
        subprocess.run(
            [sys.executable, "-c", DJANGOS_OWN],
            cwd=databases.ROOT,
            env={**os.environ, "DATABASE_URL": djangos},
            check=True,
        )
        assert schema(ours) == schema(djangos)


def schema(address: str) -> list[str]:
    """The statements that make the database's schema, without the key that each dump is given."""
    command = [find_tool("pg_dump", 18, Login({}, "")).path, "--schema-only", address]
    dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line for line in dump.splitlines() if "restrict" not in line]
    assert len(lines) > 1_000
    return lines
