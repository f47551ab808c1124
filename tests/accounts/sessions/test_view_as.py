"""An operator looks at an organisation as a member: read only, told to its owners, audited."""

import datetime as dt
import re

import pytest
from asgiref.sync import iscoroutinefunction
from django.core import mail
from django.test import Client
from django.urls import get_resolver

from accounts.models import AuditEvent, Organisation
from accounts.sessions.view_as import VIEW_MAX
from lib import clock
from lib.ids import new_id
from notify.deliveries.deliveries import lease_due, spread_facts
from notify.deliveries.sending import send
from outbox.models import Fact
from tests.house.test_access import addresses, operations
from tests.support.cast import Cast, make_key, signed_in

ASKED = {"organisation": "acme", "role": "admin", "reason": "Ticket 12"}


def example(where: str) -> str:
    """An address of a route: every object of it is missing."""
    text = re.sub(r"\(\?P<\w+>(\w+)\|[^)]*\)", r"\1", where.replace("^", "").replace("$", ""))
    text = re.sub(r"<slug:o>|\(\?P<o>[^)]*\)", "acme", text)
    text = re.sub(r"<uuid:\w+>", str(new_id()), re.sub(r"<int:\w+>", "1", text))
    return "/" + re.sub(r"<\w+:\w+>|\(\?P<\w+>[^)]*\)", "x", text).replace("\\", "")


GUARDED = [
    (example(where), iscoroutinefunction(view))
    for where, name, view in addresses(get_resolver())
    if getattr(view, "access_class", "public") != "public" and name != "view_end"
]


@pytest.fixture
def dora(people: Cast) -> Client:
    return signed_in(people.dora)


@pytest.fixture
def viewing(dora: Client) -> Client:
    assert dora.post("/admin/view-as", ASKED).status_code == 303
    return dora


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_an_operator_sees_what_the_role_sees(people: Cast, dora: Client) -> None:
    make_key(people.core, "ci", user=people.alice)
    assert "ci" in text(dora, "/o/acme/keys")
    assert dora.get("/o/acme/limits").status_code == 403
    dora.post("/admin/view-as", ASKED)
    page = text(dora, "/o/acme/keys")
    assert "You are viewing acme as admin until" in page
    assert "End view" in page
    assert dora.get("/o/acme/limits").status_code == 200
    dora.post("/admin/view-as")
    dora.post("/view-as/end")
    dora.post("/admin/view-as", ASKED | {"role": "developer"})
    # A developer's own keys are theirs, and none of them is the operator's.
    assert ">ci<" not in text(dora, "/o/acme/keys")


@pytest.mark.parametrize("path", ["playground", "history", "prompts", "compare"])
def test_no_chat_or_prompt_is_shown(viewing: Client, path: str) -> None:
    names = {"playground": "playground", "history": "playground/history"}
    address = f"/o/acme/{names.get(path, path)}"
    assert viewing.get(address).status_code in (403, 404)


@pytest.mark.usefixtures("bare_errors")
@pytest.mark.usefixtures("bare_errors")
def test_nothing_is_changed_while_viewing(viewing: Client) -> None:
    events = AuditEvent.objects.count()
    answers = {path: viewing.post(path).status_code for path, alone in GUARDED if not alone}
    assert {path for path, status in answers.items() if status not in (403, 405)} == set()
    assert list(answers.values()).count(403) > 80
    assert AuditEvent.objects.count() == events


@pytest.mark.django_db(transaction=True)
def test_streams_change_nothing_either(viewing: Client) -> None:
    answers = {path: viewing.post(path).status_code for path, alone in GUARDED if alone}
    assert {path for path, status in answers.items() if status != 403} == set()
    assert answers


def test_no_operation_of_the_api_changes_anything_while_viewing(viewing: Client) -> None:
    asked = 0
    for name, _ in operations():
        method, _, path = name.partition(" ")
        if method in ("POST", "PUT", "PATCH", "DELETE"):
            address = f"/api/v1{re.sub(r'{[^}]+}', 'x', path)}"
            response = viewing.generic(method, address, "{}", content_type="application/json")
            assert response.status_code == 403, name
            asked += 1
    assert asked > 20


def test_start_and_end_are_audited_and_owners_notified(people: Cast, dora: Client) -> None:
    dora.post("/admin/view-as", ASKED)
    dora.post("/view-as/end")
    began, ended = AuditEvent.objects.filter(action__startswith="view_as.").order_by("id")
    assert (began.action, began.organisation, began.reason) == (
        "view_as.began", people.acme, "Ticket 12",
    )  # fmt: skip
    assert (ended.action, ended.detail["expired"]) == ("view_as.ended", False)
    assert began.session == ended.session != ""
    assert Fact.objects.filter(kind="view_as.began", organisation_id=people.acme.id).exists()
    spread_facts(10)
    for delivery_id in lease_due(10):
        send(delivery_id)
    (letter,) = mail.outbox
    assert letter.to == ["alice@example.org"]
    assert letter.subject == "An operator is viewing Acme"
    assert "Ticket 12" in str(letter.body)
    assert "/o/acme/audit" in str(letter.body)
    # Its owner reads the same on the page.
    assert "started viewing organisation" in text(signed_in(people.alice), "/o/acme/audit")
    assert "You are viewing" not in text(dora, "/admin/audit")


def test_it_ends_after_an_hour(viewing: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = clock.now()
    # Who goes on looking stays signed in.
    for passed in (VIEW_MAX / 2, VIEW_MAX + dt.timedelta(seconds=1)):
        monkeypatch.setattr(clock, "now", lambda passed=passed: begun + passed)
        answer = viewing.get("/admin/audit")
    assert answer.status_code == 200
    assert viewing.get("/o/acme/limits").status_code == 403
    assert "You are viewing" not in text(viewing, "/admin/audit")
    # The next one tells that it was over.
    viewing.post("/admin/view-as", ASKED)
    ended = AuditEvent.objects.get(action="view_as.ended")
    assert ended.detail["expired"] is True


def test_it_ends_even_if_the_organisations_slug_has_changed(people: Cast, viewing: Client) -> None:
    Organisation.objects.filter(id=people.acme.id).update(slug="acme-two")
    assert viewing.post("/view-as/end").status_code == 303
    assert "You are viewing" not in text(viewing, "/admin/audit")


def test_it_is_for_operators_and_needs_a_reason(people: Cast, dora: Client) -> None:
    assert signed_in(people.alice).post("/admin/view-as", ASKED).status_code == 404
    for wrong in ({"reason": ""}, {"organisation": "nowhere"}, {"role": "king"}):
        assert dora.post("/admin/view-as", ASKED | wrong).status_code == 422
    assert not AuditEvent.objects.filter(action="view_as.began").exists()


def test_former_operator_views_nothing(people: Cast, viewing: Client) -> None:
    people.dora.operator = False
    people.dora.save(update_fields=["operator"])
    assert viewing.get("/o/acme/keys").status_code == 404


def test_other_organisations_are_seen_as_before(people: Cast, viewing: Client) -> None:
    assert Organisation.objects.filter(slug="stranger").exists()
    assert viewing.get("/o/stranger/limits").status_code == 403
