"""The page of the prices that a channel's provider publishes: read them, and see the result. The
differences are decided with the other proposals (W73)."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe

from accounts.access.access import scope_of
from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from billing.currency.money import format_markup
from billing.prices.forms import MarkupField
from gateway.access import access_channel
from gateway.channels.channel_tests.words import words_of
from gateway.models import Channel
from gateway.prices.upstream_prices.upstream_prices import (
    GROUP_MAX,
    follow_prices,
    open_proposals,
    price_list_of,
    publishes_prices,
    source_of,
    unfollow_prices,
)
from gateway.prices.upstream_prices.words import reason_words
from lib.htmx import see_other
from lib.ids import id_text
from lib.numbers.formatting import group_digits
from lib.refusal import Refused


class FollowForm(forms.Form):
    """How to read the prices of a provider."""

    group = forms.CharField(
        label=_("Group of your key"),
        max_length=GROUP_MAX,
        required=False,
        help_text=_("Only for New API and One API: the group that the provider bills your key by."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "price-groups"}),
    )
    markup = MarkupField(
        label=_("Markup of sale prices (%)"),
        required=False,
        help_text=_("Added to the cost. Leave empty to propose cost prices only."),
    )


@operator_page("channels.read")
@require_safe
def channel_prices(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Show what the provider published last, and what could not be read."""
    return _page(request, actor, access_channel(actor, id))


@operator_page("prices.write")
@require_POST
def channel_prices_follow(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Read the prices now, and then each day."""
    channel, form = access_channel(actor, id), FollowForm(request.POST)
    if not form.is_valid():
        return _page(request, actor, channel, form, status=422)
    sent = form.cleaned_data
    try:
        followed = follow_prices(actor, channel, group=sent["group"], markup_ppm=sent["markup"])
    except Refused as refused:
        refused.add_to(form)
        return _page(request, actor, channel, form, status=422)
    if not followed.fault:
        n = sum(followed.result["proposed"].values())
        text = ngettext("%(n)s price differs.", "%(n)s prices differ.", n)
        messages.success(request, text % {"n": group_digits(n)})
    return see_other("channel_prices", id)


@operator_page("prices.write")
@require_POST
def channel_prices_unfollow(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Stop reading the prices."""
    unfollow_prices(actor, access_channel(actor, id))
    messages.success(request, gettext("The provider's prices are no longer read."))
    return see_other("channel_prices", id)


def _page(
    request: HttpRequest,
    actor: Actor,
    channel: Channel,
    form: FollowForm | None = None,
    *,
    status: int = 200,
) -> HttpResponse:
    followed = price_list_of(channel)
    cause, fix = words_of(followed.fault or None) if followed else (None, None)  # type: ignore[arg-type]
    context: dict[str, Any] = {
        "channel": channel,
        "id": id_text(channel.id),
        "followed": followed,
        "result": followed.result if followed and followed.read_at else None,
        "not_understood": [
            (name, reason_words(why))
            for name, why in (followed.result.get("not_understood", {}) if followed else {}).items()
        ],
        "groups": followed.result.get("groups", ()) if followed else (),
        "cause": cause,
        "fix": fix,
        "form": form or FollowForm(initial=_initial(followed)),
        "source": source_of(channel),
        "open": open_proposals(channel),
        "possible": publishes_prices(channel),
        "may_write": scope_of(actor, "prices.write") is not None,
    }
    return render(
        request, "gateway/prices/upstream_prices/channel_prices.html", context, status=status
    )


def _initial(followed: Any) -> dict[str, str]:
    if followed is None:
        return {}
    markup = followed.markup_ppm
    return {
        "group": followed.group,
        "markup": "" if markup is None else format_markup(markup),
    }
