"""The form with which a reader of the content log says why they read."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.audit.audit import REASON_MAX
from content.access import visible_entries
from lib.ids import parse_id


class ReasonForm(forms.Form):
    """Why somebody reads."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_MAX,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Your name, what you read and the reason are recorded in the audit log."),
    )


def conversation_context(actor: Actor, rid: str) -> dict[str, Any]:
    """Return what the page of a request has for readers: whether the conversation is kept. Nothing
    for all others."""
    request_id = parse_id(rid)
    if request_id is None or scope_of(actor, "content.read") is None:
        return {}
    entry = visible_entries(actor).filter(request_id=request_id).defer("sealed").first()
    return {"reads_contents": True, "entry": entry, "reason_form": ReasonForm()}
