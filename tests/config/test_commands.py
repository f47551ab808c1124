"""A command that the installation's settings keep from working says so in one line, names the
setting, and ends with an error."""

import base64
from collections.abc import Callable
from io import StringIO

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import OperationalError

from config.management import command_line
from config.system.secret_check import check_secrets
from lib.env import ConfigurationError
from lib.vault import Vault, VaultError, WrongSecret

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
def test_what_is_wrong_with_the_installation_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, text: str
) -> None:
    monkeypatch.setattr(command_line, "execute_from_command_line", raising(error))
    with pytest.raises(SystemExit) as end:
        command_line.run(["manage.py", "verify"])
    assert text in str(end.value.code)
    with pytest.raises(type(error)):
        command_line.run(["manage.py", "verify", "--traceback"])


@pytest.mark.django_db
def test_seals_are_compared_with_no_other_key(settings: LazySettings) -> None:
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
def test_a_key_in_another_form_is_told_which(kek: str, text: str) -> None:
    with pytest.raises(WrongSecret, match=r"^WEIR_KEK ") as refused:
        Vault(kek)
    assert text in str(refused.value)
