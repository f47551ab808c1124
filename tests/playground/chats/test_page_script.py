"""What the script of the playground does with its page, before anything is sent (W10).

The page is the server's, its scripts are those of `static`; behind them is no hub, only what these
tests answer.
"""

import datetime as dt
import json
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import transaction
from playwright.sync_api import Page, Route
from pytest_django.plugin import DjangoDbBlocker

from accounts.access.actors import SYSTEM
from billing.prices import prices
from gateway.models import Channel
from gateway.models import Route as Served
from lib import clock
from tests.support.cast import assemble, make_key, signed_in
from tests.support.chromium import Running

pytestmark = pytest.mark.browser
STATIC = Path(__file__).parents[3] / "static"
URL = "http://weir.test/o/acme/playground"


@dataclass
class Desk:
    """The page in a browser, and what it asked of the server."""

    page: Page
    sent: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    bound: str = "≤ $0.01"

    def answer(self, route: Route, html: str) -> None:
        request = route.request
        path = urlsplit(request.url).path
        if path.startswith("/static/"):
            name = path.removeprefix("/static/")
            plain = re.sub(r"\.[0-9a-f]{12}(?=\.\w+$)", "", name)
            file = STATIC / plain
            kind = mimetypes.guess_type(plain)[0] or "text/plain"
            route.fulfill(body=file.read_bytes(), content_type=kind)
        elif request.method == "POST":
            self.sent.append((path, parse_qs(request.post_data or "")))
            route.fulfill(body=self.bound if path.endswith("/bound") else "")
        elif request.resource_type == "document":
            route.fulfill(body=html, content_type="text/html; charset=utf-8")
        else:
            route.fulfill(status=204)

    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.page.url).query, keep_blank_values=True)

    def value(self, selector: str) -> str:
        return self.page.input_value(selector)

    def shown(self, selector: str) -> str:
        return (self.page.text_content(selector) or "").strip()


@pytest.fixture(scope="module")
def html(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> str:
    """The page of a new chat, with two models and two keys that may pay."""
    with django_db_blocker.unblock(), transaction.atomic():
        people = assemble()
        make_key(people.core, "web-prod", user=people.bob)
        channel = Channel.objects.create(
            name="c", provider="openai", base_url="https://x.example/v1"
        )
        rates = {"meters": {"in_text": 250_000_000, "out_text": 2_000_000_000}}
        for name in ("alpha", "beta"):
            Served.objects.create(channel=channel, model=name)
            prices.set_price(
                SYSTEM, name, valid_from=clock.now() - dt.timedelta(days=1), rates=rates,
                source="test",
            )  # fmt: skip
        text: str = signed_in(people.bob).get(urlsplit(URL).path).content.decode()
        transaction.set_rollback(True)
    return text


@pytest.fixture(scope="module")
def desk(html: str, running_chromium: Running) -> Iterator[Desk]:
    with running_chromium.driven() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        desk = Desk(page)
        page.route("**/*", lambda route: desk.answer(route, html))
        # It goes on by itself, and further where a test lets it.
        page.clock.install()
        page.goto(URL)
        page.wait_for_function("window.htmx && document.readyState === 'complete'")
        yield desk
        page.context.close()


def change(desk: Desk, selector: str, value: str) -> None:
    desk.page.eval_on_selector(
        selector,
        "(one, value) => { one.value = value; for (const name of ['input', 'change']) "
        "one.dispatchEvent(new Event(name, {bubbles: true})); }",
        value,
    )


def press(desk: Desk, selector: str) -> None:
    desk.page.eval_on_selector(selector, "one => one.click()")


@pytest.mark.django_db
def test_page_offers_each_model_once_and_the_key_that_may_pay(html: str) -> None:
    models = html.partition('id="chat-model"')[2].partition("</select>")[0]
    assert re.findall(r'<option\s+value="(\w+)"', models) == ["alpha", "beta"]
    keys = html.partition('id="pay-key"')[2].partition("</select>")[0]
    assert keys.count("web-prod") == 1


def test_address_names_the_open_pane(desk: Desk) -> None:
    """A reload opens it again."""
    press(desk, "[data-pane-tab=tools]")
    assert desk.query() == {"panel": ["tools"]}
    marked = desk.page.eval_on_selector_all(
        "[data-pane-tab][aria-current]", "all => all.map((one) => one.dataset.paneTab)"
    )
    assert marked == ["tools"]
    press(desk, "[data-panel-close]")
    assert desk.query() == {}


def test_key_of_a_pane_opens_and_closes_it(desk: Desk) -> None:
    for open_pane in ("tools", ""):
        desk.page.keyboard.press("Alt+t")
        assert desk.query().get("panel", [""]) == [open_pane]
    desk.page.keyboard.press("Alt+p")
    assert desk.query() == {"panel": ["params"]}
    desk.page.keyboard.press("Escape")
    assert desk.query() == {}


def test_slider_and_number_show_one_value_and_mark_a_change(desk: Desk) -> None:
    number = desk.page.get_attribute("[data-slides]", "data-slides")
    changed = f"document.getElementById('{number}').closest('.param').hasAttribute('data-changed')"
    change(desk, f"[data-slides='{number}']", "0.5")
    assert (desk.value(f"#{number}"), desk.page.evaluate(changed)) == ("0.5", True)
    change(desk, f"#{number}", "0.2")
    assert desk.value(f"[data-slides='{number}']") == "0.2"
    change(desk, f"#{number}", "")
    assert desk.page.evaluate(changed) is False


def test_examples_of_tools_are_added_to_those_that_are_there(desk: Desk) -> None:
    for example in ("#tool-weather", "#tool-search"):
        press(desk, f"[data-insert='#set-tools'][data-text='{example}']")
    tools: list[dict[str, Any]] = json.loads(desk.value("#set-tools"))
    assert [tool["name"] for tool in tools] == ["get_weather", "search_documents"]
    change(desk, "#set-tools", '[{"name":"a"}]')
    press(desk, "[data-format='#set-tools']")
    assert desk.value("#set-tools") == '[\n  {\n    "name": "a"\n  }\n]'
    change(desk, "#set-tools", "[{")
    press(desk, "[data-format='#set-tools']")
    assert desk.value("#set-tools") == "[{"
    change(desk, "#set-tools", "")


def test_line_beside_the_cost_names_who_pays(desk: Desk) -> None:
    key = desk.page.eval_on_selector(
        "#pay-key", "one => [...one.options].find((o) => o.text.includes('web-prod')).value"
    )
    change(desk, "#pay-key", key)
    change(desk, "#pay-project", " apollo ")
    assert "web-prod" in desk.shown("[data-payer]")
    assert desk.shown("[data-payer-project]") == "· apollo"
    change(desk, "#pay-project", "")
    change(desk, "#pay-key", "")
    assert desk.shown("[data-payer-project]") == ""
    assert "web-prod" not in desk.shown("[data-payer]")


def test_comparison_begins_with_the_chosen_model(desk: Desk) -> None:
    for model in ("beta", "alpha"):
        change(desk, "#chat-model", model)
        assert desk.page.get_attribute("[data-compare]", "href").endswith(f"?m={model}")  # type: ignore[union-attr]


def test_offered_question_is_written_for_the_reader_to_send(desk: Desk) -> None:
    asked = desk.page.get_attribute("[data-fill]", "data-fill")
    press(desk, "[data-fill]")
    assert desk.value("#chat-text") == asked
    assert desk.page.evaluate("document.activeElement.id") == "chat-text"
    assert not [path for path, _ in desk.sent if path.endswith("/runs")]


def test_maximum_is_asked_of_what_was_typed_and_its_refusal_ends_with_other_words(
    desk: Desk,
) -> None:
    desk.bound = "<p data-blocked>The budget is used up.</p>"
    change(desk, "#chat-text", "How high is the weir?")
    desk.page.clock.fast_forward(400)
    desk.page.wait_for_selector("#bound [data-blocked]")
    texts = [form["text"] for path, form in desk.sent if path.endswith("/bound")]
    assert texts[-1] == ["How high is the weir?"]
    assert desk.page.is_disabled("[data-send]")
    desk.bound = "≤ $0.01"
    change(desk, "#chat-text", "How high?")
    assert desk.page.is_enabled("[data-send]")
    desk.page.clock.fast_forward(400)
    desk.page.wait_for_function("document.querySelector('#bound').textContent.includes('0.01')")


def test_draft_is_kept_of_a_chat_that_is_saved_alone(desk: Desk) -> None:
    drafts = "Object.entries(localStorage).filter(([name]) => name.startsWith('draft:'))"
    change(desk, "#chat-text", "of mine")
    desk.page.clock.fast_forward(400)
    desk.page.wait_for_function(f"{drafts}.some(([, text]) => text === 'of mine')")
    ((name, _),) = desk.page.evaluate(drafts)
    assert name.split(":")[2] == "acme"
    desk.page.eval_on_selector("#set-temporary", "one => one.click()")
    assert desk.query() == {"tmp": ["1"]}
    assert desk.page.is_visible("[data-temporary]")
    assert desk.page.evaluate(drafts) == []
    link = desk.page.eval_on_selector(
        "a[data-same-chat]",
        "one => { addEventListener('click', (event) => event.preventDefault(), {once: true}); "
        "one.click(); return one.href; }",
    )
    assert parse_qs(urlsplit(link).query)["tmp"] == ["1"]
    desk.page.eval_on_selector("#set-temporary", "one => one.click()")
    assert desk.query() == {}
    assert not desk.page.is_visible("[data-temporary]")
