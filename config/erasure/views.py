"""Pages about a person's stored data: their own data and account, and the erasure of others by
owners and operators (P36). They are in config because they mention backups."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy, pgettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.access import AccessDenied
from accounts.access.actors import Actor, slug_of
from accounts.audit.audit import REASON_MAX
from accounts.guards.account_guard import account_page, dangerous_page
from accounts.guards.guards import operator_page, organisation_page, public
from accounts.guards.reauthentication import recent_sign_in_required
from accounts.keys import departures
from accounts.keys.departures import KeyFate, Receiver
from accounts.members import access as member_access
from accounts.models import Erasure, User
from accounts.sessions.security_changes import oneself
from config.jobs.runs import last_backup
from config.system.scheduled_backups import scheduled_keep_days
from lib.database.tenancy import use_tenant
from lib.files.csv_file import stream
from lib.files.zip_stream import stream_zip
from lib.htmx import redirect_to, render_dialog, see_other
from lib.ids import id_text
from lib.refusal import Refused
from playground.erasure.access import access_own_erasure, erasable_part, find_erasure
from playground.erasure.erasure_requests import (
    Preview,
    obstacle_to,
    preview,
    receivers,
    request_erasure,
)
from playground.erasure.erasure_steps import STEPS, STEPS_AFTER_SINKS
from playground.erasure.personal_data import personal_data, record_download
from usage.months.detached import count_detached
from usage.sinks.sinks import sink_titles, sinks_off


class Copies(NamedTuple):
    """The copies of a person's data that an erasure does not reach: the time of the newest backup,
    the days a backup is kept (0 = unknown), the number of months in files, and the names of sinks
    of usage that are off but have records. `number` is the person's there, once they are erased."""

    backup_at: dt.datetime | None
    keep_days: int
    months: int
    sinks: list[str]
    number: int | None = None


class ErasureForm(forms.Form):
    """The choice for each key, the reason, and the e-mail address as a confirmation."""

    def __init__(
        self, actor: Actor, person: User, erasure_preview: Preview, data: Any = None
    ) -> None:
        super().__init__(data)
        self._person = person
        self._receivers: dict[str, Receiver] = {}
        self._keys = {f"key-{id_text(key.id)}": key for key in erasure_preview.keys}
        for name, key in self._keys.items():
            key_receivers = {departures.value_of(one): one for one in receivers(actor, person, key)}
            self._receivers.update(key_receivers)
            self.fields[name] = forms.ChoiceField(
                label=gettext("Key %(name)s") % {"name": key.name},
                choices=[
                    ("revoke", gettext("Revoke")),
                    *((value, gettext("Transfer to %(name)s") % {"name": departures.name_of(one)})
                      for value, one in key_receivers.items()),
                ],
            )  # fmt: skip
        if actor.user != person:
            self.fields["reason"] = forms.CharField(
                label=gettext("Reason"),
                max_length=REASON_MAX,
                help_text=gettext("It stays in the audit log. Do not name the person."),
            )
        self.fields["email"] = forms.CharField(
            label=gettext("Email address, to confirm"),
            widget=forms.TextInput(attrs={"autocomplete": "off"}),
            max_length=254,
        )

    def clean_email(self) -> str:
        email = str(self.cleaned_data["email"])
        if email.strip().casefold() != self._person.email.casefold():
            raise forms.ValidationError(gettext("This is not the address of this account."))
        return email

    @property
    def fates(self) -> dict[Any, KeyFate]:
        """Return the form's choice for each key."""
        return {key.id: self._fate(self.cleaned_data[name]) for name, key in self._keys.items()}

    def _fate(self, value: str) -> KeyFate:
        if value in self._receivers:
            return KeyFate("transfer", self._receivers[value])
        return KeyFate("revoke")


# Oneself ----------------------------------------------------------------------------------------


@account_page
@require_safe
def own_data(request: HttpRequest) -> HttpResponseBase:
    person = cast(User, request.user)
    return render(request, "config/erasure/own_data.html", {"obstacle": obstacle_to(person, None)})


@dangerous_page(gettext_lazy("download your data"), gettext_lazy("Your data"))
@require_POST
def own_data_download(request: HttpRequest) -> HttpResponseBase:
    person = cast(User, request.user)
    record_download(oneself(person), None, person, content=True)
    pieces = _personal_data_zip(person)
    response = stream(request, "my-data.zip", "application/zip", pieces)
    response["Cache-Control"] = "private, no-store"
    return response


def _personal_data_zip(person: User) -> Iterator[bytes]:
    return stream_zip(personal_data(person))


@dangerous_page(
    gettext_lazy("delete your account"), gettext_lazy("Your data"), gettext_lazy("Delete account")
)
@require_http_methods(["GET", "HEAD", "POST"])
def own_erasure(request: HttpRequest) -> HttpResponseBase:
    person = cast(User, request.user)
    asked = _show_or_start(request, oneself(person), person, back=reverse("own_data"))
    if isinstance(asked, Erasure):
        logout(request)
        return redirect_to(request, "account_erased")
    return asked


@public
@require_safe
def account_erased(request: HttpRequest) -> HttpResponseBase:
    return render(request, "config/erasure/account_erased.html", {"copies": remaining_copies()})


# Others -----------------------------------------------------------------------------------------


@organisation_page("organisation.write")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_sign_in_required(
    gettext_lazy("erase a person"), gettext_lazy("Members"), gettext_lazy("Erase person")
)
def member_erase(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    person = member_access.writable_member(actor, id).user
    back = reverse("member", args=[slug_of(actor), id])
    with use_tenant(None):
        asked = _show_or_start(request, actor, person, back=back)
    if not isinstance(asked, Erasure):
        return asked
    return redirect_to(request, "member_erasure", slug_of(actor), id_text(asked.id))


@organisation_page("organisation.write")
@require_safe
def member_erasure(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Show the progress of a former member's erasure to the owner who requested it."""
    with use_tenant(None):
        erasure = access_own_erasure(actor, id)
        context = _state(erasure)
    back = reverse("members", args=[slug_of(actor)])
    return render(
        request,
        "config/erasure/erasure.html",
        {**context, "back": back, "back_text": gettext("Members")},
    )


@operator_page("organisations.write")
@require_http_methods(["GET", "HEAD", "POST"])
@recent_sign_in_required(
    gettext_lazy("erase a person"), gettext_lazy("People"), gettext_lazy("Erase person")
)
def person_erase(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    person = access.access_person(actor, id)
    erasure = find_erasure(person, None)
    if erasure is None:
        asked = _show_or_start(request, operator_actor(actor), person, back=reverse("people"))
        if not isinstance(asked, Erasure):
            return asked
        return redirect_to(request, "person_erasure", str(person.pk))
    return see_other("person_erasure", str(person.pk))


@operator_page("organisations.read")
@require_safe
def person_erasure(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    erasure = find_erasure(access.access_person(actor, id), None)
    if erasure is None:
        raise Http404
    context = {**_state(erasure), "back": reverse("people"), "back_text": gettext("People")}
    return render(request, "config/erasure/erasure.html", context)


def operator_actor(actor: Actor) -> Actor:
    """Return the operator as an actor for the installation, without an organisation."""
    return replace(actor, organisation=None, role=None, permissions=(), teams=None)


def _show_or_start(
    request: HttpRequest, actor: Actor, person: User, *, back: str
) -> HttpResponseBase | Erasure:
    """Return the form with its preview, or the erasure that was started."""
    try:
        part = erasable_part(actor, person)
    except AccessDenied as denied:
        messages.error(request, str(denied))
        return redirect_to(request, back)
    erasure_preview = preview(person, part)
    if erasure_preview.obstacle:
        messages.error(request, erasure_preview.obstacle)
        return redirect_to(request, back)
    form = ErasureForm(actor, person, erasure_preview, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return request_erasure(
                actor, person, reason=form.cleaned_data.get("reason", ""), fates=form.fates
            )
        except Refused as refused:
            refused.add_to(form)
    context = {
        "form": form,
        "person": person,
        "preview": erasure_preview,
        "copies": remaining_copies(),
        "oneself": actor.user == person,
        "kind": "danger",
        "back": back,
    }
    return render_dialog(request, "config/erasure/erase.html", context, refused=form.is_bound)


def remaining_copies(erasure: Erasure | None = None) -> Copies:
    """Return the copies of a person's data that remain after the erasure."""
    with use_tenant(None):
        run = last_backup()
        months = count_detached()
        off = [sink.name for sink in sinks_off()]
    number = None
    # Until this step is done, the sinks that are off now are those that it will not reach.
    if erasure is not None and (erasure.done_at or erasure.step in STEPS_AFTER_SINKS):
        off, number = erasure.unreached, erasure.user_id
    keep_days = settings.BACKUP_KEEP_DAYS or scheduled_keep_days()
    return Copies(run.good_at if run else None, keep_days, months, sink_titles(off), number)


def _state(erasure: Erasure) -> dict[str, Any]:
    done = erasure.done_at is not None
    copies = remaining_copies(erasure)
    ends_at = None
    if erasure.done_at is not None and copies.keep_days:
        ends_at = erasure.done_at + dt.timedelta(days=copies.keep_days)
    return {
        "erasure": erasure,
        "done": done,
        "step": len(STEPS) if done else STEPS.index(erasure.step),
        "steps": len(STEPS),
        "gone": [(_word(name), n) for name, n in sorted(erasure.counts.items())],
        "copies": copies,
        "ends_at": ends_at,
    }


def _word(name: str) -> str:
    """Return the display name of a kind of erased data."""
    words = {
        "chats": gettext("Chats"),
        "votes": gettext("Votes"),
        "media": gettext("Media"),
        "files": gettext("Files"),
        "prompts": gettext("Prompts"),
        "presets": gettext("Presets"),
        "answers": gettext("Kept answers"),
        "data_keys": gettext("Keys of logged texts"),
        "views": gettext("Saved views"),
        "notes": gettext("Notes on charts"),
        "feedback": gettext("Feedback about requests"),
        "exports": gettext("Exports"),
        "addresses": gettext("Client IP addresses"),
        "end_users": gettext("Texts of requests"),
        "letters": gettext("Emails"),
        "sign_ins": gettext("Known networks"),
        "keys": gettext("API keys"),
        "texts": gettext("Mentions elsewhere"),
        "sealed": pgettext("erasure", "Audit events and ledger postings"),
    }
    return words.get(name, name)
