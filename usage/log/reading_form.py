"""The form with which a reader of the content log says why they read."""

from typing import Any

from django import forms
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.audit.audit import REASON_MAX
from content.access import kept_until, visible_entries
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
    """Return what the page of a request says of its conversation: to readers whether it is kept, to
    others only how long it is, if it is."""
    request_id = parse_id(rid)
    if request_id is None or actor.organisation is None:
        return {}
    audit_href = f"{reverse('audit', args=[actor.organisation.slug])}?action=read&request={rid}"
    context = {"audit_href": scope_of(actor, "audit.read") and audit_href}
    if scope_of(actor, "content.read") is None:
        until = kept_until(actor, request_id)
        return {**context, "shows_conversation": until is not None, "kept_until": until}
    entry = visible_entries(actor).filter(request_id=request_id).defer("sealed").first()
    return {**context, "shows_conversation": True, "entry": entry, "reason_form": ReasonForm()}
