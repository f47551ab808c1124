"""Fields that are chosen from what exists: by keyboard, by mouse, and without scripts."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, StorageState, TimeoutError, expect

from lib.ids import id_text
from tests.browser.conftest import Visit
from tests.browser.installation import ECHO, MODEL, Installation
from tests.browser.visitor import Visitor, findings_in_both_themes, too_wide

pytestmark = pytest.mark.browser
OPTION = ".picks [role=option]"


def picker(page: Page, label: str) -> Locator:
    """The field to type in."""
    return page.get_by_role("combobox", name=re.compile(f"^{re.escape(label)}"))


def chips(page: Page, label: str) -> list[str]:
    field = page.locator(".picker-field").filter(has=picker(page, label))
    texts: list[str] = field.locator(".chip .cut:first-child").all_inner_texts()
    return texts


def key_of(site: Installation, name: str) -> tuple[list[str], list[str]]:
    row = site.row("SELECT model_patterns, endpoints FROM accounts_key WHERE name = %s", name)
    return row["model_patterns"], row["endpoints"]


@pytest.fixture
def form(site: Installation, owner: Visitor) -> Page:
    site.hub.wait(lambda: bool(site.client().models.list().data), "the models are not heard of")
    owner.page.goto(f"{site.organisation}/keys/new")
    return owner.page


def test_models_and_endpoints_are_chosen_by_keyboard(site: Installation, form: Page) -> None:
    form.get_by_label("Name").fill("by keyboard")
    models = picker(form, "Models")
    models.focus()
    form.keyboard.type(MODEL[:5])
    expect(form.get_by_role("option", name=MODEL)).to_be_visible()
    form.keyboard.press("Enter")
    expect(models).to_have_value("")
    form.keyboard.type("riv*")
    expect(form.get_by_role("option", name="riv*")).to_contain_text("1 model")
    form.keyboard.press("Enter")
    # Enter waits for the list of what is typed.
    form.keyboard.type(ECHO)
    form.keyboard.press("Enter")
    expect(form.get_by_role("listitem").filter(has_text=ECHO)).to_be_visible()
    assert chips(form, "Models") == [MODEL, "riv*", ECHO]
    form.keyboard.press("Backspace")
    assert chips(form, "Models") == [MODEL, "riv*"]
    form.keyboard.press("Escape")
    expect(form.get_by_role("listbox")).to_have_count(0)
    form.get_by_text("Limits", exact=True).click()
    picker(form, "Endpoints").focus()
    form.keyboard.press("ArrowDown")
    form.keyboard.type("chat")
    expect(form.locator(OPTION)).to_have_text(["chat_completions/v1/chat/completions"])
    assert findings_in_both_themes(form) == []
    form.keyboard.press("Enter")
    form.keyboard.type("messages ")
    assert chips(form, "Endpoints") == ["chat_completions", "messages"]
    form.keyboard.press("Escape")
    form.keyboard.press("Enter")
    expect(form.get_by_text("Copy this key now")).to_be_visible()
    assert key_of(site, "by keyboard") == ([MODEL, "riv*"], ["chat_completions", "messages"])


def test_enter_never_takes_a_row_of_an_earlier_list(form: Page) -> None:
    """Each text is asked for at once, however late the list of an earlier one comes."""
    held: list[Route] = []
    form.route("**/choices/models?q=", lambda route: held.append(route), times=1)
    with form.expect_request("**/choices/models?q="):
        picker(form, "Models").click()
    with form.expect_request(f"**/choices/models?q={ECHO[0]}"):
        form.keyboard.type(ECHO[0])
    form.keyboard.type(ECHO[1:])
    form.keyboard.press("Enter")
    expect(form.get_by_role("listitem").filter(has_text=ECHO)).to_be_visible()
    assert chips(form, "Models") == [ECHO]
    held.pop().abort()


def test_an_enter_before_its_list_takes_one_row(form: Page) -> None:
    """Pressed once or twice while the list is awaited, it takes the row that it asked for, and none
    of the list that comes after it."""
    held: list[Route] = []
    form.route(f"**/choices/models?q={ECHO}", lambda route: held.append(route), times=1)
    with form.expect_request(f"**/choices/models?q={ECHO}"):
        picker(form, "Models").fill(ECHO)
    form.keyboard.press("Enter")
    form.keyboard.press("Enter")
    assert chips(form, "Models") == []
    # The row that is taken lets the list of all others be asked for.
    with form.expect_response("**/choices/models?q="):
        held.pop().continue_()
    expect(form.locator(".picks:popover-open")).to_have_attribute("data-answers", "")
    assert chips(form, "Models") == [ECHO]


def test_models_are_chosen_and_removed_by_mouse(site: Installation, form: Page) -> None:
    form.get_by_label("Name").fill("by mouse")
    picker(form, "Models").click()
    form.get_by_role("option", name=MODEL).click()
    form.get_by_role("option", name=ECHO).click()
    assert chips(form, "Models") == [MODEL, ECHO]
    form.get_by_role("button", name=f"Remove {MODEL}").click()
    assert chips(form, "Models") == [ECHO]
    form.get_by_role("button", name="Create key").click()
    expect(form.get_by_text("Copy this key now")).to_be_visible()
    assert key_of(site, "by mouse") == ([ECHO], [])


def test_pasted_list_is_accepted_and_its_typo_rejected(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/keys/new")
    page.get_by_label("Name").fill("pasted")
    models = picker(page, "Models")
    models.fill(f"{MODEL}, {MODEL}x")
    expect(models).to_have_value(f"{MODEL}x")
    assert chips(page, "Models") == [MODEL]
    page.get_by_role("button", name="Create key").click()
    error = page.locator(".error")
    expect(error).to_contain_text(f"There is no model named {MODEL}x. Did you mean {MODEL}?")
    expect(models).to_be_focused()
    expect(page.locator(".chip[data-tone=warn]")).to_contain_text("No such model")
    # A browser notes each answer of 422.
    owner.complaints.clear()
    page.get_by_role("button", name=f"Remove {MODEL}x").click()
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy this key now")).to_be_visible()
    assert key_of(site, "pasted") == ([MODEL], [])


def test_page_choice_is_never_half_typed(form: Page) -> None:
    form.get_by_label("Name").fill("half typed")
    form.get_by_text("Limits", exact=True).click()
    picker(form, "Endpoints").fill("chatt")
    expect(form.get_by_text("Nothing matches.")).to_be_visible()
    form.get_by_role("button", name="Create key").click()
    expect(picker(form, "Endpoints")).to_be_focused()
    message = "(field) => field.validationMessage"
    assert picker(form, "Endpoints").evaluate(message) == "Choose from the list."


def test_hostile_text_stays_text(site: Installation, form: Page) -> None:
    for text in ("<img src=x onerror=alert(1)>*", '"><script>alert(1)</script>*', "\u202eשלום🦊*"):
        picker(form, "Models").fill(text.replace(" ", ""))
        expect(form.locator(OPTION).first).to_contain_text("Matches no model now")
        expect(form.locator(OPTION).first).to_contain_text(text.replace(" ", ""))
        form.keyboard.press("Enter")
    assert chips(form, "Models")[0] == "<imgsrc=xonerror=alert(1)>*"
    assert form.locator(".picker-field img, .picker-field script").count() == 0


def test_fields_are_plain_without_scripts(
    site: Installation, visit: Visit, signed_in: StorageState
) -> None:
    page = visit(storage_state=signed_in, java_script_enabled=False).page
    page.goto(f"{site.organisation}/keys/new")
    page.get_by_label("Name").fill("plain")
    page.get_by_label("Models").fill(f"{MODEL} riv*")
    page.get_by_text("Limits", exact=True).click()
    page.get_by_label("Endpoints").select_option(["messages", "rerank"])
    expect(page.locator(".picked").first).to_be_hidden()
    page.get_by_role("button", name="Create key").click()
    expect(page.get_by_text("Copy this key now")).to_be_visible()
    assert key_of(site, "plain") == ([MODEL, "riv*"], ["messages", "rerank"])


def test_pickers_fit_a_phone(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(f"{site.organisation}/keys/new")
    picker(page, "Models").click()
    page.get_by_role("option", name=MODEL).click()
    expect(page.get_by_role("option", name=ECHO)).to_be_visible()
    assert too_wide(page) == ""


def test_rows_are_added_filled_and_removed(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto("/admin/people/sign-up")
    page.get_by_label("Domain", exact=True).fill("rows.example")
    picker(page, "Organisation").fill("acm")
    page.get_by_role("option", name="Acme").click()
    page.get_by_label("Role", exact=True).select_option("viewer")
    page.get_by_role("button", name="Add row").click()
    expect(page.get_by_label("Domain", exact=True)).to_have_count(2)
    expect(page.get_by_label("Domain", exact=True).nth(1)).to_be_focused()
    page.keyboard.type("gone.example")
    assert findings_in_both_themes(page) == []
    page.get_by_role("button", name="Remove row").nth(1).click()
    expect(page.get_by_role("button", name="Add row")).to_be_focused()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Settings saved.")).to_be_visible()
    expect(page.get_by_label("Domain", exact=True).first).to_have_value("rows.example")
    expect(page.locator(".chip").first).to_contain_text("Acme")
    page.get_by_role("button", name="Remove row").first.click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Domain", exact=True)).to_have_value("")


def test_control_accepts_no_click_before_its_script_ran(site: Installation, owner: Visitor) -> None:
    page = owner.page
    held: list[Route] = []
    page.route("**/js/picker*.js", lambda route: held.append(route), times=1)
    page.goto("/admin/people/sign-up", wait_until="commit")
    add = page.get_by_role("button", name="Add row")
    add.wait_for()
    with pytest.raises(TimeoutError, match="intercepts pointer events"):
        add.click(timeout=1_000)
    held.pop().continue_()
    add.click()
    expect(page.get_by_label("Domain", exact=True)).to_have_count(2)


def test_budget_offers_the_subjects_of_its_scope(site: Installation, owner: Visitor) -> None:
    page = owner.page
    page.goto(f"{site.organisation}/budgets/new")
    scope, subject = page.get_by_label("Applies to", exact=True), page.locator("[data-subject]")
    expect(subject).to_be_hidden()
    for value, label in (("key", "API key"), ("customer", "End customer"), ("team", "Team")):
        scope.select_option(value)
        expect(subject.get_by_role("combobox")).to_have_accessible_name(label)
    picker(page, "Team").click()
    page.locator(OPTION).first.click()
    assert chips(page, "Team") == ["core"]
    scope.select_option("model")
    expect(picker(page, "Team")).to_have_count(0)
    assert chips(page, "Model") == []
    picker(page, "Model").fill(f"{MODEL[:4]}*")
    expect(page.locator(OPTION).first).to_contain_text("1 model")
    page.keyboard.press("Enter")
    page.get_by_label("Period", exact=True).select_option("week")
    page.get_by_label("Resets on", exact=True).select_option("Sunday")
    picker(page, "Time zone").fill("berl")
    page.keyboard.press("Enter")
    page.get_by_label("Amount (USD)").fill("1000")
    page.get_by_role("button", name="Create budget").click()
    expect(page.get_by_role("link", name=f"{MODEL[:4]}*")).to_be_visible()
    row = site.row("SELECT * FROM billing_budget WHERE subject = %s", f"{MODEL[:4]}*")
    assert (row["period"], row["anchor"], row["timezone"]) == ("week", 6, "Europe/Berlin")


def test_organisations_of_an_offer_are_chosen_by_name(site: Installation, owner: Visitor) -> None:
    page = owner.page
    row = site.row("SELECT id FROM gateway_channel WHERE enabled ORDER BY id LIMIT 1")
    page.goto(f"/admin/channels/{id_text(row['id'])}/own-keys")
    field = picker(page, "Chosen organisations")
    field.focus()
    page.keyboard.type("acm")
    expect(page.get_by_role("option", name="Acme")).to_be_visible()
    page.keyboard.press("Enter")
    expect(field).to_have_value("")
    assert chips(page, "Chosen organisations") == ["Acme"]
    assert page.locator("[name=organisations]").input_value() == "acme"
