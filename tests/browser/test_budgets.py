"""More of a budget, from the error to the approval, on a telephone (W54)."""

import datetime as dt
import json
import re
from typing import Any

import openai
import pytest
from playwright.sync_api import ViewportSize, expect

from lib import clock
from tests.browser.installation import MODEL, Installation
from tests.browser.visitor import Visitor, too_wide

TELEPHONE: ViewportSize = {"width": 360, "height": 740}


def call(site: Installation, customer: str) -> Any:
    with site.client() as client:
        return client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "#tokens=5"}],
            max_tokens=50,
            extra_headers={"x-weir-labels": json.dumps({"customer": customer})},
        )


def has_models(site: Installation) -> bool:
    with site.client() as client:
        return bool(client.models.list().data)


@pytest.mark.slow
def test_increase_is_requested_approved_on_a_phone_and_expires(
    site: Installation, owner: Visitor
) -> None:
    site.hub.wait(lambda: has_models(site), "the models are not heard of")
    page, requests = owner.page, f"{site.organisation}/budgets/requests"
    page.set_viewport_size(TELEPHONE)
    page.goto(f"{site.organisation}/budgets/new")
    page.get_by_label("Applies to", exact=True).select_option("customer")
    page.get_by_label("End customer").fill("phone-1")
    page.get_by_label("Amount (USD)").fill("0.0001")
    at_limit = page.get_by_label("When the limit is reached")
    at_limit.select_option("warn")
    expect(page.get_by_text("Past requests are shown only for a budget that")).to_be_visible()
    at_limit.select_option("block")
    expect(page.get_by_text("Would have blocked 0 of 0 requests")).to_be_visible()
    page.get_by_role("button", name="Create budget").click()
    expect(page.get_by_role("link", name="phone-1")).to_be_visible()
    with pytest.raises(openai.APIStatusError) as refused:
        call(site, "phone-1")
    assert refused.value.status_code == 402
    link = re.search(r"Request more: (\S+/b/(\d+))", refused.value.message)
    assert link is not None, refused.value.message
    page.goto(link[1])
    assert page.url == f"{site.url}{site.organisation}/budgets/{link[2]}"
    page.goto(f"{requests}?budget={link[2]}")
    page.get_by_label("Additional amount (USD)").fill("1")
    tomorrow = clock.now().date() + dt.timedelta(days=1)
    page.get_by_label("Until (end of day)").fill(tomorrow.isoformat())
    page.get_by_role("textbox", name="Reason", exact=True).fill("a launch")
    page.get_by_role("button", name="Request more").click()
    row = page.get_by_role("row").filter(has_text="phone-1")
    expect(row).to_contain_text("Pending")
    expect(row).to_contain_text("$1.00")
    assert too_wide(page) == ""
    row.get_by_role("link").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("→ $1.00")
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog).to_contain_text("Approved")
    dialog.get_by_role("button", name="Close").click()
    # The list below has followed, where it stood.
    expect(row).to_contain_text("Approved")
    assert page.url == f"{site.url}{requests}"
    assert call(site, "phone-1").choices[0].finish_reason == "stop"
    site.hub.connection.execute(
        "UPDATE billing_budget SET raised_until = now() WHERE id = %s", [link[2]]
    )
    with pytest.raises(openai.APIStatusError) as refused:
        call(site, "phone-1")
    assert refused.value.status_code == 402
    # The worker writes it down.
    ended = "SELECT state FROM billing_budgetraise WHERE budget_id = %s"
    site.hub.wait(lambda: site.row(ended, link[2])["state"] == "ended", "it does not end")
