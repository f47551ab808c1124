"""A command that the installation's settings keep from working says so in one line, names the
setting, and ends with an error."""

import base64
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import IntegrityError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import errors

from config.management import command_line
from config.management.faults import fault_text
from config.system.secret_check import check_secrets
from deploy import prepare as preparation
from lib.env import ConfigurationError
from lib.vault import Vault, VaultError, WrongSecret
from stack.command import management_commands
from tests.support.ports import free_port

OTHER = base64.b64encode(bytes(range(32))).decode()


def raising(error: Exception) -> Callable[[list[str]], None]:
    def execute(argv: list[str]) -> None:
        raise error

    return execute


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigurationError("WEIR_KEK is not set."), "WEIR_KEK is not set."),
        (WrongSecret("WEIR_KEK is not the one"), "WEIR_KEK is not the one"),
        (
            OperationalError("couldn't get a connection after 5.00 sec"),
            "after 5.00 sec. Check that it is running and that DATABASE_URL is right.",
        ),
    ],
)
def test_installation_problem_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    monkeypatch.setattr(command_line, "execute_from_command_line", raising(error))
    with pytest.raises(SystemExit) as end:
        command_line.run(["manage.py", "verify"])
    assert text in str(end.value.code)
    with pytest.raises(type(error)):
        command_line.run(["manage.py", "verify", "--traceback"])


@pytest.mark.django_db
def test_seals_are_compared_only_with_their_own_key(settings: LazySettings) -> None:
    """P22: who starts with another WEIR_KEK is told that, and of no tampering."""
    check_secrets()
    settings.WEIR_KEK = OTHER
    with pytest.raises(VaultError, match="WEIR_KEK is not the one"):
        call_command("verify", tamper_check=True, stdout=StringIO())


@pytest.mark.parametrize(
    ("kek", "text"),
    [
        (base64.urlsafe_b64encode(b"\xff" * 32).decode(), "URL-safe base64"),
        (base64.urlsafe_b64encode(b"\xfb" * 32).decode().rstrip("="), "URL-safe base64"),
        (base64.b64encode(b"\0" * 32).decode().rstrip("="), "without the = at its end"),
        ("no base64", "WEIR_KEK is not base64"),
        (base64.b64encode(b"\0" * 16).decode(), "holds 16 bytes; it must hold 32"),
    ],
)
def test_key_in_another_form_is_named(kek: str, text: str) -> None:
    with pytest.raises(WrongSecret, match=r"^WEIR_KEK ") as refused:
        Vault(kek)
    assert text in str(refused.value)


# What a command needs that an installation may not have.
UNSET = {
    "rebuild_clickhouse": "CLICKHOUSE_URL is not set",
    "resend_records": "RECORD_SINK_URL is not set",
}
# Each command, with arguments that reach the database.
COMMANDS: dict[str, list[str]] = {
    "apply": ["{yaml}"],
    "backup": ["{new}"],
    "demo_data": ["--rows=1"],
    "export": [],
    "import_from": ["litellm", "{dump}"],
    "load_catalogue": [],
    "migrate": [],
    "month": ["list"],
    "propose_prices": ["{prices}"],
    "rebuild_clickhouse": [],
    "rebuild_rollups": [],
    "resend_records": [],
    "reset_second_factor": ["bob@acme.example"],
    "restore": ["{zip}"],
    "rotate_secrets": [],
    "set_up_link": [],
    "sign_in_link": ["bob@acme.example"],
    "verify": [],
}
# Those that read or write a file, without it.
FILES: dict[str, list[str]] = {
    "apply": [],
    "backup": [],
    "import_from": ["litellm"],
    "month": ["check"],
    "propose_prices": [],
    "restore": [],
}


@pytest.fixture(autouse=True)
def _collected(settings: LazySettings) -> None:
    # The suite serves static files from their source, which Django's check of a command refuses.
    settings.STATICFILES_DIRS = []


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", refuse)


def sentence(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command says at its end, which is an error."""
    with pytest.raises(SystemExit) as end:
        command_line.run(["manage.py", *words])
    code = end.value.code
    assert code not in (0, None)
    text = code if isinstance(code, str) else capsys.readouterr().err
    assert "Traceback" not in text
    return text.strip()


def test_every_command_is_covered_here() -> None:
    # The texts of the source need no installation.
    assert COMMANDS.keys() == management_commands() - {"messages"}
    assert FILES.keys() <= COMMANDS.keys()


@pytest.mark.parametrize(
    "name", sorted(COMMANDS.keys() - {"restore", "import_from", "propose_prices"})
)
def test_unavailable_database_is_one_sentence(
    away: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "a.yaml").write_text("version: 1")
    places = {"yaml": tmp_path / "a.yaml", "new": tmp_path / "b.zip"}
    text = sentence(capsys, name, *(word.format(**places) for word in COMMANDS[name]))
    assert "\n" not in text
    assert UNSET.get(name, "connection refused") in text


@pytest.mark.parametrize("kind", ["missing", "a folder's", "bytes"])
@pytest.mark.parametrize("name", FILES)
def test_invalid_file_is_one_sentence_naming_it(
    db: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, kind: str
) -> None:
    check_secrets()
    file = tmp_path / "given"
    if kind == "bytes" or name == "backup":
        file.write_bytes(b"\xff\x00PK: [" * 20)
    elif kind == "a folder's":
        file.mkdir()
    if name == "backup" and kind != "bytes":
        file = tmp_path / "none" / "given"
    text = sentence(capsys, name, *FILES[name], str(file))
    assert "given" in text
    assert text.count("\n") < 3


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_preparation_without_its_database_says_so(tmp_path: Path, format: str) -> None:
    environment = {
        "DATABASE_URL": f"postgresql://weir@127.0.0.1:{free_port()}/weir", "LOG_FORMAT": format,
    }  # fmt: skip
    done = prepare(tmp_path, **environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "The database cannot be used: connection failed" in done.stderr
    assert "Connection refused" in done.stderr


@pytest.mark.django_db
def test_a_preparation_with_a_wrong_file_names_its_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "10-wrong.yaml").write_text("version: 1\nchannel: []\n")
    with pytest.raises(SystemExit) as end:
        preparation.main(tmp_path)
    assert isinstance(end.value.code, str)
    assert "10-wrong.yaml:2: channel: unknown field" in end.value.code


def prepare(folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "deploy.prepare", str(folder)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_unwritable_output_is_one_sentence() -> None:
    command = [sys.executable, "manage.py", "help"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    text = "A file or connection cannot be used: No space left on device. Make room on its disk."
    assert done.stderr.strip() == text


@pytest.mark.parametrize(
    ("cause", "text"),
    [
        (errors.UndefinedTable("relation x does not exist"), "Run the command migrate first."),
        (errors.DiskFull("could not extend file"), "Make room on its disk."),
        (errors.InsufficientPrivilege("permission denied"), "Grant it the right."),
    ],
)
def test_database_rejection_says_what_to_do(cause: Exception, text: str) -> None:
    error = OperationalError(str(cause))
    error.__cause__ = cause
    assert text in str(fault_text(error))


def test_bug_is_not_blamed_on_the_installation() -> None:
    assert fault_text(IntegrityError("duplicate key")) is None
    assert "No space left" in str(fault_text(OSError(errno.ENOSPC, "No space left on device")))
