"""Channels that operators offer to organisations with provider keys of their own: which
organisations may use them, and the fee."""

from collections.abc import Collection, Iterable
from typing import Final, Literal

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from accounts.names.names import first_free_name
from billing.currency.money import format_usd
from billing.prices.own_key_fee import FEE_MAX_NANO, OwnKeyFee
from gateway.channels.fields import provider_of
from gateway.models import Channel, OwnKey, OwnKeyOffer
from gateway.own_keys.cloud_keys import has_project
from lib.refusal import Refused, check_text

TITLE_MAX: Final = 120
ORGANISATIONS_MAX: Final = 1_000
OwnKeyState = Literal[
    "active", "disabled", "rejected", "out_of_credit", "incomplete", "not_offered"
]
"""Whether requests use a key: not where it is disabled, has lost its secret with the channel's
address, or may not be used any more; the provider may have rejected it, or its account be empty."""


class OfferRefused(Refused):
    """The channel cannot be offered so."""


def set_offer(
    actor: Actor,
    channel: Channel,
    *,
    title: str,
    everyone: bool,
    organisations: Collection[Organisation] = (),
    fee: OwnKeyFee,
) -> OwnKeyOffer:
    """Offer a channel, or change its offer. `organisations` may use it unless `everyone` may.
    Raises OfferRefused."""
    provider = provider_of(channel)
    title = check_text("title", title, TITLE_MAX)
    if has_project(provider, channel.base_url):
        text = gettext(
            "The address names a project, which %(provider)s bills whoever signs. Organisations "
            "can use their own keys only at an address without a project."
        )
        raise OfferRefused("title", text % {"provider": provider.label})
    _check_fee(fee)
    if len(organisations) > ORGANISATIONS_MAX:
        text = gettext("Choose at most %(n)s organisations, or all of them.")
        raise OfferRefused("organisations", text % {"n": ORGANISATIONS_MAX})
    with transaction.atomic():
        locked = Channel.objects.select_for_update().get(id=channel.id)
        title = title or free_title(locked)
        taken = OwnKeyOffer.objects.filter(title=title).exclude(channel=locked)
        if taken.exists():
            text = gettext("Another channel is already offered as %(title)s.")
            raise OfferRefused("title", text % {"title": title}, already_exists=True)
        offer = OwnKeyOffer.objects.filter(channel=locked).first()
        before = {} if offer is None else _audit_details(offer)
        action = "own_key_offer.created" if offer is None else "own_key_offer.changed"
        offer = offer or OwnKeyOffer(channel=locked)
        offer.title, offer.everyone = title, everyone
        offer.fee_request_nano, offer.fee_million_nano = fee.request_nano, fee.million_nano
        offer.save()
        offer.organisations.set([] if everyone else organisations)
        after = _audit_details(offer)
        changed = [name for name in after if before.get(name) != after[name]]
        if changed:
            audit.record(
                actor, None, action, offer, name=channel.name,
                before={name: before.get(name) for name in changed},
                after={name: after[name] for name in changed},
            )  # fmt: skip
            bump_epoch()
    return offer


def free_title(channel: Channel) -> str:
    """Return the title that a channel is offered under unless another is chosen: its provider's
    name, numbered if another channel is offered under it."""
    others = OwnKeyOffer.objects.exclude(channel=channel)
    taken = set(others.values_list("title", flat=True))
    return first_free_name(provider_of(channel).label, taken)


def end_offer(actor: Actor, offer: OwnKeyOffer) -> None:
    """End an offer. Keys that were added stay, and are not used: requests that may only use them
    are refused."""
    with transaction.atomic():
        audit.record(actor, None, "own_key_offer.ended", offer, name=offer.channel.name)
        offer.delete()
        bump_epoch()


def offers_to(organisation: Organisation) -> QuerySet[OwnKeyOffer]:
    """The offers that an organisation may use, by title."""
    reached = Q(everyone=True) | Q(organisations=organisation)
    offers = OwnKeyOffer.objects.filter(reached, channel__archived_at=None).distinct()
    return offers.select_related("channel").order_by("title")


def offer_for(channel: Channel) -> OwnKeyOffer | None:
    """The offer of a channel; None where it is not offered."""
    return OwnKeyOffer.objects.filter(channel=channel).first()


def offer_of(key: OwnKey) -> OwnKeyOffer | None:
    """The offer that a key is used by; None where its organisation may not use the channel."""
    offer: OwnKeyOffer | None = getattr(key.channel, "own_key_offer", None)
    if offer is None or offer.everyone:
        return offer
    chosen = offer.organisations.filter(id=key.organisation_id).exists()
    return offer if chosen else None


def state_of(key: OwnKey) -> OwnKeyState:
    """Return what a key can be used for now."""
    if not key.enabled:
        return "disabled"
    if offer_of(key) is None:
        return "not_offered"
    if key.sealed is None:
        return "incomplete"
    if key.refused_at is None:
        return "active"
    return "out_of_credit" if key.refusal == "no_credit" else "rejected"


def named_organisations(slugs: Collection[str]) -> list[Organisation]:
    """Return the organisations with these slugs. Raises OfferRefused for an unknown slug."""
    rows = list(Organisation.objects.filter(slug__in=[slug for slug in slugs if "\0" not in slug]))
    unknown = sorted(set(slugs) - {row.slug for row in rows})
    if unknown:
        text = gettext("There is no organisation %(slug)s.") % {"slug": unknown[0]}
        raise OfferRefused("organisations", text)
    return rows


def fee_of(offer: OwnKeyOffer) -> OwnKeyFee:
    """The fee of an offer."""
    return OwnKeyFee(offer.fee_request_nano, offer.fee_million_nano)


def _audit_details(offer: OwnKeyOffer) -> dict[str, object]:
    return {
        "title": offer.title,
        "everyone": offer.everyone,
        "organisations": _slugs(offer.organisations.all()),
        "fee_per_request": format_usd(offer.fee_request_nano),
        "fee_per_million_tokens": format_usd(offer.fee_million_nano),
    }


def _slugs(organisations: Iterable[Organisation]) -> list[str]:
    return sorted(organisation.slug for organisation in organisations)


def _check_fee(fee: OwnKeyFee) -> None:
    if fee.request_nano and fee.million_nano:
        text = gettext("Set a fee for each request or for each million tokens, not both.")
        raise OfferRefused("fee_per_million_tokens", text)
    for field, nano in (
        ("fee_per_request", fee.request_nano),
        ("fee_per_million_tokens", fee.million_nano),
    ):
        if not 0 <= nano <= FEE_MAX_NANO:
            text = gettext("Enter a fee from 0 to %(most)s USD.")
            raise OfferRefused(field, text % {"most": format_usd(FEE_MAX_NANO)})
