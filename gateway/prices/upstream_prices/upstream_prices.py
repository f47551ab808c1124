"""The prices that a channel's provider publishes. They are read when an operator asks and then each
day, and their differences from the current prices are proposed.

The provider's prices are the channel's cost prices. With a markup, sale prices are proposed as
well. Nothing is billed differently until an operator accepts a proposal
(billing/prices/proposals.py).

    address, connect   as in every call (gateway/channels/channel_tests/staged_calls.py)
    accept             the provider takes the key
    list               it answers with a list of prices
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from django.db import connection, transaction
from django.utils.translation import gettext

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from billing.models import PriceProposal, ProposalState
from billing.prices.conditions import PriceKey
from billing.prices.name_patterns import matches
from billing.prices.pricing import PPM
from billing.prices.proposals import UpstreamProposed, propose_upstream
from billing.prices.upstream_prices import (
    GroupNeeded,
    PricesInvalid,
    Reason,
    UpstreamPrices,
    read_upstream_prices,
)
from gateway.channels.channel_tests.channel_test import target_of
from gateway.channels.channel_tests.schedule import claim_due
from gateway.channels.channel_tests.staged_calls import (
    CallFailed,
    CallResult,
    StagedCall,
    Target,
    fault_of_answer,
    first_text,
)
from gateway.channels.egress import address_of
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel, UpstreamPriceList
from gateway.providers.codecs import codec_for
from gateway.providers.provider import BadAddress, NotOffered, Provider
from gateway.settings.installation import egress_policy
from lib import clock
from lib.ids import id_text
from lib.network.egress import Answer, EgressPolicy
from lib.refusal import check_text
from lib.vault import VaultError
from outbox.facts import put

Stage = Literal["address", "connect", "accept", "list"]
STAGES: Final[tuple[Stage, ...]] = ("address", "connect", "accept", "list")
Place = Literal["models", "pricing"]
# Where a provider publishes its prices: in its list of models, or at New API's own path. A place
# without prices is skipped.
PLACES: Final[Mapping[str, tuple[Place, ...]]] = {
    "openrouter": ("models",),
    "openai_compatible": ("pricing", "models"),
    "openai_metered": ("pricing", "models"),
}
GROUP_MAX: Final = 120
EVERY: Final = dt.timedelta(days=1)
_BODY_BYTES_MAX: Final = 16 << 20
# The maximum number of unread prices that are stored with the result, and listed in an email.
KEPT_MAX: Final = 500
_NAMED_MAX: Final = 20
_SOURCE: Final = "upstream "
_SOURCE_MAX: Final = 60


@dataclass
class PriceReading(CallResult):
    """The prices that a provider published."""

    prices: UpstreamPrices | None = None
    groups: tuple[str, ...] = ()


def source_of(channel: Channel) -> str:
    """Return the source of a channel's proposals, which the accepted versions keep."""
    source = f"{_SOURCE}{channel.name}"
    if len(source) <= _SOURCE_MAX:
        return source
    # Long names may have the same beginning, so a digest distinguishes them.
    ending = f"… {channel.id.hex[-8:]}"
    return source[: _SOURCE_MAX - len(ending)] + ending


def publishes_prices(channel: Channel) -> bool:
    """Return whether the channel's provider may publish prices in a supported form."""
    return channel.provider in PLACES


def open_proposals(channel: Channel) -> int:
    """Return how many proposals of the provider's prices are waiting."""
    rows = PriceProposal.objects.filter(source=source_of(channel), state=ProposalState.OPEN)
    return rows.count()


def price_list_of(channel: Channel) -> UpstreamPriceList | None:
    """Return the stored price list of a channel's provider, or None."""
    return UpstreamPriceList.objects.filter(channel=channel).first()


# Channels ---------------------------------------------------------------------------------------


def follow_prices(
    actor: Actor, channel: Channel, *, group: str = "", markup_ppm: int | None = None
) -> UpstreamPriceList:
    """Read the prices that a channel's provider publishes, now and then each day. Takes a minute at
    most. Raises Refused."""
    if not publishes_prices(channel):
        text = gettext("This channel's provider publishes no prices that can be read.")
        raise ChannelRefused("provider", text)
    group = check_text("group", group, GROUP_MAX)
    with transaction.atomic():
        followed, created = UpstreamPriceList.objects.select_for_update().get_or_create(
            channel=channel, defaults={"group": group, "markup_ppm": markup_ppm}
        )
        changed = (followed.group, followed.markup_ppm) != (group, markup_ppm)
        followed.group, followed.markup_ppm = group, markup_ppm
        followed.next_check_at = clock.now() + EVERY
        followed.save()
        if created or changed:
            audit.record(
                actor, None, "channel.prices_followed", channel,
                name=channel.name, group=group, markup_ppm=markup_ppm,
            )  # fmt: skip
    return check_prices(actor, channel) or followed


def unfollow_prices(actor: Actor, channel: Channel) -> None:
    """Stop reading the prices. Open proposals stay."""
    with transaction.atomic():
        deleted, _ = UpstreamPriceList.objects.filter(channel=channel).delete()
        if deleted:
            audit.record(actor, None, "channel.prices_unfollowed", channel, name=channel.name)


def check_prices(actor: Actor, channel: Channel) -> UpstreamPriceList | None:
    """Read a channel's prices and propose the differences. Takes a minute at most. Return None if
    they are no longer followed."""
    followed = price_list_of(channel)
    if followed is None:
        return None
    try:
        target = target_of(channel)
    except VaultError as error:
        reading = PriceReading(fault="secret", detail=str(error))
    else:
        if not connection.in_atomic_block:
            # The provider may take a minute, so the connection is returned to the pool.
            connection.close()
        reading = read_prices(target, followed.group)
    with transaction.atomic():
        locked = Channel.objects.select_for_update().filter(id=channel.id).first()
        if locked is None or address_of(locked) != address_of(channel):
            return None
        kept = UpstreamPriceList.objects.select_for_update().filter(channel=locked).first()
        # These are no prices of another group, which may have been chosen meanwhile.
        if kept is not None and kept.group == followed.group:
            _keep(actor, locked, kept, reading)
    return kept


def work_off_schedule() -> int:
    """Read the prices that are due, for a limited time. Return how many. Several processes may run
    this concurrently."""
    waiting = UpstreamPriceList.objects.filter(channel__enabled=True).select_related("channel")
    checked = 0
    for followed in claim_due(waiting, "next_check_at", lambda _: EVERY):
        check_prices(SYSTEM, followed.channel)
        checked += 1
    return checked


# Proposals --------------------------------------------------------------------------------------


def _keep(
    actor: Actor, channel: Channel, followed: UpstreamPriceList, reading: PriceReading
) -> None:
    before = followed.result.get("not_understood", {})
    followed.checked_at = clock.now()
    followed.fault, followed.detail = reading.fault or "", (reading.detail or reading.body)[:500]
    if reading.groups:
        followed.result = {**followed.result, "groups": list(reading.groups)}
    if reading.prices is not None:
        followed.read_at = followed.checked_at
        proposed = _propose(actor, channel, followed, reading.prices)
        lost = followed.result["not_understood"].keys() - before.keys()
        if (proposed.new or lost) and actor == SYSTEM:
            put(
                "channel.prices_changed", None, channel=channel.name,
                channel_id=id_text(channel.id), new=proposed.new,
                not_understood_count=followed.result["not_understood_count"],
                not_understood=list(followed.result["not_understood"])[:_NAMED_MAX],
            )  # fmt: skip
    followed.save()


def _propose(
    actor: Actor, channel: Channel, followed: UpstreamPriceList, prices: UpstreamPrices
) -> UpstreamProposed:
    """Create proposals for the models that the channel serves, by their public names."""
    served = served_names(channel, prices.names)
    rates: dict[PriceKey, dict[str, Any]] = {}
    ended: list[PriceKey] = []
    not_understood: dict[str, Reason] = {}
    missing: list[str] = []
    for public, upstream in served.items():
        keys = _keys(channel, public, followed)
        if upstream in prices.rates:
            for key in keys:
                listed_rates = prices.rates[upstream]
                rates[key] = (
                    listed_rates if key.kind == "cost" else _add_markup(listed_rates, followed)
                )
        elif upstream in prices.not_understood:
            not_understood[upstream] = prices.not_understood[upstream]
        else:
            missing.append(upstream)
            ended += keys
    proposed = propose_upstream(actor, rates, source_of(channel), ended=ended)
    # A model without a usable name is skipped and reported too.
    not_understood |= {
        name: why for name, why in prices.not_understood.items() if name.startswith("#")
    }
    followed.result = {
        "form": prices.form,
        "groups": list(prices.groups),
        "listed": len(prices.names),
        "served": len(served),
        "proposed": proposed.proposed._asdict(),
        "not_understood": dict(sorted(not_understood.items())[:KEPT_MAX]),
        "not_understood_count": len(not_understood),
        "unknown": dict(sorted(prices.unknown.items())[:KEPT_MAX]),
        "missing": sorted(missing)[:KEPT_MAX],
        "missing_count": len(missing),
    }
    return proposed


def served_names(channel: Channel, listed: Iterable[str]) -> dict[str, str]:
    """Return what a channel serves: public name -> the provider's name. A pattern that passes the
    requested name on stands for every listed name that it matches."""
    routes = {route.model: route.upstream_model or route.model for route in channel.routes.all()}
    names = {
        public: upstream
        for public, upstream in routes.items()
        if "*" not in public or upstream != public
    }
    patterns = [public for public in routes if public not in names]
    for name in listed:
        if any(matches(pattern, name) for pattern in patterns):
            names.setdefault(name, name)
    return names


def _keys(channel: Channel, public: str, followed: UpstreamPriceList) -> list[PriceKey]:
    cost = PriceKey(public, "cost", channel.name)
    return [cost] if followed.markup_ppm is None else [cost, PriceKey(public)]


def _add_markup(rates: Mapping[str, Any], followed: UpstreamPriceList) -> dict[str, Any]:
    """Return a sale price: at least the cost times the markup, so rounded up to the nano."""
    markup_ppm = followed.markup_ppm or 0
    meters = {meter: -(-rate * markup_ppm // PPM) for meter, rate in rates["meters"].items()}
    return {**rates, "meters": meters}


# Requests ---------------------------------------------------------------------------------------


def read_prices(target: Target, group: str = "") -> PriceReading:
    """Read the prices that a provider publishes. Takes a minute at most."""
    result = PriceReading()
    _Reading(target, group, egress_policy(), result).run()
    return result


class _Reading:
    def __init__(
        self, target: Target, group: str, policy: EgressPolicy, result: PriceReading
    ) -> None:
        self._call = StagedCall(target, policy, STAGES, result)
        self._target = target
        self._group = group
        self._result = result

    def run(self) -> None:
        with self._call.recorded():
            provider = self._call.provider()
            failed: CallFailed | None = None
            for place in PLACES.get(provider.name, ()):
                try:
                    self._read(provider, place)
                    return
                except CallFailed as error:
                    if error.fault not in ("no_prices", "not_prices"):
                        raise
                    # If no place has prices, the result of the first one is reported.
                    failed = failed or error
            raise failed or CallFailed("no_prices")

    def _read(self, provider: Provider, place: Place) -> None:
        try:
            url = self._target.address(provider).url("models")
            target = self._target
            if place == "pricing":
                # This path is public, so the key is not sent.
                url, target = pricing_address(url), replace(target, secret="")
            headers = target.headers(provider, "openai")
        except NotOffered as error:
            raise CallFailed("no_prices") from error
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error
        with self._call.send("GET", url, headers) as answer:
            status = answer.status_code
            if status != 200:
                text = first_text(answer.iter_raw())
                fault = fault_of_answer(answer, text, codec_for(provider, "openai"))
                raise CallFailed(
                    "no_prices" if status in (404, 405) else fault, status=status, body=text
                )
            self._call.reach("accept")
            body = self._read_body(answer)
        try:
            self._result.prices = read_upstream_prices(body, self._group)
        except GroupNeeded as error:
            self._result.groups = error.groups
            raise CallFailed("no_group", str(error), status=200) from error
        except PricesInvalid as error:
            excerpt = body[:400].decode("utf-8", "replace")
            raise CallFailed("not_prices", str(error), status=200, body=excerpt) from error
        self._result.groups = self._result.prices.groups
        self._call.reach("list")

    def _read_body(self, answer: Answer) -> bytes:
        body = bytearray()
        for piece in answer.iter_raw():
            body += piece
            if len(body) > _BODY_BYTES_MAX or self._call.late:
                raise CallFailed("not_prices", "the list does not come to its end", status=200)
        return bytes(body)


def pricing_address(models_url: str) -> str:
    """Return the URL of a New API's prices, from the URL of its models (`…/v1/models`)."""
    parts = urlsplit(models_url)
    path = parts.path.removesuffix("/models").removesuffix("/v1")
    return parts._replace(path=f"{path}/api/pricing", query="").geturl()
