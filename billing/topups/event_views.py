"""Receive events of payment processors. Their signature authenticates them."""

import logging
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.access.guards import public
from billing.topups.processors import UnknownProcessor
from billing.topups.processors.processor import EventInvalid
from billing.topups.topups import take_event

log = logging.getLogger(__name__)

_BODY_MAX: Final = 256 * 1024


@public
@csrf_exempt
@require_POST
def processor_event(request: HttpRequest, processor: str) -> HttpResponse:
    # Verified events get 200 whatever their effect: sending them again would not change it.
    if int(request.headers.get("content-length") or 0) > _BODY_MAX or len(request.body) > _BODY_MAX:
        return _answer(413, "too large")
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        verdict = take_event(processor, headers, request.body)
    except UnknownProcessor:
        raise Http404 from None
    except EventInvalid as error:
        log.warning("an event of %s was refused: %s", processor, error)
        return _answer(400, "not a signed event")
    return _answer(200, str(verdict) if verdict else "ignored")


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(
        text + "\n", status=status, content_type="text/plain", headers={"Cache-Control": "no-store"}
    )
