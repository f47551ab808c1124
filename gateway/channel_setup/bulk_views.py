"""The page that changes several channels together (W71): the settings, a preview for each channel,
and the change."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from gateway.access import access_channels
from gateway.channel_setup.bulk_forms import SeveralForm
from gateway.channel_setup.route_table import Change, check_reviewed, digest_of
from gateway.channels import channels
from gateway.channels.channels import FieldsOfChannel, version_of
from gateway.channels.refusals import ChannelRefused, ChannelStale
from gateway.models import Channel
from lib.htmx import back_to, render_part, see_other
from lib.ids import id_text


class ChangedChannel(NamedTuple):
    """A channel that would change, its changes, and its ID and version."""

    channel: Channel
    changes: list[Change]
    seen: str


@operator_page("channels.write")
@require_POST
def channels_several(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the form for the channels ticked in the list. The next POST shows what would change in
    each channel; with `save` they are changed."""
    chosen = access_channels(actor, request.POST.getlist("id"))
    if not chosen:
        messages.error(request, gettext("Select channels first."))
        return see_other("channels")
    if "act" in request.POST:
        return _page(request, chosen, SeveralForm())
    form = SeveralForm(request.POST)
    if not form.is_valid():
        return _page(request, chosen, form, status=422)
    changed = _changed(chosen, form)
    if "save" not in request.POST:
        return _page(request, chosen, form, changed=changed)
    seen = dict(text.split(" ", 1) for text in request.POST.getlist("seen") if " " in text)
    changes = [
        FieldsOfChannel(channel, form.channel_fields(channel), seen.get(id_text(channel.id), ""))
        for channel in chosen
    ]
    changes = [change for change in changes if change.fields]
    try:
        check_reviewed(request.POST, _lines_of(changed))
        channels.change_channels(actor, changes)
    except ChannelStale:
        return _page(request, chosen, form, changed=changed, stale=True, status=409)
    except ChannelRefused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        return _page(request, chosen, form, status=422)
    text = ngettext("%(n)s channel changed.", "%(n)s channels changed.", len(changes))
    messages.success(request, text % {"n": len(changes)})
    return see_other(back_to(request, reverse("channels")))


def _page(
    request: HttpRequest,
    chosen: Sequence[Channel],
    form: SeveralForm,
    *,
    changed: Sequence[ChangedChannel] | None = None,
    stale: bool = False,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "channels": [(id_text(channel.id), channel) for channel in chosen],
        "next": back_to(request, reverse("channels")),
        "form": form,
        "changed": changed,
        "reviewed": digest_of(_lines_of(changed or ())),
        "stale": stale,
    }
    page, part = (
        "gateway/channel_setup/channels_several.html",
        "gateway/channel_setup/_several_review.html",
    )
    return render_part(request, page, part, context, status=status)


def _changed(chosen: Sequence[Channel], form: SeveralForm) -> list[ChangedChannel]:
    rows = (
        ChangedChannel(
            channel, form.changes(channel), f"{id_text(channel.id)} {version_of(channel)}"
        )
        for channel in chosen
    )
    return [row for row in rows if row.changes]


def _lines_of(changed: Sequence[ChangedChannel]) -> list[tuple[str, ...]]:
    return [(row.channel.name, *change) for row in changed for change in row.changes]
