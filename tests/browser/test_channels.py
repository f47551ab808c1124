"""A channel from nothing, by keyboard; what goes wrong is said where it does (W71)."""

import re
from decimal import Decimal

import openai
import pytest
from playwright.sync_api import Page, StorageState, expect

from accounts.access.actors import SYSTEM
from gateway.channels.channels import create_channel, remove_channel
from gateway.models import Channel
from tests.browser.conftest import Visit
from tests.browser.installation import Installation, mint_keys
from tests.browser.visitor import Visitor, act_on, findings, findings_in_both_themes, too_wide
from tests.fakes.balances import FakeBalances

pytestmark = pytest.mark.browser


def status_of(site: Installation, model: str) -> int:
    try:
        site.client().chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hello"}]
        )
    except openai.APIStatusError as error:
        return error.status_code
    return 200


def typed(page: Page, label: str, text: str) -> None:
    """Reach a field by the tab key and type into it, in the place of what is there."""
    for _ in range(12):
        if page.evaluate("document.activeElement.labels?.[0]?.innerText ?? ''").startswith(label):
            page.keyboard.press("Control+A")
            page.keyboard.type(text)
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"no field {label} within 12 tabs")


def test_a_channel_is_added_by_keyboard(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/channels/new")
    expect(page.get_by_label("Provider")).to_be_focused()
    with page.expect_response(re.compile(r"provider=openai_compatible")):
        page.keyboard.type("OpenAI-c")
    expect(page.get_by_label("Base URL")).to_have_value("")  # the form of that provider
    typed(page, "Name", "by-keyboard")
    typed(page, "Base URL", site.fake.url)
    typed(page, "API key", "sk-broken")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Connection failed")).to_be_focused()
    expect(page.locator("#found")).to_contain_text("The provider rejected the key.")
    stages = page.locator("#found dl.kv dd .badge")
    expect(stages).to_have_text(["Passed", "Passed", "Failed"])
    page.get_by_label("API key").focus()
    typed(page, "API key", "sk-fake")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Run test")).to_be_focused()
    expect(page.locator("#found tbody tr")).to_have_count(3)
    page.keyboard.press("Enter")
    expect(page.locator("#try .panel-head")).to_contain_text("Passed")
    expect(page.get_by_role("button", name="Run test")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Add channel")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/admin/channels/[0-9A-Z]{26}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("by-keyboard")
    expect(page.get_by_role("row", name=re.compile("^fake-64 Same"))).to_be_visible()
    # The relay has it within a second: a model that no other channel serves lacks only a price.
    site.hub.wait(lambda: status_of(site, "fake-64") == 402, "it is not heard of")
    page.get_by_role("link", name="Set prices").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Input price of fake-64", exact=True).focus()
    page.keyboard.type("0.10")
    page.get_by_label("Output price of fake-64").focus()
    page.keyboard.type("0.40")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/admin/channels/[0-9A-Z]{26}$"))
    site.hub.wait(lambda: status_of(site, "fake-64") == 200, "its price is not heard of")


@pytest.mark.slow
def test_channel_error_is_shown_and_the_key_stays_typed(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/channels/new")
    page.get_by_label("Provider").select_option("openai_compatible")
    expect(page.get_by_label("Base URL")).to_have_value("")
    page.get_by_label("Name").fill("rivers")
    page.get_by_label("Base URL").fill(site.fake.url)
    page.get_by_label("API key").fill("sk-fake")
    page.get_by_role("button", name="Fetch models").click()
    expect(page.locator("#found tbody tr")).to_have_count(3)
    assert findings(page) == []
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("alert")).to_contain_text("Another channel is already named rivers.")
    expect(page.get_by_label("API key")).to_have_value("sk-fake")
    page.get_by_role("checkbox", name="Select all").check()
    page.get_by_role("checkbox", name="Select all").uncheck()
    page.get_by_label("Name", exact=True).fill("rivers-2")
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose at least one model")
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""
    # A browser notes each answer of 422.
    assert len(owner.complaints) == 2
    owner.complaints.clear()


@pytest.mark.slow
def test_edit_previews_its_changes_and_saves(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/channels")
    act_on(page, "dry", "Edit")
    page.get_by_label("Weight").fill("3")
    page.get_by_label("Weight").press("Enter")
    expect(page.get_by_role("heading", name="Changes")).to_be_focused()
    expect(page.get_by_role("row", name="Weight")).to_contain_text("3")
    assert findings(page) == []
    # The first button is now that of this review.
    page.get_by_label("Weight").fill("4")
    page.get_by_label("Weight").press("Enter")
    expect(page.get_by_text("Something changed since the review")).to_be_visible()
    expect(page.get_by_role("row", name="Weight")).to_contain_text("4")
    owner.complaints.clear()
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("button", name="Disable").click()
    expect(page.locator("#keys")).to_contain_text("Disabled")
    page.get_by_role("button", name="Enable").click()
    expect(page.locator("#keys")).to_contain_text("Active")


@pytest.mark.slow
def test_edit_of_models_previews_its_changes(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/channels")
    page.get_by_role("link", name="dry").click()
    page.get_by_role("link", name="Edit models").click()
    page.get_by_label("Weight 1").fill("2")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", name="Changes")).to_be_focused()
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_role("row", name=re.compile("^dry-1 Same"))).to_contain_text("weight 2")
    assert findings_in_both_themes(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""


@pytest.mark.slow
def test_channel_is_added_without_scripts(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    page = visit(storage_state=signed_in, java_script_enabled=False).page
    page.goto("/admin/channels/new?provider=openai_compatible")
    for name, text in (("Name", "plain-form"), ("Base URL", site.fake.url), ("API key", "sk-fake")):
        page.get_by_label(name).fill(text)
    page.get_by_role("button", name="Fetch models").click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    # The key is never sent back, so it is typed again.
    page.get_by_label("API key").fill("sk-fake")
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("plain-form")


@pytest.mark.slow
def test_the_key_of_a_route_preview_is_picked_by_keyboard(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    site.beside.call(mint_keys, "picked-a", "picked-b")
    page.goto("/admin/routes/preview")
    page.locator("details.more summary").first.click()
    page.locator("[name=body]").fill('{"model": "half')
    page.get_by_label("API key").focus()
    page.keyboard.type("acme picked-")
    options = page.get_by_role("listbox").get_by_role("option")
    expect(options).to_have_count(2)
    assert findings(page) == []
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".picked .chip")).to_contain_text("picked-a")
    expect(page.locator("[name=body]")).to_have_value('{"model": "half')


BALANCE_KEY = "sk-fake-key-with-a-balance-77aa"


def make_paid_channel(url: str) -> None:
    """In a process of the installation: a channel whose balance is read."""
    create_channel(
        SYSTEM,
        "paid",
        {
            "provider": "deepseek",
            "base_url": url,
            "keys": [BALANCE_KEY],
            "models": {"paid-1": ""},
            "balance_source": "deepseek",
            "balance_warn_below_nano": 5 * 10**9,
            "balance_rest_below_nano": 10**9,
        },
    )


def remove_paid_channel() -> None:
    remove_channel(SYSTEM, Channel.objects.get(name="paid"))


@pytest.mark.slow
def test_balance_is_refreshed_and_shown_with_its_time(site: Installation, owner: Visitor) -> None:
    page = owner.page
    with FakeBalances() as provider:
        provider.left[BALANCE_KEY] = Decimal("4.5")
        site.beside.call(make_paid_channel, provider.url)
        page.goto("/admin/channels?q=paid")
        page.get_by_role("link", name="paid", exact=True).click()
        page.get_by_role("button", name="Ask now").click()
        expect(page.get_by_text("The balance was read.")).to_be_visible()
        expect(page.locator("#balance")).to_contain_text("4.50 CNY")
        expect(page.locator("#balance")).to_contain_text("Low balance")
        provider.fault = (503, b"{}")
        page.get_by_role("button", name="Ask now").click()
        expect(page.locator("#balance")).to_contain_text("The provider returned a server error.")
        provider.fault = None
        provider.spend(BALANCE_KEY, "4")
        page.get_by_role("button", name="Ask now").click()
        expect(page.get_by_text("Turned off by its rule")).to_be_visible()
        assert findings_in_both_themes(page) == []
        for path in (page.url, f"{page.url}/edit", "/admin/channels?q=paid"):
            page.goto(path)
            page.set_viewport_size({"width": 360, "height": 740})
            assert too_wide(page) == ""
    site.beside.call(remove_paid_channel)


def make_channels(*names: str) -> None:
    for name in names:
        create_channel(SYSTEM, name, {"provider": "openai", "labels": ["pair"], "enabled": False})


def remove_channels(*names: str) -> None:
    for channel in Channel.objects.filter(name__in=names):
        remove_channel(SYSTEM, channel)


def test_several_channels_are_changed_after_a_preview_of_each(
    site: Installation, owner: Visitor
) -> None:
    page, names = owner.page, ("pair-a", "pair-b")
    site.beside.call(make_channels, *names)
    page.goto("/admin/channels?q=pair")
    page.get_by_label("Select pair-a").check()
    page.get_by_label("Select pair-b").check()
    page.locator(".bulk").get_by_role("button", name="Edit").click()
    expect(page.get_by_role("heading", name="Edit 2 channels")).to_be_visible()
    page.get_by_role("checkbox", name="Weight").check()
    page.get_by_role("textbox", name="Weight").fill("4")
    page.get_by_label("Add labels").fill("cheap")
    page.get_by_role("button", name="Review changes").click()
    expect(page.get_by_role("heading", name="Changes")).to_be_focused()
    expect(page.locator("ins", has_text="pair, cheap")).to_have_count(2)
    assert findings_in_both_themes(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert too_wide(page) == ""
    page.get_by_role("button", name="Change 2 channels").click()
    expect(page.get_by_text("2 channels changed.")).to_be_visible()
    assert "q=pair" in page.url
    site.beside.call(remove_channels, *names)
