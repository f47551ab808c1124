"""The things that people come for, from the home page, by clicks that are counted (clicker.py):
ten of every user, and ten of whoever sets things up."""

import csv
import datetime as dt
import os
import re
import subprocess
import sys

import pytest
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from playwright.sync_api import Locator, Page, StorageState, ViewportSize, expect

from lib import clock
from lib.ids import id_text
from tests.browser.clicker import Clicker
from tests.browser.conftest import Visit
from tests.browser.grown import Grown, grown
from tests.browser.installation import ECHO, MODEL, Installation

pytestmark = pytest.mark.browser

CLICKS_MAX = 22
FURTHER_CLICKS_MAX = 80
WINDOW: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture
def someone(visit: Visit, inside_grown: StorageState, grown_up: Grown) -> Clicker:
    visitor = visit(storage_state=inside_grown, viewport=WINDOW)
    return Clicker(visitor.page, grown_up.home)


def rows(page: Page) -> Locator:
    return page.locator("#rows tbody tr")


def make_a_key(someone: Clicker) -> str:
    page = someone.page
    someone.begin("make a key")
    someone.open("API keys")
    someone.click(page.get_by_role("link", name="Create key"))
    someone.type(page.get_by_role("dialog").get_by_label("Name"), "ten-tasks")
    someone.enter()
    expect(page.get_by_text("Copy this key now.")).to_be_visible()
    return page.locator("#secret").inner_text()


def cap_it(someone: Clicker) -> None:
    page, dialog = someone.page, someone.page.get_by_role("dialog")
    someone.begin("cap it")
    someone.open("API keys")
    someone.click(page.get_by_role("link", name="Set budget for ten-tasks"))
    someone.type(dialog.get_by_label("Budget (USD)"), "12")
    someone.enter()
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("row").filter(has_text="ten-tasks")).to_contain_text("$12")


def call_it_from_python(someone: Clicker, secret: str) -> None:
    """The code of the reference as it stands there."""
    page = someone.page
    someone.begin("call it from Python")
    someone.open("API reference")
    someone.click(page.locator("#example").get_by_role("link", name="Python"))
    expect(page.locator("#code")).to_contain_text("import")
    ran = subprocess.run(
        [sys.executable, "-c", page.locator("#code").inner_text()],
        env={**os.environ, "WEIR_API_KEY": secret},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, bool(ran.stdout.strip())) == (0, True), ran.stderr


def see_the_cost(someone: Clicker, site: Installation) -> None:
    someone.begin("see the cost")
    called = site.row(
        """SELECT r.* FROM usage_usagerecord r JOIN accounts_key k ON k.id = r.key_id
        WHERE k.name = 'ten-tasks' AND r.final"""
    )
    line = someone.page.locator("#home-latest tbody tr").first
    expect(line).to_contain_text("ten-tasks")
    someone.click(line.get_by_role("link"))
    expect(someone.page).to_have_url(re.compile(id_text(called["request_id"])))
    exact = f"{called['charge_nano'] / 10**9:.9f}".rstrip("0")
    expect(someone.page.locator("main")).to_contain_text(exact)


def compare_two_models(someone: Clicker) -> None:
    page = someone.page
    someone.begin("compare two models")
    someone.open("Models")
    for model in (MODEL, ECHO):
        someone.click(page.get_by_role("row").filter(has_text=model).get_by_role("checkbox"))
    someone.click(page.get_by_role("button", name="Compare in playground"))
    someone.type(page.get_by_label("Message", exact=True), "Which one? #tokens=4")
    someone.enter()
    expect(page.locator("[data-role=assistant][data-state=done]")).to_have_count(2)


def find_yesterdays_dearest(someone: Clicker, grown_up: Grown) -> None:
    page = someone.page
    someone.begin("find yesterday's most expensive request")
    someone.open("Requests")
    someone.choose(page.get_by_role("combobox", name="Time range"), "Yesterday")
    expect(page).to_have_url(re.compile("range=yesterday"))
    cost = page.get_by_role("columnheader", name="Cost")
    someone.click(cost.get_by_role("link"))
    expect(cost).to_have_attribute("aria-sort", "descending")
    someone.click(rows(page).first.get_by_role("link").first)
    expect(page).to_have_url(re.compile(grown_up.dearest))
    expect(page.locator("main")).to_contain_text("$3.00")


def export_the_month(someone: Clicker, site: Installation, grown_up: Grown) -> None:
    page = someone.page
    someone.begin("export the month's usage")
    named = page.locator(".stat-label", has_text=re.compile(r"^\s*Requests\s*$"))
    summary = page.locator("#home-summary .stat").filter(has=named)
    someone.click(summary.get_by_role("link"))
    with page.expect_download() as download:
        someone.click(page.get_by_role("link", name="Export", exact=True))
    counted = site.row(
        """SELECT count(*) AS n FROM usage_usagerecord r
        JOIN accounts_organisation o ON o.id = r.organisation_id
        WHERE o.slug = %s AND r.final AND r.admitted_at >= date_trunc('month', now(), 'UTC')""",
        grown_up.slug,
    )
    with download.value.path().open(newline="", encoding="utf-8-sig") as file:
        assert len(list(csv.DictReader(file))) == counted["n"]


def see_why_requests_failed(someone: Clicker) -> None:
    page = someone.page
    someone.begin("see why requests failed")
    causes = page.locator("#home-errors tbody tr")
    expect(causes).to_have_count(2)
    cause = causes.first.get_by_role("link").inner_text().strip()
    someone.click(causes.first.get_by_role("link"))
    expect(rows(page)).to_have_count(2)
    someone.click(rows(page).first.get_by_role("link").first)
    expect(page.locator("main")).to_contain_text(cause)


def find_the_key_that_spends_most(someone: Clicker) -> None:
    page = someone.page
    someone.begin("find the key that spends most")
    first = page.locator("#home-keys tbody tr").first
    expect(first).to_contain_text("spender")
    someone.click(first.get_by_role("link"))
    expect(rows(page).first).to_contain_text("spender")


def redeem_a_code(someone: Clicker, grown_up: Grown) -> None:
    page = someone.page
    someone.begin("redeem a code")
    someone.open("Billing")
    someone.click(page.get_by_role("link", name="Redeem a code").first)
    someone.type(page.get_by_label("Code"), grown_up.code)
    someone.enter()
    expect(page.get_by_text("$5.00 was added.")).to_be_visible()


@pytest.mark.slow
def test_ten_tasks_take_few_clicks(site: Installation, grown_up: Grown, someone: Clicker) -> None:
    secret = make_a_key(someone)
    cap_it(someone)
    call_it_from_python(someone, secret)
    see_the_cost(someone, site)
    compare_two_models(someone)
    find_yesterdays_dearest(someone, grown_up)
    export_the_month(someone, site, grown_up)
    see_why_requests_failed(someone)
    find_the_key_that_spends_most(someone)
    redeem_a_code(someone, grown_up)
    print(someone.table())  # noqa: T201
    assert len(someone.clicks) == 10
    assert sum(someone.clicks.values()) <= CLICKS_MAX, someone.clicks


# Ten further ones ---------------------------------------------------------------------------------

PICTURES = {"images": 40_000_000 * 10**6}


@pytest.fixture
def boss(site: Installation, visit: Visit) -> Clicker:
    """Who owns an organisation and operates the installation."""
    counted = grown(site, "counted", operated=True)
    visitor = visit(viewport=WINDOW)
    visitor.sign_in(counted.link)
    return Clicker(visitor.page, counted.home)


def add_a_channel_and_test_it(boss: Clicker, site: Installation) -> None:
    page = boss.page
    boss.begin("add a channel and test it")
    boss.cross()
    boss.click(page.get_by_role("link", name="Add channel"))
    expect(page.get_by_label("Provider")).to_be_focused()
    with page.expect_response(re.compile("provider=openai_compatible")):
        page.keyboard.type("OpenAI-c")
    expect(page.get_by_label("Base URL")).to_have_value("")
    page.get_by_label("Name").clear()
    boss.type(page.get_by_label("Name"), "counted")
    boss.type(page.get_by_label("Base URL"), site.fake.url)
    boss.type(page.get_by_label("API key"), "sk-fake")
    boss.enter()
    boss.click(page.get_by_role("button", name="Run test"))
    expect(page.locator("#try .panel-head")).to_contain_text("Passed")
    boss.click(page.get_by_role("button", name="Add channel"))
    expect(page.get_by_role("heading", level=1)).to_have_text("counted")


def invite_a_colleague(boss: Clicker) -> None:
    page, dialog = boss.page, boss.page.get_by_role("dialog")
    boss.begin("invite a colleague")
    boss.open("Members")
    boss.click(page.get_by_role("link", name="Invite", exact=True))
    boss.type(dialog.get_by_label("Email addresses"), "counted@example.org")
    boss.click(dialog.get_by_role("button", name="Create invite link"))
    boss.click(dialog.get_by_role("button", name="Copy"))


def give_a_team_a_budget_and_a_lead(boss: Clicker) -> None:
    page, dialog = boss.page, boss.page.get_by_role("dialog")
    boss.begin("a team with a budget and a lead")
    boss.open("Members")
    boss.open_tab("Teams")
    boss.click(page.get_by_role("link", name="Create team"))
    boss.type(dialog.get_by_label("Name"), "Counters")
    boss.enter()
    expect(page.get_by_role("heading", level=1)).to_have_text("Counters")
    boss.click(page.get_by_role("link", name="Set budget"))
    boss.type(dialog.get_by_label("Amount (USD)"), "50")
    boss.enter()
    expect(page.get_by_text("Budget created.")).to_be_visible()
    boss.click(page.get_by_role("button", name=re.compile("^Make lead")).first)
    expect(page.get_by_text("leads Counters.")).to_be_visible()


def fall_back_to_another_model(boss: Clicker, model: str) -> None:
    page = boss.page
    boss.begin("fall back to another model")
    boss.cross()
    boss.open("Model catalogue")
    boss.open_tab("Model rules")
    boss.click(page.get_by_role("link", name="New rule"))
    boss.type(page.get_by_label("Model", exact=True), model)
    boss.enter()
    boss.type(page.get_by_label("Fallback models"), MODEL)
    boss.enter()
    boss.click(page.get_by_role("button", name="Create rule"))
    expect(page.get_by_role("row").filter(has_text=model)).to_contain_text(MODEL)


def change_a_price_from_next_week(boss: Clicker, model: str) -> None:
    """As a draft, whose effect on the last month is previewed."""
    page = boss.page
    boss.begin("a price from next week, previewed")
    boss.cross()
    boss.open("Price book")
    boss.click(page.get_by_role("link", name=model, exact=True))
    first = page.locator("[name=rate]").first
    first.clear()
    boss.type(first, "1.50")
    boss.type(
        page.get_by_label("Starts (UTC)"), f"{clock.now() + dt.timedelta(days=7):%m%d%Y}0900AM"
    )
    boss.click(page.get_by_role("button", name="Save draft"))
    boss.click(page.get_by_role("button", name="Preview"))
    expect(page.get_by_role("heading", name="By model")).to_be_visible()


def code_of(secret: str) -> str:
    """What an authenticator app shows now."""
    counter = next(yield_hotp_counters_from_time())
    return str(format_hotp_value(hotp_value(secret, counter)))


def set_up_two_factor_authentication(boss: Clicker) -> None:
    """Of somebody who came by a link a moment ago, and has no password."""
    page = boss.page
    boss.begin("two-factor authentication")
    boss.click(page.get_by_role("button", name="Account menu"))
    boss.click(page.get_by_role("link", name="Account and security"))
    boss.click(page.get_by_role("link", name="Add app"))
    boss.type(page.get_by_label("Code from the app"), code_of(page.locator("code").inner_text()))
    boss.enter()
    boss.click(page.get_by_role("button", name="I have saved them"))


def make_a_key_for_two_models_and_an_address(boss: Clicker) -> None:
    page, dialog = boss.page, boss.page.get_by_role("dialog")
    boss.begin("a key for two models and an address")
    boss.open("API keys")
    boss.click(page.get_by_role("link", name="Create key"))
    boss.type(dialog.get_by_label("Name"), "two-models")
    models = dialog.get_by_role("combobox", name=re.compile("^Models"))
    boss.type(models, MODEL)
    boss.enter()
    boss.type(models, ECHO)
    boss.enter()
    expect(dialog.locator(".chip")).to_have_count(2)
    boss.click(dialog.get_by_text("Limits", exact=True))
    boss.type(dialog.get_by_label("Allowed networks"), "10.0.0.0/8")
    boss.enter()
    expect(page.get_by_text("Copy this key now.")).to_be_visible()


def make_a_picture(boss: Clicker) -> None:
    page = boss.page
    boss.begin("make a picture")
    boss.open("Images, sound, video")
    boss.type(page.get_by_label("Prompt"), "A paper boat")
    boss.click(page.get_by_role("button", name="Generate"))
    expect(page.locator("article[data-state=done] img")).to_have_count(1)


def disable_the_dearest_key_of_the_week(boss: Clicker) -> None:
    page = boss.page
    boss.begin("disable this week's dearest key")
    boss.open("Usage")
    boss.open_tab("Keys and meters")
    boss.choose(page.get_by_role("combobox", name="Time range"), "Last 7 days")
    expect(page).to_have_url(re.compile("range=7d"))
    boss.click(page.locator("#results tbody tr").first.get_by_role("link"))
    boss.click(page.get_by_role("button", name="Disable"))
    expect(page.get_by_text(re.compile("disabled"))).to_be_visible()


def set_up_single_sign_on(boss: Clicker) -> None:
    page = boss.page
    boss.begin("single sign-on")
    boss.open("Settings")
    boss.open_tab("Single sign-on")
    boss.type(page.get_by_label("Issuer"), "https://login.example.org")
    boss.type(page.get_by_label("Client ID"), "weir")
    boss.type(page.get_by_label("Email domains"), "example.org")
    boss.click(page.get_by_role("button", name="Save"))


@pytest.mark.slow
def test_ten_further_tasks_need_no_syntax(site: Installation, boss: Clicker) -> None:
    site.hub.model(site.fake, rates=PICTURES)
    model = site.hub.model(site.fake)
    add_a_channel_and_test_it(boss, site)
    invite_a_colleague(boss)
    give_a_team_a_budget_and_a_lead(boss)
    fall_back_to_another_model(boss, model)
    change_a_price_from_next_week(boss, model)
    set_up_two_factor_authentication(boss)
    make_a_key_for_two_models_and_an_address(boss)
    make_a_picture(boss)
    disable_the_dearest_key_of_the_week(boss)
    set_up_single_sign_on(boss)
    print(boss.table())  # noqa: T201
    assert len(boss.clicks) == 10
    assert sum(boss.clicks.values()) <= FURTHER_CLICKS_MAX, boss.clicks
