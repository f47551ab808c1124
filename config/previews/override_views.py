"""The page for editing a channel's overrides, with a preview of a request before they are saved
(W71)."""

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from accounts.access.actors import Actor
from accounts.access.guards import operator_page
from config.previews.route_preview import PATHS
from config.previews.sent_preview import SentPreviewRefused, preview_sent
from gateway.access import access_channel
from gateway.channels import channels
from gateway.channels.overrides.forms import OverridesForm, PreviewForm
from gateway.channels.refusals import ChannelRefused, ChannelStale
from gateway.models import Channel
from gateway.routing.route_table import Change
from lib.htmx import render_part, see_other
from lib.ids import id_text
from relay.routing.sent_preview import SentPreview

_PATHS: Final = (*PATHS, "/v1beta/models/{model}:generateContent")


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_overrides(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Show the overrides. `preview` shows the request that would be sent, `save` writes the change;
    otherwise the page shows what would change."""
    channel = access_channel(actor, id)
    if request.method != "POST":
        return _page(request, channel, OverridesForm(channel))
    form = OverridesForm(channel, request.POST)
    if not form.is_valid():
        return _page(request, channel, form, status=422)
    if "preview" in request.POST:
        return _preview(request, channel, form)
    if "save" not in request.POST:
        return _page(request, channel, form, changes=form.changes())
    seen = request.POST.get("version", "")
    try:
        channels.change_channel(actor, channel, {"overrides": form.whole}, seen=seen)
    except ChannelStale:
        return _page(request, channel, form, changes=form.changes(), stale=True, status=409)
    except ChannelRefused as refused:
        form.add_refusal(refused)
        return _page(request, channel, form, status=422)
    messages.success(request, gettext("Saved."))
    return see_other("channel", id)


def _preview(request: HttpRequest, channel: Channel, form: OverridesForm) -> HttpResponse:
    preview = PreviewForm(request.POST)
    sent: SentPreview | None = None
    if preview.is_valid():
        cleaned = preview.cleaned_data
        try:
            sent = preview_sent(
                request,
                channel,
                form.whole,
                cleaned["path"],
                cleaned["sent_headers"],
                cleaned["body"].encode(errors="surrogatepass"),
            )
        except SentPreviewRefused as refused:
            refused.add_to(preview)
    status = 422 if preview.errors else 200
    return _page(request, channel, form, preview=preview, sent=sent, status=status)


def _page(
    request: HttpRequest,
    channel: Channel,
    form: OverridesForm,
    *,
    preview: PreviewForm | None = None,
    sent: SentPreview | None = None,
    changes: Sequence[Change] | None = None,
    stale: bool = False,
    status: int = 200,
) -> HttpResponse:
    context = {
        "channel": channel,
        "id": id_text(channel.id),
        "version": channels.version_of(channel),
        "form": form,
        "preview": preview or PreviewForm(initial=_example(channel)),
        "paths": _PATHS,
        "sent": sent,
        "sent_body": _indent_json(sent.body) if sent else "",
        "changes": changes,
        "stale": stale,
    }
    part = (
        "config/previews/_sent_preview.html" if preview else "gateway/channels/_channel_review.html"
    )
    page = "config/previews/channel_overrides.html"
    return render_part(request, page, part, context, status=status)


def _example(channel: Channel) -> dict[str, Any]:
    names = [route.model for route in channel.routes.all() if "*" not in route.model]
    body = {
        "model": names[0] if names else "",
        "messages": [{"role": "user", "content": "Hello"}],
    }
    return {"path": PATHS[0], "body": json.dumps(body, indent=2, ensure_ascii=False)}


def _indent_json(body: bytes) -> str:
    return msgspec.json.format(body, indent=2).decode() if body else ""
