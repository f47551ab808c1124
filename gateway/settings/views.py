"""The installation's settings: those that can be changed at run time, their history, and those of
the environment."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.access.actors import Actor
from accounts.audit_log.log import Change
from accounts.guards.guards import operator_page
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.sign_up.conditions import current_mode
from accounts.sign_up.words import SIGN_UP_NAMES
from gateway.settings.history import access_setting_change, setting_changes, undo_setting_change
from gateway.settings.installation import current_values, save_settings, set_by_environment
from lib.forms.fields import lock_fields
from lib.htmx import see_other
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused
from lib.sentences import named_text

_LINES_MAX = 10_000
_LISTS = ("egress_allow", "egress_allow_users")
_SIGN_UP_LABELS = {
    "mode": gettext_lazy("Who can sign up"),
    "domains": gettext_lazy("Email domains"),
}
_recent_sign_in_required = recent_sign_in_required(
    gettext_lazy("change the settings of the installation"),
    gettext_lazy("System"),
    gettext_lazy("Settings"),
)


def _networks() -> forms.Textarea:
    return forms.Textarea(attrs={"class": "mono", "rows": 3, "spellcheck": "false"})


class InstallationSettingsForm(forms.Form):
    """The settings that operators change at run time."""

    unpriced_models = forms.ChoiceField(
        label=gettext_lazy("Models without a price"),
        choices=[
            ("reject", gettext_lazy("Reject requests")),
            ("free", gettext_lazy("Serve without charge")),
            ("alert", gettext_lazy("Serve without charge and alert operators")),
        ],
    )
    public_models = forms.BooleanField(
        label=gettext_lazy("Show models and prices without sign-in"), required=False
    )
    public_status = forms.BooleanField(
        label=gettext_lazy("Show the status page without sign-in"), required=False
    )
    prefix_sessions = forms.BooleanField(
        label=gettext_lazy("Group unlabelled requests into sessions by their first message"),
        help_text=gettext_lazy(
            "For requests that name no session: those of one API key with the same instructions "
            "and first message belong together. A keyed digest of both is kept, not the text."
        ),
        required=False,
    )
    task_result_days = WholeNumberField(
        label=gettext_lazy("Keep results of media tasks for (days)"), min_value=1, max_value=365
    )
    egress_allow = forms.CharField(
        label=gettext_lazy("Private networks for channels"),
        help_text=gettext_lazy(
            "One CIDR per line. Channels can reach public addresses and these networks."
        ),
        max_length=_LINES_MAX,
        required=False,
        widget=_networks(),
    )
    egress_allow_users = forms.CharField(
        label=gettext_lazy("Private networks for user content"),
        help_text=gettext_lazy(
            "One CIDR per line. Files and tools at addresses that users give can be fetched from "
            "these networks."
        ),
        max_length=_LINES_MAX,
        required=False,
        widget=_networks(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, variable in set_by_environment().items():
            self.initial[name] = getattr(settings, variable)
        lock_fields(self, set_by_environment())

    def values(self) -> dict[str, Any]:
        """Return the fields in the form that `save_settings` takes."""
        lines = {name: self.cleaned_data[name].split() for name in _LISTS}
        own = {
            name: value
            for name, value in self.cleaned_data.items()
            if not self.fields[name].disabled
        }
        return {**own, **lines}


@operator_page("channels.write")
@require_safe
def settings_page(request: HttpRequest, actor: Actor) -> HttpResponse:
    current = current_values()
    initial = {**current, **{name: "\n".join(current[name]) for name in _LISTS}}
    return _page(request, actor, InstallationSettingsForm(initial=initial))


@operator_page("channels.write")
@require_POST
@_recent_sign_in_required
def save_page(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = InstallationSettingsForm(request.POST)
    if form.is_valid():
        try:
            save_settings(actor, **form.values())
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Settings saved."))
            return see_other("installation_settings")
    return _page(request, actor, form, status=422)


@operator_page("channels.write")
@require_POST
@_recent_sign_in_required
def undo_change(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    try:
        undo_setting_change(actor, access_setting_change(actor, id))
    except Refused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, gettext("Change undone."))
    return see_other("installation_settings")


def _page(
    request: HttpRequest, actor: Actor, form: InstallationSettingsForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "changes": [
            (change, [_in_words(one) for one in change.changes])
            for change in setting_changes(actor)
        ],
        "sign_up_mode": SIGN_UP_NAMES[current_mode()],
        "environment": _environment(),
    }
    return render(request, "gateway/settings/settings.html", context, status=status)


def _in_words(change: Change) -> str:
    """Return one change with the display names of settings and their values."""
    field = InstallationSettingsForm.base_fields.get(change.name)
    label = field.label if field else _SIGN_UP_LABELS.get(change.name, change.name)
    names = {"true": gettext("Yes"), "false": gettext("No"), **SIGN_UP_NAMES}
    names |= dict(getattr(field, "choices", ()))
    before, after = (names.get(value, value) for value in (change.before, change.after))
    return named_text(label, f"{before} → {after}")


def _environment() -> list[tuple[str, str]]:
    """Return the environment's settings by variable name; for a secret, only whether it is set."""
    values = {
        "PUBLIC_URL": settings.PUBLIC_URL,
        "EMAIL_VERIFICATION": settings.ACCOUNT_EMAIL_VERIFICATION,
        "BACKUP_KEEP_DAYS": str(settings.BACKUP_KEEP_DAYS),
        "WEBHOOK_EGRESS_ALLOW": ", ".join(settings.WEBHOOK_EGRESS_ALLOW),
        "SSO_EGRESS_ALLOW": ", ".join(settings.SSO_EGRESS_ALLOW),
    }
    secrets = {
        "STRIPE_SECRET_KEY": settings.STRIPE_SECRET_KEY,
        "METRICS_TOKEN": settings.METRICS_TOKEN,
    }
    rows = [(name, value or gettext("Not set")) for name, value in values.items()]
    hidden = {True: gettext("Set"), False: gettext("Not set")}
    return rows + [(name, hidden[bool(value)]) for name, value in secrets.items()]
