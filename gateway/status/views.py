"""The status page for callers of models (W90), the operators' announcements (W84), and events shown
with the usage: a panel of the page of usage (W30), whose charts mark them."""

from typing import Any, Final, cast

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import (
    open_page,
    operator_page,
    organisation_page,
    redirect_to_sign_in,
    signed_in_view,
)
from accounts.models import User
from accounts.sign_in.sign_in import is_own_path
from gateway.models import Announcement, AnnouncementTone
from gateway.settings.installation import installation_settings
from gateway.status.access import (
    access_announcement,
    access_current_announcement,
    visible_announcements,
)
from gateway.status.announcements import (
    change_announcement,
    check_times,
    current_announcements,
    dismiss_announcement,
    end_announcement,
    publish_announcement,
)
from gateway.status.model_status import visible_statuses
from gateway.status.usage_marks import Mark, MarkKind, marks_of
from lib import clock
from lib.forms.date_and_file_fields import MomentInput
from lib.htmx import is_htmx, redirect_to, render_dialog, render_part, see_other
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.table import Badge
from usage.filters import filters
from usage.overview.chart_notes import writable_notes

_STATES = {
    "operational": Badge(_("Operational"), "ok"),
    "degraded": Badge(_("Degraded"), "warn"),
    "down": Badge(_("Down"), "bad"),
    "unknown": Badge(_("Not used yet")),
}
# The first state in this list that any model has decides.
_SUMMARY = {
    "down": ("bad", _("Some models are down")),
    "degraded": ("warn", _("Some models are degraded")),
    "operational": ("ok", _("All models in use are operational")),
    "unknown": ("info", _("No model has been used yet")),
}
_LISTED_MAX = 50


@open_page
@require_safe
def status(request: HttpRequest, actor: Actor | None) -> HttpResponseBase:
    if actor is None and not installation_settings().public_status:
        return redirect_to_sign_in(request)
    statuses = visible_statuses(actor)
    states = {status.state for status in statuses}
    tone, summary = next((_SUMMARY[state] for state in _SUMMARY if state in states), ("", ""))
    context = {
        "rows": [{"status": status, "badge": _STATES[status.state]} for status in statuses],
        "tone": tone,
        "summary": summary,
        "told": current_announcements(),
        "now": clock.now(),
    }
    return render(request, "gateway/status/status.html", context)


def _moment(label: Any, hint: Any) -> forms.DateTimeField:
    return forms.DateTimeField(label=label, help_text=hint, required=False, widget=MomentInput())


class AnnouncementForm(forms.Form):
    """The text of an announcement, and its period (UTC)."""

    title = forms.CharField(label=_("Title"), max_length=120)
    text = forms.CharField(
        label=_("Details"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    tone = forms.ChoiceField(label=_("Type"), choices=AnnouncementTone.choices)
    starts_at = _moment(_("Show from"), _("UTC. Leave empty to publish now."))
    ends_at = _moment(_("Show until"), _("UTC. Leave empty to show it until you end it."))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        cleaned["starts_at"] = cleaned.get("starts_at") or clock.now()
        try:
            check_times(cleaned["starts_at"], cleaned.get("ends_at"))
        except Refused as refused:
            refused.add_to(self)
        return cleaned


@operator_page("channels.read")
@require_safe
def announcements(request: HttpRequest, actor: Actor) -> HttpResponse:
    context = {
        "rows": [_announcement_row(one) for one in visible_announcements(actor)[:_LISTED_MAX]],
        "may_write": access.scope_of(actor, "channels.write") is not None,
    }
    return render(request, "gateway/status/announcements.html", context)


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def announcement_publish(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = AnnouncementForm(request.POST or None)
    if form.is_valid():
        publish_announcement(actor, **form.cleaned_data)
        messages.success(request, gettext("Published."))
        return redirect_to(request, "announcements")
    return _dialog(request, form, gettext("New announcement"), gettext("Publish"))


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def announcement(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    stored = access_announcement(actor, id)
    names = ("title", "text", "tone", "starts_at", "ends_at")
    initial = {name: getattr(stored, name) for name in names}
    form = AnnouncementForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        change_announcement(actor, stored, **form.cleaned_data)
        messages.success(request, gettext("Saved."))
        return redirect_to(request, "announcements")
    line = gettext("After a change, everyone sees it again, including people who dismissed it.")
    return _dialog(request, form, gettext("Edit announcement"), gettext("Save"), line)


def _dialog(
    request: HttpRequest, form: forms.Form, title: str, verb: str, line: str = ""
) -> HttpResponseBase:
    context = {
        "form": form,
        "title": title,
        "line": line,
        "verb": verb,
        "back": reverse("announcements"),
        "back_text": gettext("Announcements"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=bool(form.errors)
    )


@operator_page("channels.write")
@require_POST
def announcement_end(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    end_announcement(actor, access_announcement(actor, id))
    messages.success(request, gettext("The announcement is no longer shown."))
    return see_other("announcements")


@signed_in_view
@require_POST
def announcement_dismiss(request: HttpRequest, id: str) -> HttpResponseBase:
    dismiss_announcement(cast(User, request.user), access_current_announcement(id))
    if is_htmx(request):
        return HttpResponse()
    back = request.POST.get("next", "")
    return see_other(back if is_own_path(back) else "/")


def _announcement_row(stored: Announcement) -> dict[str, Any]:
    now = clock.now()
    if stored.ends_at is not None and stored.ends_at <= now:
        badge = Badge(_("Ended"))
    elif stored.starts_at > now:
        badge = Badge(_("Scheduled"), "info", icon="clock")
    else:
        badge = Badge(_("Shown"), "ok")
    return {
        "announcement": stored,
        "id": stored.public_id,
        "badge": badge,
        "kind": AnnouncementTone(stored.tone).label,
        "ended": stored.ends_at is not None and stored.ends_at <= now,
    }


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
