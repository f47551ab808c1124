"""Receive events of payment processors, which their signature authenticates. Download receipts of
payments, and all invoices of a year as one file."""

import logging
import re
from collections.abc import Iterator
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page, public
from billing.access import access_top_up, visible_invoices
from billing.invoices.pdf import LANGUAGES, invoice_pdf
from billing.models import Invoice, TopUp, TopUpState
from billing.topups.processors import UnknownProcessor
from billing.topups.processors.processor import EventInvalid
from billing.topups.receipt_document import describe_receipt, receipt_pdf
from billing.topups.topups import take_event
from billing.topups.words import top_up_badge
from lib.files.csv_file import stream
from lib.files.zip_stream import stream_zip
from lib.htmx import see_other
from lib.refusal import Refused

_YEAR: Final = re.compile("2[0-9]{3}")


@organisation_page("topups.read")
@require_safe
def receipt(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    top_up = _require_paid(actor, id)
    context = {
        "id": top_up.outer_id,
        "shown": describe_receipt(top_up, get_language() or "en"),
        "badge": top_up_badge(top_up),
    }
    return render(request, "billing/topups/receipt.html", context)


@organisation_page("topups.read")
@require_safe
def receipt_file(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    top_up = _require_paid(actor, id)
    try:
        return receipt_answer(top_up, request.GET.get("language") or get_language() or "en")
    except Refused as refused:
        messages.error(request, str(refused))
        return see_other(reverse("receipt", args=[slug_of(actor), top_up.outer_id]))


def receipt_answer(top_up: TopUp, language: str) -> HttpResponse:
    """Return the PDF of the receipt. Raises Http404 before the top-up is paid, and Refused."""
    if top_up.paid_at is None or language not in LANGUAGES:
        raise Http404
    response = HttpResponse(receipt_pdf(top_up, language), content_type="application/pdf")
    name = f"receipt-{top_up.outer_id}-{language}.pdf"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response


@organisation_page("balance.read")
@require_safe
def invoice_archive(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Stream the closed documents of a year's months as PDFs in the page's language. One document
    at a time is in memory."""
    year, language = request.GET.get("year", ""), get_language() or "en"
    if not _YEAR.fullmatch(year) or language not in LANGUAGES:
        raise Http404
    closed = visible_invoices(actor).exclude(number=None).filter(month__year=int(year))
    first = closed.first()
    if first is None:
        raise Http404
    try:
        # An unprintable document must be reported before the first byte.
        invoice_pdf(first, language)
    except Refused as refused:
        messages.error(request, str(refused))
        return see_other("invoices", slug_of(actor))
    name = f"invoices-{year}-{language}.zip"
    ids = list(closed.values_list("id", flat=True))
    pieces = stream_zip(_files(closed, ids, language))
    response = stream(request, name, "application/zip", pieces)
    response["Cache-Control"] = "private, no-store"
    return response


def _files(
    closed: QuerySet[Invoice], ids: list[UUID], language: str
) -> Iterator[tuple[str, bytes]]:
    for id in ids:
        receipt = closed.select_related("organisation", "corrects").get(id=id)
        yield f"{receipt.number}-{language}.pdf", invoice_pdf(receipt, language)


def _require_paid(actor: Actor, id: str) -> TopUp:
    top_up = access_top_up(actor, id)
    if top_up.state != TopUpState.PAID:
        raise Http404
    return top_up


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
