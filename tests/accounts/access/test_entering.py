"""Who may pay, whose addresses are seen, which role a refusal names, and where a person enters."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.test import RequestFactory

from accounts.access import access
from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, last_membership
from accounts.access.entry_requirements import organisations_that_require_factor
from accounts.custom_roles import custom_roles
from accounts.members import members
from accounts.models import (
    Key,
    Role,
)
from accounts.organisations import organisations, projects
from lib import clock
from tests.support.cast import Cast, actor, make_key

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def test_key_that_cannot_call_from_a_page_is_no_payer(people: Cast) -> None:
    """One for the networks of a server, one for other endpoints, one that has expired."""
    make_key(people.core, "plain")
    make_key(people.core, "chats", endpoints=["embeddings", "chat_completions"])
    make_key(people.core, "of a server", networks=["10.0.0.0/8"])
    make_key(people.core, "vectors", endpoints=["embeddings"])
    late, _ = make_key(people.core, "late", expires_at=clock.now() + DAY)
    Key.objects.filter(pk=late.pk).update(expires_at=clock.now() - DAY)
    by = actor(people.alice, people.acme)
    assert [key.name for key in access.payable_keys(by)] == ["chats", "plain"]
    assert "late" not in {key.name for key in access.living_keys(by)}


def test_reader_of_the_audit_log_sees_where_a_key_was_used(people: Cast) -> None:
    role = custom_roles.create_role(
        people.acme, "Auditor", ["keys.read", "audit.read"], actor=SYSTEM
    )
    plain = custom_roles.create_role(people.acme, "Lister", ["keys.read"], actor=SYSTEM)
    key, _ = make_key(people.core, "ci", user=people.alice)
    for custom, sees in ((role, True), (plain, False)):
        members.set_member(
            people.acme, people.bob.email, Role.CUSTOM, custom_role=custom, actor=SYSTEM
        )
        assert access.may_see_address(actor(people.bob, people.acme), key) == sees


@pytest.mark.parametrize(
    ("action", "role"),
    [("teams.write", "admin"), ("wallet.write", "billing"), ("organisation.write", "owner")],
)
def test_refusal_names_the_least_role_that_is_enough(people: Cast, action: Any, role: str) -> None:
    with pytest.raises(AccessDenied, match=f"You need the {role} role"):
        access.require(actor(people.bob, people.acme), action)


def test_projects_are_listed_by_name(people: Cast) -> None:
    for name in ("beta", "alpha", "gamma"):
        projects.create_project(people.core, name, actor=SYSTEM)
    names = [one.name for one in access.visible_projects(actor(people.alice, people.acme))]
    assert names == ["alpha", "beta", "gamma"]


def test_person_enters_the_organisation_last_visited_or_else_the_first_joined(
    people: Cast,
) -> None:
    for name in ("Beta", "Gamma"):
        organisation = organisations.create_organisation(name, owner=None, actor=SYSTEM)
        members.set_member(organisation, people.bob.email, Role.VIEWER, actor=SYSTEM)
    request = RequestFactory().get("/")
    request.session = SessionBase()
    for visited, entered in ((None, "acme"), ("gamma", "gamma"), ("gone", "acme")):
        request.session["organisation"] = visited
        found = last_membership(request, people.bob)
        assert found is not None
        assert found.organisation.slug == entered


def test_organisations_that_require_a_factor_are_named_in_order(people: Cast) -> None:
    for name in ("Zeta", "Beta", "Open"):
        made = organisations.create_organisation(name, owner=people.bob, actor=SYSTEM)
        if name != "Open":
            organisations.force_second_factor(made, ["owner"], actor=SYSTEM)
    names = [one.name for one in organisations_that_require_factor(people.bob)]
    assert names == ["Beta", "Zeta"]
