"""What a device calls to sign in: OAuth's metadata (RFC 8414), device authorization (RFC 8628) and
revocation (RFC 7009), as Claude Code's gateway protocol has them. Members that are unknown are
ignored, as these standards require.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from accounts.access.guards import public
from accounts.device_sign_in import device_sign_in
from accounts.device_sign_in.device_sign_in import DeviceRefused
from accounts.device_sign_in.rules import INTERVAL_S, LIFETIME
from accounts.sessions.devices import product_of
from accounts.sessions.sessions import client_address
from accounts.sign_in import try_counts
from accounts.sign_in.security_changes import network_of_request
from accounts.sign_in.throttle import Action, limits_of_form

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
