"""Pages with previews, for operators: where a request would go (W34), and a channel's overrides
before they are saved (W71)."""

import json
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.access import any_key
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from accounts.models import Key
from config.previews.route_preview import (
    PATHS,
    PreviewRefused,
    body_of,
    preview_route,
    search_keys,
)
from config.previews.sent_preview import SentPreviewRefused, preview_sent
from gateway.access import access_channel
from gateway.channel_setup.override_forms import OverridesForm, PreviewForm
from gateway.channel_setup.route_table import Change, check_reviewed, digest_of
from gateway.channels import channels
from gateway.channels.refusals import ChannelRefused, ChannelStale
from gateway.listed_models.model_fields import pick_any_model
from gateway.models import Channel
from gateway.routing.views import CAUSE_WORDS
from lib.forms.picker import Choice, PickText, answer_choices, typed_text
from lib.htmx import render_part, see_other
from lib.ids import id_text
from relay.pages.sent_preview import SentPreview
from relay.previews.route_preview import RoutePreview
from relay.requests.data_policy import DATA_POLICY_HEADER
from relay.requests.labels import LABELS_HEADER
from usage.requests import words


def _header(name: str, label: Any, hint: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=format_lazy("{} {}", hint, name),
        max_length=4000,
        required=False,
        widget=forms.TextInput(attrs={"class": "input mono", "autocomplete": "off"}),
    )


class RoutePreviewForm(forms.Form):
    """A request as it would be sent."""

    key = forms.CharField(
        label=gettext_lazy("API key"),
        max_length=60,
        widget=PickText(strict=True, url=reverse_lazy("route_preview_keys")),
        error_messages={"required": gettext_lazy("Choose an API key.")},
    )
    path = forms.ChoiceField(
        label=gettext_lazy("Endpoint"),
        choices=[(path, path) for path in PATHS],
        widget=forms.Select(attrs={"class": "input"}),
    )
    model = forms.CharField(
        label=gettext_lazy("Model"),
        max_length=200,
        error_messages={"required": gettext_lazy("Choose a model.")},
    )
    message = forms.CharField(
        label=gettext_lazy("Message"),
        initial=gettext_lazy("Hello"),
        widget=forms.Textarea(attrs={"class": "input", "rows": 3}),
    )
    body = forms.CharField(
        label=gettext_lazy("Request body"),
        help_text=gettext_lazy("JSON. It takes the place of model and message."),
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"class": "input mono", "rows": 8, "spellcheck": "false"}),
    )
    labels = _header(
        LABELS_HEADER,
        gettext_lazy("Labels"),
        gettext_lazy("A JSON object, for channels that serve only some labels. The header is"),
    )
    data_policy = _header(
        DATA_POLICY_HEADER,
        gettext_lazy("Data policy"),
        gettext_lazy("Zero data retention and regions. The header is"),
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        picker = cast(PickText, self.fields["key"].widget)
        picker.describe = lambda ids: [_describe_key(actor, id) for id in ids]
        pick_any_model(self.fields["model"])
        whole = bool(self["body"].value())
        for name in ("model", "message"):
            self.fields[name].required = not whole

    @property
    def advanced(self) -> bool:
        """Whether a field that is folded away has been used."""
        return any(self[name].value() for name in ("body", "labels", "data_policy"))

    def body_sent(self) -> bytes:
        """Return the body of the request."""
        sent = self.cleaned_data
        if sent["body"].strip():
            return str(sent["body"]).encode()
        return body_of(sent["path"], sent["model"], sent["message"])

    def headers(self) -> dict[str, str]:
        """Return the headers that affect routing."""
        sent = self.cleaned_data
        return {LABELS_HEADER: sent["labels"], DATA_POLICY_HEADER: sent["data_policy"]}


@operator_page("channels.read")
@require_http_methods(["GET", "HEAD", "POST"])
def route_preview(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the form. When sent, show where the request would go."""
    initial = {name: request.GET.get(name, "") for name in ("key", "model")}
    form = RoutePreviewForm(actor, request.POST or None, initial=initial)
    result: RoutePreview | None = None
    if form.is_valid():
        cleaned = form.cleaned_data
        try:
            result = preview_route(
                request,
                actor,
                cleaned["key"],
                cleaned["path"],
                form.body_sent(),
                form.headers(),
            )
        except Http404:
            form.add_error("key", gettext("This API key no longer exists. Choose another one."))
        except PreviewRefused as refused:
            refused.add_to(form)
    context = {"form": form, **(_preview_row(result) if result else {})}
    return render(
        request, "config/previews/route_preview.html", context, status=422 if form.errors else 200
    )


@operator_page("channels.read")
@require_safe
def keys_found(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the keys that match the typed text."""
    choices = [_key_choice(key) for key in search_keys(actor, typed_text(request))]
    return answer_choices(request, choices, gettext("No API key matches."))


def _describe_key(actor: Actor, id: str) -> Choice:
    try:
        return _key_choice(any_key(actor, id))
    except Http404:
        return Choice(id, id)


def _key_choice(key: Key) -> Choice:
    """Return a key as a choice with its organisation and team, because key names are not unique in
    an installation."""
    place = f"{key.organisation.name} · {key.team.name} · {key.prefix}…{key.last4}"
    return Choice(id_text(key.id), key.name, mark=place)


def _preview_row(preview: RoutePreview) -> dict[str, Any]:
    return {
        "preview": preview,
        "causes": [CAUSE_WORDS[cause] for cause in sorted(preview.causes)],
        "attempts": [
            {"attempt": attempt, "why": words.CHOSEN[attempt.why]} for attempt in preview.attempts
        ],
        "skipped": [
            {
                "skipped": skipped,
                "reason": words.SKIPPED[skipped.reason],
                "wait_s": round(skipped.wait_s),
            }
            for skipped in preview.skipped
        ],
    }


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
    changes = form.changes()
    if "save" not in request.POST:
        return _page(request, channel, form, changes=changes)
    seen = request.POST.get("version", "")
    try:
        check_reviewed(request.POST, changes)
        channels.change_channel(actor, channel, {"overrides": form.whole}, seen=seen)
    except ChannelStale:
        return _page(request, channel, form, changes=changes, stale=True, status=409)
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
                team=cleaned["team"],
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
        "reviewed": digest_of(changes or ()),
        "stale": stale,
    }
    part = (
        "config/previews/_sent_preview.html"
        if preview
        else "gateway/channel_setup/_channel_review.html"
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
