"""How a channel does is the same on every process, and shows while the page is open (W71)."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.installation import Installation
from tests.browser.visitor import Visitor, findings_in_both_themes, too_wide
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant
from tests.support.ports import free_port

pytestmark = pytest.mark.browser

# A busy machine proves that it shows; how soon is measured where nothing else runs.
SOON = [pytest.param(60_000, id="shows"), pytest.param(5_000, id="in 5 s", marks=pytest.mark.slow)]


@contextmanager
def another_process(site: Installation) -> Iterator[Hub]:
    other = Hub(site.hub.dsn, site.hub.environment, port=free_port())
    try:
        other.start()
        yield other
    finally:
        other.close()


@contextmanager
def traffic(hub: Hub, tenant: Tenant, model: str) -> Iterator[None]:
    """Somebody asks several times a second, whatever the answer is."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(0.15):
            hub.post(tenant, ask(model))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def served(site: Installation) -> Iterator[tuple[FakeUpstream, str]]:
    """A provider that can be killed, and requests that another process than the page's sends it;
    gives it and the name of its channel."""
    with FakeUpstream("mortal", fsync=False) as fake, another_process(site) as other:
        tenant = site.hub.tenant()
        with site.hub.forgetful():
            model = site.hub.model(fake, retries=0, breaker={"open_for": 60})
            other.know(model)
            with traffic(other, tenant, model):
                yield fake, f"{model}-0"


@pytest.mark.slow
@pytest.mark.parametrize("soon_ms", SOON)
def test_a_killed_provider_and_its_return_show_soon(
    site: Installation, owner: Visitor, soon_ms: int
) -> None:
    """In the list and on the channel's page, whose figures grow meanwhile."""
    page = owner.page
    with served(site) as (fake, name):
        page.goto("/admin/channels")
        row = page.get_by_role("row", name=name)
        _dies(fake, row.locator(".badge").first, soon_ms)
        row.get_by_role("link", name=name).click()
        _returns(fake, page.locator("#channel-state .badge"), soon_ms)
        health = page.locator("#health")
        expect(health.locator("tfoot td").nth(2)).to_have_text(re.compile(r"[1-9]"))
        expect(health.locator("tfoot td").nth(3)).to_have_text(re.compile(r"^\s*\d+(\.\d+)?%\s*$"))


def _dies(fake: FakeUpstream, state: Locator, soon_ms: int) -> None:
    expect(state).to_have_text("On")
    fake.stop()
    expect(state).to_have_text("Unavailable", timeout=soon_ms)


def _returns(fake: FakeUpstream, state: Locator, soon_ms: int) -> None:
    expect(state).to_have_text("Unavailable")
    fake.start()
    expect(state).to_have_text("On", timeout=soon_ms)


@pytest.mark.slow
def test_the_figures_of_a_channel_grow_while_its_page_is_open(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    with served(site) as (_, name):
        page.goto("/admin/channels")
        page.get_by_role("row", name=name).get_by_role("link", name=name).click()
        health = page.locator("#health")
        attempts = health.locator("tfoot td").nth(2)
        expect(attempts).to_have_text(re.compile(r"[1-9]"), timeout=15_000)
        expect(health.locator("tfoot td").nth(3)).to_have_text("100%")
        assert findings_in_both_themes(page) == []
        _is_narrow(page)


def _is_narrow(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""
