"""Notes on the charts of usage: the dialog that adds one, and its deletion."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.access import visible_teams
from accounts.access.actors import Actor, slug_of
from accounts.access.guards import organisation_page
from lib import clock
from lib.forms.native import MomentInput
from lib.htmx import redirect_to, render_dialog, see_other
from lib.refusal import Refused
from usage.reports import chart_notes


class NoteForm(forms.Form):
    at = forms.DateTimeField(
        label=_("Time (UTC)"),
        widget=MomentInput(),
    )
    team = forms.ChoiceField(label=_("Visible to"), required=False)
    text = forms.CharField(label=_("Text"), max_length=chart_notes.TEXT_MAX)

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = visible_teams(actor).filter(archived_at=None)
        everyone = [("", _("Everyone"))] if actor.teams is None else []
        self.fields["team"].choices = [*everyone, *((team.slug, team.name) for team in teams)]  # type: ignore[attr-defined]


@organisation_page("teams.write")
@require_http_methods(["GET", "HEAD", "POST"])
def note_new(request: HttpRequest, actor: Actor) -> HttpResponse:
    with timezone.override(timezone.get_fixed_timezone(0)):
        form = NoteForm(actor, request.POST or None, initial={"at": clock.now()})
        if form.is_valid():
            try:
                chart_notes.add_note(actor, **form.cleaned_data)
            except Refused as refused:
                refused.add_to(form)
            else:
                messages.success(request, gettext("Note added."))
                return redirect_to(request, "usage", slug_of(actor))
        context = {"form": form}
        return render_dialog(request, "usage/reports/note_new.html", context, refused=form.is_bound)


@organisation_page("teams.write")
@require_POST
def note_delete(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    chart_notes.delete_note(actor, chart_notes.writable_note(actor, id))
    messages.success(request, gettext("Note deleted."))
    return see_other("usage", slug_of(actor))
