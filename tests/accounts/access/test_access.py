from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import RequestFactory

from accounts.access import access, actors
from accounts.access.actors import SYSTEM, Actor
from accounts.guards.guards import operator_page, organisation_page, session_page
from accounts.members import members
from accounts.models import Key, KeyKind, Role, User
from accounts.organisations import organisations
from accounts.roles import rules as roles
from accounts.sessions.store import SessionStore
from lib.ids import id_text, new_id
from tests.support.cast import Cast, actor, make_key, member, person


def request_of(user: User) -> HttpRequest:
    request = RequestFactory().get("/o/acme/x")
    request.user = user
    request.session = cast(SessionBase, SessionStore())
    return request


@organisation_page("usage.read")
def usage(request: HttpRequest, actor: Actor, n: int) -> HttpResponse:
    return HttpResponse(f"{actor.role} {n}")


@organisation_page("playground.use")
async def stream(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    async def body() -> AsyncIterator[bytes]:
        yield str(actor.role).encode()

    return StreamingHttpResponse(body())


@session_page("usage.read")
def last(request: HttpRequest, actor: Actor) -> HttpResponse:
    return HttpResponse(actors.slug_of(actor))


@operator_page("channels.read")
def channels(request: HttpRequest, actor: Actor) -> HttpResponse:
    return HttpResponse(str(actor.operator))


def test_a_member_enters_with_a_role_and_the_rest_of_the_address(people: Cast) -> None:
    request = request_of(people.bob)
    response = usage(request, o="acme", n=7)
    assert response.content == b"developer 7"
    assert response["Cache-Control"] == "private, no-store"
    assert cast(Any, request).actor.organisation == people.acme
    assert request.session[actors.LAST_ORGANISATION] == "acme"


def test_foreign_and_missing_organisations_look_alike(people: Cast) -> None:
    for slug in ("acme", "nobody"):
        with pytest.raises(Http404):
            usage(request_of(people.charlie), o=slug, n=7)


def test_operator_sees_as_much_as_the_table_says(people: Cast) -> None:
    assert usage(request_of(people.dora), o="acme", n=7).content == b"None 7"
    with pytest.raises(Http404):
        usage(request_of(people.dora), o="nobody", n=7)


@pytest.mark.django_db(transaction=True)
async def test_an_async_page_is_guarded_alike() -> None:
    from asgiref.sync import sync_to_async

    from tests.support.cast import assemble

    people = await sync_to_async(assemble)()
    viewer = await sync_to_async(member)(people.acme, "vic", Role.VIEWER)
    response = await stream(request_of(people.bob), o="acme")
    # No connection of the database waits for a stream.
    assert await sync_to_async(lambda: connection.connection is None)()
    assert [part async for part in response] == [b"developer"]
    assert response["Cache-Control"] == "private, no-store"
    with pytest.raises(Http404):
        await stream(request_of(people.charlie), o="acme")
    with pytest.raises(PermissionDenied, match="developer"):
        await stream(request_of(viewer), o="acme")


def test_pages_of_the_installation_exist_for_operators_only(people: Cast) -> None:
    assert channels(request_of(people.dora)).content == b"True"
    for user in (people.alice, people.bob, people.charlie):
        with pytest.raises(Http404):
            channels(request_of(user))


def test_the_refusal_names_the_needed_role(people: Cast) -> None:
    with pytest.raises(access.AccessDenied, match="admin"):
        access.require(actor(people.bob, people.acme), "keys.write")
    # An operator may read the balance too, which no owner can grant.
    with pytest.raises(access.AccessDenied, match="need the billing role"):
        access.require(actor(people.bob, people.acme), "balance.read")
    with pytest.raises(access.AccessDenied, match="operator"):
        access.require(actor(people.alice, people.acme), "channels.read")


@pytest.mark.parametrize("action", list(roles.TABLE))
def test_people_follow_the_table_and_model_keys_a_short_list(
    people: Cast, action: roles.Action
) -> None:
    assert access.scope_of(actor(people.bob, people.acme), action) == roles.scope_of(
        "developer", action
    )
    assert access.scope_of(actor(people.charlie, people.acme), action) is None
    key, _ = make_key(people.core, user=people.alice)
    program = Actor(people.alice, key, people.acme, None, operator=False)
    expected = "own" if action in access.MODEL_KEY_ACTIONS else None
    assert access.scope_of(program, action) == expected
    assert not action.startswith(("channels", "playground")) or expected is None


def test_an_operators_model_key_operates_nothing(people: Cast) -> None:
    team = people.core
    member(people.acme, "dora", Role.DEVELOPER)
    _, text = make_key(team, user=people.dora)
    result = actors.key_actor(text)
    assert result is not None
    assert not result.operator
    assert access.scope_of(result, "channels.read") is None


def test_a_management_key_has_its_persons_role(people: Cast) -> None:
    _, text = make_key(people.core, kind=KeyKind.MANAGEMENT, user=people.alice)
    result = actors.key_actor(text)
    assert result is not None
    assert (result.role, result.organisation) == (Role.OWNER, people.acme)


def test_a_key_is_reached_from_its_organisation_only(people: Cast) -> None:
    key, _ = make_key(people.core)
    alice, charlie = actor(people.alice, people.acme), actor(people.charlie, people.stranger)
    assert access.access_key(alice, key.id) == key
    assert access.access_key(alice, id_text(key.id)) == key
    for id in (key.id, new_id(), "nonsense"):
        with pytest.raises(Http404):
            access.access_key(charlie, id)


def test_a_team_is_reached_from_its_organisation_only(people: Cast) -> None:
    assert access.access_team(actor(people.bob, people.acme)) == people.core
    with pytest.raises(Http404):
        access.access_team(actor(people.bob, people.acme), "other")


def test_a_page_without_an_organisation_uses_the_last_visited(people: Cast) -> None:
    assert last(request_of(people.bob)).content == b"acme"
    # Who belongs to none has no such page, an operator neither.
    for nobody in (people.dora, person("eve")):
        with pytest.raises(Http404):
            last(request_of(nobody))


@pytest.mark.parametrize("kind", [KeyKind.RELAY, KeyKind.MANAGEMENT])
@pytest.mark.parametrize("operator", [False, True])
def test_key_of_a_former_member_opens_nothing(people: Cast, kind: KeyKind, operator: bool) -> None:
    """P23: not even where its person operates the installation."""
    user = member(people.acme, "erik", Role.DEVELOPER)
    key, text = make_key(people.core, kind=kind, user=user)
    User.objects.filter(pk=user.pk).update(operator=operator)
    assert actors.key_actor(text) is not None
    members.remove_member(people.acme, user.email, actor=actors.SYSTEM)
    assert actors.key_actor(text) is None
    key.refresh_from_db()
    assert actors.actor_of_key(key) is None


def test_an_operator_alone_acts_in_any_organisation(people: Cast) -> None:
    """Where they are a member, in their role there."""
    member(people.stranger, "dora", Role.BILLING)
    dora = actor(people.dora)
    for slug, role in (("acme", None), ("stranger", Role.BILLING)):
        found = actors.actor_in_organisation(dora, slug)
        assert found.organisation is not None
        assert (found.organisation.slug, found.role, found.operator) == (slug, role, True)
    for nobody in (
        actor(people.alice, people.acme), actors.SYSTEM, replace(dora, viewing=True),
    ):  # fmt: skip
        with pytest.raises(Http404):
            actors.actor_in_organisation(nobody, "acme")
    organisations.archive_organisation(people.acme, actor=actors.SYSTEM)
    for slug in ("acme", "nowhere"):
        with pytest.raises(Http404):
            actors.actor_in_organisation(dora, slug)


def test_only_the_installation_acts_as_itself(people: Cast) -> None:
    """An operator is a person, whose changes are theirs; a key is a key."""
    key, _ = make_key(people.core, kind=KeyKind.MANAGEMENT, user=people.alice)
    assert actors.SYSTEM.installation
    for user, its_key, operator in (
        (people.dora, None, True), (people.dora, key, True), (None, key, True),
        (None, None, False), (None, key, False), (people.bob, None, False),
    ):  # fmt: skip
        assert not Actor(user, its_key, people.acme, None, operator=operator).installation


@pytest.mark.parametrize("kind", list(KeyKind))
def test_actors_confined_to_their_own_rows(people: Cast, kind: KeyKind) -> None:
    key = Key(kind=kind)
    found = Actor(None, key, people.acme, None, operator=False).model_key
    assert found is (None if kind == KeyKind.MANAGEMENT else key)
    assert Actor(None, None, people.acme, None, operator=False).model_key is None


def test_archived_organisation_is_not_the_one_that_a_session_opens(people: Cast) -> None:
    members.set_member(people.stranger, people.bob.email, Role.VIEWER, actor=SYSTEM)
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    for slug in (None, "acme"):
        request = request_of(people.bob)
        request.session[actors.LAST_ORGANISATION] = slug
        last = actors.last_membership(request, people.bob)
        assert last is not None
        assert last.organisation == people.stranger
