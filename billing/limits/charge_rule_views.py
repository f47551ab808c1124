"""The operators' page of an organisation's charges for abandoned and failed requests (W75)."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from billing.access import organisation_named
from billing.limits.charge_rule_forms import ChargeRuleForm
from billing.limits.charge_rule_settings import charge_rule_of, read_rule_fields, set_charge_rule
from lib.htmx import redirect_to, render_dialog
from lib.refusal import Refused


@operator_page("credits.write")
@require_http_methods(["GET", "HEAD", "POST"])
def organisation_charge_rule(request: HttpRequest, actor: Actor, slug: str) -> HttpResponseBase:
    organisation = organisation_named(actor, slug)
    initial = ChargeRuleForm.initial_of(charge_rule_of(organisation))
    form = ChargeRuleForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            set_charge_rule(actor, organisation, read_rule_fields(form.rule_fields()))
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Saved. The change applies to new requests."))
            return redirect_to(request, "organisations")
    context = {
        "form": form,
        "title": gettext("Charge rule of %(name)s") % {"name": organisation.name},
        "line": gettext(
            "What is charged if a client disconnects, or an answer fails midway. It comes before "
            "the rules of models; if it is not set, they apply, or else the channel's setting."
        ),
        "verb": gettext("Save"),
        "back": reverse("organisations"),
        "back_text": gettext("Organisations"),
    }
    return render_dialog(
        request, "accounts/organisations/form_dialog.html", context, refused=bool(form.errors)
    )
