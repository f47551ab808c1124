"""An operator looks at an organisation as one of its members (W75)."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.access import all_organisations
from accounts.access.actors import Actor
from accounts.audit.audit import REASON_MAX
from accounts.guards.guards import operator_page, viewing_page
from accounts.members.forms import role_label
from accounts.models import Organisation, Role
from accounts.organisations.choices import pick_organisation
from accounts.sessions.view_as import begin_view, end_view
from lib.htmx import redirect_to, render_dialog, see_other


class ViewForm(forms.Form):
    organisation = forms.ModelChoiceField(
        Organisation.objects.none(),
        to_field_name="slug",
        label=_("Organisation"),
        widget=pick_organisation(),
        error_messages={"invalid_choice": _("No organisation has this name.")},
    )
    role = forms.ChoiceField(
        label=_("View as"),
        choices=lambda: [(role.value, role_label(role)) for role in Role if role != Role.CUSTOM],
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX,
        help_text=_("The owners of the organisation get an email with this reason."),
    )

    def __init__(self, actor: Actor, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["organisation"].queryset = all_organisations(actor)  # type: ignore[attr-defined]


@operator_page("view_as.begin")
@require_http_methods(["GET", "HEAD", "POST"])
def view_as(request: HttpRequest, actor: Actor) -> HttpResponse:
    initial = {"organisation": request.GET.get("organisation", "")}
    form = ViewForm(actor, request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        begin_view(actor, request.session, data["organisation"], Role(data["role"]), data["reason"])
        return redirect_to(request, "home", data["organisation"].slug)
    return render_dialog(
        request, "accounts/organisations/view_as.html", {"form": form}, refused=form.is_bound
    )


@viewing_page
@require_POST
def view_end(request: HttpRequest, actor: Actor) -> HttpResponse:
    end_view(actor, request.session)
    return see_other("all_audit")
