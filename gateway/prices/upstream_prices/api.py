"""The management API of the prices that a channel's provider publishes. Pages call the same
functions. Differences are among the price proposals."""

import datetime as dt

from ninja import Status
from pydantic import Field

from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.guards import api_auth
from billing.currency.money import MoneyInvalid, format_multiplier, parse_multiplier
from gateway.access import access_channel
from gateway.channels.channel_tests.words import words_of
from gateway.models import Channel
from gateway.prices.forms import multiplier_error
from gateway.prices.upstream_prices.upstream_prices import (
    GROUP_MAX,
    follow_prices,
    price_list_of,
    source_of,
    unfollow_prices,
)
from gateway.prices.upstream_prices.words import reason_words
from lib.api.openapi import RequestBody, Schema
from lib.refusal import Refused

router = Router(tags=["Channels"], auth=api_auth.installation_auth)


class UpstreamPricesIn(RequestBody):
    """How to read the provider's prices."""

    group: str = Field(
        "", max_length=GROUP_MAX, description="Of your key, at a New API or One API."
    )
    multiplier: str | None = Field(
        None,
        max_length=12,
        description="Also propose sale prices: the cost times this. Null: cost prices only.",
    )


class UpstreamPricesOut(Schema):
    followed: bool = Field(description="Whether the prices are read each day.")
    group: str
    multiplier: str | None
    source: str = Field(description="Of the proposals, and of the versions they become.")
    checked_at: dt.datetime | None
    read_at: dt.datetime | None = Field(description="The last check that succeeded.")
    fault: str | None = Field(description="Why the last check failed.")
    cause: str | None
    fix: str | None
    groups: list[str] = Field(description="The groups that the provider names.")
    listed: int = Field(description="Models that the provider lists.")
    served: int = Field(description="Models that the channel serves.")
    added: int = Field(description="Open proposals of new prices.")
    changed: int
    removed: int
    not_understood: dict[str, str] = Field(
        description="Of the models the channel serves, those that nothing is proposed for, with "
        "the reason; at most 500."
    )
    not_understood_count: int
    unknown: dict[str, int] = Field(
        description="Members that are not classified, with the number of models that have them."
    )
    missing: list[str] = Field(description="Served models that the provider does not list.")
    missing_count: int


@router.get(
    "/channels/{id}/upstream-prices",
    response=UpstreamPricesOut,
    summary="Show a provider's prices",
)
def show_upstream_prices(actor: Actor, id: str) -> UpstreamPricesOut:
    """What the provider published the last time it was asked. The differences are price
    proposals of the given source."""
    return _serialize_prices(access_channel(actor, id))


@router.put(
    "/channels/{id}/upstream-prices",
    response=UpstreamPricesOut,
    summary="Read a provider's prices",
)
@requires("prices.write")
def follow_upstream_prices(actor: Actor, id: str, body: UpstreamPricesIn) -> UpstreamPricesOut:
    """Reads them now, and then each day. What differs becomes price proposals; nothing is billed
    otherwise until they are accepted."""
    channel = access_channel(actor, id)
    try:
        ppm = None if body.multiplier is None else parse_multiplier(body.multiplier)
    except MoneyInvalid as error:
        raise Refused("multiplier", multiplier_error()) from error
    follow_prices(actor, channel, group=body.group, markup_ppm=ppm)
    return _serialize_prices(channel)


@router.delete(
    "/channels/{id}/upstream-prices", response={204: None}, summary="Stop reading prices"
)
@requires("prices.write")
def unfollow_upstream_prices(actor: Actor, id: str) -> Status[None]:
    """Open proposals stay."""
    unfollow_prices(actor, access_channel(actor, id))
    return Status(204, None)


def _serialize_prices(channel: Channel) -> UpstreamPricesOut:
    followed = price_list_of(channel)
    result = followed.result if followed else {}
    cause, fix = words_of((followed.fault or None) if followed else None)  # type: ignore[arg-type]
    ppm = followed.markup_ppm if followed else None
    proposed = result.get("proposed", {})
    return UpstreamPricesOut(
        followed=followed is not None,
        group=followed.group if followed else "",
        multiplier=None if ppm is None else format_multiplier(ppm),
        source=source_of(channel),
        checked_at=followed.checked_at if followed else None,
        read_at=followed.read_at if followed else None,
        fault=(followed.fault or None) if followed else None,
        cause=str(cause) if cause else None,
        fix=str(fix) if fix else None,
        groups=result.get("groups", []),
        **{name: result.get(name, 0) for name in ("listed", "served")},
        **{name: proposed.get(name, 0) for name in ("added", "changed", "removed")},
        not_understood={
            name: reason_words(why) for name, why in result.get("not_understood", {}).items()
        },
        not_understood_count=result.get("not_understood_count", 0),
        unknown=result.get("unknown", {}),
        missing=result.get("missing", []),
        missing_count=result.get("missing_count", 0),
    )
