"""The page of changes in the list of a provider's models: view, accept, ignore (W71)."""

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.access.guards import operator_page
from gateway.access import access_channel
from gateway.catalogue.model_change_rules import ChangeKind
from gateway.catalogue.model_changes import changes_of, check_models, decide, proposed_models
from gateway.channels.channel_tests.words import words_of
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel, ModelListing
from lib.htmx import see_other
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.tables.table import Badge

_BADGES: Final[dict[ChangeKind, Badge]] = {
    "added": Badge(_("New"), "ok"),
    "gone": Badge(_("No longer listed"), "warn"),
    "renamed": Badge(_("Probably renamed"), "info"),
}


@operator_page("channels.read")
@require_safe
def channel_model_changes(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the undecided changes, and what accepting them would do."""
    return _page(request, actor, access_channel(actor, id))


@operator_page("channels.test")
@require_POST
def channel_models_check(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Read the list now."""
    check_models(actor, access_channel(actor, id))
    return see_other("channel_model_changes", id)


@operator_page("channels.write")
@require_POST
def channel_models_decide(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Accept the ticked changes, or (`dismiss`) ignore them."""
    channel, sent = access_channel(actor, id), request.POST
    ids = sent.getlist("id")
    names = dict(zip(sent.getlist("change"), sent.getlist("public"), strict=False))
    try:
        if not ids:
            raise ChannelRefused("changes", gettext("Select at least one change."))
        if "dismiss" in sent:
            done = len(decide(actor, channel, {}, ids))
            text = ngettext("%(n)s change ignored.", "%(n)s changes ignored.", done)
        else:
            done = len(decide(actor, channel, {one: names.get(one, "") for one in ids}, ()))
            text = ngettext("%(n)s change accepted.", "%(n)s changes accepted.", done)
    except ChannelRefused as refused:
        return _page(request, actor, channel, refused=refused.message, ids=ids, names=names)
    messages.success(request, text % {"n": group_digits(done)})
    return see_other("channel_model_changes", id)


def _page(
    request: HttpRequest,
    actor: Actor,
    channel: Channel,
    *,
    refused: str = "",
    ids: list[str] | None = None,
    names: dict[str, str] | None = None,
) -> HttpResponse:
    listing = ModelListing.objects.filter(channel=channel).first()
    changes = changes_of(channel)
    proposed = proposed_models(channel, changes)
    rows: list[dict[str, Any]] = [
        {
            "change": change,
            "badge": _BADGES[change.kind],
            "proposed": proposed.get(change.name),
            "public": (names or {}).get(change.id, change.name),
            "ticked": change.id in (ids or ()),
        }
        for change in changes
    ]
    cause, fix = words_of(listing.fault or None) if listing else (None, None)  # type: ignore[arg-type]
    context = {
        "channel": channel,
        "id": id_text(channel.id),
        "listing": listing,
        "cause": cause,
        "fix": fix,
        "rows": rows,
        "refused": refused,
        "may_write": scope_of(actor, "channels.write") is not None,
        "may_test": scope_of(actor, "channels.test") is not None,
    }
    status = 422 if refused else 200
    return render(request, "gateway/catalogue/channel_model_changes.html", context, status=status)
