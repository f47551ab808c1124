"""The main job in a real browser: sign in, ask, watch, stop, find the request, its receipt, a key.

The model is the fake provider of tests/fakes, whose `#hold=5` stops an answer after exactly five
words until it is released: what the page shows then is not a matter of time.
"""

import re
from decimal import Context, Decimal
from typing import Any

import openai
import pytest
from playwright.sync_api import Locator, Page, StorageState, expect

from lib.ids import id_text, parse_id
from tests.browser.conftest import Visit
from tests.browser.installation import ADA, BEN, CLEO, MODEL, Installation
from tests.browser.visitor import Visitor, act_on
from tests.fakes.upstream import expected_text

pytestmark = pytest.mark.browser

MARKDOWN = """## The crest

A weir keeps the water **level**: <img src=x onerror="window.pwned = 1"><script>window.pwned = 2\
</script> [click](javascript:window.pwned=3) [docs](https://example.org/weir)

```python
head = 0.4  # <b>metres</b>
```

| Crest | Flow |
|---|---|
| 0.1 m | 0.06 |
"""


def answer(page: Page) -> Locator:
    return page.locator("[data-role=assistant]").last


def blocks(page: Page) -> Locator:
    return answer(page).locator("[data-part=blocks]")


def ended(page: Page, state: str) -> None:
    expect(answer(page)).to_have_attribute("data-state", state)


def ask(page: Page, site: Installation, text: str, model: str = MODEL) -> None:
    """Open the playground and send."""
    page.goto(f"{site.organisation}/playground?m={model}")
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def newest_record(site: Installation) -> dict[str, Any]:
    """The record of the newest answer, once it is written: a page tells of the end before that."""
    run = site.row("SELECT request_id FROM playground_run ORDER BY id DESC LIMIT 1")
    return site.hub.record(id_text(run["request_id"]))


def money(text: str) -> Decimal:
    """The amount in `$0.0000272` or `12.5 out · $0.0000272 (measured)`."""
    match = re.search(r"\$([\d,]+(?:\.\d+)?)", text)
    assert match, text
    return Decimal(match[1].replace(",", ""))


def test_the_one_time_link_signs_in_once_and_signing_out_ends_it(
    site: Installation, visit: Visit
) -> None:
    visitor = visit()
    page, link = visitor.page, site.links[ADA]
    visitor.sign_in(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Make your first request")
    page.get_by_role("button", name="Account menu").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    page.goto(f"{site.organisation}/playground")
    expect(page).to_have_url(re.compile(r"/login\?next=/o/acme/playground"))
    response = page.goto(link)
    assert response is not None
    assert response.status == 410
    expect(page.get_by_role("heading", level=1)).to_have_text("This link is no longer valid")
    assert [line for line in visitor.complaints if "410" not in line] == []
    visitor.complaints.clear()  # Chromium's own word on the page it was refused


@pytest.mark.slow
def test_answer_grows_then_its_request_receipt_and_usage_exist(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    text = "Tell me about rivers. #tokens=12 #hold=5"
    ask(page, site, text)
    whole = expected_text("browser", text, 12)
    expect(blocks(page)).to_have_text(" ".join(whole.split(" ")[:5]))
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_hidden()
    site.fake.release()
    ended(page, "done")
    expect(blocks(page)).to_have_text(whole)
    expect(page.get_by_role("button", name="Send")).to_be_visible()

    # Under the answer: what it took and cost, as the provider counted it.
    footer = answer(page).locator("footer")
    expect(footer).to_contain_text("12 out")
    expect(footer).to_contain_text("measured")
    record = newest_record(site)
    usage = site.fake.wait_for_row(id_text(record["id"]))["usage"]
    assert record["meters"] == {"in_text": usage["prompt_tokens"], "out_text": 12}
    charge = Decimal(record["charge_nano"]).scaleb(-9)
    assert charge == usage["prompt_tokens"] * Decimal("1.25e-6") + 12 * Decimal("10e-6")
    assert money(footer.inner_text()) == charge

    # The request in the log, and its receipt to the last digit.
    request_id = id_text(record["request_id"])
    page.get_by_role("link", name="Requests").first.click()
    row = page.get_by_role("row").filter(has=page.locator(f'a[href*="{request_id}"]'))
    expect(row).to_contain_text(MODEL)
    # Four places in a list; the exact figure is on the page of the request.
    # A row shows the digits that matter.
    shown = money(row.get_by_role("cell").last.inner_text())
    assert shown == Context(prec=4).plus(charge)
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Completed")
    expect(page.locator(".crumb")).to_contain_text(request_id)
    receipt = page.locator("section").filter(has=page.get_by_role("heading", name="Receipt"))
    lines = receipt.get_by_role("table").first.locator("tbody tr").all()
    amounts = [money(line.get_by_role("cell").last.inner_text()) for line in lines]
    assert len(amounts) == 2
    assert sum(amounts) == charge
    charged = receipt.get_by_role("table").first.locator("tfoot td").last
    assert money(charged.inner_text()) == charge
    page.get_by_role("button", name="Recompute").click()
    expect(receipt.get_by_role("status")).to_contain_text("Match")

    # On the dashboard, once the worker has summed up: the day's row leads to the request.
    page.goto(f"{site.organisation}/usage?range=24h&model={MODEL}&metric=requests")
    site.hub.wait(lambda: summed(page, request_id, site), "the request is not on the dashboard")


def summed(page: Page, request_id: str, site: Installation) -> bool:
    """Whether the rollups have come past that request and the page's sum counts it."""
    page.reload()
    counted = site.row(
        "SELECT count(*) AS n FROM usage_usagerecord WHERE final AND model = %s "
        "AND organisation_id = (SELECT id FROM accounts_organisation WHERE slug = %s) "
        "AND admitted_at < (SELECT complete_to FROM usage_rollupwatermark)",
        MODEL,
        site.organisation.removeprefix("/o/"),
    )["n"]
    known = site.row(
        "SELECT admitted_at < (SELECT complete_to FROM usage_rollupwatermark) AS summed "
        "FROM usage_usagerecord WHERE final AND request_id = %s",
        parse_id(request_id),
    )["summed"]
    text = page.locator("#results").inner_text()
    return bool(known) and re.search(rf"Requests\s+{counted}\b", text) is not None


@pytest.mark.slow
def test_a_key_is_shown_once_works_and_is_revoked(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/keys")
    page.get_by_role("link", name="Create key").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("web-prod")
    dialog.get_by_role("button", name="Create key").click()
    expect(dialog).to_contain_text("Copy this key now.")
    secret = dialog.locator("#secret").inner_text()
    assert re.fullmatch(r"sk-weir-[0-9A-Za-z]{38}", secret)
    dialog.get_by_role("link", name="I have saved it").click()
    row = page.get_by_role("row").filter(has_text="web-prod")
    expect(row).to_contain_text("Active")
    for path in ("keys", "keys?state=all", "keys?q=web-prod", ""):
        response = page.goto(f"{site.organisation}/{path}")
        assert response is not None
        assert secret not in response.text()
    page.go_back()
    expect(page.get_by_role("row").filter(has_text="web-prod")).to_be_visible()
    assert secret not in page.content()

    client = site.client(secret)
    message = {"role": "user", "content": "hello #tokens=6"}
    site.hub.wait(lambda: bool(client.models.list().data), "the key is not heard of")
    text = client.chat.completions.create(model=MODEL, messages=[message])  # type: ignore[list-item]
    assert text.choices[0].message.content == expected_text("browser", "hello #tokens=6", 6)

    page.goto(f"{site.organisation}/keys")
    act_on(page, "web-prod", "Revoke")
    revoke = dialog.get_by_role("button", name="Revoke key")
    expect(revoke).to_be_disabled()
    dialog.get_by_label("Type web-prod to confirm").fill("web-prod")
    revoke.click()
    expect(page.get_by_role("row").filter(has_text="web-prod")).to_have_count(0)
    site.hub.wait(lambda: not works(site, secret), "the revoked key still works")
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model=MODEL, messages=[message])  # type: ignore[list-item]
    page.goto(f"{site.organisation}/keys?state=revoked")
    expect(page.get_by_role("row").filter(has_text="web-prod")).to_contain_text("Revoked")


@pytest.mark.slow
def test_a_key_is_rotated_and_the_old_secret_ended(site: Installation, owner: Visitor) -> None:
    """W50: both secrets work, each is told apart, and the old one ends when told to."""
    page, dialog = owner.page, owner.page.get_by_role("dialog")
    page.goto(f"{site.organisation}/keys")
    page.get_by_role("link", name="Create key").click()
    dialog.get_by_label("Name").fill("to-rotate")
    dialog.get_by_role("button", name="Create key").click()
    old = dialog.locator("#secret").inner_text()
    dialog.get_by_role("link", name="I have saved it").click()
    site.hub.wait(lambda: works(site, old), "the key is not heard of")

    act_on(page, "to-rotate", "Rotate")
    dialog.get_by_role("button", name="Rotate key").click()
    expect(dialog).to_contain_text("Copy this key now.")
    expect(dialog).to_contain_text(f"…{old[-4:]} still works until")
    new = dialog.locator("#secret").inner_text()
    dialog.get_by_role("link", name="I have saved it").click()
    row = page.get_by_role("row").filter(has_text="to-rotate")
    expect(row).to_contain_text(f"…{new[-4:]}")
    expect(row).to_contain_text(f"…{old[-4:]}")
    site.hub.wait(lambda: works(site, new), "the new secret is not heard of")
    assert works(site, old)

    act_on(page, "to-rotate", "Rotate")
    dialog.get_by_role("button", name="End it now").click()
    expect(page.get_by_text("Only the newest secret of to-rotate works now.")).to_be_visible()
    expect(row).not_to_contain_text(f"…{old[-4:]}")
    site.hub.wait(lambda: not works(site, old), "the old secret stays")
    assert works(site, new)


def works(site: Installation, secret: str) -> bool:
    try:
        return bool(site.client(secret).models.list().data)
    except openai.AuthenticationError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channel", "text"),
    [
        pytest.param("rivers", "Passed", id="working", marks=pytest.mark.slow),
        pytest.param("dry", "Failed", id="dead"),
    ],
)
def test_a_channel_is_tested_from_its_page(
    site: Installation, owner: Visitor, channel: str, text: str
) -> None:
    page = owner.page
    page.goto("/admin/channels")
    page.get_by_role("link", name=channel).click()
    page.get_by_role("button", name="Run test").click()
    expect(page.locator("#test .panel-head")).to_contain_text(text)
    page.get_by_role("link", name="Channels").first.click()
    expect(page.get_by_role("row").filter(has_text=channel)).to_contain_text(text)


def test_keyboard_goes_from_sign_in_to_the_receipt(site: Installation, visit: Visit) -> None:
    page = visit(viewport={"width": 1280, "height": 900}).page
    page.goto(site.links[BEN])
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/o/acme/")
    tab_to(page, "Playground", at_most=5)
    page.keyboard.press("Enter")
    page.wait_for_url("**/playground")
    # The message box has the focus at once; what one may choose before writing is on the way back.
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.press("Alt+KeyM")
    expect(page.get_by_role("combobox", name="Search models")).to_be_focused()
    page.keyboard.type(MODEL)
    expect(page.locator("[aria-selected=true]")).to_have_attribute("data-name", MODEL)
    page.keyboard.press("Enter")
    expect(page.locator("#chat-model")).to_have_value(MODEL)
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("From the keyboard. #tokens=9 #hold=4")
    page.keyboard.press("Enter")
    expect(blocks(page)).to_have_text(re.compile(r"^\s*(\S+ ){3}\S+\s*$"))
    site.fake.release()
    ended(page, "done")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    # The foot of an answer is drawn a frame after its end.
    expect(answer(page).get_by_role("link", name="Request")).to_be_visible()
    page.keyboard.press("Alt+ArrowUp")
    expect(answer(page)).to_be_focused()
    tab_to(page, "Request", at_most=3)
    newest_record(site)
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests/*")
    tab_to(page, "Recompute", at_most=40)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Match", exact=True)).to_be_visible()
    # The keys of pages wait for the end of a dialog.
    page.keyboard.press("Control+k")
    palette = page.locator("dialog.palette")
    palette.get_by_role("button").first.focus()
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    expect(palette).to_be_hidden()
    expect(page).to_have_url(re.compile(r"/requests/"))
    page.keyboard.press("g")
    page.keyboard.press("k")
    page.wait_for_url("**/keys")


def tab_to(page: Page, name: str, *, at_most: int) -> None:
    """Press Tab until the element of that name has the focus, which must be seen."""
    for _ in range(at_most):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => {
              const one = document.activeElement;
              const { width, height } = one.getBoundingClientRect();
              const style = getComputedStyle(one);
              const ring = style.outlineStyle !== "none" || style.boxShadow !== "none"
                || getComputedStyle(one.parentElement).boxShadow !== "none";
              const name = one.labels?.[0]?.textContent ?? one.getAttribute("aria-label")
                ?? one.textContent;
              return { name: name.trim(), seen: ring && width > 0 && height > 0 };
            }"""
        )
        assert focused["seen"], f"the focus on {focused['name']!r} cannot be seen"
        if focused["name"] == name:
            return
    raise AssertionError(f"{name} is more than {at_most} stops away")


@pytest.mark.slow
def test_pages_and_forms_are_plain_without_scripts(site: Installation, visit: Visit) -> None:
    visitor = visit(java_script_enabled=False)
    page = visitor.page
    visitor.sign_in(site.links[CLEO])
    page.goto(f"{site.organisation}/start")
    expect(page.get_by_role("heading", level=1)).to_have_text("Make your first request")

    page.goto(f"{site.organisation}/playground")
    page.get_by_label("Model", exact=True).select_option(MODEL)
    page.get_by_label("Message", exact=True).fill("Plainly. #tokens=8")
    page.get_by_role("button", name="Send").click()
    expect(blocks(page)).to_have_text(expected_text("browser", "Plainly. #tokens=8", 8))
    newest_record(site)
    answer(page).get_by_role("link", name="Request").click()
    page.get_by_role("button", name="Recompute").click()
    expect(page.get_by_text("Match", exact=True)).to_be_visible()

    page.goto(f"{site.organisation}/keys")
    page.get_by_role("link", name="Create key").click()
    page.get_by_label("Name").fill("plain")
    page.get_by_role("button", name="Create key").click()
    assert page.locator("#secret").inner_text().startswith("sk-weir-")
    page.get_by_role("link", name="I have saved it").click()
    act_on(page, "plain", "Revoke")
    page.get_by_label("Type plain to confirm").fill("plain")
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_role("row").filter(has_text="plain")).to_have_count(0)

    page.goto("/logout")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login"))


@pytest.mark.slow
def test_lists_charts_and_tests_work_without_scripts(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    page = visit(storage_state=signed_in, java_script_enabled=False).page
    page.goto(f"{site.organisation}/requests")
    page.get_by_role("combobox", name="Status").select_option("error")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page).to_have_url(re.compile("status=error"))
    page.goto(f"{site.organisation}/usage")
    page.get_by_role("table", name=re.compile("Cost per day")).wait_for()

    page.goto("/admin/channels")
    page.get_by_role("link", name="rivers").click()
    page.get_by_role("button", name="Run test").click()
    expect(page.locator("#test .panel-head")).to_contain_text("Passed")
