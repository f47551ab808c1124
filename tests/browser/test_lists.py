"""Lists as people use them: with a mouse, from the keyboard, on a telephone, without scripts."""

import re

import pytest
from playwright.sync_api import Page, Route, StorageState, ViewportSize, expect

from tests.browser.conftest import Visit
from tests.browser.installation import MODEL, Installation, mint_keys
from tests.browser.visitor import Visitor, findings, too_wide

pytestmark = pytest.mark.browser

TELEPHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture(scope="module", autouse=True)
def _some_life(site: Installation) -> None:
    client = site.client()
    site.hub.wait(lambda: bool(client.models.list().data), "the models are not heard of")
    for n in range(3):
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": f"{n} #tokens=5"}]
        )
    # What a request leaves is written behind its answer.
    written = "SELECT 1 FROM usage_usagerecord WHERE final AND status = 200"
    site.hub.wait(lambda: len(site.hub.rows(written)) >= 3, "the records are missing")


def make_keys(site: Installation, *names: str) -> None:
    """Keys of the organisation that nobody has asked for by a form."""
    site.beside.call(mint_keys, *names)


def names_of(page: Page) -> list[str]:
    return page.locator("#rows tbody th").all_inner_texts()


@pytest.mark.slow
def test_a_head_sorts_and_shift_adds_another(site: Installation, owner: Visitor) -> None:
    page = owner.page
    make_keys(site, "list-b", "list-a")
    page.goto(f"{site.organisation}/keys?q=list-")
    assert names_of(page) == ["list-a", "list-b"]
    name = page.get_by_role("columnheader", name="Name")
    name.get_by_role("link").click()
    expect(name).to_have_attribute("aria-sort", "ascending")
    expect(page).to_have_url(re.compile(r"\?q=list-&sort=name$"))
    expect(name.get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(name).to_have_attribute("aria-sort", "descending")
    assert names_of(page) == ["list-b", "list-a"]
    spent = page.get_by_role("columnheader", name="This month")
    spent.get_by_role("link").click(modifiers=["Shift"])
    expect(spent).to_have_attribute("aria-sort", "descending")
    expect(name).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile(r"sort=-name%2C-spent"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"sort=-name$"))
    expect(name).to_have_attribute("aria-sort", "descending")


def test_filters_apply_immediately_and_chips_remove_them(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    make_keys(site, "filter-one")
    page.goto(f"{site.organisation}/keys?sort=name")
    search = page.get_by_role("searchbox", name="Name, key or owner")
    search.press_sequentially("filter-o")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(search).to_be_focused()
    expect(search).to_have_value("filter-o")
    expect(page).to_have_url(re.compile("q=filter-o&sort=name"))
    # A key that is changed renews the rows of this search, not of the page as it was opened.
    with page.expect_response(re.compile("q=filter-o")):
        page.evaluate("document.body.dispatchEvent(new Event('keys-changed'))")
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    expect(search).to_have_value("filter-o")
    page.get_by_role("combobox", name="Status").select_option("disabled")
    expect(page.get_by_text("Nothing matches these filters")).to_be_visible()
    page.get_by_role("link", name="Remove filter: Status").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear all").click()
    expect(page).to_have_url(re.compile(r"keys\?sort=name$"))


def test_a_date_is_typed_whole_before_the_list_follows(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.clock.install()
    page.goto(f"{site.organisation}/audit")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#f-since").focus()
    # Each digit of the year makes a date.
    for key in "11302026":
        page.keyboard.press(key)
        page.clock.run_for(300)
    expect(page).to_have_url(re.compile("since=2026-11-30"))
    assert len([url for url in asked if "since=" in url]) == 1


def test_a_filter_with_several_values_is_kept_until_it_changes(
    site: Installation, owner: Visitor
) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/requests?model=one&model=two&status=error")
    chips = page.get_by_role("link", name="Remove filter: Model")
    expect(chips).to_have_count(2)
    page.get_by_role("combobox", name="Time range").select_option("30d")
    expect(page).not_to_have_url(re.compile("requests.model=one&model=two&status=error$"))
    expect(chips).to_have_count(2)
    page.get_by_role("combobox", name="Model").select_option("")
    expect(chips).to_have_count(0)
    expect(page.get_by_role("link", name="Remove filter: Status")).to_have_count(1)


def test_filters_of_requests_stay_in_one_row(site: Installation, owner: Visitor) -> None:
    """Beside the buttons of the list, in a window of a common laptop; the rest is behind one."""
    page = owner.page
    for language in ("zh-hans", "en"):
        owner.speak(language)
        for width in (1280, 1440):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(f"{site.organisation}/requests")
            tops = page.locator(
                ".filters > :not([hidden]), .filters-more > *, .table-tools .btn"
            ).evaluate_all(
                "(all) => all.filter((one) => one.checkVisibility()).map("
                "(one) => Math.round(one.getBoundingClientRect().top))"
            )
            assert len(tops) > 8, tops
            assert len(set(tops)) == 1, (language, width, tops)
    for label in ("Columns", "Export"):
        expect(page.locator(".table-tools").get_by_text(label, exact=True)).to_be_visible()
    page.get_by_role("button", name="More filters").click()
    expect(page.locator("#filters-rest").get_by_label("Guards")).to_be_visible()


def test_keyboard_walk_through_a_filter_requests_once(site: Installation, owner: Visitor) -> None:
    """Each answer replaces the page's list, and would be in the way of the next key."""
    page = owner.page
    page.goto(f"{site.organisation}/keys")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.headers.get("hx-request", "")))
    page.get_by_role("combobox", name="Status").evaluate(
        """(select) => {
          for (const { value } of select.options) {
            select.value = value;
            select.dispatchEvent(new Event("change", { bubbles: true }));
          }
        }"""
    )
    page.wait_for_url("**/keys?state=*")
    assert asked.count("true") == 1


def test_the_readers_own_time_zone_is_offered_first(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    """One that the pages do not offer; what is chosen stays chosen."""
    zone, label = "America/La_Paz", "America/La Paz"
    page = visit(storage_state=signed_in, timezone_id=zone).page
    page.goto(f"{site.organisation}/usage")
    more = page.get_by_role("button", name="More filters")
    more.click()
    choice = page.get_by_role("combobox", name="Time zone")
    first = choice.locator("option").first
    expect(first).to_have_text(f"{label} (your browser)")
    expect(choice).to_have_value("UTC")
    choice.select_option(zone)
    expect(page).to_have_url(re.compile(f"tz={zone.replace('/', '(/|%2F)')}"))
    more.click()
    expect(choice).to_have_value(zone)
    expect(first).to_have_text(f"{label} (your browser)")
    page.goto(f"{site.organisation}/budgets/new")
    expect(page.locator("[name=timezone] option").first).to_have_attribute("value", zone)


def test_all_rows_are_selected_even_with_a_late_script(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    page, late = visit(storage_state=signed_in).page, list[Route]()
    page.route("**/js/work.*", lambda route: late.append(route))
    page.goto(f"{site.organisation}/keys", wait_until="commit")
    # It takes no click yet, but it can be ticked by keyboard.
    page.locator("[data-tick-all]").press("Space")
    row = page.locator("[name=id]").first
    expect(row).not_to_be_checked()
    late[0].continue_()
    expect(row).to_be_checked()


def test_columns_are_chosen_and_stay(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/requests")
    page.get_by_role("button", name="Columns").click()
    menu = page.locator("#columns")
    menu.get_by_role("checkbox", name="Request ID").check()
    menu.get_by_role("button", name="Move Model up").click()
    menu.get_by_role("button", name="Move Model up").click()
    assert findings(page) == []
    menu.get_by_role("button", name="Apply").click()
    heads = page.locator("thead th")
    expect(heads.first).to_have_text("Model")
    expect(page.get_by_role("columnheader", name="Request ID")).to_be_visible()
    page.goto(f"{site.organisation}/requests")
    expect(heads.first).to_have_text("Model")
    assert too_wide(page) == ""
    page.get_by_role("button", name="Columns").click()
    menu.get_by_role("button", name="Reset").click()
    expect(heads.first).to_have_text("Time")


def test_a_click_in_a_row_opens_what_its_name_opens(site: Installation, owner: Visitor) -> None:
    """Not on a control of the row, and not while text in it is marked."""
    page = owner.page
    make_keys(site, "row-a")
    page.goto(f"{site.organisation}/keys?q=row-a")
    row = page.locator("#rows tbody tr")
    row.get_by_role("checkbox").check()
    expect(page).to_have_url(re.compile(r"/keys\?q=row-a$"))
    row.get_by_role("checkbox").uncheck()
    cell = row.locator("td.n").first
    page.evaluate("cell => getSelection().selectAllChildren(cell)", cell.element_handle())
    cell.dispatch_event("click")
    expect(page).to_have_url(re.compile(r"/keys\?q=row-a$"))
    page.evaluate("getSelection().removeAllRanges()")
    cell.click()
    expect(page).to_have_url(re.compile(r"/keys/[0-9A-Z]{26}"))
    expect(page.locator("h1")).to_contain_text("row-a")


@pytest.mark.slow
def test_the_page_scrolls_and_the_head_stays(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.set_viewport_size({"width": 1280, "height": 320})
    for path in ("requests", "keys"):
        page.goto(f"{site.organisation}/{path}")
        page.evaluate("document.querySelector('main').style.paddingBottom = '300vh'")
        page.evaluate("document.querySelector('#rows').scrollIntoView(true)")
        page.evaluate("scrollBy(0, 160)")
        inner = "node => getComputedStyle(node).overflowY"
        assert page.locator(".tbl").evaluate(inner) == "clip"
        top = page.locator("thead th").first.bounding_box()
        head = page.locator("header.head").bounding_box()
        assert top is not None
        assert head is not None
        assert top["y"] <= head["height"] + 1
        assert too_wide(page) == ""


@pytest.mark.slow
def test_each_row_is_a_card_on_a_phone(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.set_viewport_size(TELEPHONE)
    for path in ("requests", "keys"):
        page.goto(f"{site.organisation}/{path}")
        assert too_wide(page) == ""
        cards = page.locator("#rows tbody tr")
        heights = [card.evaluate("(node) => node.offsetHeight") for card in cards.all()]
        assert len(set(heights)) == 1, path
        assert 44 <= heights[0] <= 72
        for card in cards.all():
            money = card.locator("[data-card=money]")
            expect(money).to_be_visible()
            expect(money).to_have_text(re.compile(r"^(<?\$\d|–)"))
        more = page.locator("#filters-more")
        expect(more).to_be_hidden()
        page.get_by_role("button", name="Filters").click()
        expect(more).to_be_visible()
        assert too_wide(page) == ""
    page.goto(f"{site.organisation}/requests")
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Status").select_option("ok")
    expect(page).to_have_url(re.compile("status=ok"))
    expect(page.locator("#filters-more")).to_be_visible()
    page.locator("#rows tbody tr").first.click(position={"x": 20, "y": 12})
    page.wait_for_url("**/requests/*")


@pytest.mark.slow
def test_list_works_without_scripts(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    page = visit(storage_state=signed_in, java_script_enabled=False).page
    page.goto(f"{site.organisation}/keys")
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute(
        "aria-sort", "ascending"
    )
    page.get_by_role("combobox", name="Status").select_option("all")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page).to_have_url(re.compile("state=all&stale=&sort=name"))
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("button", name="Move Key up").click()
    expect(page.locator("thead th").nth(1)).to_have_text("Key")
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("thead th").nth(1)).to_have_text("Name")
    page.locator("#rows tbody tr", has_text="known").get_by_role("checkbox").check()
    expect(page.get_by_role("button", name="Disable")).to_be_visible()


def test_displayed_list_is_exported(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/requests?status=ok&sort=-cost")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export", exact=True).click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("time,status,model,key,")
    assert len(lines) >= 4
