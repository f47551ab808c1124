"""Access to `/metrics`: with its token, or without one from nearby networks."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from accounts.access.guards import public
from accounts.sessions.sessions import client_address
from config.system.metrics import metrics_text

# Headers that proxies add. Behind an untrusted proxy, all clients have the proxy's address.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
_REFUSED = (
    "Only the networks of METRICS_ALLOW may read this, and whoever sends METRICS_TOKEN as "
    "Authorization: Bearer. See docs/production/watch.md, Metrics.\n"
)


@public
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not (_has_token(request) or _is_near(request)):
        refused = HttpResponse(_REFUSED, status=401, content_type="text/plain; charset=utf-8")
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    response = HttpResponse(metrics_text(), content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response


def _has_token(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    authorization = request.headers.get("Authorization", "")
    return token is not None and constant_time_compare(authorization, f"Bearer {token}")


def _is_near(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN is not None or any(name in request.headers for name in _FORWARDED):
        return False
    address = ipaddress.ip_address(client_address(request))
    return any(address in network for network in settings.METRICS_ALLOW)
