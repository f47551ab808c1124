"""The dialog in which a member is removed, or leaves (W51), and the choice of who receives their
things."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.access.actors import Actor, slug_of
from accounts.guards.guards import organisation_page
from accounts.keys import departures
from accounts.keys.departures import KeyFate, Receiver
from accounts.models import Key, Membership
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from playground.erasure.departures import Departure, Left, chat_receivers, depart, left_by


class DepartureForm(forms.Form):
    """The choices of what happens to each key, and to the chats."""

    def __init__(self, actor: Actor, member: Membership, left: Left, data: Any = None) -> None:
        super().__init__(data)
        self._receivers: dict[str, Receiver] = {}
        self._keys = {f"key-{id_text(key.id)}": key for key in left.keys}
        for name, key in self._keys.items():
            self.fields[name] = self._key_field(actor, key)
        self._heirs = {str(heir.pk): heir for heir in chat_receivers(actor, member)}
        if left.chats or left.prompts or left.media:
            self.fields["chats_to"] = forms.ChoiceField(
                label=gettext("Chats, media and private prompts"),
                choices=[
                    ("", gettext("Choose…")),
                    ("delete", gettext("Delete")),
                    *((pk, gettext("Transfer to %(name)s") % {"name": heir.user.email})
                      for pk, heir in self._heirs.items()),
                ],
                error_messages={"required": gettext("Choose whether to delete or transfer them.")},
            )  # fmt: skip

    def _key_field(self, actor: Actor, key: Key) -> forms.ChoiceField:
        key_receivers = {
            departures.value_of(receiver): receiver for receiver in departures.receivers(actor, key)
        }
        self._receivers.update(key_receivers)
        return forms.ChoiceField(
            label=gettext("Key %(name)s") % {"name": key.name},
            choices=[
                ("disable", gettext_lazy("Disable")),
                ("revoke", gettext_lazy("Revoke")),
                *((value, gettext("Transfer to %(name)s") % {"name": departures.name_of(one)})
                  for value, one in key_receivers.items()),
            ],
            initial="disable",
        )  # fmt: skip

    @property
    def key_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self._keys]

    @property
    def chosen(self) -> Departure:
        """Return the form's choices."""
        data = self.cleaned_data
        fates = {key.id: self._fate(data[name]) for name, key in self._keys.items()}
        return Departure(fates, chats_to=self._heirs.get(data.get("chats_to", "")))

    def _fate(self, value: str) -> KeyFate:
        if value in self._receivers:
            return KeyFate("transfer", self._receivers[value])
        return KeyFate("revoke" if value == "revoke" else "disable")


@organisation_page("members.read")
@require_http_methods(["GET", "HEAD", "POST"])
def member_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    member = departures.access_leaving(actor, id)
    left = left_by(member)
    form = DepartureForm(actor, member, left, request.POST or None)
    oneself = member.user == actor.user
    if request.method == "POST" and form.is_valid():
        try:
            depart(actor, member, form.chosen)
        except Refused as refused:
            refused.add_to(form)
        else:
            return _removed_response(request, actor, member, oneself=oneself)
    context = {"form": form, "member": member, "left": left, "oneself": oneself}
    return render_dialog(
        request, "playground/erasure/member_remove.html", context, refused=form.is_bound
    )


def _removed_response(
    request: HttpRequest, actor: Actor, member: Membership, *, oneself: bool
) -> HttpResponseBase:
    organisation = member.organisation
    if oneself:
        text = gettext("You left %(name)s.") % {"name": organisation.name}
        messages.success(request, text)
        return redirect_to(request, "root")
    messages.success(request, gettext("%(name)s was removed.") % {"name": member.user.email})
    return redirect_to(request, "members", slug_of(actor))
