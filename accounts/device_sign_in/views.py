"""The page on which a person lets a device sign in (RFC 8628, 3.3)."""

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.access.access import scope_of
from accounts.access.account_guard import account_page
from accounts.access.actors import (
    LAST_ORGANISATION,
    Actor,
    actor_of_member,
    memberships,
    slug_of,
)
from accounts.device_sign_in import device_sign_in
from accounts.device_sign_in.rules import KEY_LIFETIME, read_user_code
from accounts.models import User
from accounts.sign_in import entry_requirements, try_counts
from accounts.sign_in.security_changes import network_of_request
from accounts.sign_in.throttle import limits_of_form
from accounts.sign_in.views import throttle_view
from lib.refusal import Refused

_PAGE = "accounts/device_sign_in/device.html"


@account_page
@never_cache
@throttle_view("device")
@require_http_methods(["GET", "HEAD", "POST"])
def device_page(request: HttpRequest) -> HttpResponseBase:
    """Ask for the code that the device shows, then whether it may have a key."""
    actors = _actors(cast(User, request.user))
    sent = request.POST if request.method == "POST" else request.GET
    code = read_user_code(sent.get("user_code", ""))
    if code and request.method != "POST":
        # `throttle_view` counts what is sent; a code in the address could be guessed as well.
        try_counts.count(limits_of_form("device", network_of_request(request)))
    device = device_sign_in.find_open(code) if code else None
    context: dict[str, Any] = {
        "code": code or sent.get("user_code", "")[:20],
        "device": device,
        "unknown": device is None and bool(sent.get("user_code")),
        "places": [(slug_of(actor), cast(Any, actor.organisation).name) for actor in actors],
        "place": request.session.get(LAST_ORGANISATION),
        "days": KEY_LIFETIME.days,
    }
    if request.method == "POST" and device is not None and "decision" in sent:
        return _decide(request, actors, code, context)
    status = 422 if context["unknown"] and request.method == "POST" else 200
    return render(request, _PAGE, context, status=status)


def _decide(
    request: HttpRequest, actors: list[Actor], code: str, context: dict[str, Any]
) -> HttpResponse:
    slug = request.POST.get("organisation", "")
    actor = next((actor for actor in actors if slug_of(actor) == slug), None)
    if actor is None:
        return render(request, _PAGE, context, status=422)
    user, organisation = cast(User, request.user), cast(Any, actor.organisation)
    membership = memberships().filter(user=user, organisation=organisation).first()
    entry_requirements.check(request, user, organisation, membership)
    allowed = request.POST["decision"] == "allow"
    try:
        (device_sign_in.allow if allowed else device_sign_in.deny)(actor, code)
    except Refused as refused:
        messages.error(request, refused.message)
        return render(request, _PAGE, context | {"unknown": True, "device": None}, status=422)
    return render(request, _PAGE, context | {"decided": True, "allowed": allowed, "slug": slug})


def _actors(user: User) -> list[Actor]:
    """Return the person in each organisation in which they may create keys."""
    mine = memberships().filter(user=user, organisation__archived_at=None)
    actors = [actor_of_member(user, one.organisation, one) for one in mine.order_by("id")]
    return [actor for actor in actors if scope_of(actor, "keys.write_own") is not None]
