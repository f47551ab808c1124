"""A running hub with people who are signed in, and providers behind it."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from stack import browser as browsers
from tests.databases import own_database
from tests.fakes.upstream import FakeUpstream
from tests.hub import ROOT, SOON, Hub, Tenant
from tests.playground.echo import EchoUpstream

# Run beside the hub, in its database: the people, and a session for each.
_PEOPLE = """
import json
from accounts import members, organisations
from accounts.actors import SYSTEM
from accounts.models import Role
from accounts.session_store import SessionStore

def session(user):
    store = SessionStore()
    store["_auth_user_id"] = str(user.id)
    store["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
    store["_auth_user_hash"] = user.get_session_auth_hash()
    store.create()
    return store.session_key

alice = members.add_person("alice@example.org", name="Alice Ng", actor=SYSTEM)
acme = organisations.create_organisation("Acme", owner=alice, actor=SYSTEM)
members.set_member(acme, "bob@example.org", Role.DEVELOPER, actor=SYSTEM)
members.set_member(acme, "vera@example.org", Role.VIEWER, actor=SYSTEM)
organisations.create_organisation("Poor", owner=alice, actor=SYSTEM)
people = [alice] + [m.user for m in acme.memberships.exclude(user=alice).order_by("user__email")]
print(json.dumps({"organisation": str(acme.id), "team": str(acme.teams.get().id),
                  "sessions": {user.email.split("@")[0]: session(user) for user in people}}))
"""


_REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass
class Stage:
    """A hub, what stands behind it, and the sessions of alice, bob (developer), vera (viewer).

    Acme has credit; Poor, which is alice's as well, has none.
    """

    hub: Hub
    fake: FakeUpstream
    echo: EchoUpstream
    organisation: uuid.UUID
    sessions: dict[str, str]
    slug: str = "acme"
    _models: dict[str, str] = field(default_factory=dict)

    @property
    def playground(self) -> str:
        return f"{self.hub.url}/o/{self.slug}/playground"

    def cookies(self, who: str) -> list[dict[str, Any]]:
        return [{"name": "session_8000", "value": self.sessions[who], "url": self.hub.url}]

    def echo_model(self, size: int = 7, delay_ms: int = 0, kind: str = "") -> str:
        """A model that says the message again; for the same pace the same one."""
        name = f"echo-{size}-{delay_ms}" + (f"-{kind}" if kind else "")
        if name not in self._models:
            self._models[name] = self.hub.model(self.echo, upstream_model=name)  # type: ignore[arg-type]
        return self._models[name]

    def fake_model(self) -> str:
        """The model of most tests: each new one is read by the hub with all that are there."""
        if "fake" not in self._models:
            self._models["fake"] = self.own_model()
        return self._models["fake"]

    def own_model(self) -> str:
        """One for a test that counts what is asked of it, or breaks it."""
        return self.hub.model(self.fake)

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        return self.hub.rows(query, *parameters)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The running hub."""
    with ExitStack() as until:
        dsn = until.enter_context(own_database("hub_play"))
        # They end after the hub, which lets a running answer come to its end.
        echo = EchoUpstream()
        echo.start()
        until.callback(echo.stop)
        fake = until.enter_context(FakeUpstream("play", fsync=False))
        hub = Hub(dsn, application=SOON)
        until.callback(hub.close)
        hub.settings()
        hub.start()
        people = json.loads(_run_beside(hub, _PEOPLE))
        organisation = uuid.UUID(people["organisation"])
        hub.credit(Tenant(organisation, uuid.UUID(people["team"]), organisation, ""), "100.00")
        yield Stage(hub, fake, echo, organisation, people["sessions"])


def beside(stage: Stage, script: str) -> str:
    """Run a script of Django's shell in the hub's database; the last line that it prints."""
    return _run_beside(stage.hub, script)


def _run_beside(hub: Hub, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
        cwd=ROOT, env={**os.environ, "DATABASE_URL": hub.dsn, **hub.environment},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return (done.stdout.splitlines() or [""])[-1]


# Of the module: Playwright keeps a loop running in this thread, in which no asynchronous test and
# no query of another module could run afterwards.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browsers.find(), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A browser signed in as one person, with everything that it complained about."""

    context: BrowserContext
    complaints: list[str]
    foreign: list[str]

    def assert_calm(self) -> None:
        """No console error, no report of the content security policy, no request elsewhere."""
        assert self.complaints == []
        assert self.foreign == []


def watch(browser: Browser, stage: Stage, who: str = "bob", **options: Any) -> Watched:
    """A new browser context in which `who` is signed in, and nothing moves unless it is asked for:
    what moves is drawn anew sixty times a second."""
    context = browser.new_context(**{"reduced_motion": "reduce", **options})
    context.add_cookies(stage.cookies(who))  # type: ignore[arg-type]
    context.add_init_script(_REPORT_VIOLATIONS)
    watched = Watched(context, [], [])
    context.on(
        "console",
        lambda message: (
            watched.complaints.append(message.text)
            if message.type in ("error", "warning")
            else None
        ),
    )
    context.on("weberror", lambda error: watched.complaints.append(str(error.error)))

    def note(request: Any) -> None:
        if not request.url.startswith((stage.hub.url, "blob:")):
            watched.foreign.append(request.url)

    context.on("request", note)
    return watched
