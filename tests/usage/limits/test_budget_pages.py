"""Pages of budgets and of keys (W50, W53): the figures are those of the ledger."""

import datetime as dt
import html
import re

import pytest
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Key, Role, SecretUse, Team
from accounts.organisations import teams
from billing.limits import budgets
from billing.models import Budget, BudgetAlert
from billing.prices import prices
from content.policies import policies
from content.policies.policies import Assigned
from gateway.models import Channel, Route
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, make_key, member, person, signed_in
from tests.support.lists import file_of, rows_of
from tests.support.markup import squeezed
from tests.usage import rows
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back
from usage.rollups.rollups import replace_all

pytestmark = pytest.mark.django_db

URL = "/o/acme/budgets"
FORM = {
    "scope": "team", "subject": "core", "amount": "12.50", "period": "month", "anchor_month": "1",
    "timezone": "Asia/Shanghai",
}  # fmt: skip


@pytest.fixture
def alice(people: Cast) -> Client:
    return signed_in(people.alice)


@pytest.fixture
def key(people: Cast) -> Key:
    key, _ = make_key(people.core, "ci", user=people.bob)
    rows.credit(key)
    return key


def test_period_ends_where_its_zone_ends_it(people: Cast, alice: Client) -> None:
    # P17: in UTC a month of Shanghai ends on the last day of the month before.
    alice.post(f"{URL}/new", FORM)
    for page in (URL, f"{URL}/{Budget.objects.get().id}"):
        assert '-01T00:00:00+08:00"' in alice.get(page).content.decode()


@pytest.mark.parametrize(("zone", "status"), [("America/Lima", 303), ("Mars/Olympus", 422)])
def test_unoffered_zone_of_a_browser_is_accepted(
    people: Cast, alice: Client, zone: str, status: int
) -> None:
    assert alice.post(f"{URL}/new", {**FORM, "timezone": zone}).status_code == status
    assert Budget.objects.filter(timezone=zone).exists() == (status == 303)


def test_key_without_a_budget_offers_one_where_permitted(
    people: Cast, alice: Client, key: Key
) -> None:
    path = f"/o/acme/keys/{id_text(key.id)}/edit?focus=budget"
    assert f'hx-get="{path}"' in alice.get("/o/acme/keys").content.decode()
    assert path not in signed_in(people.bob).get("/o/acme/keys").content.decode()
    form = alice.get(path).content.decode()
    assert re.search(r'name="budget"[^>]* autofocus', form)
    assert not re.search(r'name="name"[^>]* autofocus', form)


def test_budget_is_made_seen_changed_and_removed(people: Cast, alice: Client, key: Key) -> None:
    assert "No budgets yet" in alice.get(URL).content.decode()
    response = alice.post(f"{URL}/new", FORM)
    assert (response.status_code, response["Location"]) == (303, URL)
    budget = Budget.objects.get()
    assert (budget.amount_nano, budget.anchor, budget.subject) == (
        12_500_000_000, 1, str(people.core.id),
    )  # fmt: skip
    listed = alice.get(URL).content.decode()
    assert "core" in listed
    assert "$0.00 of $12.50" in listed
    url = f"{URL}/{budget.id}"
    assert "Would have blocked 0 of" in alice.get(url).content.decode()
    edit = alice.post(f"{url}/edit", {"amount": "9", "enabled": "on"})
    assert (edit.status_code, edit["Location"]) == (303, url)
    budget.refresh_from_db()
    assert (budget.amount_nano, budget.enabled) == (9 * 10**9, True)
    assert alice.post(f"{url}/remove").status_code == 303
    assert not Budget.objects.exists()
    assert alice.get(url).status_code == 404


def test_undo_in_the_toast_restores_a_removed_budget(people: Cast, alice: Client, key: Key) -> None:
    alice.post(f"{URL}/new", FORM)
    budget = Budget.objects.get()
    text = alice.post(f"{URL}/{budget.id}/remove", follow=True).content.decode()
    undo = f"{URL}/{budget.id}/restore"
    assert f'action="{undo}"' in text
    assert signed_in(people.bob).post(undo).status_code == 403
    assert signed_in(people.charlie).post(undo).status_code == 404
    back = alice.post(undo, follow=True).content.decode()
    assert "Budget restored." in back
    assert "$0.00 of $12.50" in back
    assert Budget.objects.get().enabled
    alice.post(f"{URL}/{budget.id}/remove")
    alice.post(f"{URL}/new", FORM)
    assert "This scope and period" in alice.post(undo, follow=True).content.decode()
    assert Budget.objects.get().id != budget.id


def test_disabled_budget_is_restored_disabled(alice: Client, key: Key) -> None:
    alice.post(f"{URL}/new", FORM)
    budget = Budget.objects.get()
    alice.post(f"{URL}/{budget.id}/edit", {"amount": "9"})
    text = alice.post(f"{URL}/{budget.id}/remove", follow=True).content.decode()
    undo = f"{URL}/{budget.id}/restore?off=1"
    assert f'action="{undo}"' in text
    alice.post(undo)
    assert not Budget.objects.get().enabled


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"amount": "much"}, "Enter an amount"),
        ({"amount": "0,5"}, "Enter an amount such as 12.50."),
        ({"amount": "-1"}, "A budget must be between 0 and 1,000,000,000 USD."),
        ({"amount": ""}, "This field is required"),
        ({"subject": "none"}, "This team does not exist."),
        ({"scope": "key", "subject": "none"}, "This API key does not exist."),
        ({"scope": "user", "subject": "none"}, "This person is not a member."),
        ({"scope": "model", "subject": ""}, "Enter what the budget applies to."),
        ({"scope": "model", "subject": "gtp-5"}, "There is no model named gtp-5."),
        ({"scope": "tag", "subject": "be\u200dta"}, "A label has 1 to 100 visible characters"),
        ({"scope": "project", "subject": "x" * 101}, "A label has 1 to 100 visible characters"),
        ({"anchor_month": "45"}, "id_anchor_month_error"),
        ({"scope": "organisation"}, "covers the whole organisation"),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    alice: Client, over: dict[str, str], text: str
) -> None:
    answer = alice.post(f"{URL}/new", FORM | over)
    assert answer.status_code == 422
    assert text in answer.content.decode()
    assert not Budget.objects.exists()


def test_the_form_names_and_hints_the_scopes_apart(people: Cast, alice: Client) -> None:
    Team.objects.filter(id=people.core.id).update(name="Core team")
    page = alice.get(f"{URL}/new?scope=team&subject=core").content.decode()
    assert "Core team" in page, "a team is shown by its name"
    hints = re.findall(r'<div class="hint" data-scope="(\w+)">([^<]+)</div>', page)
    assert dict(hints)["team"] == "Choose a team."
    assert len(hints) == 7
    assert "optional" not in page.partition("data-subject")[2].partition("</div>")[0]


def test_a_tiny_limit_is_shown_in_full(alice: Client) -> None:
    """It was "<$0.01 of <$0.01"."""
    alice.post(f"{URL}/new", FORM | {"amount": "0.0001"})
    budget = Budget.objects.get()
    for page in (URL, f"{URL}/{budget.id}"):
        text = alice.get(page).content.decode()
        assert "$0.00 of $0.0001" in text
        assert "&lt;$0.01" not in text


def test_meter_matches_the_ledger(alice: Client, key: Key) -> None:
    """Spent is the sum of the records of the window, held that of the open holds."""
    budget_simulation.create_budget(
        SYSTEM, key.organisation, scope="key", subject=str(key.id), amount_nano=10**10,
        period="total",
    )  # fmt: skip
    Budget.objects.all().delete()
    rows.happen(key, clock.now() - dt.timedelta(minutes=5), 7_000_000_000)
    rows.admit(key, clock.now(), hold_nano=2_000_000_000)
    budget_simulation.create_budget(
        SYSTEM, key.organisation, scope="key", subject=str(key.id), amount_nano=10**10,
        period="total",
    )  # fmt: skip
    text = alice.get(URL).content.decode()
    assert "$9.00 of $10.00 · running low" in text
    assert "$7.00" in text
    assert "$2.00" in text


def test_budgets_are_filtered_sorted_and_exported(alice: Client, key: Key) -> None:
    rows.happen(key, clock.now() - dt.timedelta(minutes=5), 9_000_000_000, model="gpt-4o")
    for scope, subject, usd in (("key", str(key.id), 10), ("model", "gpt-5", 3)):
        budget_simulation.create_budget(
            SYSTEM, key.organisation, scope=scope, subject=subject, amount_nano=usd * 10**9,
            period="total",
        )  # fmt: skip
    assert rows_of(alice, f"{URL}?sort=limit&cols=subject,limit") == ["gpt-5 $3.00", "ci $10.00"]
    exported = file_of(alice, f"{URL}?state=low&scope=key&cols=subject,spent,limit&export=csv")
    assert exported == [{"subject": "ci", "spent_usd": "9.00", "limit_usd": "10.00"}]
    assert rows_of(alice, f"{URL}?state=off") == []


def test_preview_shows_past_rejections(alice: Client, key: Key) -> None:
    for n in range(3):
        rows.happen(key, clock.now() - dt.timedelta(minutes=n + 1), 1_000_000_000)
    response = alice.get(f"{URL}/_f/preview", FORM | {"amount": "2", "period": "total"})
    assert "Would have blocked 1 of 3 requests" in response.content.decode()
    assert "Fill in the form" in alice.get(f"{URL}/_f/preview").content.decode()
    for action in ("warn", "slow"):
        asked = FORM | {"amount": "2", "period": "total", "action": action}
        shown = alice.get(f"{URL}/_f/preview", asked).content.decode()
        assert "Past requests are shown only for a budget that rejects" in shown
    asked = FORM | {"amount": "2", "scope": "end_user", "subject": ""}
    shown = alice.get(f"{URL}/_f/preview", asked).content.decode()
    assert "What it would have blocked is not known" in shown
    refused = alice.get(f"{URL}/_f/preview", FORM | {"amount": "-1"}).content.decode()
    assert "would have" not in refused
    assert "A budget must be between 0" in refused


def test_alert_by_rejection_claims_no_unreached_share(alice: Client, key: Key) -> None:
    alice.post(f"{URL}/new", FORM)
    budget = Budget.objects.get()
    facts = {"budget": budget, "kind": "reached", "starts_at": clock.now(), "limit_nano": 500_000}
    BudgetAlert.objects.create(**facts, percent=100, spent_nano=210_000)
    log = squeezed(alice.get(f"{URL}/{budget.id}").content.decode()).partition('id="alert-log"')[2]
    assert "Not enough left for a request" in log
    assert "100%" not in log
    BudgetAlert.objects.update(spent_nano=500_000)
    log = squeezed(alice.get(f"{URL}/{budget.id}").content.decode()).partition('id="alert-log"')[2]
    assert "Not enough left" not in log
    assert "100%" in log


def test_reader_without_write_access_reads_only(people: Cast, key: Key) -> None:
    budget = budgets.create_budget(
        SYSTEM, key.organisation, budget_simulation.look_back, scope="key", subject=str(key.id),
        amount_nano=10, period="day",
    )  # fmt: skip
    bob = signed_in(people.bob)
    assert "ci" in bob.get(URL).content.decode()
    assert bob.get(f"{URL}/new").status_code == 403
    page = bob.get(f"{URL}/{budget.id}").content.decode()
    assert f"/budgets/{budget.id}/edit" not in page
    assert bob.post(f"{URL}/{budget.id}/edit", {"amount": "9"}).status_code == 403
    assert bob.post(f"{URL}/{budget.id}/remove").status_code == 403
    viewer = signed_in(member(people.acme, "vera", Role.VIEWER))
    assert viewer.get(URL).status_code == 403
    stranger = signed_in(people.charlie)
    assert stranger.get(f"/o/stranger/budgets/{budget.id}").status_code == 404
    assert stranger.get(URL).status_code == 404
    # A number too long to be read is no budget's either.
    for url in ("/o/stranger/budgets", "/b"):
        assert stranger.get(f"{url}/{'9' * 5000}").status_code == 404
    budget.refresh_from_db()
    assert budget.amount_nano == 10


def test_key_is_made_with_limits_and_a_budget(people: Cast, alice: Client) -> None:
    form = {
        "name": "web", "kind": "relay", "models": "", "lifetime": "", "rpm": "600", "tpm": "",
        "parallel": "5", "endpoints": ["messages", "embeddings"], "networks": "10.0.0.0/8",
        "tags": "beta, two words", "budget": "$5.00", "period": "week",
        "required_labels": ["customer", "project"],
    }  # fmt: skip
    assert alice.post("/o/acme/keys/new", form).status_code == 200
    key = Key.objects.get(name="web")
    assert (key.rpm, key.tpm, key.parallel) == (600, None, 5)
    assert (key.endpoints, key.networks, key.tags) == (
        ["messages", "embeddings"], ["10.0.0.0/8"], ["beta", "two words"],
    )  # fmt: skip
    assert key.required_labels == ["customer", "project"]
    budget = Budget.objects.get()
    assert (budget.scope, budget.subject, budget.period) == ("key", str(key.id), "week")
    listed = alice.get("/o/acme/keys").content.decode()
    assert "$0.00 of $5.00" in listed
    assert ">600<" in alice.get("/o/acme/keys?cols=name,rpm").content.decode()
    wrong = alice.post("/o/acme/keys/new", form | {"name": "w2", "networks": "x"})
    assert wrong.status_code == 422
    assert not Key.objects.filter(name="w2").exists()
    assert '<details class="more" open>' in squeezed(wrong.content.decode())


def test_a_wrong_model_does_not_open_the_limits(people: Cast, alice: Client) -> None:
    form = {"name": "w", "kind": "relay", "models": "gtp-5", "lifetime": ""}
    wrong = alice.post("/o/acme/keys/new", form)
    page = squeezed(wrong.content.decode())
    assert (wrong.status_code, "There is no model named gtp-5." in page) == (422, True)
    assert '<details class="more"' in page
    assert '<details class="more" open' not in page


@pytest.mark.parametrize(
    ("models", "policy", "chats"),
    [("", "*", True), ("kite*", "*", True), ("other-*", "*", False), ("", "other-*", False)],
)
def test_a_new_key_comes_with_a_chat_of_a_model_it_may_call(
    people: Cast, alice: Client, models: str, policy: str, chats: bool
) -> None:
    policies.create_policy(
        SYSTEM,
        people.acme,
        look_back,
        name="All",
        model_patterns=[policy],
        assigned=[Assigned("organisation")],
    )
    channel = Channel.objects.create(name="c", provider="openai", base_url="https://x.example/v1")
    for model in ("kittiwake-1", "other-1"):
        Route.objects.create(channel=channel, model=model)
    rates = {"meters": {"in_text": 1, "out_text": 1}}
    prices.set_price(SYSTEM, "kite-1", valid_from=clock.now(), source="test", rates=rates)
    Route.objects.filter(model="kittiwake-1").update(model="kite-1")
    form = {"name": "w", "kind": "relay", "models": models, "lifetime": ""}
    made = html.unescape(alice.post("/o/acme/keys/new", form).content.decode())
    secret = re.search(r'id="secret">([^<]+)<', made)
    assert secret is not None
    assert f"Authorization: Bearer {secret[1]}" in made
    assert ("/v1/chat/completions" in made) == chats
    assert ('"model": "kite-1"' in made) == chats
    assert ("/v1/models" in made) != chats


def test_key_is_changed_with_its_budget(people: Cast, alice: Client, key: Key) -> None:
    url = f"/o/acme/keys/{id_text(key.id)}/edit"
    form = {"name": "ci2", "models": "gpt-*", "rpm": "7", "budget": "3", "period": "month"}
    assert alice.get(url).status_code == 200
    assert alice.post(url, form).status_code == 303
    key.refresh_from_db()
    assert (key.name, key.model_patterns, key.rpm) == ("ci2", ["gpt-*"], 7)
    assert Budget.objects.get().amount_nano == 3 * 10**9
    assert alice.post(url, form | {"budget": "4"}).status_code == 303
    assert Budget.objects.get().amount_nano == 4 * 10**9
    assert alice.post(url, form | {"budget": "", "disabled": "on"}).status_code == 303
    key.refresh_from_db()
    assert (Budget.objects.exists(), key.disabled) == (False, True)


def test_tags_stay_when_a_form_is_sent_unchanged(people: Cast, alice: Client, key: Key) -> None:
    """Also those that only the API can give in one piece."""
    key.tags = ["two words", "Acme, Inc.", 'say "hi"', "测试"]
    key.save()
    url = f"/o/acme/keys/{id_text(key.id)}/edit"
    page = alice.get(url).content.decode()
    (text,) = re.findall(r'name="tags"[^>]* value="([^"]*)"', page)
    text = html.unescape(text)
    assert text == 'two words, "Acme, Inc.", "say ""hi""", 测试'
    assert alice.post(url, {"name": "ci", "models": "", "tags": text}).status_code == 303
    key.refresh_from_db()
    assert key.tags == ["two words", "Acme, Inc.", 'say "hi"', "测试"]


def test_developer_sets_limits_of_an_own_key_and_no_budget(people: Cast, key: Key) -> None:
    bob = signed_in(people.bob)
    url = f"/o/acme/keys/{id_text(key.id)}/edit"
    assert "Budget (USD)" not in bob.get(url).content.decode()
    assert bob.post(url, {"name": "ci", "rpm": "9", "budget": "100"}).status_code == 303
    assert not Budget.objects.exists()
    other, _ = make_key(people.core, "other", user=people.alice)
    assert bob.get(f"/o/acme/keys/{id_text(other.id)}/edit").status_code == 404


def test_list_shows_a_keys_monthly_spend_and_last_use(
    people: Cast, alice: Client, key: Key
) -> None:
    now = clock.now()
    rows.happen(key, now - dt.timedelta(seconds=30), 1_230_000_000)
    rows.happen(key, now - dt.timedelta(days=40), 9_000_000_000)
    SecretUse.objects.create(
        digest=key.digest, key=key, organisation=people.acme, at=now - dt.timedelta(seconds=30)
    )
    with connection.cursor() as cursor:
        replace_all(cursor, now)
    listed = alice.get("/o/acme/keys").content.decode()
    assert "$1.23" in listed
    assert f"{now - dt.timedelta(seconds=30):%Y-%m-%dT%H:%M:%S}" in listed


def test_the_form_offers_nothing_of_other_teams(people: Cast) -> None:
    """P12: an admin of one team is offered its keys and people, and no other team's."""
    side = teams.create_team(people.acme, "Basement", actor=SYSTEM)
    ann, sid = person("ann"), person("sid")
    for user, role, team in ((ann, Role.ADMIN, people.core), (sid, Role.DEVELOPER, side)):
        members.set_member(people.acme, user.email, role, teams=[team], actor=SYSTEM)
    client = signed_in(ann)
    assert ("bob@example.org", "Bob") in chosen(client, "user")
    assert chosen(client, "user", "sid") == []
    assert chosen(client, "team") == [("core", "core")]


@pytest.mark.parametrize(
    ("over", "anchor"),
    [
        ({"period": "hour", "anchor_hour": "15"}, 15),
        ({"period": "day", "anchor_day": "9"}, 9),
        ({"period": "week", "anchor_week": "6"}, 6),
        ({"period": "month", "anchor_month": "31"}, 31),
        # The choice of another period does not count.
        ({"period": "week", "anchor_month": "31"}, 0),
        ({"period": "total"}, 0),
    ],
)
def test_a_budget_resets_when_its_period_says(
    people: Cast, alice: Client, over: dict[str, str], anchor: int
) -> None:
    assert alice.post(f"{URL}/new", FORM | over).status_code == 303
    assert Budget.objects.get().anchor == anchor


def chosen(client: Client, scope: str, text: str = "") -> list[tuple[str, str]]:
    answer = client.get("/o/acme/_f/choices/budget-subjects", {"scope": scope, "q": text})
    assert answer.status_code == 200
    rows = re.findall(r'data-value="([^"]*)".*?<span class="cut"[^>]*>([^<]*)<', answer.text, re.S)
    return [(html.unescape(value), html.unescape(label)) for value, label in rows]


def test_the_subject_of_a_budget_is_searched(people: Cast, alice: Client, key: Key) -> None:
    Team.objects.create(organisation=people.acme, slug="odd", name='"><b>שלום 🦊')
    other = Team.objects.create(organisation=people.stranger, slug="core-2", name="core of others")
    make_key(other, "ci of others", user=people.charlie)
    assert chosen(alice, "team", "CORE") == [("core", "core")]
    assert chosen(alice, "team", "שלום") == [("odd", '"><b>שלום 🦊')]
    assert chosen(alice, "key", "ci") == [(id_text(key.id), "ci")]
    assert chosen(alice, "key", "") == [(id_text(key.id), "ci")]
    assert chosen(alice, "user", "bob") == [("bob@example.org", "Bob")]
    assert chosen(alice, "user", "charlie") == []
    assert chosen(alice, "customer", "c-1") == [("c-1", "c-1")]
    assert chosen(alice, "customer", "\u200d") == []
    for scope in ("organisation", "none", ""):
        assert chosen(alice, scope) == []
    bob = signed_in(people.bob)
    assert bob.get("/o/acme/_f/choices/budget-subjects", {"scope": "key"}).status_code == 403


def test_a_chosen_key_keeps_its_name_in_a_refused_form(alice: Client, key: Key) -> None:
    over = {"scope": "key", "subject": id_text(key.id), "amount": ""}
    page = alice.post(f"{URL}/new", FORM | over).text
    chip = re.search(r'<li\s+class="chip"\s+data-value="([^"]+)"\s*>\s*<span[^>]*>([^<]+)<', page)
    assert chip is not None
    assert chip.groups() == (id_text(key.id), "ci")
