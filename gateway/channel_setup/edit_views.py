"""Pages that change a channel (W71): its settings and its models, each with a preview of the
changes before they are saved, and its keys, copy and archive."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from gateway.access import access_channel, access_channel_key
from gateway.channel_setup.edit_forms import CopyForm, KeyForm, SettingsForm
from gateway.channel_setup.route_table import (
    Change,
    RouteRow,
    check_reviewed,
    digest_of,
    mark_unlisted,
    read_routes,
    route_changes,
    rows_from,
    rows_of,
)
from gateway.channels import channels
from gateway.channels.channel_tests.channel_test import target_of
from gateway.channels.channel_tests.words import describe_model_list
from gateway.channels.model_lists import list_models
from gateway.channels.passthrough.rules import path_of
from gateway.channels.refusals import ChannelRefused, ChannelStale
from gateway.models import Channel
from lib.htmx import back_to, redirect_to, render_dialog, render_part, see_other
from lib.ids import id_text
from lib.vault import VaultError


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Edit the settings. The first POST shows what would change; a POST with `save` changes it."""
    channel = access_channel(actor, id)
    if request.method != "POST":
        return _edit_page(request, channel, SettingsForm(channel))
    form = SettingsForm(channel, request.POST)
    if not form.is_valid():
        return _edit_page(request, channel, form, status=422)
    changes = form.changes()
    if "save" not in request.POST:
        return _edit_page(request, channel, form, changes=changes)
    seen = request.POST.get("version", "")
    try:
        check_reviewed(request.POST, changes)
        channels.change_channel(actor, channel, form.channel_fields(), seen=seen)
    except ChannelStale:
        return _edit_page(request, channel, form, changes=changes, stale=True, status=409)
    except ChannelRefused as refused:
        form.add_refusal(refused)
        return _edit_page(request, channel, form, status=422)
    messages.success(request, gettext("Saved."))
    return see_other("channel", id)


def _edit_page(
    request: HttpRequest,
    channel: Channel,
    form: SettingsForm,
    *,
    changes: Sequence[Change] | None = None,
    stale: bool = False,
    status: int = 200,
) -> HttpResponse:
    context = {
        **_common(channel),
        "form": form,
        "changes": changes,
        "reviewed": digest_of(changes or ()),
        "stale": stale,
        "pass_through_path": path_of(channel.name),
        "keys_removed": channel.keys.count() if form.is_bound and form.moves else 0,
    }
    page, part = (
        "gateway/channel_setup/channel_edit.html",
        "gateway/channel_setup/_channel_review.html",
    )
    return render_part(request, page, part, context, status=status)


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_models(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Edit the models. The first POST shows what would change; a POST with `save` changes it."""
    channel = access_channel(actor, id)
    if request.method != "POST":
        return _models_page(request, channel, rows_of(channel))
    rows = rows_from(request.POST)
    fields = read_routes(rows)
    if any(row.error for row in rows):
        return _models_page(request, channel, rows, status=422)
    changes = route_changes(channel, fields)
    if "save" not in request.POST:
        return _models_page(request, channel, rows, changes=changes)
    try:
        check_reviewed(request.POST, changes)
        channels.change_channel(actor, channel, fields, seen=request.POST.get("version", ""))
    except ChannelStale as stale:
        text = stale.message
        return _models_page(request, channel, rows, changes=changes, error=text, status=409)
    except ChannelRefused as refused:
        return _models_page(request, channel, rows, error=refused.message, status=422)
    messages.success(request, gettext("Saved."))
    return see_other("channel", id)


@operator_page("channels.write")
@require_POST
def channel_models_fetch(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show the models that the provider lists for the channel's key, next to those that the channel
    serves."""
    channel = access_channel(actor, id)
    rows = rows_from(request.POST)
    try:
        listed = list_models(target_of(channel))
    except VaultError:
        text = gettext("A stored key cannot be decrypted. Remove it, then enter it again.")
        return _models_page(request, channel, rows, error=text, status=422)
    new = mark_unlisted(rows, listed.names) if listed.ok else []
    return _models_page(request, channel, rows, listing=describe_model_list(listed), new=new)


def _models_page(
    request: HttpRequest,
    channel: Channel,
    rows: Sequence[RouteRow],
    *,
    changes: Sequence[Change] | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    context = {
        **_common(channel),
        "rows": rows,
        "numbered": list(enumerate(rows)),
        "changes": changes,
        "reviewed": digest_of(changes or ()),
        **more,
    }
    return render(request, "gateway/channel_setup/channel_models.html", context, status=status)


@operator_page("channels.write")
@require_POST
def channel_enable(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Enable or disable a channel."""
    channel, on = access_channel(actor, id), request.POST.get("on") == "1"
    try:
        channels.change_channel(actor, channel, {"enabled": on})
    except ChannelRefused as refused:
        messages.error(request, refused.message)
    else:
        text = gettext("%(name)s is on.") if on else gettext("%(name)s is off.")
        messages.success(request, text % {"name": channel.name})
    return see_other(back_to(request, reverse("channel", args=[id])))


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_copy(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    """Create a copy with another name, and show its settings."""
    channel = access_channel(actor, id)
    form = CopyForm(request.POST or None, initial={"name": channels.free_name(channel.name)})
    if form.is_valid():
        try:
            copy = channels.copy_channel(actor, channel, form.cleaned_data["name"])
        except ChannelRefused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Copied. The copy is off."))
            return redirect_to(request, "channel_edit", id_text(copy.id))
    context = {
        "form": form,
        "title": gettext("Copy %(name)s") % {"name": channel.name},
        "line": gettext(
            "The copy has the same keys, models and settings. It is off until you turn it on."
        ),
        "back": reverse("channel", args=[id]),
        "back_text": channel.name,
        "verb": gettext("Copy channel"),
    }
    template = "accounts/organisations/form_dialog.html"
    return render_dialog(request, template, context, refused=bool(form.errors))


@operator_page("channels.write")
@require_POST
def channel_archive(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Archive a channel; with `restore`, restore it."""
    channel = access_channel(actor, id)
    if request.POST.get("restore"):
        channels.restore_channel(actor, channel)
        messages.success(request, gettext("Restored. The channel is off."))
    else:
        channels.archive_channel(actor, channel)
        messages.success(request, gettext("Archived. The channel gets no requests."))
    return see_other("channel", id)


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_key_add(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    channel = access_channel(actor, id)
    form = KeyForm(request.POST or None)
    if form.is_valid():
        try:
            channels.add_key(actor, channel, form.cleaned_data["secret"])
        except ChannelRefused as refused:
            form.add_error("secret", refused.message)
        else:
            messages.success(request, gettext("Key added."))
            return redirect_to(request, "channel", id)
    context = {
        "form": form,
        "title": gettext("Add key"),
        "verb": gettext("Add key"),
        "back": reverse("channel", args=[id]),
        "back_text": channel.name,
    }
    template = "accounts/organisations/form_dialog.html"
    return render_dialog(request, template, context, refused=form.is_bound)


@operator_page("channels.write")
@require_POST
def channel_key_change(request: HttpRequest, actor: Actor, id: str, key: str) -> HttpResponse:
    """Disable a key, enable it again, or remove it."""
    channel = access_channel(actor, id)
    stored = access_channel_key(actor, channel, key)
    act = request.POST.get("act")
    if act == "remove":
        channels.remove_key(actor, channel, stored)
        messages.success(request, gettext("Key removed."))
    else:
        channels.switch_key(actor, channel, stored, enabled=act == "enable")
        text = gettext("Key enabled.") if act == "enable" else gettext("Key disabled.")
        messages.success(request, text)
    return see_other("channel", id)


def _common(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel,
        "id": id_text(channel.id),
        "version": channels.version_of(channel),
    }
