"""The palette finds pages and actions by itself, without the server, and ranks as the server."""

import itertools

import pytest
from django.utils import translation
from playwright.sync_api import Route, expect

from config.shell.pages import all_pages
from config.shell.palette_actions import ACTIONS
from config.shell.palette_ranking import rank
from tests.browser.visitor import Visitor
from tests.config.shell.test_palette_queries import CHINESE, ENGLISH

pytestmark = pytest.mark.browser

_FOUND = "#palette-found .item"
_FIRST = f"""() => [...document.querySelectorAll("{_FOUND}")].slice(0, 3).map(
  (item) => item.getAttribute("href") ?? item.dataset.press)"""
QUERIES = {
    "budgts": "/budgets",
    "disable key": "/keys",
    "who spent the most": "/usage/explore?group_by=user",
    "delete organisation": "/settings#archive",
    "team lead": "/teams",
    "dark": "#appearance [value=dark]",
    "密钥": "/keys",
    "充值": "/billing/top-up",
}


def test_pages_and_actions_are_found_without_the_server(owner: Visitor) -> None:
    page, asked = owner.page, list[Route]()
    page.goto("/")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-found template[data-known]")).to_be_attached()
    # From here on the server never answers.
    page.route("**/_f/palette*", lambda route: asked.append(route))
    missed = {}
    for query, target in QUERIES.items():
        page.fill("#palette-q", query)
        found = page.evaluate(_FIRST)
        if not any(one.endswith(target) for one in found):
            missed[query] = found
    assert missed == {}
    page.fill("#palette-q", "budgets")
    page.keyboard.press("Enter")
    page.wait_for_url("**/budgets")
    page.unroute_all(behavior="ignoreErrors")


_RANKS = """async (cases) => {
  const { rank } = await import(document.querySelector("#palette").dataset.finder);
  return cases.map(([query, name, others]) => rank(query, name, others));
}"""


def test_the_browser_ranks_as_the_server_does(owner: Visitor) -> None:
    """Every query of both languages at every name and its words."""
    names = list[tuple[str, list[str]]]()
    for language in ("en", "zh-hans"):
        with translation.override(language):
            names += [(page.address, [str(page.words)]) for page in all_pages() if page.words]
            names += [(str(one.name), [str(one.words)]) for one in ACTIONS]
    lines = (ENGLISH + CHINESE).strip().splitlines()
    queries = [line.split(" | ")[0] for line in lines if line] + ["", " ", "the", "ab", "ÄÖ x"]
    cases = [(query, *one) for query, one in itertools.product(queries, names)]
    owner.page.goto("/")
    assert owner.page.evaluate(_RANKS, cases) == [rank(*case) for case in cases]
