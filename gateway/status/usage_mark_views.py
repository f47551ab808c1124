"""Events shown with the usage: a panel of the page of usage (W30). Its charts mark them."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from gateway.status.usage_marks import Mark, MarkKind, marks_of
from lib import clock
from lib.htmx import render_part
from lib.ids import id_text
from lib.tables.table import Badge
from usage.reports import filters
from usage.reports.chart_notes import writable_notes

_KINDS: Final[dict[MarkKind, Badge]] = {
    "price": Badge(_("Price"), "info"),
    "announcement": Badge(_("Announcement"), "warn"),
    "channel": Badge(_("Channel"), "neutral"),
    "note": Badge(_("Note"), "ok"),
}


@organisation_page("usage.read")
@require_safe
def marks_panel(request: HttpRequest, actor: Actor) -> HttpResponse:
    usage_filter = filters.from_query(
        dict(request.GET.lists()), clock.now(), channels=actor.operator
    )
    writes = access.scope_of(actor, "teams.write") is not None
    own = writable_notes(actor).values_list("id", flat=True) if writes else ()
    deletable = {id_text(id) for id in own}
    context = {
        "marks": [
            _mark_row(actor, mark, deletable)
            for mark in reversed(marks_of(actor, usage_filter.span, usage_filter.scope))
        ],
        "asked": usage_filter,
        "new_url": reverse("note_new", args=[slug_of(actor)]) if writes else "",
    }
    with timezone.override(usage_filter.zone):
        return render_part(
            request, "gateway/status/usage_marks.html", "gateway/status/_usage_marks.html", context
        )


def _mark_row(actor: Actor, mark: Mark, deletable: set[str]) -> dict[str, Any]:
    url = reverse("note_delete", args=[slug_of(actor), mark.id]) if mark.id in deletable else ""
    return {"mark": mark, "badge": _KINDS[mark.kind], "delete_url": url}
