"""A running hub with people who are signed in, and providers behind it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.fakes.upstream import FakeUpstream
from tests.playground import people
from tests.playground.echo import EchoUpstream
from tests.runner.databases import own_database
from tests.support.beside import Beside
from tests.support.chromium import Running
from tests.support.hub import SOON, Hub, Tenant

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
    beside: Beside
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
            self._models[name] = self.hub.model(self.echo, upstream_model=name)
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
        echo = EchoUpstream()
        echo.start()
        until.callback(echo.stop)
        fake = until.enter_context(FakeUpstream("play", fsync=False))
        hub = Hub(dsn, application=SOON)
        until.callback(hub.close)
        # What still answers then, nobody reads: it is not waited for.
        until.callback(hub.kill)
        hub.settings()
        hub.start()
        beside = Beside({**os.environ, "DATABASE_URL": hub.dsn, **hub.environment})
        until.callback(beside.close)
        created = beside.call(people.assemble)
        organisation = created["organisation"]
        hub.credit(Tenant(organisation, created["team"], organisation, ""), "100.00")
        yield Stage(hub, beside, fake, echo, organisation, created["sessions"])


# Of the module: no asynchronous test and no query of another module runs beside it.
@pytest.fixture(scope="module")
def chromium(running_chromium: Running) -> Iterator[Browser]:
    with running_chromium.driven() as browser:
        yield browser


@dataclass
class Watched:
    """A browser signed in as one person, with everything that it complained about."""

    context: BrowserContext
    complaints: list[str]
    foreign: list[str]
    _page: Page | None = None

    @property
    def page(self) -> Page:
        """Its window; more of them: `context.new_page()`."""
        if self._page is None:
            self._page = self.context.new_page()
        return self._page

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


class Desks:
    """Browsers that tests use one after the other: in a new one, a page takes more than twice as
    long. What a test can leave in one is taken away behind it, but for clocks and scripts of its
    own: who brings these has a browser apart."""

    def __init__(self, chromium: Browser, stage: Stage) -> None:
        self._chromium = chromium
        self._stage = stage
        self._free: dict[str, Watched] = {}

    @contextmanager
    def lent(self, who: str, *, width: int = 1280) -> Iterator[Watched]:
        """The browser of that person, for the length of the block."""
        watched = self._free.pop(who, None) or watch(self._chromium, self._stage, who)
        watched.complaints.clear()
        watched.foreign.clear()
        watched.page.set_viewport_size({"width": width, "height": 900})
        yield watched
        with suppress(Error):
            self._clear(who, watched)
            self._free[who] = watched
        if who not in self._free:
            watched.context.close()

    def _clear(self, who: str, watched: Watched) -> None:
        context, page = watched.context, watched.page
        for other in context.pages:
            if other is not page:
                other.close()
        page.unroute_all(behavior="ignoreErrors")
        context.set_offline(False)
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        # Of the same origin: its process stays, with the scripts that it has compiled.
        page.goto(f"{self._stage.hub.url}/readyz")
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        context.clear_cookies()
        context.clear_permissions()
        context.add_cookies(self._stage.cookies(who))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def desks(chromium: Browser, stage: Stage) -> Desks:
    return Desks(chromium, stage)


@pytest.fixture
def bob(desks: Desks) -> Iterator[Watched]:
    with desks.lent("bob") as watched:
        yield watched


@pytest.fixture
def alice(desks: Desks) -> Iterator[Watched]:
    with desks.lent("alice") as watched:
        yield watched


@pytest.fixture
def bob_apart(chromium: Browser, stage: Stage) -> Iterator[Watched]:
    """A browser of his own, for a test that brings a clock, or scripts of its own."""
    watched = watch(chromium, stage, viewport={"width": 1280, "height": 900})
    yield watched
    watched.context.close()
