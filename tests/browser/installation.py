"""A whole installation for the tests of the pages: one file applied, a web process, a worker."""

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Any

from django.core.management import call_command

from accounts.models import Team
from stack.database import prepare
from stack.up import worker_command
from tests.fakes.upstream import FakeUpstream
from tests.playground.echo import EchoUpstream
from tests.runner.databases import own_database
from tests.support.beside import Beside
from tests.support.cast import make_key
from tests.support.hub import ROOT, Hub
from tests.support.ports import free_port

if TYPE_CHECKING:
    from openai import OpenAI

OWNER = "owner@example.org"
ADA, BEN, CLEO = "ada@example.org", "ben@example.org", "cleo@example.org"
PEOPLE = (OWNER, ADA, BEN, CLEO)
SECRET = "sk-known-before-the-installation"
# A model of the fake, one that says the message again in pieces, and one whose provider is dead.
MODEL, ECHO, DEAD = "river-1", "echo-1", "dry-1"

_FILE = """
version: 1
settings: {{egress_allow: ["127.0.0.1/32"]}}
channels:
  - {{name: rivers, provider: openai_compatible, base_url: "{fake}", keys: [sk-fake],
      models: {{river-1: {{upstream: fake}}}}}}
  - {{name: echoes, provider: openai_compatible, base_url: "{echo}", keys: [sk-echo],
      models: {{echo-1: {{upstream: echo-6-4}}}}}}
  - {{name: dry, provider: openai_compatible, base_url: "http://127.0.0.1:1/v1", keys: [sk-none],
      models: {{dry-1: {{}}}}, retries: 0}}
prices:
  - {{model: river-1, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "1.25", out_text: "10.00"}}}}
  - {{model: echo-1, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "0.10", out_text: "0.40"}}}}
  - {{model: dry-1, valid_from: 2026-01-01T00:00:00Z, meters: {{in_text: "2.00", out_text: "8.00"}}}}
organisations:
  - name: Acme
    credit: "50.00"
    members:
      - {{email: owner@example.org, role: owner, operator: true}}
      - {{email: ada@example.org, role: developer}}
      - {{email: ben@example.org, role: developer}}
      - {{email: cleo@example.org, role: admin, operator: true}}
    teams:
      - name: core
        keys: [{{name: known, secret: {secret}}}]
"""  # noqa: E501


def make(file: str) -> dict[str, str]:
    """In a process of the installation: what `make run` prepares; the links, by e-mail address."""
    with redirect_stdout(io.StringIO()):
        prepare.prepare(OWNER, 30, [file])
        prepare.finish("")
    return {email: _link_of(email) for email in PEOPLE}


def _link_of(email: str) -> str:
    printed = io.StringIO()
    call_command("sign_in_link", email, stdout=printed)
    return printed.getvalue().strip()


def mint_keys(*names: str) -> None:
    """In a process of the installation: keys of the organisation's first team."""
    team = Team.objects.get(organisation__slug="acme", slug="core")
    for name in names:
        make_key(team, name)


@dataclass(frozen=True)
class Installation:
    """`links` are one-time sign-in links by e-mail address."""

    hub: Hub
    beside: Beside
    fake: FakeUpstream
    links: dict[str, str]

    @property
    def url(self) -> str:
        return self.hub.url

    @property
    def organisation(self) -> str:
        """The path under which the organisation's pages are."""
        return "/o/acme"

    def client(self, key: str = SECRET) -> "OpenAI":
        """The official client, as the README has it; it does not try again by itself."""
        # Not wanted beside the hub, where it would take long to import.
        from openai import OpenAI

        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def row(self, query: str, *parameters: Any) -> dict[str, Any]:
        (row,) = self.hub.rows(query, *parameters)
        return row


def _environment(dsn: str, port: int, static_root: Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": dsn,
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "STATIC_ROOT": str(static_root),
        "BROKER_URL": "",
        "SSO_EGRESS_ALLOW": "127.0.0.1/32",
    }


@contextmanager
def _summing_up(environment: dict[str, str]) -> Iterator[None]:
    """The worker with its beat, as `make run` starts them: a process that has no children."""
    with subprocess.Popen(worker_command(), cwd=ROOT, env=environment, stderr=DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()  # its tasks bear it, and its warm end takes seconds


@contextmanager
def installation(directory: Path) -> Iterator[Installation]:
    """Everything, made from nothing in `directory` and a database without rows."""
    with ExitStack() as until:
        fake = until.enter_context(FakeUpstream("browser", fsync=False))
        echo = EchoUpstream()
        echo.start()
        until.callback(echo.stop)
        dsn = until.enter_context(own_database("hub_browser"))
        environment = _environment(dsn, free_port(), directory / "static")
        file = directory / "hub.yaml"
        file.write_text(_FILE.format(fake=fake.url, echo=echo.url, secret=SECRET))
        beside = Beside(environment)
        until.callback(beside.close)
        links = beside.call(make, str(file))
        hub = Hub(dsn, environment, port=int(environment["PORT"]))
        until.callback(hub.close)
        # What still answers then, nobody reads: it is not waited for.
        until.callback(hub.kill)
        hub.launch()
        until.enter_context(_summing_up(environment))
        yield Installation(hub, beside, fake, links)
        assert "Traceback" not in hub.log(), hub.log()
