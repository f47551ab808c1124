"""What each command of `manage.py` prints in its plain use and in its likely wrong uses, where it
prints it, and its exit code: `commands.txt` beside this.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connections

from accounts.models import Key, User
from billing.models import Account
from config.management.faults import faults_as_sentences
from config.system.secret_check import check_secrets
from lib import clock
from stack.command import management_commands
from tests.config.writes.world import World, world
from tests.extensions.import_hubs.databases import FOLDER
from tests.support import cast
from tests.support.golden_texts import GoldenTexts
from tests.usage.rows import happen
from usage.management.commands import rebuild_rollups

__all__ = ["world"]

pytestmark = pytest.mark.django_db

TEXTS: Final = GoldenTexts(Path(__file__).with_name("commands.txt"))
# Their files are there before each use.
FILES: Final = {
    "new.yaml": "version: 1\norganisations:\n- name: Bolt\n  members:\n"
    "  - {email: bob@example.org, role: owner}\n",
    "wrong.yaml": "version: 1\nchannel: []\n",
    "prices.json": '{"sample_spec": {}, "openai/m-new": {"litellm_provider": "openai",'
    ' "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}}',
    "wrong.json": "[]",
    "there.zip": "",
}
# The uses of each command, one after the other, in one world; after the bar, what comes before.
USES: Final[dict[str, list[str]]] = {
    "apply": [
        "new.yaml --dry-run", "new.yaml", "new.yaml | again", "new.yaml --json", "wrong.yaml",
        "wrong.yaml --json", "missing.yaml", "",
    ],
    "backup": ["there.zip", "missing/new.zip"],
    "demo_data": ["--rows 0", "--rows x", "", "--rows 1 | a request"],
    "export": ["", "hub.yaml"],
    "import_from": [
        "litellm litellm.sql", "litellm missing.sql", "new-api litellm.sql",
        "litellm litellm.sql --name A", "litellm litellm.sql --accept x.y",
        "litellm litellm.sql --salt-key secret", "new-api new_api.sql --salt-key env:X",
        "litellm env:WEIR_NO_SUCH",
    ],
    "migrate": ["no_such_app"],
    "month": [
        "", "reopen 2026-03", "detach 2026-13 --to m", "detach 2026-03", "check missing.month",
        "check there.zip", "attach there.zip",
    ],
    "propose_prices": ["prices.json", "prices.json --only x", "wrong.json", "missing.json"],
    "rebuild_clickhouse": [""],
    "rebuild_rollups": [""],
    "resend_records": [""],
    "reset_second_factor": ["BOB@example.org", "zoe@example.org", ""],
    "restore": ["missing.zip", "there.zip"],
    "rotate_secrets": ["", "| sealed secrets"],
    "set_up_link": ["", "| no operator"],
    "sign_in_link": ["Bob@example.org", "zoe@example.org", "bob@example.org | no person", ""],
    "verify": ["", "--tamper-check", "| a changed balance"],
}  # fmt: skip
# Those that need more than people.
OF_WORLD: Final = ("demo_data", "export", "rotate_secrets", "verify")
# What `test_command_reports.py` has, and what changes the source.
ELSEWHERE: Final = {"load_catalogue", "messages"}


def _change_balance() -> None:
    Account.objects.filter(organisation__slug="acme", kind="customer:available").update(
        balance_nano=1
    )


BEFORE: Final[dict[str, Callable[[], object]]] = {
    "again": bool,
    "a request": lambda: happen(Key.objects.get(name="ci"), clock.now(), 1),
    "sealed secrets": check_secrets,
    "no operator": lambda: User.objects.update(operator=False),
    "no person": lambda: User.objects.update(is_active=False),
    "a changed balance": _change_balance,
}
# What is another one each time: ids, secrets, numbers of rows, times.
_CHANGING: Final = re.compile(
    r"(?<=/)[\w-]{30,}|\b[0-9A-HJKMNP-TV-Z]{26}\b|\b[0-9a-f]{16,64}\b"
    r"|(?<=^Key )[0-9a-f]{8}|(?<=sum of its lines: )\d+"
    r"|\b20\d\d-\d\d-\d\d(?:[T ][0-9:.]+(?:\+00:00|Z)?)?",
    re.MULTILINE,
)
# How argparse lays it out depends on the version of Python.
_USAGE: Final = re.compile(r"^usage: .*\n(?: .*\n)*", re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """Where the commands are run: with their files, in a transaction that they leave open."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for name in ("litellm.sql", "new_api.sql"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(connections, "close_all", lambda: None)
    # It would begin a transaction of its own.
    rolled = SimpleNamespace(buckets=3, rows=5)
    monkeypatch.setattr(rebuild_rollups, "rebuild", lambda: rolled)
    settings.PUBLIC_URL = "https://weir.example"
    return tmp_path


def test_every_command_is_used() -> None:
    assert USES.keys() == management_commands() - ELSEWHERE
    assert USES.keys() == TEXTS.groups()


@pytest.mark.parametrize("name", [name for name in USES if name not in OF_WORLD])
def test_command_prints_its_words_and_ends_with_its_code(
    people: cast.Cast, folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    check_uses(name, capsys)


@pytest.mark.parametrize("name", OF_WORLD)
def test_command_prints_what_there_is(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    check_uses(name, capsys)


def check_uses(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {}
    for use in USES[name]:
        words, _, state = (part.strip() for part in use.partition("|"))
        if state:
            BEFORE[state]()
        parts = [f"exit code {exit_code(name, words.split())}"]
        for stream, text in zip(("output", "errors"), capsys.readouterr(), strict=True):
            if text:
                parts.append(f"{stream}:\n{_CHANGING.sub('§', _USAGE.sub('', text))}")
        texts[", ".join(filter(None, (name, words, state)))] = "\n".join(parts)
    TEXTS.check(name, texts)


def exit_code(name: str, words: list[str]) -> int | str:
    """Run a command as `manage.py` does, without Django's checks of the installation."""
    command = load_command_class(get_commands()[name], name)
    command.requires_system_checks = ()
    try:
        with faults_as_sentences():
            command.run_from_argv(["manage.py", name, *words])
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code)
            return 1
        return end.code or 0
    return 0
