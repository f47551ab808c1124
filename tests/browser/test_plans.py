"""Subscription plans: an operator makes one, an organisation changes to it knowing the amounts."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.installation import Installation
from tests.browser.visitor import Visitor, findings, too_wide

pytestmark = pytest.mark.browser


def test_a_plan_is_made_offered_and_chosen(site: Installation, owner: Visitor) -> None:
    page, ours = owner.page, f"{site.organisation}/billing/plan"
    page.goto("/admin/subscription-plans")
    page.get_by_role("link", name="Create subscription plan").click()
    page.locator("[name=name]").fill("River")
    page.locator("[name=price]").fill("0.30")
    page.locator("[name=included]").fill("0.60")
    page.locator("[name=overage]").select_option("balance")
    page.locator("[name=description]").fill("For small streams")
    page.get_by_role("button", name="Create subscription plan").click()
    row = page.get_by_role("row", name=re.compile("River"))
    expect(row).to_contain_text("Draft")
    page.get_by_role("button", name="Actions for River", exact=True).click()
    page.locator(".menu:popover-open").get_by_role("button", name="Offer").click()
    expect(row).to_contain_text("Offered")
    assert findings(page) == []
    page.goto(ours)
    page.get_by_role("button", name="Choose River").click()
    preview = page.get_by_role("region", name="Change to River")
    expect(preview).to_contain_text("Days charged")
    assert findings(page) == []
    preview.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("Current plan")).to_be_visible()
    page.set_viewport_size({"width": 360, "height": 740})
    owner.speak("zh-hans")
    page.goto(ours)
    expect(page.locator("html")).to_have_attribute("lang", "zh-hans")
    expect(page.get_by_text("River").first).to_be_visible()
    assert (findings(page), too_wide(page)) == ([], "")
    assert owner.complaints == []
