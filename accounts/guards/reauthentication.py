"""Require a recent sign-in, or its confirmation, before dangerous actions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast
from urllib.parse import urlsplit

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.urls import Resolver404, resolve
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext

from accounts.access.access import AccessDenied
from accounts.guards.guards import View
from accounts.models import User
from lib import clock
from lib.database.tenancy import use_tenant
from lib.htmx import is_htmx, page_address

_INTERRUPTED = "confirm_first"


@dataclass(frozen=True)
class Purpose:
    """What a recent sign-in is needed for. `action` completes "Enter your password to …"; `place`
    names where the person continues, as the menu does, outermost first."""

    action: Promise
    place: tuple[Promise, ...]


class ConfirmationMixin:
    """Adds to the template of a confirmation page the `purpose` of the confirmation, if any."""

    request: HttpRequest

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        return context | {"purpose": _purpose_of(self.request)}


def signed_in_recently(request: HttpRequest, *, but_by: str = "") -> bool:
    """Return whether the signed-in person has authenticated in the last
    `ACCOUNT_REAUTHENTICATION_TIMEOUT` seconds, by a method other than the identity provider
    `but_by`."""
    records = get_authentication_records(request, cast(User, request.user))
    counted = (record for record in records if not but_by or record.get("provider") != but_by)
    latest = max((record["at"] for record in counted), default=0)
    age_s = clock.now().timestamp() - latest
    return bool(age_s < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)


def recent_sign_in_required(action: Promise, *place: Promise) -> Callable[[View], View]:
    """Require a recent sign-in for a page. Others first confirm who they are, on a page that shows
    the `Purpose`, and then come back. Place it inside the guard that checks access:

        @organisation_page("keys.write")
        @recent_sign_in_required(gettext_lazy("create a key"), gettext_lazy("API keys"))
        def mint(request, actor): ...
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def recent(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not signed_in_recently(request):
                return redirect_to_confirmation(request)
            return cast(HttpResponseBase, view(request, *args, **kwargs))

        recent.purpose = Purpose(action, place)  # type: ignore[attr-defined]
        return recent

    return decorate


def can_confirm(user: User) -> bool:
    """Return whether the person has a password, a factor or an identity provider to confirm
    with."""
    return _way_of(user) != resolve_url("account_set_password")


def check_signed_in_recently(request: HttpRequest) -> None:
    """Require a recent sign-in for an API operation. A key passes. Raises AccessDenied."""
    actor = getattr(request, "auth", None)
    if getattr(actor, "key", None) is None and not signed_in_recently(request):
        raise AccessDenied(
            gettext("Confirm that it is you first: open %(url)s, then try again.")
            % {"url": settings.PUBLIC_URL + resolve_url("account_reauthenticate")}
        )


def check_may_change_single_sign_on(request: HttpRequest) -> None:
    """Check an operation that changes who can sign in: a leaked key could take over accounts.
    Raises AccessDenied."""
    _check_person(request, "SSO_CHANGES_BY_KEY")


def check_may_handle_personal_data(request: HttpRequest) -> None:
    """Check an operation that reads or erases what is stored about a person: a leaked key could
    copy or destroy it. Raises AccessDenied."""
    _check_person(request, "PERSONAL_DATA_BY_KEY")


def _check_person(request: HttpRequest, setting: str) -> None:
    """Require a person with a recent sign-in. Keys are refused unless the installation's setting
    allows them."""
    actor = getattr(request, "auth", None)
    if getattr(actor, "key", None) is not None and not getattr(settings, setting):
        raise AccessDenied(
            gettext(
                "An API key cannot do this. Do it in the browser, or ask the operator of this "
                "installation to set %(setting)s=1."
            )
            % {"setting": setting}
        )
    check_signed_in_recently(request)


def redirect_to_confirmation(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the page that asks for the password or a factor, and back."""
    back = _back(request)
    # Store neither the form nor its values in the session, because a form may contain a secret.
    request.session[_INTERRUPTED] = {"path": request.path, "back": back}
    url = f"{_way_of(cast(User, request.user))}?{urlencode({'next': back})}"
    if not is_htmx(request):
        return redirect(url)
    response = HttpResponse(status=403)
    response["HX-Redirect"] = url
    return response


def _purpose_of(request: HttpRequest) -> Purpose | None:
    """Return the purpose for which a person confirms who they are, or None if they opened the page
    directly."""
    interrupted = request.session.get(_INTERRUPTED)
    if interrupted is None or interrupted["back"] != get_next_redirect_url(request):
        return None
    try:
        return getattr(resolve(interrupted["path"]).func, "purpose", None)
    except Resolver404:
        return None


def _way_of(user: User) -> str:
    """Return where the person can confirm their identity: here, at an identity provider, or with a
    first password."""
    with use_tenant(None):  # how a person signs in belongs to no organisation
        if get_adapter().get_reauthentication_methods(user):
            return resolve_url("account_reauthenticate")
        account = SocialAccount.objects.filter(user=user).order_by("-last_login").first()
    if account is not None:
        return resolve_url("openid_connect_login", account.provider)
    return resolve_url("account_set_password")


def _back(request: HttpRequest) -> str:
    """Return the page that the person came from. A form that was sent is not kept and must be
    filled in again."""
    if is_htmx(request):
        return page_address(request) or "/"
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    page = urlsplit(request.headers.get("referer", ""))
    return page.path + (f"?{page.query}" if page.query else "") or "/"
