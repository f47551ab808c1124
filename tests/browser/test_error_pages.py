"""What comes in place of a page: refused, missing, failed, too large, too often, too busy."""

import pytest
from django.template.loader import render_to_string
from django.utils import translation
from playwright.sync_api import Route, ViewportSize

from config.server.request_limits import AWAY_PAGE
from tests.browser.conftest import Visit
from tests.browser.installation import Installation
from tests.browser.looks import DESK, TELEPHONE, Language
from tests.browser.visitor import findings_in_both_themes, too_wide
from tests.support.hub import ROOT

pytestmark = [pytest.mark.browser]

NAMES = sorted([*(path.name for path in (ROOT / "templates").glob("[45]??.html")), AWAY_PAGE])


def draw(language: Language) -> dict[str, str]:
    """In a process of the installation: the HTML of each, by its template."""
    context = {"lang": language, "seconds": 600, "minutes": 10, "action": "sign_in"}
    with translation.override(language):
        return {name: render_to_string(name, context) for name in NAMES}


@pytest.mark.parametrize(("language", "window"), [("en", DESK), ("zh-hans", TELEPHONE)])
def test_error_pages_are_accessible(
    site: Installation, visit: Visit, language: Language, window: ViewportSize
) -> None:
    """In both themes, one language on a desk and one on a telephone; in both they fit both."""
    assert {"403.html", "404.html", "500.html", "503.html"} <= set(NAMES)
    page, faults = visit().page, []
    pages = site.beside.call(draw, language)

    def answer(route: Route) -> None:
        html = pages[route.request.url.rpartition("/")[2]]
        route.fulfill(body=html, content_type="text/html; charset=utf-8")

    page.route("**/*.html", answer)
    for name in NAMES:
        for size in (DESK, TELEPHONE):
            page.set_viewport_size(size)
            page.goto(f"/{name}")
            faults += [f"{name}: {wide}" for wide in [too_wide(page)] if wide]
            if size == window:
                faults += findings_in_both_themes(page)
        assert page.locator("h1").count() == 1, name
    assert faults == []
