"""The page that adds a channel in steps: address, models and a test. Only the last step creates a
row.

Until the channel is saved, the key is only in the form: every step sends it again, and no response
contains it.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.actors import Actor
from accounts.guards.guards import operator_page
from gateway.access import access_channel
from gateway.channel_setup.channel_setup import (
    propose_missing_prices,
    routes_of,
    set_missing_prices,
    set_up_channel,
)
from gateway.channel_setup.edit_forms import OFFERED, ChosenModels, chosen_from, typed_prices
from gateway.channel_setup.new_forms import ConnectionForm, base_url_of, key_of
from gateway.channel_setup.proposed_models import ProposedModel, propose_models
from gateway.channels.channel_tests.channel_test import stored_form, try_model
from gateway.channels.channel_tests.staged_calls import Target
from gateway.channels.channel_tests.words import describe_check, describe_model_list
from gateway.channels.channels import TIMEOUTS, free_name
from gateway.channels.model_lists import list_models
from gateway.channels.refusals import ChannelRefused
from gateway.channels.served_models import prices_in_force
from gateway.models import Channel
from gateway.providers import PROVIDERS
from gateway.settings.installation import installation_settings
from lib.htmx import back_to, is_htmx, redirect_to, see_other
from lib.ids import id_text

_PAGE = "gateway/channel_setup/channel_new.html"


@operator_page("channels.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_new(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Show the form; a POST creates the channel."""
    if request.method != "POST":
        form = _blank_form(request)
        return render(request, _PAGE, {"form": form, "next": request.GET.get("next", "")})
    form, chosen = ConnectionForm(request.POST), chosen_from(request.POST)
    rows = _propose_models(request, chosen)
    if form.is_valid():
        try:
            channel = _save(actor, form.cleaned_data, rows, chosen)
        except ChannelRefused as refused:
            refused.add_to(form)
        else:
            messages.success(request, gettext("Channel added."))
            return redirect_to(
                request, back_to(request, reverse("channel", args=[id_text(channel.id)]))
            )
    context = {"form": form, "rows": rows, "chosen": chosen, "asked": True}
    context["next"] = request.POST.get("next", "")
    return render(request, _PAGE, context | _rule(), status=422)


@operator_page("channels.write")
@require_POST
def channel_new_models(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show the models that the key may call."""
    listed = list_models(_target(request))
    chosen = chosen_from(request.POST)
    rows = propose_models(
        _provider(request),
        listed.names,
        prices_in_force(),
        named=chosen.named,
        ticked=chosen.ticked if chosen.listed else None,
        priced=chosen.priced,
    )
    open_by_hand = listed.ok or listed.fault in ("no_list", "not_list")
    context = {
        "listing": describe_model_list(listed),
        "rows": rows,
        "chosen": chosen,
        "asked": open_by_hand,
    }
    return _answer(request, "gateway/channel_setup/_found_models.html", context)


@operator_page("channels.write")
@require_POST
def channel_new_test(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Send a short request to the chosen model, as a channel's test does."""
    chosen = chosen_from(request.POST)
    rows = _propose_models(request, chosen)
    name, upstream = _test_model(rows, chosen, request.POST.get("test", ""))
    check = None
    if name:
        check = describe_check(stored_form(try_model(_target(request), name, upstream)))
    context = {"rows": rows, "chosen": chosen, "asked": True, "check": check}
    return _answer(request, "gateway/channel_setup/_tried_model.html", context)


@operator_page("prices.write")
@require_http_methods(["GET", "HEAD", "POST"])
def channel_prices_set(request: HttpRequest, actor: Actor, id: str) -> HttpResponse:
    """Set the prices of the channel's models that have none. They hold from now on."""
    channel = access_channel(actor, id)
    if request.method != "POST":
        return _prices_page(request, channel, propose_missing_prices(channel))
    names = request.POST.getlist("model")
    rows = propose_missing_prices(channel, typed_prices(request.POST, names))
    try:
        if taken := set(names) - {row.name for row in rows}:
            text = gettext("%(name)s already has a price. Change it in the price book.")
            raise ChannelRefused("models", text % {"name": min(taken)})
        n = set_missing_prices(actor, rows)
    except ChannelRefused as refused:
        return _prices_page(request, channel, rows, refused.message, status=422)
    text = ngettext("%(n)s price set.", "%(n)s prices set.", n)
    messages.success(request, text % {"n": n})
    return see_other("channel", id)


def _prices_page(
    request: HttpRequest,
    channel: Channel,
    rows: list[ProposedModel],
    refused: str = "",
    *,
    status: int = 200,
) -> HttpResponse:
    context = {"channel": channel, "id": id_text(channel.id), "rows": rows, "refused": refused}
    page = "gateway/channel_setup/channel_prices_set.html"
    return render(request, page, context | _rule(), status=status)


def _answer(request: HttpRequest, part: str, context: dict[str, Any]) -> HttpResponse:
    context |= _rule()
    if is_htmx(request):
        return render(request, part, context)
    return render(request, _PAGE, context | {"form": ConnectionForm(request.POST)})


def _rule() -> dict[str, str]:
    return {"rule": installation_settings().unpriced_models}


def _blank_form(request: HttpRequest) -> ConnectionForm:
    """Return the form with a provider's defaults. A name that was already typed is kept."""
    provider = request.GET.get("provider", "")
    provider = provider if provider in OFFERED else OFFERED[0]
    name = request.GET.get("name", "").strip()
    proposed = not name or any(name.startswith(other) for other in OFFERED)
    place = PROVIDERS[provider].place
    fields = {
        "provider": provider,
        "name": free_name(provider) if proposed else name,
        "base_url": PROVIDERS[provider].base_url if place is None else "",
        "place_region": "" if place is None else place.region,
    }
    return ConnectionForm(initial=fields)


def _target(request: HttpRequest) -> Target:
    sent = request.POST
    secret = key_of(sent)
    try:
        base_url = base_url_of(sent, secret)
    except ChannelRefused:
        # The call itself reports that the address is incomplete.
        base_url = sent.get("base_url", "")
    return Target(sent.get("provider", "")[:40], base_url, secret, TIMEOUTS)


def _provider(request: HttpRequest) -> Any:
    return PROVIDERS.get(request.POST.get("provider", ""), PROVIDERS[OFFERED[0]])


def _propose_models(request: HttpRequest, chosen: ChosenModels) -> list[ProposedModel]:
    return propose_models(
        _provider(request),
        chosen.listed,
        prices_in_force(),
        named=chosen.named,
        ticked=chosen.ticked,
        priced=chosen.priced,
    )


def _test_model(rows: list[ProposedModel], chosen: ChosenModels, wanted: str) -> tuple[str, str]:
    """Return the public and the upstream name of the model to test, by default the first chosen
    one."""
    for row in rows:
        if row.upstream == wanted:
            return row.name, row.upstream
    try:
        routes = routes_of((row for row in rows if row.ticked), chosen.by_hand)
    except ChannelRefused:
        return "", ""
    named = ((name, upstream or name) for name, upstream in routes.items() if "*" not in name)
    return next(named, ("", ""))


def _save(
    actor: Actor, cleaned: dict[str, str], rows: list[ProposedModel], chosen: ChosenModels
) -> Channel:
    ticked = [row for row in rows if row.ticked]
    secret = cleaned["secret"]
    return set_up_channel(
        actor,
        cleaned["name"],
        {
            "provider": cleaned["provider"],
            "base_url": cleaned["base_url"],
            "keys": [secret] if secret else [],
            "models": routes_of(ticked, chosen.by_hand),
        },
        ticked,
    )
