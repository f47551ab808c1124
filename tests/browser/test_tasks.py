"""The ten things that people come for, from the home page, by clicks that are counted
(clicker.py)."""

import csv
import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import Locator, Page, StorageState, ViewportSize, expect

from lib.ids import id_text
from tests.browser.clicker import Clicker
from tests.browser.conftest import Visit
from tests.browser.grown import SLUG, Grown
from tests.browser.installation import ECHO, MODEL, Installation

pytestmark = pytest.mark.browser

CLICKS_MAX = 22
WINDOW: ViewportSize = {"width": 1280, "height": 900}


@pytest.fixture
def someone(visit: Visit, inside_grown: StorageState, grown_up: Grown) -> Clicker:
    visitor = visit(storage_state=inside_grown, viewport=WINDOW)
    return Clicker(visitor.page, grown_up.home)


def rows(page: Page) -> Locator:
    return page.locator("#rows tbody tr")


def make_a_key(someone: Clicker) -> None:
    page = someone.page
    someone.begin("make a key")
    someone.open("API keys")
    someone.click(page.get_by_role("link", name="Create key"))
    someone.type(page.get_by_role("dialog").get_by_label("Name"), "ten-tasks")


def cap_it(someone: Clicker) -> str:
    """In the form that makes it."""
    page = someone.page
    someone.go_on("cap it")
    someone.type(page.get_by_role("dialog").get_by_label("Budget (USD)"), "12")
    someone.enter()
    expect(page.get_by_text("Copy this key now.")).to_be_visible()
    secret = page.locator("#secret").inner_text()
    page.goto(page.url)
    expect(page.get_by_role("row").filter(has_text="ten-tasks")).to_contain_text("$12")
    return secret


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


def export_the_month(someone: Clicker, site: Installation) -> None:
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
        SLUG,
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
    make_a_key(someone)
    secret = cap_it(someone)
    call_it_from_python(someone, secret)
    see_the_cost(someone, site)
    compare_two_models(someone)
    find_yesterdays_dearest(someone, grown_up)
    export_the_month(someone, site)
    see_why_requests_failed(someone)
    find_the_key_that_spends_most(someone)
    redeem_a_code(someone, grown_up)
    print(someone.table())  # noqa: T201
    assert len(someone.clicks) == 10
    assert sum(someone.clicks.values()) <= CLICKS_MAX, someone.clicks
