"""Trial credit: once for a domain or a person, by unique indexes; it is promotional credit, which
expires and keeps the books (I20)."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Organisation, User
from accounts.sign_up import sign_up
from billing.balances.balances import balance
from billing.credits import promo
from billing.models import PromoGrant, Trial
from billing.trials import trials
from billing.trials.trials import Offer
from lib import clock
from lib.refusal import Refused
from tests.support.books import assert_books_balance
from tests.support.cast import PASSWORD, Cast, actor, person, signed_in

USD = 10**9
PAGE = "/admin/people/sign-up/trial"
API = "/api/v1/trial-credit"


@pytest.fixture(autouse=True)
def _open(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


def offered(**over: Any) -> None:
    sign_up.save_sign_up(SYSTEM, mode="open", captcha=False)
    trials.save_trial_setting(SYSTEM, **{"amount": "5", **over})


def newcomer(email: str) -> User:
    user = User.objects.create(email=email, name="New")
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


def given_to(email: str) -> int:
    """What the organisation of a new person has, in USD."""
    return balance(trials.create_organisation(newcomer(email), "Own")).available_nano // USD


@pytest.mark.django_db
def test_a_new_organisation_gets_it_with_an_expiry() -> None:
    offered(days=30)
    organisation = trials.create_organisation(newcomer("eve@acme.example"), "Eve Ltd")
    assert balance(organisation).available_nano == 5 * USD
    grant = PromoGrant.objects.get(organisation=organisation)
    assert grant.expires_at is not None
    assert dt.timedelta(days=29) < grant.expires_at - clock.now() < dt.timedelta(days=31)
    event = AuditEvent.objects.get(action="trial.given")
    assert (event.organisation_id, event.detail["amount"]) == (organisation.id, "5.00")
    assert_books_balance()
    PromoGrant.objects.update(expires_at=clock.now() - dt.timedelta(seconds=1))
    promo.count_all_spending(expired_only=True)
    assert balance(organisation).available_nano == 0
    assert_books_balance()


@pytest.mark.django_db
def test_unset_amount_gives_no_credit() -> None:
    offered(amount="0")
    assert given_to("eve@acme.example") == 0
    assert not Trial.objects.exists()
    assert trials.offer() is None


@pytest.mark.django_db
def test_credit_without_days_never_expires() -> None:
    offered(days=None)
    assert given_to("eve@acme.example") == 5
    assert PromoGrant.objects.get().expires_at is None
    # In full, whatever it is.
    offered(days=None, amount="5.125")
    assert trials.offer() == Offer(5_125_000_000, None, True)
    assert Offer(5_125_000_000, None, True).amount == "$5.125"


@pytest.mark.django_db
def test_domain_gets_trial_credit_once() -> None:
    offered()
    assert [given_to(f"{name}@acme.example") for name in ("eve", "ivy")] == [5, 0]
    assert given_to("eve@other.example") == 5
    assert Organisation.objects.count() == 3
    assert_books_balance()


@pytest.mark.django_db
def test_people_of_a_shared_provider_count_individually() -> None:
    offered()
    names = ("eve@gmail.com", "ivy@gmail.com", "e.ve+2@googlemail.com", "eve@qq.com")
    assert [given_to(name) for name in names] == [5, 5, 0, 5]


@pytest.mark.django_db
def test_once_per_person_does_not_use_up_their_domain() -> None:
    offered(once="person")
    addresses = ("eve@acme.example", "ivy@acme.example", "eve+2@acme.example")
    assert [given_to(address) for address in addresses] == [5, 5, 0]


@pytest.mark.django_db
def test_former_recipient_gets_none_after_the_setting_changes() -> None:
    offered()
    eve = newcomer("eve@acme.example")
    first = trials.create_organisation(eve, "Eve Ltd")
    assert balance(first).available_nano == 5 * USD
    eve.memberships.all().delete()
    offered(once="person")
    assert trials.offer_to(eve) is None
    assert balance(trials.create_organisation(eve, "Again")).available_nano == 0


@pytest.mark.django_db
def test_person_who_had_it_gets_none_though_their_domain_may_have_it() -> None:
    offered(once="person")
    assert given_to("eve@acme.example") == 5
    offered(once="domain")
    assert [given_to(f"{name}@acme.example") for name in ("eve+2", "ivy", "oz")] == [0, 5, 0]


@pytest.mark.django_db
def test_member_who_founds_another_is_led_to_their_own(people: Cast) -> None:
    """The form was sent twice, or the person has joined meanwhile."""
    bob = signed_in(people.bob)
    for name in ("Second", ""):
        assert bob.post("/organisation/new", {"name": name})["Location"] == "/"
    assert not Organisation.objects.filter(name="Second").exists()


@pytest.mark.django_db
def test_recipients_are_stored_as_digests() -> None:
    offered()
    given_to("eve@acme.example")
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(t::text, ' ') FROM billing_trial t")
        assert "acme" not in cursor.fetchone()[0]
    row = Trial.objects.get()
    assert row.domain is not None
    assert (len(bytes(row.person)), len(bytes(row.domain))) == (32, 32)


@pytest.mark.django_db(transaction=True)
def test_two_sign_ups_of_one_domain_at_once_get_one_credit() -> None:
    offered()
    people = [newcomer(f"{n}@acme.example") for n in range(4)]
    together = threading.Barrier(len(people))

    def found(user: User) -> Organisation:
        try:
            together.wait()
            return trials.create_organisation(user, f"Of {user.email}")
        finally:
            connection.close()

    with ThreadPoolExecutor(len(people)) as pool:
        made = list(pool.map(found, people))
    # Each has its organisation; one has the credit.
    assert sorted(balance(one).available_nano for one in made) == [0, 0, 0, 5 * USD]
    assert Trial.objects.count() == PromoGrant.objects.count() == 1
    assert AuditEvent.objects.filter(action="trial.given").count() == 1
    assert_books_balance()


# Pages, the letter, the API -----------------------------------------------------------------------


def test_sign_up_says_what_a_new_organisation_gets(people: Cast) -> None:
    offered(days=14)
    words = "A new organisation gets $5.00 of trial credit, which expires after 14 days."
    browser = Client()
    assert words in browser.get("/signup").content.decode()
    browser.post("/signup", {"email": "eve@acme.example", "password1": PASSWORD})
    assert words in mail.outbox[-1].body
    eve = User.objects.get(email="eve@acme.example")
    EmailAddress.objects.filter(user=eve).update(verified=True)
    inside = signed_in(eve)
    assert words in inside.get("/").content.decode()
    assert inside.post("/organisation/new", {"name": "Eve Ltd"})["Location"] == "/o/eve-ltd/"
    assert "$5.00" in inside.get("/o/eve-ltd/billing").content.decode()
    # Who would get none is promised none.
    late = signed_in(newcomer("ivy@acme.example")).get("/").content.decode()
    assert "Name your organisation" in late
    assert "trial credit" not in late


def test_nothing_is_promised_where_nobody_creates_one(people: Cast) -> None:
    offered()
    domains = [{"domain": "acme.example", "organisation": "acme", "role": "viewer"}]
    sign_up.save_sign_up(SYSTEM, mode="domain", domains=domains)
    assert "trial credit" not in Client().get("/signup").content.decode()


def test_operator_changes_trial_credit_on_a_page(people: Cast) -> None:
    dora = signed_in(people.dora)
    assert "Trial credit" in dora.get(PAGE).content.decode()
    form = {"amount": "7.50", "once": "person", "days": ""}
    assert dora.post(PAGE, form)["Location"] == PAGE
    assert trials.describe_setting() == {"amount": "7.50", "once": "person", "days": None}
    assert AuditEvent.objects.get(action="trial_setting.changed").actor_user_id == people.dora.pk
    assert dora.post(PAGE, {**form, "amount": "-1"}).status_code == 422
    assert dora.post(PAGE, {**form, "days": "3651"}).status_code == 422
    # What is so already leaves no second event.
    dora.post(PAGE, form)
    assert AuditEvent.objects.filter(action="trial_setting.changed").count() == 1


def test_api_reads_and_changes_trial_credit(people: Cast) -> None:
    dora = signed_in(people.dora)
    none = {"approval": None, "proposed": None}
    assert dora.get(API).json() == {"amount": "0.00", "once": "domain", "days": 30, **none}

    def change(body: dict[str, Any]) -> Any:
        return dora.patch(API, body, "application/json")

    five = {"amount": "5.00", "once": "domain", "days": 30, **none}
    assert change({"amount": "5.00"}).json() == five
    assert change({"days": None}).json()["days"] is None
    for wrong in ({"amount": "-1"}, {"amount": "1e3"}, {"days": 0}, {"once": "week"}, {"day": 1}):
        assert change(wrong).status_code in (400, 422), wrong
    assert trials.describe_setting() == {"amount": "5.00", "once": "domain", "days": None}


def test_more_than_one_operator_may_credit_needs_a_second_one(people: Cast) -> None:
    """As for a correction; a lower amount, and a file of the installation, need none."""
    dora, otto = signed_in(people.dora), signed_in(person("otto", operator=True))
    form = {"amount": "100", "once": "person", "days": ""}
    assert dora.post(PAGE, form)["Location"] == PAGE
    assert trials.describe_setting()["amount"] == "100.00"
    assert dora.post(PAGE, form | {"amount": "100.01", "once": "domain"})["Location"] == PAGE
    assert trials.describe_setting() == {"amount": "100.00", "once": "domain", "days": None}
    page = dora.get(PAGE).content.decode()
    assert "Another operator has to approve it." in page
    assert "$100.01 waits for another operator." in page
    asked = dora.get(API).json()
    assert (asked["amount"], asked["proposed"]) == ("100.00", "100.01")
    path = f"/api/v1/approvals/{asked['approval']}"
    assert dora.post(f"{path}/approve", {}, "application/json").status_code == 422
    assert otto.post(f"{path}/approve", {}, "application/json").json()["state"] == "approved"
    assert trials.describe_setting()["amount"] == "100.01"
    changed = AuditEvent.objects.filter(action="trial_setting.changed").latest("id")
    assert changed.detail["before"]["amount"] == "100.00"
    assert changed.actor_user is not None
    assert changed.actor_user.email == "otto@example.org"
    assert dora.get(API).json()["approval"] is None
    trials.save_trial_setting(SYSTEM, amount="900")
    assert dora.patch(API, {"amount": "800"}, "application/json").json()["amount"] == "800.00"


def test_the_same_amount_by_another_operator_approves_it(people: Cast) -> None:
    dora, otto = signed_in(people.dora), signed_in(person("otto", operator=True))
    for operator in (dora, dora, otto):
        assert trials.describe_setting()["amount"] == "0.00"
        assert operator.patch(API, {"amount": "500"}, "application/json").status_code == 200
    assert trials.describe_setting()["amount"] == "500.00"
    assert AuditEvent.objects.filter(action="trial_setting.changed").count() == 1


def test_another_amount_ends_what_waits(people: Cast) -> None:
    dora = signed_in(people.dora)
    for amount in ("500", "20"):
        assert dora.patch(API, {"amount": amount}, "application/json").status_code == 200
    assert trials.describe_setting()["amount"] == "20.00"
    assert dora.get(API).json()["approval"] is None


def test_second_request_waits_although_the_first_was_decided(people: Cast) -> None:
    dora, otto = actor(people.dora), actor(person("otto", operator=True))
    for operator in (dora, otto):
        trials.save_trial_setting(operator, amount="500")
    assert trials.waiting_amount() is None
    trials.save_trial_setting(dora, amount="600")
    waiting = trials.waiting_amount()
    assert waiting is not None
    assert (trials.describe_setting()["amount"], waiting.changes[0]["after"]) == (
        "500.00", "600.00",
    )  # fmt: skip


@pytest.mark.django_db
def test_invalid_settings_are_rejected() -> None:
    for wrong in ({"amount": "five"}, {"once": "week"}, {"days": 0}, {"days": 3_651}):
        with pytest.raises(Refused):
            trials.save_trial_setting(SYSTEM, **wrong)
    assert trials.describe_setting() == {"amount": "0.00", "once": "domain", "days": 30}
