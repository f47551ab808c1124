"""Forms that hash a password or send an email: how often they can be submitted."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

from allauth.account.utils import get_next_redirect_url
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render

from accounts.guards.guards import View
from accounts.mail_server.current_server import mail_is_set_up
from accounts.models import User
from accounts.secrets.password_hashing import HashingBusy
from accounts.sessions.security_changes import PasswordChanged, network_of_request
from accounts.throttle import try_counts
from accounts.throttle.throttle import Action, Limit, limits_of_form, limits_of_person

_BUSY_S: Final = 5


def throttle_view(action: Action) -> Callable[[View], View]:
    """Limit how often a form that hashes a password or sends an email can be submitted."""

    def decorate(view: View) -> View:
        @wraps(view)
        def slow(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            try:
                if request.method == "POST":
                    try_counts.count(_limits(action, request))
                return cast(HttpResponseBase, view(request, **kwargs))
            except try_counts.TooManyTries as refused:
                return _throttled_response(request, 429, refused.wait_s, action)
            except HashingBusy:
                return _throttled_response(request, 503, _BUSY_S, action)
            except PasswordChanged:
                # The page shows the current state: either the link is used, or the person has to
                # sign in again.
                return redirect(request.path)

        return slow

    return decorate


def _limits(action: Action, request: HttpRequest) -> tuple[Limit, ...]:
    limits = limits_of_form(action, network_of_request(request))
    if isinstance(request.user, User):
        limits += limits_of_person(request.user.pk)
    return limits


def _throttled_response(
    request: HttpRequest, status: int, wait_s: int, action: Action
) -> HttpResponse:
    context = {
        "seconds": wait_s,
        "minutes": -(-wait_s // 60),
        "action": action,
        "email": request.POST.get("login", ""),
        "next": get_next_redirect_url(request),
        "mail_is_set_up": mail_is_set_up(),
    }
    response = render(request, f"{status}.html", context, status=status)
    response["Retry-After"] = str(wait_s)
    response["Cache-Control"] = "private, no-store"
    return response
