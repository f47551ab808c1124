"""The guards of pages: who may open a page, and as whom.

A view is marked with its access class by the decorator that guards it; tests check every class.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import close_old_connections
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import urlencode

from accounts.access import entry_requirements
from accounts.access.access import get_by_slug, require
from accounts.access.actors import (
    LAST_ORGANISATION,
    Actor,
    actor_of_member,
    last_membership,
    memberships,
    session_actor,
)
from accounts.models import Organisation, User
from accounts.roles import rules as roles
from accounts.sessions.view_as import actor_viewing, refuse_while_viewing
from lib.database import tenancy
from lib.htmx import is_htmx, page_address, redirect_to

_GZIP = GZipMiddleware(lambda request: HttpResponse())

View: TypeAlias = Callable[..., Any]
Response = TypeVar("Response", bound=HttpResponseBase)


def organisation_page(action: roles.Action) -> Callable[[View], View]:
    """Guard a view under ``/o/<slug:o>/…`` and call it as ``view(request, actor, **rest)``.

    A visitor is sent to sign in and then back. Somebody who is not a member gets 404, a member
    without permission 403. Sync and async views work; an async one holds no database connection
    while it streams.
    """

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        slug = kwargs.pop("o")
        membership = (
            memberships()
            .filter(user=user, organisation__slug=slug, organisation__archived_at=None)
            .first()
        )
        # An operator may enter without being a member, as far as the table of roles allows.
        if membership is None and not user.operator:
            raise Http404
        organisation = membership.organisation if membership else _open_organisation(slug)
        if request.session.get(LAST_ORGANISATION) != slug:
            request.session[LAST_ORGANISATION] = slug
        actor = actor_viewing(actor_of_member(user, organisation, membership), request.session)
        entry_requirements.check(request, user, organisation, membership)
        act_as(request, actor)
        require(actor, action)
        return actor

    return _guard(f"organisation:{action}", enter)


def _open_organisation(slug: str) -> Organisation:
    return get_by_slug(Organisation.objects.filter(archived_at=None), slug)


def session_page(action: roles.Action) -> Callable[[View], View]:
    """Guard a page without an organisation in its address. The organisation is the one last visited
    in this session."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        actor = session_actor(request, user)
        if actor is None or actor.organisation is None:
            raise Http404
        entry_requirements.check(request, user, actor.organisation, last_membership(request, user))
        tenancy.enter(actor.organisation.id)
        require(actor, action)
        return actor

    return _guard(f"organisation:{action}", enter)


def operator_page(action: roles.Action) -> Callable[[View], View]:
    """Guard a view of the installation (``/admin/…``). Everybody except operators gets 404."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        if not user.operator:
            raise Http404
        # The page's frame keeps a link back to the organisation last visited.
        last = last_membership(request, user)
        actor = actor_of_member(user, last.organisation if last else None, last)
        request.actor = actor  # type: ignore[attr-defined]
        require(actor, action)
        return actor

    return _guard(f"operator:{action}", enter)


def signed_in_view(view: View) -> View:
    """Guard a third-party view of the person's own account, which takes no actor."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        return actor_of_member(user, None, None)

    @wraps(view)
    def without_actor(request: HttpRequest, actor: Actor, **kwargs: Any) -> HttpResponseBase:
        return cast(HttpResponseBase, view(request, **kwargs))

    return _guard("signed-in", enter)(without_actor)


def viewing_page(view: View) -> View:
    """Guard the only action that is allowed while a person views an organisation: ending the
    view."""

    def enter(request: HttpRequest, user: User, kwargs: dict[str, Any]) -> Actor:
        return actor_of_member(user, None, None)

    return _guard("signed-in", enter, while_viewing=True)(view)


def public(view: View) -> View:
    """Mark a view that anybody may open; tests list all of them."""
    return _with_access_class(view, "public")


def open_page(view: View) -> View:
    """Guard a public page and call it as ``view(request, actor, **rest)``.

    The actor is None for a visitor who is not signed in. A signed-in person sees the navigation of
    the organisation last visited. A visitor's page is compressed, because it contains no secret
    (docs/adr/0011).
    """

    @wraps(view)
    def opened(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        actor = visitor(request)
        response = _private(cast(HttpResponseBase, view(request, actor, **kwargs)))
        return response if actor else compress_response(request, response)

    return _with_access_class(opened, "public")


def compress_response(request: HttpRequest, response: Response) -> Response:
    """Compress a visitor's page if the browser accepts that."""
    return cast(Response, _GZIP.process_response(request, cast(HttpResponse, response)))


def visitor(request: HttpRequest) -> Actor | None:
    """Return the signed-in visitor of a public page, for its navigation, or None."""
    if not isinstance(request.user, User):
        tenancy.enter(tenancy.NOBODY)
        return None
    actor = session_actor(request, request.user) or actor_of_member(request.user, None, None)
    act_as(request, actor)
    return actor


def act_as(request: HttpRequest, actor: Actor) -> None:
    """Handle the request as this actor. From now on the database shows only the rows of the actor's
    organisation; without one, only rows of no organisation."""
    request.actor = actor  # type: ignore[attr-defined]
    tenancy.enter(actor.organisation.id if actor.organisation else tenancy.NOBODY)


def _with_access_class(view: View, access_class: str) -> View:
    view.access_class = access_class  # type: ignore[attr-defined]
    return view


def _guard(
    access_class: str,
    enter: Callable[[HttpRequest, User, dict[str, Any]], Actor],
    *,
    while_viewing: bool = False,
) -> Callable[[View], View]:
    def decorate(view: View) -> View:
        guarded: View
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_async(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
                entered = await sync_to_async(enter_for_stream)(request, kwargs)
                if isinstance(entered, Actor):
                    entered = cast(HttpResponseBase, await view(request, entered, **kwargs))
                return _private(entered)

            guarded = guarded_async
        else:

            @wraps(view)
            def guarded_sync(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
                entered = enter_page(request, kwargs)
                if isinstance(entered, Actor):
                    entered = cast(HttpResponseBase, view(request, entered, **kwargs))
                return _private(entered)

            guarded = guarded_sync
        return _with_access_class(guarded, access_class)

    def enter_page(request: HttpRequest, kwargs: dict[str, Any]) -> Actor | HttpResponseBase:
        if not isinstance(request.user, User):
            return redirect_to_sign_in(request)
        if not while_viewing:
            refuse_while_viewing(request)
        try:
            return enter(request, request.user, kwargs)
        except entry_requirements.EntryRefused as refused:
            return redirect_to(request, refused.url)

    def enter_for_stream(request: HttpRequest, kwargs: dict[str, Any]) -> Actor | HttpResponseBase:
        try:
            return enter_page(request, kwargs)
        finally:
            # Return this thread's connection to the pool before the view streams.
            close_old_connections()

    return decorate


def _private(response: HttpResponseBase) -> HttpResponseBase:
    response["Cache-Control"] = "private, no-store"
    patch_vary_headers(response, ("HX-Request", "Cookie"))
    return response


def redirect_to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the sign-in page and back."""
    login = resolve_url(settings.LOGIN_URL)
    if is_htmx(request):
        # A fragment is not a page that a person can return to.
        back = page_address(request) or "/"
        response = HttpResponse(status=401)
        response["HX-Redirect"] = f"{login}?{urlencode({'next': back})}"
        return response
    return redirect_to_login(request.get_full_path(), login)
