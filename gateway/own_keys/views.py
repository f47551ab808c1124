"""Pages of own provider keys: an organisation's list, and what an operator offers of a channel."""

from typing import Any, Final

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.access import access
from accounts.access.actors import Actor, organisation_of, slug_of
from accounts.guards.guards import operator_page, organisation_page
from accounts.preferences.table_preferences import read_table
from billing.currency.money import format_usd
from gateway.access import access_channel
from gateway.models import Channel, OwnKey, OwnKeyOffer
from gateway.own_keys import offers, own_keys
from gateway.own_keys.access import (
    access_channel_offer,
    access_holder,
    access_offer,
    access_own_key,
    visible_offers,
    visible_own_keys,
)
from gateway.own_keys.fallback_prices import fallback_prices
from gateway.own_keys.forms import OfferForm, OwnKeyEditForm, OwnKeyForm, SecretForm
from lib.htmx import redirect_to, render_dialog
from lib.ids import id_text
from lib.refusal import Refused
from lib.tables.pages import answer_table
from lib.tables.sources import ListSource
from lib.tables.table import Badge, Column, Filter, Table

_STATES: Final[dict[offers.OwnKeyState, Badge]] = {
    "active": Badge(_("Active"), "ok"),
    "disabled": Badge(_("Disabled"), icon="pause"),
    "rejected": Badge(_("Rejected by the provider"), "bad"),
    "out_of_credit": Badge(_("Out of credit at the provider"), "bad"),
    "incomplete": Badge(_("Enter the key again"), "warn"),
    "not_offered": Badge(_("No longer offered"), "warn"),
}
PROVIDER_KEYS: Final = Table(
    "provider-keys",
    _("Provider keys"),
    (
        Column("name", _("Name"), value="key.name", sort=True, card="title"),
        Column("state", _("Status"), "badge", value="badge", sort="badge.text", card="first"),
        Column("provider", _("Provider"), sort=True, priority=2),
        Column("team", _("Used by"), sort=True, card="second"),
        Column("secret", _("Secret"), priority=3),
        Column("fallback", _("If it fails"), sort=True, priority=2),
        Column("fee", _("Fee"), card="last"),
        Column("created", _("Added"), "ago", value="key.created_at", sort=True, chosen=False),
    ),
    default_sort="name",
    key="key.id",
    filters=(Filter("q", _("Name or provider"), "search"),),
)
_FORM: Final = "accounts/organisations/form_dialog.html"


@organisation_page("keys.write")
@require_safe
def provider_key_list(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    state = read_table(PROVIDER_KEYS, request, actor)
    text = state.value("q").casefold()
    rows = [_key_row(actor, key) for key in visible_own_keys(actor)]
    rows = [row for row in rows if text in f"{row['key'].name} {row['provider']}".casefold()]
    context = {"offered": visible_offers(actor).exists()}
    templates = ("gateway/own_keys/own_keys.html", "gateway/own_keys/_own_keys.html")
    return answer_table(request, state, ListSource(rows), templates, context)


def _key_row(actor: Actor, key: OwnKey) -> dict[str, Any]:
    offer, id = offers.offer_of(key), id_text(key.id)
    return {
        "key": key,
        "href": reverse("provider_key_edit", args=[slug_of(actor), id]),
        "rotate_href": reverse("provider_key_rotate", args=[slug_of(actor), id]),
        "remove_href": reverse("provider_key_remove", args=[slug_of(actor), id]),
        "badge": _STATES[offers.state_of(key)],
        "provider": "" if offer is None else offer.title,
        "team": gettext("Whole organisation") if key.team is None else key.team.name,
        "secret": f"…{key.last4}" if key.last4 else "",
        "fallback": gettext("Installation's channels")
        if key.fall_back
        else pgettext("if a key fails", "Reject the request"),
        "fee": "" if offer is None else fee_text(offer),
    }


def _offer_text(offer: OwnKeyOffer) -> str:
    return gettext("%(title)s · fee: %(fee)s") % {"title": offer.title, "fee": fee_text(offer)}


def fee_text(offer: OwnKeyOffer) -> str:
    """The fee of an offer in words."""
    fee = offers.fee_of(offer)
    if fee.request_nano:
        return gettext("$%(usd)s per request") % {"usd": format_usd(fee.request_nano)}
    if fee.million_nano:
        return gettext("$%(usd)s per million tokens") % {"usd": format_usd(fee.million_nano)}
    return pgettext("fee", "None")


@organisation_page("keys.write")
@require_http_methods(["GET", "HEAD", "POST"])
def provider_key_add(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """A key is added without a fall-back: its cost is shown before that is allowed."""
    holders = [(team.slug, team.name) for team in access.keyed_teams(actor)]
    if access.scope_of(actor, "keys.write") == "all":
        holders = [("", gettext("Whole organisation")), *holders]
    offered = [(id_text(offer.channel_id), _offer_text(offer)) for offer in visible_offers(actor)]
    form = OwnKeyForm(request.POST or None, offered=offered, holders=holders)
    if request.method == "POST" and form.is_valid():
        cleaned = form.cleaned_data
        try:
            key = own_keys.add_own_key(
                actor,
                organisation_of(actor),
                access_holder(actor, cleaned["team"]),
                access_offer(actor, cleaned["offer"]),
                name=cleaned["name"],
                secret=cleaned["secret"],
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Key added. Requests use it, and only it."))
            return redirect_to(request, "provider_key_edit", slug_of(actor), id_text(key.id))
    context = {"title": gettext("Add provider key"), "verb": gettext("Add key")}
    if not offered:
        context |= {"line": _no_offers(), "verb": ""}
    return _dialog(request, actor, form, context)


@organisation_page("keys.write")
@require_http_methods(["GET", "HEAD", "POST"])
def provider_key_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access_own_key(actor, id)
    form = OwnKeyEditForm(key, request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            own_keys.change_own_key(actor, key, **form.cleaned_data)
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Saved."))
            return redirect_to(request, "provider_keys", slug_of(actor))
    context = {
        "title": key.name,
        "verb": gettext("Save"),
        "prices": fallback_prices(actor, key.channel),
    }
    return _dialog(request, actor, form, context, "gateway/own_keys/own_key_edit.html")


@organisation_page("keys.write")
@require_http_methods(["GET", "HEAD", "POST"])
def provider_key_rotate(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access_own_key(actor, id)
    form = SecretForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            own_keys.rotate_own_key(actor, key, form.cleaned_data["secret"])
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Key replaced."))
            return redirect_to(request, "provider_keys", slug_of(actor))
    title = gettext("Replace the key of %(name)s") % {"name": key.name}
    return _dialog(request, actor, form, {"title": title, "verb": gettext("Replace key")})


@organisation_page("keys.write")
@require_http_methods(["GET", "HEAD", "POST"])
def provider_key_remove(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    key = access_own_key(actor, id)
    if request.method == "POST":
        own_keys.remove_own_key(actor, key)
        messages.success(request, gettext("Key deleted."))
        return redirect_to(request, "provider_keys", slug_of(actor))
    context = {
        "title": gettext("Delete %(name)s") % {"name": key.name},
        "line": gettext("Requests then use the installation's channels, at your prices."),
        "verb": gettext("Delete key"),
        "kind": "danger",
    }
    return _dialog(request, actor, Form(), context)


def _dialog(
    request: HttpRequest,
    actor: Actor,
    form: Form,
    context: dict[str, Any],
    template: str = _FORM,
) -> HttpResponseBase:
    context = {
        "form": form,
        "back": reverse("provider_keys", args=[slug_of(actor)]),
        "back_text": gettext("Provider keys"),
        **context,
    }
    return render_dialog(request, template, context, refused=bool(form.errors))


def _no_offers() -> str:
    return gettext("The operator offers no provider for own keys to your organisation.")


# ---- of operators


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_offer_edit(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    channel = access_channel(actor, id)
    offer = offers.offer_for(channel)
    form = OfferForm(offer, offers.free_title(channel), request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            offers.set_offer(
                actor,
                channel,
                title=form.cleaned_data["title"],
                everyone=form.everyone,
                organisations=form.chosen(),
                fee=form.fee(),
            )
        except Refused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Saved."))
            return redirect_to(request, "channel", id)
    context = {
        "form": form,
        "title": gettext("Bring your own key"),
        "verb": gettext("Save"),
        "back": reverse("channel", args=[id]),
        "back_text": channel.name,
    }
    return render_dialog(request, _FORM, context, refused=bool(form.errors))


@operator_page("channels.write")
@require_POST
def channel_offer_end(request: HttpRequest, actor: Actor, id: str) -> HttpResponseBase:
    offers.end_offer(actor, access_channel_offer(actor, id))
    messages.success(request, gettext("The offer has ended."))
    return redirect_to(request, "channel", id)


def channel_offer_context(channel: Channel) -> dict[str, Any]:
    """Return what the page of a channel shows of its offer."""
    offer = offers.offer_for(channel)
    if offer is None:
        return {"own_key_offer": None}
    return {
        "own_key_offer": offer,
        "own_key_fee": fee_text(offer),
        "own_key_count": channel.own_keys.count(),
        "own_key_organisations": [] if offer.everyone else list(offer.organisations.all()),
    }
