"""Preview the request of the composer's content, as code and as it will be sent."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from gateway.code_examples.snippets import LANGUAGES, Language
from playground.panel.settings import write_json
from playground.panel.views import code_panel, draft_request
from playground.turns.form import form_values, read_form
from playground.turns.request import shorten_request
from playground.turns.turns import TurnRefused


@organisation_page("playground.use")
@require_POST
def draft_code(request: HttpRequest, actor: Actor) -> HttpResponse:
    url = reverse("draft_code", args=[slug_of(actor)])
    return _show(request, actor, "playground/turns/_draft_code.html", url)


@organisation_page("playground.use")
@require_POST
def draft_debug(request: HttpRequest, actor: Actor) -> HttpResponse:
    url = reverse("draft_debug", args=[slug_of(actor)])
    return _show(request, actor, "playground/turns/_draft_debug.html", url)


def _show(request: HttpRequest, actor: Actor, template: str, url: str) -> HttpResponse:
    """Show the request of one column, or why it would be refused. What to show is in the query, or
    else in the fields of the form."""
    context: dict[str, Any] = {"draft_url": url, "slug": slug_of(actor)}
    wanted = form_values(request.POST) | form_values(request.GET)
    languages: Iterator[Language] = (one for one in LANGUAGES if one == wanted.get("draft_lang"))
    try:
        form = read_form(actor, request.POST)
        word = wanted.get("draft_column", "")
        number = int(word) if word in ("1", "2", "3") and int(word) < len(form.columns) else 0
        body = draft_request(actor, form, number)
    except TurnRefused as refused:
        return render(request, template, context | {"refused_draft": refused.message})
    context |= {
        "column": number,
        "columns": [column.model for column in form.columns],
        "payer": form.payer,
        "model": form.columns[number].model,
        "request_json": write_json(shorten_request(body)),
        **code_panel(actor, body, url, wanted.get("draft_form", ""), next(languages, "curl")),
    }
    return render(request, template, context)
