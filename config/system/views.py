"""The page of backups, for operators: their schedule, and the last result. Access to `/metrics`:
with its token, or without one from nearby networks."""

import ipaddress
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page, public
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.sessions.sessions import client_address
from config.system.metrics import metrics_text
from config.system.rows import backup_row
from config.system.state import read_backup
from gateway.models.settings import BACKUP_FOLDER, BACKUPS_MAX
from gateway.settings.installation import current_values, save_settings, set_by_environment
from lib.forms.fields import lock_fields
from lib.htmx import see_other
from lib.numbers.whole_numbers import WholeNumberField
from lib.refusal import Refused


class BackupForm(forms.Form):
    """The interval and the place of backups, and the number that is kept."""

    backup_every_hours = forms.TypedChoiceField(
        label=gettext_lazy("Make a backup"),
        coerce=int,
        choices=[
            (0, pgettext_lazy("as a rule", "Never")),
            (6, gettext_lazy("Every 6 hours")),
            (12, gettext_lazy("Every 12 hours")),
            (24, gettext_lazy("Every day")),
            (168, gettext_lazy("Every Monday")),
        ],
    )
    backup_hour = WholeNumberField(
        label=gettext_lazy("Hour (UTC)"),
        help_text=gettext_lazy("From 0 to 23."),
        min_value=0,
        max_value=23,
    )
    backup_folder = forms.RegexField(
        BACKUP_FOLDER,
        label=gettext_lazy("Folder"),
        help_text=gettext_lazy("In the data folder: backups, or a folder in it."),
        max_length=60,
        widget=forms.TextInput(attrs={"class": "mono", "spellcheck": "false"}),
    )
    backup_keep = WholeNumberField(
        label=gettext_lazy("Backups to keep"), min_value=1, max_value=BACKUPS_MAX
    )

    def __init__(self, data: Any) -> None:
        values = current_values()
        super().__init__(data, initial={name: values[name] for name in self.base_fields})
        variable = set_by_environment().get("backup_every_hours")
        if variable is not None:
            lock_fields(self, dict.fromkeys(self.fields, variable))

    @property
    def locked(self) -> bool:
        return bool(self.fields["backup_every_hours"].disabled)


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_sign_in_required(
    gettext_lazy("change the schedule of backups"), gettext_lazy("System"), gettext_lazy("Backups")
)
def backups(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    form = BackupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            save_settings(actor, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Settings saved."))
            return see_other("backups")
    context = {"form": form, "row": backup_row(read_backup()), "locked": form.locked}
    status = 422 if form.errors else 200
    return render(request, "config/system/backups.html", context, status=status)


# Headers that proxies add. Behind an untrusted proxy, all clients have the proxy's address.
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")
_REFUSED = (
    "Only the networks of METRICS_ALLOW may read this, and whoever sends METRICS_TOKEN as "
    "Authorization: Bearer. See docs/operate/watch.md, Metrics.\n"
)


@public
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not (_has_token(request) or _is_near(request)):
        refused = HttpResponse(_REFUSED, status=401, content_type="text/plain; charset=utf-8")
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    response = HttpResponse(metrics_text(), content_type=CONTENT_TYPE_LATEST)
    response["Cache-Control"] = "no-store"
    return response


def _has_token(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    authorization = request.headers.get("Authorization", "")
    return token is not None and constant_time_compare(authorization, f"Bearer {token}")


def _is_near(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN is not None or any(name in request.headers for name in _FORWARDED):
        return False
    address = ipaddress.ip_address(client_address(request))
    return any(address in network for network in settings.METRICS_ALLOW)
