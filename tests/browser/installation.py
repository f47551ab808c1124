"""A whole installation for the tests of the pages: one file applied, web, worker and beat."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from openai import OpenAI

from stack.checks import free_port
from tests.databases import own_database
from tests.fakes.upstream import FakeUpstream
from tests.hub import ROOT, Hub
from tests.playground.echo import EchoUpstream

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

_LINKS = f"""
from django.core.management import call_command
for email in {PEOPLE}:
    call_command("sign_in_link", email)
"""


@dataclass(frozen=True)
class Installation:
    """`links` are one-time sign-in links by e-mail address."""

    hub: Hub
    fake: FakeUpstream
    links: dict[str, str]

    @property
    def url(self) -> str:
        return self.hub.url

    @property
    def organisation(self) -> str:
        """The path under which the organisation's pages are."""
        return "/o/acme"

    def client(self, key: str = SECRET) -> OpenAI:
        """The official client, as the README has it; it does not try again by itself."""
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
    }


@contextmanager
def _summing_up(environment: dict[str, str]) -> Iterator[None]:
    """A worker and the beat, as `make run` starts them: two processes that have no children."""
    celery = [sys.executable, "-W", "ignore:You're running the worker with superuser"]
    celery += ["-m", "celery", "--app", "config.celery", "--quiet"]
    worker = ["worker", "--pool", "threads", "--concurrency", "2", "--loglevel", "WARNING"]
    worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    beat = ["beat", "--loglevel", "WARNING", "--pidfile="]
    with ExitStack() as until:
        for part in (worker, beat):
            process = until.enter_context(
                subprocess.Popen([*celery, *part], cwd=ROOT, env=environment, stderr=DEVNULL)
            )
            until.callback(process.kill)  # their tasks bear it, and their warm end takes seconds
        yield


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
        prepare = [sys.executable, "-m", "stack.prepare", str(file), OWNER, "30"]
        subprocess.run(prepare, cwd=ROOT, env=environment, check=True, stdout=DEVNULL)
        links = until.enter_context(_making_links(environment))
        hub = Hub(dsn, environment, port=int(environment["PORT"]))
        until.callback(hub.close)
        hub.launch()
        until.enter_context(_summing_up(environment))
        yield Installation(hub, fake, _told(links))
        assert "Traceback" not in hub.log(), hub.log()


def _making_links(environment: dict[str, str]) -> "subprocess.Popen[str]":
    """A process that makes the links while the hub starts."""
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", _LINKS]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def _told(links: "subprocess.Popen[str]") -> dict[str, str]:
    told, _ = links.communicate()
    assert links.returncode == 0
    return dict(zip(PEOPLE, told.split(), strict=True))
