"""One installation for all tests of the pages."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, StorageState, ViewportSize

from tests.browser.grown import Grown, grown
from tests.browser.installation import OWNER, Installation, installation
from tests.browser.visitor import Visitor
from tests.support.chromium import Running

Visit = Callable[..., Visitor]


# Of the package: no asynchronous test and no query of another one runs beside it.
@pytest.fixture(scope="package")
def browser(running_chromium: Running) -> Iterator[Browser]:
    with running_chromium.driven() as browser:
        yield browser


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("installation")) as site:
        yield site


@pytest.fixture
def visit(site: Installation, browser: Browser) -> Iterator[Visit]:
    """Make a visitor; at the end of the test nobody may have complained."""
    visitors = []

    def make(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, site.url, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert [line for visitor in visitors for line in visitor.complaints] == []


def state_of(
    browser: Browser, url: str, path: str, form: Mapping[str, str] | None = None
) -> StorageState:
    """The state of a browser that sent the form of that page, which no page need draw for it."""
    context = browser.new_context(base_url=url)
    page = context.request.get(path)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text())
    assert token, page.text()
    fields = {"csrfmiddlewaretoken": token[1], **(form or {})}
    assert context.request.post(path, form=fields).ok
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="package")
def signed_in(site: Installation, browser: Browser) -> StorageState:
    """The state of a browser in which the owner, who is also the operator, is signed in."""
    return state_of(browser, site.url, site.links[OWNER])


@pytest.fixture(scope="package")
def grown_up(site: Installation) -> Grown:
    return grown(site)


@pytest.fixture(scope="package")
def inside_grown(site: Installation, browser: Browser, grown_up: Grown) -> StorageState:
    """The state of a browser in which the owner of the grown organisation is signed in."""
    return state_of(browser, site.url, grown_up.link)


WINDOW: Final[ViewportSize] = {"width": 1280, "height": 900}


@pytest.fixture(scope="package")
def _owners_browser(
    site: Installation, browser: Browser, signed_in: StorageState
) -> Iterator[Visitor]:
    visitor = Visitor(browser, site.url, storage_state=signed_in, viewport=WINDOW)
    yield visitor
    visitor.context.close()


@pytest.fixture
def owner(_owners_browser: Visitor, signed_in: StorageState) -> Iterator[Visitor]:
    """The owner, in a browser that tests use one after the other: in a new one, a page takes twice
    as long. What a test leaves in it is taken away; who brings a clock of its own asks for
    another (`visit`)."""
    visitor = _owners_browser
    visitor.complaints.clear()
    visitor.page.set_viewport_size(WINDOW)
    yield visitor
    complaints = list(visitor.complaints)
    visitor.page.emulate_media(color_scheme="light")
    # Of the same origin: its process stays, with the scripts that it has compiled.
    visitor.page.goto("/readyz")
    visitor.page.evaluate("localStorage.clear(); sessionStorage.clear()")
    visitor.context.clear_cookies()
    visitor.context.add_cookies(signed_in["cookies"])  # type: ignore[arg-type]
    assert complaints == []
