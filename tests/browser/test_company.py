"""The pages of the company of the screenshots, which has some of everything."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.looks import PAIRS, Look
from tests.browser.sights import Sight, walk
from tools import answers, screenshots

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@dataclass(frozen=True)
class Company:
    """`facts` are what its addresses are made of, `paths` its pages by the names of their
    pictures."""

    running: screenshots.Running
    facts: dict[str, str]
    paths: dict[str, str]


@pytest.fixture(scope="module")
def company(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    data = tmp_path_factory.mktemp("company") / "data"
    with answers.provider() as provider, screenshots.installation(data) as running:
        screenshots.configure(running, data, provider)
        facts = screenshots.make_company(running) | {"provider": provider}
        page = screenshots.sign_in(browser, running)
        paths = screenshots.use_playground(page, running, data, facts)
        # What is not there is looked at by test_pages.py.
        del paths["not-found"]
        paths = {name: path.removeprefix(running.url) for name, path in paths.items()}
        page.context.close()
        yield Company(running, facts, paths)


@pytest.fixture(scope="module", params=[pytest.param(look, id=look.id) for look in PAIRS])
def sights(request: pytest.FixtureRequest, browser: Browser, company: Company) -> list[Sight]:
    look: Look = request.param

    def act(name: str, page: Page) -> None:
        if name in screenshots.ACTS:
            screenshots.ACTS[name](page, company.facts)
            page.wait_for_load_state("networkidle")

    running = company.running
    state = screenshots.state_of_now(browser, running)
    public = {
        name: path.format(**company.facts).removeprefix(running.url)
        for name, path in screenshots.PUBLIC.items()
    }
    return [
        *walk(browser, running.url, state, company.paths, look, act),
        *walk(browser, running.url, None, public, look),
    ]


def test_pages_full_of_data_are_accessible(sights: list[Sight]) -> None:
    """Axe, the width of a telephone, the keyboard, and what opens over a page."""
    assert [fault for sight in sights for fault in sight.faults()] == []
