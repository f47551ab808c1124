"""Home (W03): the month's usage and the matters that need attention, in separately loaded panels.

Each panel has its own request, so that a slow or failing panel delays no other. Without scripts,
`?panels=all` renders them all in the page.
"""

import logging
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from accounts.access.actors import Actor
from accounts.access.guards import organisation_page
from config.home.panels import PANELS, Panel, panels_for
from config.home.start_views import start_page, wants_start
from lib import clock

log = logging.getLogger(__name__)


@organisation_page("models.read")
@require_safe
def home(request: HttpRequest, actor: Actor) -> HttpResponse:
    if wants_start(request, actor):
        return start_page(request, actor)
    inline = "panels" in request.GET
    panels = {
        panel.name: {"panel": panel, "html": _render(request, actor, panel) if inline else ""}
        for panel in panels_for(actor)
    }
    return render(request, "config/home/home.html", {"panels": panels, "today": clock.now()})


@organisation_page("models.read")
@require_safe
def home_panel(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    panel = PANELS.get(name)
    if panel is None or panel not in panels_for(actor):
        raise Http404
    return HttpResponse(_render(request, actor, panel))


def _render(request: HttpRequest, actor: Actor, panel: Panel) -> str:
    """Return the rendered panel. If it fails, return a message with a retry link."""
    context: dict[str, Any] = {"panel": panel, "actor": actor}
    try:
        filled = {**context, **panel.read(request, actor)}
        return render_to_string(f"config/home/_{panel.name}.html", filled, request)
    except Exception:
        log.exception("the panel %s of home failed", panel.name)
        return render_to_string("config/home/_failed.html", context, request)
