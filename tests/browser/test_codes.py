"""Redemption codes from their making to their file (W75)."""

import csv

import pytest
from playwright.sync_api import expect

from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser


def test_a_batch_is_active_once_its_codes_are_downloaded(owner: Visitor) -> None:
    """The page says so itself: the download leaves it where it is."""
    page = owner.page
    page.goto("/admin/codes")
    page.get_by_role("link", name="Create batch").click()
    page.locator("#id_name").fill("Autumn")
    page.locator("#id_value").fill("5")
    page.locator("#id_count").fill("3")
    page.get_by_role("button", name="Create batch").click()
    row = page.get_by_role("row").filter(has_text="Autumn")
    expect(row).to_contain_text("Not downloaded")
    menu = row.get_by_role("button", name="Actions for Autumn")
    menu.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download (once)").click()
    with download.value.path().open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    expect(row).to_contain_text("Active")
    menu.click()
    expect(page.get_by_role("button", name="Download (once)")).to_have_count(0)
    expect(page.get_by_role("link", name="Disable")).to_be_visible()
    expect(page).to_have_url("/admin/codes")
