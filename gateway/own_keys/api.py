"""The management API of own provider keys: an organisation's keys, and the offers that operators
make. Pages call the same functions.

A key goes in and never out: an answer has four characters of it.
"""

import datetime as dt

from ninja import Query, Status
from pydantic import Field

from accounts.access import actors
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.money import format_usd, parse_usd
from billing.prices.own_key_fee import OwnKeyFee
from gateway.access import access_channel
from gateway.channels import bounds
from gateway.models import OwnKey, OwnKeyOffer
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
from lib.api import pagination
from lib.api.openapi import RequestBody, Schema
from lib.ids import id_text

router = Router(tags=["Keys"])
operator_router = Router(tags=["Channels"], auth=api_auth.installation_auth)


class OfferOut(Schema):
    """A provider that an organisation may use with its own key. Both fees are zero where it is
    free."""

    id: str
    title: str
    fee_per_request: str = Field(description="USD, exact.")
    fee_per_million_tokens: str = Field(description="USD, exact.")


class OfferPage(Schema):
    items: list[OfferOut]
    next: str | None


class ProviderKeyIn(RequestBody):
    """A key to be added."""

    offer: str = Field(max_length=40, description="Id of the offer that it is for.")
    secret: str = Field(
        min_length=1, max_length=bounds.SECRET_MAX, description="It is not shown again."
    )
    name: str = Field("", max_length=own_keys.NAME_MAX, description="Empty: the provider's name.")
    team: str = Field(
        "", max_length=60, description="Slug of its team. Empty: for the whole organisation."
    )
    fall_back: bool = Field(
        False,
        description="Whether requests use the installation's channels, at their price, when this "
        "key cannot serve them.",
    )


class ProviderKeyChange(RequestBody):
    """Changes to a provider key. Omitted fields stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=own_keys.NAME_MAX)
    enabled: bool | None = Field(
        None, description="Requests use the installation's channels while it is disabled."
    )
    fall_back: bool | None = None


class SecretIn(RequestBody):
    """The secret that replaces the stored one."""

    secret: str = Field(min_length=1, max_length=bounds.SECRET_MAX)


class ProviderKeyOut(Schema):
    id: str
    name: str
    offer: str = Field(description="Id of its offer.")
    provider: str = Field(description="Title of the offer; empty once it has ended.")
    team: str | None
    last4: str
    enabled: bool
    fall_back: bool
    state: offers.OwnKeyState
    refused_at: dt.datetime | None
    created_at: dt.datetime
    rotated_at: dt.datetime | None


class ProviderKeyPage(Schema):
    items: list[ProviderKeyOut]
    next: str | None


class FallbackPriceOut(Schema):
    """Your price of a model for requests that fall back."""

    model: str
    input: str
    output: str
    other: str = Field(description="The rates of a model without prices for input and output.")


class FallbackPricesOut(Schema):
    items: list[FallbackPriceOut]
    next: str | None


class ChannelOfferIn(RequestBody):
    """Who may use a channel with their own keys, and what that costs."""

    title: str = Field(
        "",
        max_length=offers.TITLE_MAX,
        description="What organisations see instead of the channel's name. Empty: the provider's.",
    )
    everyone: bool = Field(False, description="Every organisation may use the channel.")
    organisations: list[str] = Field(
        [],
        max_length=offers.ORGANISATIONS_MAX,
        description="Slugs of the organisations that may use the channel, if not everyone may.",
    )
    fee_per_request: str = Field("0", max_length=40, description="USD, an exact decimal.")
    fee_per_million_tokens: str = Field("0", max_length=40, description="USD, an exact decimal.")


class ChannelOfferOut(Schema):
    title: str
    everyone: bool
    organisations: list[str]
    fee_per_request: str = Field(description="USD, exact.")
    fee_per_million_tokens: str = Field(description="USD, exact.")
    keys: int = Field(description="How many keys were added for it.")


@router.get("/provider-key-offers", response=OfferPage, summary="List providers for own keys")
def list_offers(actor: Actor, query: Query[pagination.PageQuery]) -> OfferPage:
    """The providers that your organisation may use with its own key, by title."""
    rows = list(visible_offers(actor))
    page = pagination.page_by_key(rows, query.limit, query.cursor, lambda offer: offer.title)
    return OfferPage(items=[_offer(row) for row in page.items], next=page.next)


@router.get("/provider-keys", response=ProviderKeyPage, summary="List provider keys")
def list_provider_keys(actor: Actor, query: Query[pagination.NamedPageQuery]) -> ProviderKeyPage:
    """Your organisation's own keys for providers, newest first."""
    rows = query.filter_by_name(visible_own_keys(actor).order_by("-id"))
    page = pagination.page_by_id(rows, query.limit, query.cursor)
    return ProviderKeyPage(items=[_key(row) for row in page.items], next=page.next)


@router.post("/provider-keys", response={201: ProviderKeyOut}, summary="Add a provider key")
def add_provider_key(actor: Actor, body: ProviderKeyIn) -> Status[ProviderKeyOut]:
    """Requests for the provider's models use it within a second."""
    team = access_holder(actor, body.team)
    key = own_keys.add_own_key(
        actor,
        actors.organisation_of(actor),
        team,
        access_offer(actor, body.offer),
        name=body.name,
        secret=body.secret,
        fall_back=body.fall_back,
    )
    return Status(201, _stored(actor, key))


@router.get("/provider-keys/{id}", response=ProviderKeyOut, summary="Show a provider key")
def show_provider_key(actor: Actor, id: str) -> ProviderKeyOut:
    """One key, without its secret."""
    return _key(access_own_key(actor, id))


@router.patch("/provider-keys/{id}", response=ProviderKeyOut, summary="Change a provider key")
def change_provider_key(actor: Actor, id: str, body: ProviderKeyChange) -> ProviderKeyOut:
    """Changes the given fields. What a fall-back costs is listed by `fallback-prices`."""
    key = own_keys.change_own_key(
        actor,
        access_own_key(actor, id),
        name=body.name,
        enabled=body.enabled,
        fall_back=body.fall_back,
    )
    return _stored(actor, key)


@router.post("/provider-keys/{id}/rotate", response=ProviderKeyOut, summary="Replace the secret")
def rotate_provider_key(actor: Actor, id: str, body: SecretIn) -> ProviderKeyOut:
    """Requests use the new secret within a second."""
    return _stored(actor, own_keys.rotate_own_key(actor, access_own_key(actor, id), body.secret))


@router.delete("/provider-keys/{id}", response={204: None}, summary="Delete a provider key")
def remove_provider_key(actor: Actor, id: str) -> Status[None]:
    """Deletes it with its secret. Requests then use the installation's channels, at their price."""
    own_keys.remove_own_key(actor, access_own_key(actor, id))
    return Status(204, None)


@router.get(
    "/provider-keys/{id}/fallback-prices",
    response=FallbackPricesOut,
    summary="List the prices of a fall-back",
)
def list_fallback_prices(
    actor: Actor, id: str, query: Query[pagination.PageQuery]
) -> FallbackPricesOut:
    """What requests cost that fall back from this key to the installation's channels, for 50
    models at most, by name."""
    prices = fallback_prices(actor, access_own_key(actor, id).channel)
    page = pagination.page_by_key(prices, query.limit, query.cursor, lambda price: price.model)
    items = [FallbackPriceOut(**price._asdict()) for price in page.items]
    return FallbackPricesOut(items=items, next=page.next)


@operator_router.get(
    "/channels/{id}/own-key-offer",
    response=ChannelOfferOut,
    summary="Show who may use their own keys",
)
def show_channel_offer(actor: Actor, id: str) -> ChannelOfferOut:
    """The offer of a channel to organisations with their own keys."""
    return _channel_offer(access_channel_offer(actor, id))


@operator_router.put(
    "/channels/{id}/own-key-offer",
    response=ChannelOfferOut,
    summary="Set who may use their own keys",
)
@requires("channels.write")
def set_channel_offer(actor: Actor, id: str, body: ChannelOfferIn) -> ChannelOfferOut:
    """Offers a channel to organisations with their own keys, or changes the offer."""
    offer = offers.set_offer(
        actor,
        access_channel(actor, id),
        title=body.title,
        everyone=body.everyone,
        organisations=offers.named_organisations(body.organisations),
        fee=OwnKeyFee(_nano("fee_per_request", body.fee_per_request),
                      _nano("fee_per_million_tokens", body.fee_per_million_tokens)),
    )  # fmt: skip
    return _channel_offer(offer)


@operator_router.delete(
    "/channels/{id}/own-key-offer", response={204: None}, summary="End an offer of own keys"
)
@requires("channels.write")
def end_channel_offer(actor: Actor, id: str) -> Status[None]:
    """Keys that were added stay, and are not used. Requests that may only use them are rejected."""
    offers.end_offer(actor, access_channel_offer(actor, id))
    return Status(204, None)


def _nano(field: str, text: str) -> int:
    try:
        return parse_usd(text)
    except ValueError as error:
        raise offers.OfferRefused(field, str(error)) from error


def _fees(offer: OwnKeyOffer) -> dict[str, str]:
    fee = offers.fee_of(offer)
    return {
        "fee_per_request": format_usd(fee.request_nano),
        "fee_per_million_tokens": format_usd(fee.million_nano),
    }


def _offer(offer: OwnKeyOffer) -> OfferOut:
    return OfferOut(id=id_text(offer.channel_id), title=offer.title, **_fees(offer))


def _channel_offer(offer: OwnKeyOffer) -> ChannelOfferOut:
    return ChannelOfferOut(
        title=offer.title,
        everyone=offer.everyone,
        organisations=sorted(one.slug for one in offer.organisations.all()),
        **_fees(offer),
        keys=offer.channel.own_keys.count(),
    )


def _stored(actor: Actor, key: OwnKey) -> ProviderKeyOut:
    """Return a key that was just written, with the objects that it refers to."""
    return _key(access_own_key(actor, id_text(key.id)))


def _key(key: OwnKey) -> ProviderKeyOut:
    offer = offers.offer_of(key)
    return ProviderKeyOut(
        id=id_text(key.id),
        name=key.name,
        offer=id_text(key.channel_id),
        provider="" if offer is None else offer.title,
        team=None if key.team is None else key.team.slug,
        last4=key.last4,
        enabled=key.enabled,
        fall_back=key.fall_back,
        state=offers.state_of(key),
        refused_at=key.refused_at,
        created_at=key.created_at,
        rotated_at=key.rotated_at,
    )
