"""With LOG_FORMAT=json every line of every process is a JSON object, also where it ends before its
settings are read (docs/operate/watch.md, "Logs")."""

import json
import os
import subprocess
import sys
from typing import Any, Final

import pytest

from deploy.make_secrets import settings as fresh_settings
from tests.support.hub import ROOT

UVICORN: Final = [
    "config.asgi:application",
    "--loop=config.server.event_loop:EventLoop",
    "--port=0",
]
CELERY: Final = ["-m", "celery", "--app=config.celery", "--quiet"]
PROCESSES: Final = {
    "web": ["-m", "deploy.exit_zero", *UVICORN],
    "web of weir web": ["-m", "uvicorn", *UVICORN],
    "web of make run": ["-m", "stack.processes.gate", "0", *UVICORN],
    "worker": [*CELERY, "worker", "--pool=threads"],
    "scheduler": [*CELERY, "beat", "--pidfile="],
    "prepare": ["-m", "deploy.prepare", "/nowhere"],
    "command": ["manage.py", "check"],
}
BAD_SETTINGS: Final = [
    ("AUDIT_RETENTION_DAYS", "-1", "0 or more"),
    # The log itself cannot be set up.
    ("LOG_LEVEL", "LOUD", "LOUD"),
]


def lines_of(*words: str, **variables: str) -> list[dict[str, Any]]:
    """What a process says that cannot start."""
    environment = {**os.environ, **fresh_settings("http://127.0.0.1"), "LOG_FORMAT": "json"}
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode != 0, ended.stdout
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    return lines


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("bad", BAD_SETTINGS)
def test_a_process_that_cannot_start_says_why_in_json(
    process: str, bad: tuple[str, str, str]
) -> None:
    name, value, message = bad
    lines = lines_of(*PROCESSES[process], **{name: value})
    assert any(message in json.dumps(line) for line in lines), lines


def test_failing_migration_is_reported_in_json() -> None:
    lines = lines_of(*PROCESSES["prepare"], DATABASE_URL="postgresql://127.0.0.1:9/weir")
    assert any("onnection" in line["message"] + line.get("traceback", "") for line in lines)


def test_command_rejection_is_reported_in_json() -> None:
    assert any("nonsense" in line["message"] for line in lines_of("manage.py", "nonsense"))
