"""The first run, step by step: each can be left and found again (W01)."""

import datetime as dt

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Membership, Organisation, User
from accounts.sign_up import first_run
from gateway.models import Channel
from lib import clock
from lib.ids import id_text
from tests.support.cast import PASSWORD, Cast, make_key, signed_in
from tests.support.markup import squeezed
from tests.usage.rows import credit, happen

pytestmark = pytest.mark.django_db

URL = "/admin/setup"


@pytest.fixture
def browser() -> Client:
    """In which the first operator has just made their account."""
    client = Client()
    form = {"email": "olga@acme.example", "name": "Olga", "password": PASSWORD}
    assert client.post(first_run.make_set_up_link(), form)["Location"] == URL
    return client


def step(client: Client) -> int:
    """Which step the page asks for; 6 when it asks for none."""
    page = squeezed(client.get(URL).content.decode())
    items = page.split('<ol class="panel-body steps">')[1].split("</ol>")[0].split("<li")[1:]
    current = [n for n, item in enumerate(items, start=1) if 'aria-current="step"' in item]
    return current[0] if current else 6


def test_each_step_leads_to_the_next_and_can_be_resumed(browser: Client) -> None:
    assert step(browser) == 2
    assert browser.get("/")["Location"] == URL
    assert browser.post(f"{URL}/organisation", {"name": " "}).status_code == 422
    assert browser.post(f"{URL}/organisation", {"name": "Acme"}).status_code == 303
    olga = User.objects.get()
    assert Membership.objects.get(user=olga).role == "owner"
    assert AuditEvent.objects.filter(action="organisation.created").count() == 1
    assert step(browser) == step(signed_in(olga)) == 3
    assert "3 steps left: add a provider" in browser.get("/o/acme/").content.decode()
    Channel.objects.create(name="east", provider="openai", base_url="https://api.example.org")
    assert step(browser) == 4
    key, _ = make_key(Organisation.objects.get().teams.get(), user=olga)
    assert step(browser) == step(signed_in(olga)) == 5
    assert "1 step left: send a request" in browser.get("/o/acme/start").content.decode()
    credit(key)
    happen(key, clock.now() - dt.timedelta(minutes=1), 0)
    assert step(browser) == 6
    page = browser.get(URL).content.decode()
    assert "You are live" in page
    assert "left:" not in browser.get("/o/acme/start").content.decode()
    assert id_text(key.id) not in page


def test_the_channel_may_be_skipped_and_is_still_offered(browser: Client) -> None:
    browser.post(f"{URL}/organisation", {"name": "Acme"})
    assert browser.post(f"{URL}/skip")["Location"] == URL
    assert step(browser) == 4
    page = browser.get(URL).content.decode()
    assert "Skipped. Without a channel no model can be called." in page
    assert "/admin/channels/new?next=/admin/setup" in page
    assert (
        'name="next" value="/admin/setup"'
        in browser.get("/admin/channels/new?next=/admin/setup").content.decode()
    )


def test_pressing_twice_makes_one_organisation(browser: Client) -> None:
    for name in ("Acme", "Acme again"):
        browser.post(f"{URL}/organisation", {"name": name})
    assert Organisation.objects.get().name == "Acme"


def test_set_up_is_only_for_operators(people: Cast) -> None:
    for path in ("", "/organisation", "/skip"):
        assert signed_in(people.alice).post(f"{URL}{path}").status_code == 404
    assert signed_in(people.dora).get("/")["Location"] == "/admin/"
    assert SYSTEM.operator
