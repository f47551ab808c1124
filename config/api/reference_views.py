"""The reference of the management API: an overview, and a page per group of operations."""

import json

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.guards.guards import open_page, public
from config.api.description import description
from config.api.reference import Section, sections


@open_page
@require_safe
def api_reference(request: HttpRequest, actor: Actor | None) -> HttpResponse:
    return render(request, "config/api/api.html", {"sections": _sections()})


@open_page
@require_safe
def api_section(request: HttpRequest, actor: Actor | None, section: str) -> HttpResponse:
    every = _sections()
    current = next((one for one in every if one.id == section), None)
    if current is None:
        raise Http404
    return render(request, "config/api/api_section.html", {"sections": every, "section": current})


@public
@require_safe
def api_description(request: HttpRequest) -> HttpResponse:
    return HttpResponse(description(), content_type="application/json; charset=utf-8")


def _sections() -> list[Section]:
    return sections(json.loads(description()), gettext)
