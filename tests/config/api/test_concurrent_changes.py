"""A change by the API keeps what it leaves out as it is when it is made, not as it was when the
request came: what was disabled or taken away meanwhile does not come back (P12)."""

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import connection, transaction

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import service_accounts
from accounts.models import KeyKind, Membership, Role
from accounts.organisations import projects, teams
from gateway.status import announcements
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, assemble, make_key, with_key
from tests.support.waiting_locks import await_waiting
from usage.saved_views import saved_views

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(transactional_db: None) -> Cast:
    return assemble()


def _service_account(people: Cast) -> str:
    account = service_accounts.create_service_account(people.core, "deployer", actor=SYSTEM)
    return f"service-accounts/{id_text(account.pk)}"


def _role(people: Cast) -> str:
    both = ["usage.read", "keys.read"]
    return (
        f"roles/{id_text(custom_roles.create_role(people.acme, 'reader', both, actor=SYSTEM).pk)}"
    )


def _member(people: Cast) -> str:
    member = Membership.objects.get(user=people.bob, organisation=people.acme)
    assert member.role != Role.VIEWER
    return f"members/{member.pk}"


def _project(people: Cast) -> str:
    teams.create_team(people.acme, "second", actor=SYSTEM)
    return f"projects/{projects.create_project(people.core, 'bot', actor=SYSTEM).slug}"


def _announcement(people: Cast) -> str:
    row = announcements.publish_announcement(
        SYSTEM, title="A", text="a", tone="info",
        starts_at=clock.now() + dt.timedelta(days=1), ends_at=None,
    )  # fmt: skip
    return f"announcements/{id_text(row.pk)}"


def _view(people: Cast) -> str:
    person = actor(people.alice, people.acme)
    view = saved_views.save_view(person, "usage", "mine", "range=7d", shared=True)
    return f"saved-views/{id_text(view.pk)}"


# What is changed, what the first request changes, and the second.
CHANGES: Final[dict[Callable[[Cast], str], tuple[dict[str, Any], dict[str, Any]]]] = {
    _service_account: ({"disabled": True}, {"role": "viewer"}),
    _role: ({"permissions": ["usage.read"]}, {"name": "Reader of usage"}),
    _member: ({"role": "viewer"}, {"teams": ["core"]}),
    _project: ({"team": "second"}, {"name": "Robot"}),
    _announcement: ({"text": "b"}, {"title": "B"}),
    _view: ({"shared": False}, {"query": "range=24h"}),
    lambda _: "organisation": ({"zero_retention": True}, {"data_regions": ["eu"]}),
}


@pytest.mark.parametrize("make", CHANGES, ids=lambda make: make.__name__.strip("_"))
def test_later_change_keeps_the_earlier_one(people: Cast, make: Callable[[Cast], str]) -> None:
    people.alice.operator = True
    people.alice.save(update_fields=["operator"])
    path, (first, second) = f"/api/v1/{make(people)}", CHANGES[make]
    clients = [
        with_key(make_key(people.core, name, user=people.alice, kind=KeyKind.MANAGEMENT)[1])
        for name in ("one", "two")
    ]
    answers: list[Any] = []

    def change_later() -> None:
        try:
            answers.append(clients[1].patch(path, second, content_type="application/json"))
        finally:
            connection.close()

    later = threading.Thread(target=change_later)
    with transaction.atomic():
        answer = clients[0].patch(path, first, content_type="application/json")
        assert answer.status_code == 200, answer.content
        later.start()
        await_waiting()
    later.join()
    assert [answer.status_code for answer in answers] == [200]
    stored = clients[0].get(path).json()
    assert {name: stored[name] for name in first | second} == first | second
