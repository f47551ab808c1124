"""Eleven more things that people come for, each from the home page. What exists is picked, and what
is typed is plain: a name, an amount, an address; no task has a syntax or needs a page's source."""

import datetime as dt
import re
from itertools import count

import pytest
from playwright.sync_api import Browser, Locator, Page, StorageState, ViewportSize, expect

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Organisation, Role, User
from accounts.sign_in.sign_in import make_sign_in_link
from billing.invoices.billing_details import set_seller
from lib import clock
from tests.accounts.factors import App
from tests.browser.clicker import Clicker
from tests.browser.conftest import Visit, state_of
from tests.browser.grown import Grown, grown
from tests.browser.identity_provider import CLIENT, SECRET, real_provider
from tests.browser.installation import ECHO, MODEL, Installation
from tests.support.invoicing import empty_invoice, mid_month

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SLUG = "lately"
EMAIL, SECOND, LEAD, NEW = (f"{name}@example.org" for name in (SLUG, "second", "lead", "new"))
WINDOW: ViewportSize = {"width": 1280, "height": 900}
# A word, an amount, a time, an address of the internet: nothing that one has to learn.
PLAIN = re.compile(r"[\w .@:/-]+")
PICTURES = {"images": 40_000_000 * 10**6}


def furnish() -> str:
    """In a process of the installation: the owner operates it, as does a second person, whose
    sign-in link this is; the invoice of the last month is drafted; somebody is in one team."""
    owner = User.objects.get(email=EMAIL)
    second = members.add_person(SECOND, actor=SYSTEM)
    User.objects.filter(id__in=[owner.id, second.id]).update(operator=True)
    organisation = Organisation.objects.get(slug=SLUG)
    set_seller(SYSTEM, legal_name="Weir Operations Ltd", address="1 Lock Lane", country="IE")
    empty_invoice(organisation, month=mid_month().date().replace(day=1))
    teams = list(organisation.teams.all())
    members.set_member(organisation, LEAD, Role.DEVELOPER, actor=SYSTEM, teams=teams)
    return make_sign_in_link(second)


def link_of_a_newcomer() -> str:
    """In a process of the installation: somebody who has neither a password nor a factor."""
    organisation = Organisation.objects.get(slug=SLUG)
    user = members.set_member(organisation, NEW, Role.DEVELOPER, actor=SYSTEM).user
    return make_sign_in_link(user)


class Task(Clicker):
    """One task; what is typed is plain."""

    def __init__(self, page: Page, home: str, task: str) -> None:
        super().__init__(page, home)
        self.begin(task)

    def type(self, place: Locator, text: str) -> None:
        assert PLAIN.fullmatch(text), text
        super().type(place, text)

    def type_next(self, text: str) -> None:
        """Into the field that the tab key leads to."""
        assert PLAIN.fullmatch(text), text
        self.page.keyboard.press("Tab")
        self.page.keyboard.type(text)

    def pick(self, label: str, *names: str) -> None:
        """From a list that is searched by typing."""
        place = self.page.get_by_role("combobox", name=re.compile(f"^{label}"))
        for name in names:
            self.type(place, name)
            expect(self.page.get_by_role("option", name=name).first).to_be_visible()
            self.enter()

    def press(self, name: str) -> None:
        """A button or a link of that name: of the dialog where one is open."""
        dialog = self.page.get_by_role("dialog")
        within = dialog if dialog.count() else self.page.locator("main")
        named = [within.get_by_role(role, name=name, exact=True) for role in ("button", "link")]
        self.click(named[0].or_(named[1]).first)

    def open_installation(self, name: str = "") -> None:
        """The other side of the menu."""
        self.click(self.page.locator(".head").get_by_role("link", name="Installation"))
        if name:
            self.open(name)

    def took(self, at_most: int) -> None:
        """No more clicks than that."""
        print(self.table().splitlines()[0])  # noqa: T201
        assert sum(self.clicks.values()) <= at_most, self.clicks


@pytest.fixture(scope="module")
def recent(site: Installation) -> Grown:
    return grown(site, SLUG)


@pytest.fixture(scope="module")
def second_link(site: Installation, recent: Grown) -> str:
    return site.beside.call(furnish)


@pytest.fixture(scope="module")
def inside(site: Installation, browser: Browser, recent: Grown, second_link: str) -> StorageState:
    """The state of a browser in which the owner, who is also an operator, is signed in."""
    return state_of(browser, site.url, recent.link)


@pytest.fixture
def page(visit: Visit, inside: StorageState) -> Page:
    return visit(storage_state=inside, viewport=WINDOW).page


def test_a_channel_is_added_and_tested(site: Installation, page: Page, recent: Grown) -> None:
    someone = Task(page, recent.home, "add a channel and test it")
    someone.open_installation()
    someone.press("Add channel")
    someone.choose(page.get_by_label("Provider"), "OpenAI-compatible server")
    expect(page.get_by_label("Base URL")).to_have_value("")
    someone.type(page.get_by_label("Base URL"), site.fake.url)
    someone.type_next("sk-fake")
    someone.enter()
    expect(page.locator("#found tbody tr")).to_have_count(3)
    someone.press("Run test")
    expect(page.locator("#try .panel-head")).to_contain_text("Passed")
    someone.press("Add channel")
    page.wait_for_url(re.compile(r"/admin/channels/[0-9A-Z]{26}$"))
    someone.took(7)


def test_a_colleague_is_invited_and_gets_a_key(page: Page, recent: Grown, visit: Visit) -> None:
    someone = Task(page, recent.home, "invite a colleague, with a key in a team")
    someone.open("Members")
    someone.press("Invite")
    someone.type(page.get_by_role("dialog").get_by_label("Email addresses"), "mate@example.org")
    someone.press("Create invite link")
    link = page.locator(".secret code").inner_text()
    someone.press("Copy")
    accept(visit().page, link)
    page.goto(page.url)
    someone.open("API keys")
    someone.press("Create key")
    someone.type(page.get_by_role("dialog").get_by_label("Name"), "of-a-mate")
    someone.choose(page.get_by_role("dialog").get_by_label("Owner"), "mate@example.org")
    someone.press("Create key")
    expect(page.get_by_text("Copy this key now.")).to_be_visible()
    someone.took(9)


def accept(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_role("link", name="Create an account").click()
    expect(page.get_by_label("Email")).to_have_value("mate@example.org")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("button", name="Accept invitation").click()
    page.wait_for_url(f"**/o/{SLUG}/**")


def test_a_team_gets_a_budget_and_a_lead(page: Page, recent: Grown) -> None:
    someone = Task(page, recent.home, "make a team with a budget and a lead")
    someone.open("Teams")
    someone.press("Create team")
    someone.type(page.get_by_role("dialog").get_by_label("Name"), "Growth")
    someone.enter()
    expect(page.get_by_role("heading", level=1)).to_have_text("Growth")
    someone.press("Set budget")
    someone.type(page.get_by_role("dialog").get_by_label("Amount (USD)"), "50")
    someone.enter()
    expect(page.get_by_text("Budget created.")).to_be_visible()
    someone.press("Add member")
    someone.choose(page.get_by_role("dialog").get_by_label("Member"), f"{LEAD} · Developer")
    someone.press("Add member")
    expect(page.get_by_text(f"{LEAD} was added to Growth.")).to_be_visible()
    row = page.get_by_role("row").filter(has_text=LEAD)
    lead = row.get_by_role("button", name="Make lead")
    # In sight, at the width of a small laptop.
    region = row.locator("xpath=ancestor::div[@role='group']")
    assert region.evaluate("(node) => node.scrollWidth <= node.clientWidth")
    someone.click(lead)
    expect(row).to_contain_text("Lead")
    someone.took(8)


def test_a_model_falls_back_to_another(page: Page, recent: Grown) -> None:
    someone = Task(page, recent.home, "let a model fall back to another")
    someone.open_installation("Model catalogue")
    someone.press("Rules and fallbacks")
    someone.press("New rule")
    someone.type(page.get_by_label("Model", exact=True), MODEL)
    someone.pick("Fallback models", ECHO)
    someone.press("Create rule")
    expect(page.get_by_role("row").filter(has_text=MODEL)).to_contain_text(ECHO)
    page.get_by_role("link", name=MODEL, exact=True).click()
    page.get_by_role("button", name="Delete rule").click()
    someone.took(7)


def test_the_last_month_is_invoiced(
    page: Page, recent: Grown, visit: Visit, second_link: str
) -> None:
    someone = Task(page, recent.home, "propose the invoice of the last month")
    someone.open_installation("Accounting")
    someone.click(page.get_by_role("row").filter(has_text="Lately").get_by_role("link").first)
    wait_for_checks(page)
    someone.press("Propose")
    expect(page.get_by_text("Another operator has to close it.")).to_be_visible()
    someone.took(4)
    visitor = visit(viewport=WINDOW)
    visitor.page.goto(second_link)
    visitor.page.get_by_role("button", name="Sign in").click()
    visitor.page.wait_for_load_state()
    other = Task(visitor.page, "/", "close it")
    other.open("Accounting")
    other.click(other.page.get_by_role("row").filter(has_text="Lately").get_by_role("link").first)
    other.press("Close")
    expect(other.page.get_by_text(f"by {EMAIL} and {SECOND}")).to_be_visible()
    other.took(3)


def wait_for_checks(page: Page) -> None:
    """Until the job of each minute has looked at the books."""
    for _ in count():
        if page.get_by_role("button", name="Propose").is_enabled():
            return
        assert page.get_by_text("A ledger check failed").count() == 0
        page.wait_for_timeout(1000)
        page.reload()


def next_monday() -> dt.date:
    today = clock.now().date()
    return today + dt.timedelta(days=7 - today.weekday())


def test_a_price_from_monday_is_previewed(page: Page, recent: Grown) -> None:
    someone = Task(page, recent.home, "price a model from Monday, and preview it")
    someone.open_installation("Price book")
    someone.type(page.get_by_role("searchbox", name="Model, tier or channel"), MODEL)
    someone.click(page.get_by_role("row").filter(has_text=MODEL).get_by_role("link").first)
    output = page.get_by_label("Output, per 1M tokens", exact=True)
    someone.click(output)
    page.keyboard.press("Control+A")
    someone.type(output, "12")
    someone.click(page.get_by_text("Starts (UTC)"))
    page.keyboard.type(f"{next_monday():%m%d%Y}")
    page.keyboard.press("ArrowRight")
    page.keyboard.type("1200AM")
    someone.press("Save and review")
    someone.press("Preview")
    expect(page.get_by_text("Margin with the draft")).to_be_visible()
    # From where one publishes it.
    expect(page.get_by_role("main").get_by_role("link", name=MODEL).first).to_be_visible()
    someone.took(8)


def test_a_second_factor_is_set_up(site: Installation, visit: Visit, recent: Grown) -> None:
    visitor = visit(viewport=WINDOW)
    visitor.sign_in(site.beside.call(link_of_a_newcomer))
    page = visitor.page
    someone = Task(page, recent.home, "set up a second factor")
    someone.click(page.get_by_role("button", name="Account menu"))
    someone.click(page.get_by_role("link", name="Account and security"))
    someone.press("Add app")
    app = App(page.locator("#secret").inner_text())
    someone.type(page.get_by_label("Code from the app"), app.code(at_s=clock.now().timestamp()))
    someone.enter()
    page.wait_for_url("**/recovery-codes")
    someone.took(3)


def test_a_key_is_for_two_models_and_an_address(
    site: Installation, page: Page, recent: Grown
) -> None:
    someone = Task(page, recent.home, "make a key for two models and an address")
    someone.open("API keys")
    someone.press("Create key")
    someone.type(page.get_by_role("dialog").get_by_label("Name"), "narrow")
    someone.pick("Models", MODEL, ECHO)
    someone.click(page.get_by_role("dialog").get_by_text("Limits", exact=True))
    someone.type(page.get_by_role("dialog").get_by_label("Allowed networks"), "203.0.113.7")
    someone.press("Create key")
    expect(page.get_by_text("Copy this key now.")).to_be_visible()
    row = site.row("SELECT model_patterns, networks FROM accounts_key WHERE name = 'narrow'")
    assert row == {"model_patterns": [MODEL, ECHO], "networks": ["203.0.113.7"]}
    someone.took(6)


def test_a_picture_is_made(site: Installation, page: Page, recent: Grown) -> None:
    with site.hub.forgetful():
        site.hub.model(site.fake, rates=PICTURES)
        someone = Task(page, recent.home, "make a picture")
        someone.open("Images, sound, video")
        someone.type(page.get_by_label("Prompt"), "A paper boat at dawn")
        someone.press("Generate")
        expect(page.locator("article[data-state=done] img")).to_have_count(1)
        expect(page.locator(".media-foot").first).to_contain_text("$0.04")
    someone.took(3)


def test_most_expensive_key_of_the_week_is_disabled(page: Page, recent: Grown) -> None:
    someone = Task(page, recent.home, "disable the week's most expensive key")
    someone.open("Usage")
    someone.choose(page.get_by_role("combobox", name="Time range"), "Last 7 days")
    expect(page).to_have_url(re.compile("range=7d"))
    someone.press("Keys and meters")
    dearest = page.get_by_role("group", name="Top keys").get_by_role("row").nth(1)
    expect(dearest).to_contain_text("spender")
    someone.open("API keys")
    someone.click(page.get_by_role("button", name="Actions for spender", exact=True))
    someone.click(page.locator(".menu:popover-open").get_by_text("Disable"))
    row = page.get_by_role("row").filter(has_text="spender")
    expect(row).to_contain_text("Disabled")
    someone.took(7)


def test_single_sign_on_is_set_up(visit: Visit, inside: StorageState, recent: Grown) -> None:
    visitor = visit(storage_state=inside, viewport=WINDOW)
    page = visitor.page
    with real_provider() as provider:
        someone = Task(page, recent.home, "set up single sign-on, and test it")
        someone.open("Settings")
        someone.press("Single sign-on")
        someone.type(page.get_by_label("Issuer"), provider.url)
        someone.type_next(CLIENT)
        someone.type_next(SECRET)
        someone.type_next("lately.example")
        someone.press("Save")
        expect(page.get_by_text("Single sign-on was saved.")).to_be_visible()
        provider.serve(page.locator("#sso-test code").first.inner_text())
        provider.know("ada", email="ada@lately.example", email_verified=True)
        someone.press("Test sign-in")
        page.locator("input[name=login]").fill("ada")
        page.locator("input[name=password]").fill("any")
        page.locator("button[type=submit]").click()
        page.get_by_role("button", name="Continue").click()
        expect(page.locator("#sso-test")).to_contain_text("ada@lately.example")
    someone.took(5)
    # Of the provider's own pages, which others wrote.
    visitor.complaints.clear()
