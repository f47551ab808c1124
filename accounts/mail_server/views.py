"""The page of the mail server, for operators."""

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.mail_server import current_server, mail_server
from accounts.mail_server.trial_letter import Outcome, send_trial_letter
from accounts.models import MailEncryption
from lib.forms.fields import lock_fields
from lib.htmx import see_other
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused

ENCRYPTION_NAMES: Final[Mapping[str, Any]] = {
    MailEncryption.STARTTLS: gettext_lazy("STARTTLS (port 587)"),
    MailEncryption.TLS: gettext_lazy("TLS (port 465)"),
    MailEncryption.NONE: gettext_lazy("None (port 25)"),
}
_OUTCOME = "trial_letter"
_recent_sign_in_required = recent_sign_in_required(
    gettext_lazy("change the mail server"), gettext_lazy("System"), gettext_lazy("Mail server")
)


class MailServerForm(forms.Form):
    """The server that sends emails."""

    host = forms.CharField(
        label=gettext_lazy("Host"),
        max_length=253,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    port = WholeNumberField(
        label=gettext_lazy("Port"), min_value=1, max_value=mail_server.PORT_MAX, initial=587
    )
    encryption = forms.ChoiceField(
        label=gettext_lazy("Encryption"),
        choices=list(ENCRYPTION_NAMES.items()),
        initial=MailEncryption.STARTTLS,
    )
    username = forms.CharField(
        label=gettext_lazy("User"),
        max_length=mail_server.USERNAME_MAX,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=mail_server.PASSWORD_MAX,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    sender = forms.EmailField(
        label=gettext_lazy("Sender"),
        max_length=254,
        required=False,
        help_text=gettext_lazy("Most mail servers accept only their own addresses."),
    )

    def __init__(self, data: Any, described: dict[str, Any] | None) -> None:
        super().__init__(data, initial=described)
        if described and described["has_password"]:
            self.fields["password"].help_text = gettext("Leave empty to keep the stored password.")
        lock_fields(self, current_server.set_by_environment())


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
@_recent_sign_in_required
def settings_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = MailServerForm(request.POST or None, current_server.describe_mail_server())
    if request.method == "POST" and form.is_valid():
        fields = form.cleaned_data
        if form.fields["sender"].disabled:
            fields["sender"] = (current_server.describe_stored() or {}).get("sender", "")
        try:
            mail_server.save_mail_server(actor, **fields)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Settings saved."))
            return see_other("mail_server")
    return _page(request, actor, form)


@operator_page("channels.write")
@require_POST
@_recent_sign_in_required
def remove(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    try:
        mail_server.remove_mail_server(actor)
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, gettext("Mail server removed."))
    return see_other("mail_server")


@operator_page("channels.write")
@require_POST
@_recent_sign_in_required
def send_test(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    request.session[_OUTCOME] = send_trial_letter(_address_of(actor))
    return see_other("mail_server")


def _address_of(actor: Actor) -> str:
    return actor.user.email if actor.user else ""


def _page(request: HttpRequest, actor: Actor, form: MailServerForm) -> HttpResponse:
    outcome = request.session.pop(_OUTCOME, None)
    locked = form.fields["host"].disabled
    context = {
        "form": form,
        "locked": locked,
        "removable": not locked and current_server.describe_stored() is not None,
        "can_send": current_server.describe_mail_server() is not None,
        "address": _address_of(actor),
        "outcome": Outcome(*outcome) if outcome else None,
    }
    status = 422 if form.errors else 200
    return render(request, "accounts/mail_server/mail_server.html", context, status=status)
