"""What must hold before a container is used: its health check and its preparation (P10, P24)."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from accounts.access.actors import SYSTEM
from accounts.models import Key
from billing.models import Price, PriceProposal
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.prices import CATALOGUE, load_catalogue
from billing.prices.proposals import propose_catalogue
from config.system import secret_check
from deploy import prepare as module
from deploy.prepare import prepare
from gateway.models import Channel
from lib import clock
from lib.env import ConfigurationError
from lib.vault import VaultError, WrongSecret
from tests.deploy import files
from tests.deploy.stage import INSTALLATION, KEY, LIMITED_KEY
from tests.support.ports import free_port


class _AsItsPath(BaseHTTPRequestHandler):
    """Answers `/204` by 204."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _AsItsPath) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def ready(url: str) -> int:
    command = [sys.executable, "-m", "deploy.ready", url]
    return subprocess.run(command, cwd=files.ROOT, capture_output=True, check=False).returncode


@pytest.mark.parametrize("status", [200, 204, 301, 401, 404, 429, 500, 503])
def test_only_200_means_ready(port: int, status: int) -> None:
    assert (ready(f"http://127.0.0.1:{port}/{status}") == 0) is (status == 200)


def test_unresponsive_process_is_not_ready() -> None:
    assert ready(f"http://127.0.0.1:{free_port()}/readyz") != 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a preparation does, without doing it."""
    done: list[str] = []
    monkeypatch.setattr(secret_check, "check_secrets", lambda: done.append("secrets"))
    monkeypatch.setattr(module, "check_writer", lambda: done.append("writer"))
    monkeypatch.setattr(
        module, "call_command", lambda *words, **_: done.append(" ".join(map(str, words)))
    )
    return done


def test_preparation_steps_are_ordered(steps: list[str], tmp_path: Path) -> None:
    """A replica is refused first; the secrets are compared before anything is sealed with them; the
    files are applied by their names."""
    for name in ("20-b.yaml", "10-a.yaml", "README.md", "30-c.yml"):
        (tmp_path / name).touch()
    prepare(tmp_path)
    assert steps == [
        "writer",
        "migrate",
        "secrets",
        "load_catalogue",
        f"apply {tmp_path / '10-a.yaml'}",
        f"apply {tmp_path / '20-b.yaml'}",
    ]


@pytest.mark.parametrize("error", [ConfigurationError, VaultError, WrongSecret])
def test_another_secret_ends_the_preparation(
    steps: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[Exception]
) -> None:
    def refuse() -> None:
        raise error("WEIR_KEK is not the one.")

    (tmp_path / "10-a.yaml").touch()
    monkeypatch.setattr(secret_check, "check_secrets", refuse)
    with pytest.raises(SystemExit, match="WEIR_KEK is not the one"):
        module.main(tmp_path)
    assert steps == ["writer", "migrate"]


@pytest.mark.django_db
def test_a_preparation_may_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {
        "FAKE_URL": "http://127.0.0.1:9/v1",
        "FAKE_KEY": "k",
        "CI_KEY": KEY,
        "LIMITED_KEY": LIMITED_KEY,
    }
    for name, text in fields.items():
        monkeypatch.setenv(name, text)
    (tmp_path / "10-all.yaml").write_text(INSTALLATION)
    counted = []
    for _ in range(2):
        prepare(tmp_path)
        counted.append((Channel.objects.count(), Price.objects.count(), Key.objects.count()))
    assert counted[0] == counted[1] > (0, 0, 0)


def left_behind() -> tuple[list[tuple[str, str]], list[str], int]:
    """What a preparation writes: row policies, open proposals, and channels from files."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename, qual FROM pg_policies ORDER BY tablename")
        policies = cursor.fetchall()
    sources = PriceProposal.objects.filter(state="open").values_list("source", flat=True)
    return policies, sorted(sources), Channel.objects.count()


@pytest.fixture
def of_a_newer_version(tmp_path: Path) -> Path:
    """A database after an update whose version knows more, and a folder with a file to apply."""
    price = CatalogueRow("m", None, "p", clock.now(), None, {"meters": {"in_text": 1}})
    load_catalogue(SYSTEM, [price], f"{CATALOGUE} 0.0.1")
    propose_catalogue(SYSTEM, [price, price._replace(model="new")], f"{CATALOGUE} 999.0.0")
    with connection.cursor() as cursor:
        cursor.execute("ALTER POLICY tenant ON accounts_key USING (false)")
        cursor.execute("COMMENT ON POLICY tenant ON accounts_key IS 'of tomorrow'")
    MigrationRecorder(connection).record_applied("accounts", "9999_of_tomorrow")
    file = (
        "version: 1\nchannels:\n  - {name: new, provider: ollama, base_url: http://127.0.0.1:9}\n"
    )
    (tmp_path / "10-new.yaml").write_text(file)
    return tmp_path


@pytest.mark.django_db
def test_an_older_version_prepares_nothing(of_a_newer_version: Path) -> None:
    """It would put its own row policies back, and drop the newer list's proposals."""
    before = left_behind()
    assert ("accounts_key", "false") in before[0]
    assert f"{CATALOGUE} 999.0.0" in before[1]
    with pytest.raises(SystemExit) as ended:
        module.main(of_a_newer_version)
    words = r"newer Weir: it has 1 changes .* accounts\.9999_of_tomorrow\. Nothing was changed\."
    assert re.search(words, str(ended.value.code))
    assert "start them without this step, or update Weir" in str(ended.value.code)
    assert left_behind() == before


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["migrate", "load_catalogue"])
def test_no_step_of_an_older_version_runs_alone(of_a_newer_version: Path, command: str) -> None:
    """As systemd's unit and people run them."""
    before = left_behind()
    with pytest.raises(CommandError, match=r"newer Weir.*Nothing was changed"):
        call_command(command, verbosity=0)
    assert left_behind() == before
