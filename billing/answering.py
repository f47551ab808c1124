"""An Idempotency-Key at the edge: from a request of the management API to its one answer."""

import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts.access import Actor
from billing.idempotency import Answer, once


def answered(request: HttpRequest, actor: Actor, act: Callable[[], Answer]) -> HttpResponse:
    """What `act` answers, once for the request's Idempotency-Key if it has one (P5)."""
    key = request.headers.get("idempotency-key")
    asked = (request.method or "", request.path, request.body)
    answer = once(actor, key, asked, act)
    response = HttpResponse(
        json.dumps(answer.body),
        status=answer.status,
        content_type="application/json",
        headers={"Cache-Control": "private, no-store"},
    )
    if answer.replayed:
        response["Idempotent-Replayed"] = "true"
    return response
