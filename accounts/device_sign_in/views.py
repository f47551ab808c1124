"""The page on which a person lets a device sign in (RFC 8628, 3.3), and what the device calls for
it: OAuth's metadata (RFC 8414), device authorization (RFC 8628) and revocation (RFC 7009), as
Claude Code's gateway protocol has them. Members that are unknown are ignored, as these standards
require."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import entry_requirements
from accounts.access.access import scope_of
from accounts.access.actors import (
    LAST_ORGANISATION,
    Actor,
    actor_of_member,
    memberships,
    slug_of,
)
from accounts.device_sign_in import device_sign_in
from accounts.device_sign_in.device_sign_in import DeviceRefused
from accounts.device_sign_in.rules import INTERVAL_S, KEY_LIFETIME, LIFETIME, read_user_code
from accounts.guards.account_guard import account_page
from accounts.guards.guards import public
from accounts.models import User
from accounts.sessions.devices import product_of
from accounts.sessions.security_changes import network_of_request
from accounts.sessions.sessions import client_address
from accounts.throttle import try_counts
from accounts.throttle.throttle import Action, limits_of_form
from accounts.throttled_forms.throttled_forms import throttle_view
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


DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SURFACES: Final = {"claude_code": "Claude Code"}
_UNKNOWN: Final = "Device"

_View = Callable[[HttpRequest], HttpResponse]


def _throttled(action: Action) -> Callable[[_View], _View]:
    def decorate(view: _View) -> _View:
        @wraps(view)
        def counted(request: HttpRequest) -> HttpResponse:
            try:
                try_counts.count(limits_of_form(action, network_of_request(request)))
            except try_counts.TooManyTries as refused:
                response = _error("slow_down", 429)
                response["Retry-After"] = str(refused.wait_s)
                return response
            return view(request)

        return counted

    return decorate


@public
@require_safe
def server_metadata(request: HttpRequest) -> HttpResponse:
    """Return the addresses at which a device begins its sign-in, polls, and signs out."""
    url = settings.PUBLIC_URL
    return JsonResponse(
        {
            "issuer": url,
            "device_authorization_endpoint": url + reverse("device_begin"),
            "token_endpoint": url + reverse("device_token"),
            "revocation_endpoint": url + reverse("device_revoke"),
            "grant_types_supported": [DEVICE_GRANT],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["none"],
        }
    )


@public
@csrf_exempt
@require_POST
@_throttled("device_begin")
def device_begin(request: HttpRequest) -> HttpResponse:
    """Begin the sign-in of a device."""
    begun = device_sign_in.begin(_client_of(request), client_address(request))
    return _answer(
        {
            "device_code": begun.device_code,
            "user_code": begun.user_code,
            "verification_uri": begun.page_url,
            "verification_uri_complete": begun.page_with_code_url,
            "expires_in": int(LIFETIME.total_seconds()),
            "interval": INTERVAL_S,
        }
    )


@public
@csrf_exempt
@require_POST
@_throttled("device_poll")
def device_token(request: HttpRequest) -> HttpResponse:
    """Return the device's key once a person has allowed it. There is no refresh token: the sign-in
    ends with the key."""
    if request.POST.get("grant_type") == "refresh_token":
        return _error("invalid_grant", 401)
    if request.POST.get("grant_type") != DEVICE_GRANT:
        return _error("unsupported_grant_type", 400)
    try:
        signed = device_sign_in.redeem(request.POST.get("device_code", "")[:200])
    except DeviceRefused as refused:
        return _error(refused.error, 400)
    return _answer(
        {
            "access_token": signed.text,
            "token_type": "Bearer",
            "expires_in": signed.lifetime_s,
            "email": signed.email,
        }
    )


@public
@csrf_exempt
@require_POST
@_throttled("device_poll")
def device_revoke(request: HttpRequest) -> HttpResponse:
    """Sign a device out. The answer is the same for every text (RFC 7009, 2.2)."""
    device_sign_in.sign_out(request.POST.get("token", "")[:200])
    return _answer({})


def _client_of(request: HttpRequest) -> str:
    """Return the device's name for itself, for the page and the name of its key."""
    named = _SURFACES.get(request.POST.get("surface", ""))
    agent = request.META.get("HTTP_USER_AGENT", "")
    if named is None and agent.startswith("claude-code/"):
        named = _SURFACES["claude_code"]
    name = named or product_of(agent)
    return name if name and name.isprintable() and name.strip() == name else _UNKNOWN


def _answer(body: dict[str, Any]) -> HttpResponse:
    return JsonResponse(body, headers={"Cache-Control": "no-store"})


def _error(code: str, status: int) -> HttpResponse:
    return JsonResponse({"error": code}, status=status, headers={"Cache-Control": "no-store"})
