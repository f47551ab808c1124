"""Each guard of pages, tried by itself: who comes in, as whom, and whose rows they then see.

The address of a page decides nothing here: what a guard refuses, it refuses for every page.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import reverse
from django_htmx.middleware import HtmxDetails

from accounts.access.access import AccessDenied
from accounts.access.actors import LAST_ORGANISATION, SYSTEM
from accounts.guards import guards
from accounts.models import Role, User
from accounts.organisations import organisations
from accounts.sessions.store import SessionStore
from accounts.sessions.view_as import begin_viewing
from lib.database import tenancy
from tests.support.cast import Cast, member


def answer(request: HttpRequest, *rest: Any, **more: Any) -> HttpResponse:
    return HttpResponse("in")


async def answer_async(request: HttpRequest, *rest: Any, **more: Any) -> HttpResponse:
    return HttpResponse("in")


GUARDS: dict[str, Any] = {
    "organisation": guards.organisation_page("usage.read")(answer),
    "organisation, async": async_to_sync(guards.organisation_page("usage.read")(answer_async)),
    "session": guards.session_page("usage.read")(answer),
    "operator": guards.operator_page("channels.read")(answer),
    "signed in": guards.signed_in_view(answer),
    "viewing": guards.viewing_page(answer),
}
FOR_ALL = ("signed in", "viewing")
OF_ORGANISATION = ("organisation", "session")


def ask(name: str, user: Any, *, method: str = "GET", **stored: Any) -> tuple[HttpRequest, Any]:
    """Come through a guard; the request, and what it was answered."""
    request = RequestFactory().generic(method, "/o/acme/x?y=1")
    request.user, request.session = user, SessionStore()
    request.session.update(stored)
    return request, enter(name, request)


def enter(name: str, request: HttpRequest) -> HttpResponse:
    with tenancy.use_tenant(None):
        response: HttpResponse = GUARDS[name](
            request, **({"o": "acme"} if name.startswith("organisation") else {})
        )
        request.tenant = tenancy.current_tenant()  # type: ignore[attr-defined]
    return response


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with tenancy.use_tenant(None):
        yield


SYNC = [name for name in GUARDS if "async" not in name]


@pytest.mark.parametrize("name", SYNC)
def test_signed_out_visitor_signs_in_and_returns(people: Cast, name: str) -> None:
    _, response = ask(name, AnonymousUser())
    assert (response.status_code, response["Location"]) == (302, "/login?next=/o/acme/x%3Fy%3D1")
    assert response["Cache-Control"] == "private, no-store"
    # A part of a page is no page to come back to.
    for page, back in (("http://testserver/o/acme/keys?q=a", "%2Fo%2Facme%2Fkeys%3Fq%3Da"),
                       ("https://elsewhere.example/x", "%2F")):  # fmt: skip
        request = RequestFactory().get(
            "/o/acme/x", headers={"HX-Request": "true", "HX-Current-URL": page}
        )
        request.user, request.session = AnonymousUser(), SessionStore()
        request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
        response = enter(name, request)
        assert (response.status_code, response["HX-Redirect"]) == (401, f"/login?next={back}")


WHO = {
    # Who comes through the guard of a page of the organisation, of the one seen last, of the
    # installation.
    "alice": (True, True, False),
    "bob": (True, True, False),
    "charlie": (False, True, False),
    "dora": (True, False, True),
}


@pytest.mark.parametrize("who", WHO)
def test_each_guard_admits_its_own_kind(people: Cast, who: str) -> None:
    user: User = getattr(people, who)
    for name, opens in zip(("organisation", "session", "operator"), WHO[who], strict=True):
        if not opens:
            with pytest.raises(Http404):
                ask(name, user)
            continue
        _, response = ask(name, user)
        assert response.content == b"in"
        assert response["Cache-Control"] == "private, no-store"
        assert response["Vary"] == "HX-Request, Cookie"
    for name in FOR_ALL:
        assert ask(name, user)[1].content == b"in"


def test_the_database_shows_the_organisation_of_the_guard_alone(people: Cast) -> None:
    """P12: the page's statements run in the tenant that its guard found."""
    for name in OF_ORGANISATION:
        assert ask(name, people.bob)[0].tenant == people.acme.id  # type: ignore[attr-defined]
    member(people.stranger, "eve", Role.DEVELOPER)
    request, _ = ask("session", people.charlie)
    assert request.tenant == people.stranger.id  # type: ignore[attr-defined]
    # The installation's own pages see all.
    assert ask("operator", people.dora)[0].tenant is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OF_ORGANISATION)
def test_unpermitted_role_is_rejected(people: Cast, name: str) -> None:
    make = guards.organisation_page if name == "organisation" else guards.session_page
    page = make("wallet.write")(answer)
    request, _ = ask(name, people.bob)
    with pytest.raises(AccessDenied):
        page(request, **({"o": "acme"} if name == "organisation" else {}))


def test_an_archived_organisation_has_no_pages(people: Cast) -> None:
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    for name, user in (("organisation", people.bob), ("session", people.bob),
                       ("organisation", people.dora)):  # fmt: skip
        with pytest.raises(Http404):
            ask(name, user)


@pytest.mark.parametrize("name", OF_ORGANISATION)
def test_missing_requirement_redirects_to_its_remedy(people: Cast, name: str) -> None:
    """F13: two-factor authentication, for each door of the organisation."""
    people.acme.second_factor_roles = [Role.DEVELOPER]
    people.acme.save(update_fields=["second_factor_roles"])
    _, response = ask(name, people.bob)
    assert (response.status_code, response["Location"]) == (303, reverse("mfa_index"))
    assert ask(name, people.alice)[1].content == b"in"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", SYNC)
def test_viewing_operator_changes_only_the_view(people: Cast, name: str, method: str) -> None:
    viewed = SessionStore()
    begin_viewing(viewed, "acme", Role.ADMIN)
    stored = dict(viewed.items())
    people_of = {"session": member(people.acme, "olga", Role.OWNER)}
    user = people_of.get(name, people.dora)
    reads = method in ("GET", "HEAD", "OPTIONS")
    if reads or name == "viewing":
        assert ask(name, user, method=method, **stored)[1].content == b"in"
    else:
        with pytest.raises(PermissionDenied, match="End the view first"):
            ask(name, user, method=method, **stored)


def test_last_visited_organisation_is_remembered(people: Cast) -> None:
    request, _ = ask("organisation", people.bob)
    assert request.session[LAST_ORGANISATION] == "acme"
    # What is remembered already is not written again.
    remembered, _ = ask("organisation", people.bob, **{LAST_ORGANISATION: "acme"})
    fresh, _ = ask("organisation", people.bob, **{LAST_ORGANISATION: "other"})
    assert fresh.session[LAST_ORGANISATION] == "acme"
    assert remembered.session[LAST_ORGANISATION] == "acme"


def test_public_page_knows_its_visitor(people: Cast) -> None:
    """A visitor acts in no organisation and sees no organisation's rows."""
    seen = list[Any]()

    @guards.open_page
    def page(request: HttpRequest, actor: Any) -> HttpResponse:
        seen.append((actor and (actor.user, actor.organisation), tenancy.current_tenant()))
        return HttpResponse("in" * 1000)

    for user, expected, compressed in (
        (AnonymousUser(), (None, tenancy.NOBODY), True),
        (people.bob, ((people.bob, people.acme), people.acme.id), False),
        (people.dora, ((people.dora, None), tenancy.NOBODY), False),
    ):
        request = RequestFactory().get("/models", headers={"Accept-Encoding": "gzip"})
        request.user, request.session = user, SessionStore()
        with tenancy.use_tenant(None):
            response = page(request)
        assert seen.pop() == expected
        assert response.has_header("Content-Encoding") is compressed
        assert response["Cache-Control"] == "private, no-store"
