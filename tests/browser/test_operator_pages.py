"""The operator's pages for models and channels, used as operators use them (W71, W72)."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from lib.ids import id_text
from tests.browser.installation import MODEL, Installation
from tests.browser.test_channel_health import another_process, traffic
from tests.browser.test_channels import status_of, typed
from tests.browser.visitor import Visitor, findings
from tests.fakes.proxies import FakeProxy
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import RATES

pytestmark = pytest.mark.browser


@contextmanager
def channel_to(site: Installation, fake: FakeUpstream) -> Iterator[tuple[str, str]]:
    """A channel of its own to a provider: the path of its page, and its model."""
    with site.hub.forgetful():
        model = site.hub.model(fake, retries=0)
        row = site.row("SELECT id FROM gateway_channel WHERE name = %s", f"{model}-0")
        yield f"/admin/channels/{id_text(row['id'])}", model


def test_rule_and_alias_are_created_and_take_effect(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/models/rules")
    page.get_by_role("link", name="New alias").click()
    page.get_by_label("Alias", exact=True).fill("river-alias")
    page.get_by_label("Stands for").fill(MODEL)
    page.get_by_role("button", name="Save alias").click()
    expect(page.get_by_role("row", name=re.compile("^river-alias river-1"))).to_be_visible()
    site.hub.wait(lambda: status_of(site, "river-alias") == 200, "the alias is not heard of")
    page.get_by_role("link", name="New alias").click()
    page.get_by_label("Alias", exact=True).fill(MODEL)
    page.get_by_label("Stands for").fill("river-alias")
    page.get_by_role("button", name="Save alias").click()
    expect(page.locator("form .error").first).to_be_visible()
    assert findings(page) == []
    # A browser notes each answer of 422.
    assert len(owner.complaints) == 1
    owner.complaints.clear()
    page.goto("/admin/models/rules/new")
    page.get_by_label("Model", exact=True).fill("gone-1")
    page.get_by_label("Fallback models").fill(MODEL)
    page.get_by_label("Choose channels by").select_option("ttft")
    page.get_by_role("button", name="Create rule").click()
    expect(page.get_by_role("row", name=re.compile("^gone-1 river-1"))).to_contain_text(
        "Lowest time to first token"
    )
    page.get_by_role("link", name="gone-1").click()
    expect(page.locator(".picker-field").filter(has_text=MODEL)).to_be_visible()
    page.get_by_role("button", name="Delete rule").click()
    expect(page.get_by_text("Rule deleted.")).to_be_visible()
    page.get_by_role("button", name="Delete: river-alias").click()
    expect(page.get_by_text("Alias deleted.")).to_be_visible()


def test_overrides_are_previewed_then_saved(site: Installation, owner: Visitor) -> None:
    page = owner.page
    with FakeUpstream("overridden", fsync=False) as fake, channel_to(site, fake) as (path, model):
        page.goto(f"{path}/overrides")
        page.get_by_label("Parameters of OpenAI chat completions").fill("set top_p 0.25")
        page.get_by_role("textbox", name=re.compile("^System prompt")).fill("Answer in verse. 🦊")
        page.get_by_role("textbox", name=re.compile("^Headers")).fill("X-Team: rivers")
        page.get_by_label("Request body").fill(
            f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
        )
        page.get_by_role("button", name="Preview").click()
        expect(page.get_by_role("heading", name="Request to the provider")).to_be_focused()
        sent = page.locator("#sent")
        for words in ("0.25", "Answer in verse. 🦊", '"fake"', "rivers"):
            expect(sent).to_contain_text(words)
        expect(sent).not_to_contain_text(fake.key)
        page.get_by_role("button", name="Review changes").click()
        expect(page.get_by_role("heading", name="Changes")).to_be_focused()
        assert findings(page) == []
        page.get_by_role("button", name="Save changes").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        expect(page.locator("main")).to_contain_text("Answer in verse. 🦊")
        page.get_by_role("button", name="Run test").click()
        expect(page.locator("#test .panel-head")).to_contain_text("Passed")
        assert json.loads(fake.books()[-1]["body"])["top_p"] == 0.25


def test_a_channel_is_reached_through_a_proxy(site: Installation, owner: Visitor) -> None:
    """A new way takes the stored key away, and nothing shows the proxy's login."""
    page = owner.page
    login = "porter:opens-the-door"
    with (
        FakeUpstream("behind", fsync=False) as fake,
        FakeProxy("http", login=login) as proxy,
        channel_to(site, fake) as (path, _),
    ):
        page.goto(f"{path}/edit")
        page.get_by_role("textbox", name=re.compile("^Proxy(?! login)")).fill(proxy.url)
        page.get_by_label("Proxy login").fill(login)
        page.get_by_label("API key for the new URL").fill(fake.key)
        page.get_by_label("API key for the new URL").press("Enter")
        expect(page.get_by_role("heading", name="Changes")).to_be_focused()
        review = page.locator("#review")
        expect(review.get_by_role("row", name=re.compile("^Proxy –"))).to_contain_text(proxy.url)
        expect(review).to_contain_text("stored key is removed")
        expect(review).not_to_contain_text("opens-the-door")
        assert findings(page) == []
        page.get_by_role("button", name="Save changes").click()
        expect(page.get_by_text("with login")).to_be_visible()
        assert "opens-the-door" not in page.content()
        page.get_by_role("button", name="Run test").click()
        expect(page.locator("#test .panel-head")).to_contain_text("Passed")
        assert proxy.asked == [("127.0.0.1", fake.port)]


def test_all_channels_are_tested_while_the_page_is_open(site: Installation, owner: Visitor) -> None:
    """By the worker: who leaves the page does not end it."""
    page = owner.page
    page.goto("/admin/channels")
    page.get_by_role("button", name="Test all").click()
    page.wait_for_url(re.compile("/admin/channels/tests/"))
    expect(page.get_by_role("heading", name="Done")).to_be_visible(timeout=120_000)
    results = page.locator("dl.kv")
    for name, ended in (("dry", "Failed"), ("rivers", "Passed")):
        named = results.locator("dt").filter(has=page.get_by_text(name, exact=True))
        expect(named.locator("+ dd")).to_contain_text(ended)
    assert findings(page) == []


def test_new_and_renamed_models_of_a_provider_are_accepted(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    with FakeUpstream("listing", fsync=False) as fake, channel_to(site, fake) as (path, model):
        page.goto(path)
        page.get_by_role("button", name="Check for new models").click()
        expect(page.get_by_role("heading", name="No changes")).to_be_visible()
        fake.config.models = ("fake-2026-01-02", "fake-64", "fake-1000", "fake-new")
        page.get_by_role("button", name="Check for new models").click()
        expect(page.get_by_role("row", name=re.compile("Probably renamed"))).to_contain_text(model)
        name = page.get_by_label("Public name of fake-new")
        name.fill(f"{model}-new")
        page.get_by_role("checkbox", name="Select all").focus()
        page.keyboard.press("Space")
        assert findings(page) == []
        page.get_by_role("button", name="Accept selected").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("2 changes accepted.")).to_be_visible()
        page.goto(path)
        mapped = page.get_by_role("row", name=re.compile(f"^{model}"))
        expect(mapped.filter(has_text="fake-2026-01-02")).to_be_visible()
        expect(mapped.filter(has_text="fake-new")).to_be_visible()


@pytest.mark.slow
def test_the_life_of_a_channel(site: Installation, owner: Visitor) -> None:
    """Added by keyboard within a minute; its key is broken, and the right stage says so; its
    provider dies and comes back, and the page of one process shows within five seconds what
    another process found."""
    page, model = owner.page, "walked-1"
    with (
        site.hub.forgetful(),
        FakeUpstream("walked", models=(model,), fsync=False) as fake,
        another_process(site) as other,
    ):
        site.hub.price(model, RATES)
        began = time.monotonic()
        _add_by_keyboard(page, fake)
        assert time.monotonic() - began < 60
        _break_its_key(page, fake)
        tenant = other.tenant()
        other.wait(lambda: other.post(tenant, ask(model)).status == 200, "it is not heard of")
        state = page.locator("#channel-state .badge")
        with traffic(other, tenant, model):
            expect(state).to_have_text("On")
            fake.stop()
            expect(state).to_have_text("Unavailable", timeout=5_000)
            fake.start()
            expect(state).to_have_text("On", timeout=5_000)


def _add_by_keyboard(page: Page, fake: FakeUpstream) -> None:
    page.goto("/admin/channels/new")
    with page.expect_response(re.compile(r"provider=openai_compatible")):
        page.keyboard.type("OpenAI-c")
    expect(page.get_by_label("Base URL")).to_have_value("")
    for label, text in (("Name", "walked"), ("Base URL", fake.url), ("API key", fake.key)):
        typed(page, label, text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Run test")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#try .panel-head")).to_contain_text("Passed")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Add channel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("walked")


def _break_its_key(page: Page, fake: FakeUpstream) -> None:
    """And mend it again."""
    fake.config.keys = ("sk-another",)
    page.get_by_role("button", name="Run test").click()
    expect(page.locator("#test .panel-head")).to_contain_text("Failed")
    expect(page.locator("#test")).to_contain_text("The provider rejected the key.")
    stages = page.locator("#test dl.kv dd .badge")
    expect(stages.nth(2)).to_have_text("Failed")
    expect(stages.nth(1)).to_have_text("Passed")
    fake.config.keys = (fake.key,)
    page.get_by_role("button", name="Run test").click()
    expect(page.locator("#test .panel-head")).to_contain_text("Passed")
