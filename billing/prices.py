"""Prices: what a model name, or a pattern of names, is charged at from an instant on.

A version that may have been used is never changed (I11): a new one closes it. The database itself
refuses versions of one price that overlap in time.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import audit
from accounts.access import Actor
from accounts.epoch import bump_epoch
from billing.models import Price, PriceVersion
from billing.rules import pricing
from billing.rules.catalogue import CatalogueRow
from billing.rules.meters import MeterUnknown

CATALOGUE = "genai-prices"
"""How the source of a version begins that came with the shipped catalogue."""


class PriceRefused(ValueError):
    """The price cannot be so; the text says why."""


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One version as a price list shows it; `rates` in the stored form of rules/pricing.py."""

    model: str
    version_id: int
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    rates: dict[str, Any]
    source: str

    @property
    def from_catalogue(self) -> bool:
        return self.source.startswith(CATALOGUE)


def set_price(
    actor: Actor,
    model: str,
    valid_from: dt.datetime,
    rates: Mapping[str, object],
    *,
    source: str,
    valid_to: dt.datetime | None = None,
) -> PriceVersion:
    """A new version of a model's price; the version that is valid at `valid_from` ends there.

    `rates` is the stored form of rules/pricing.py. PriceRefused for unusable rates, and when it
    would overlap a version that begins later.
    """
    try:
        pricing.PriceVersion.from_stored(rates)
    except (pricing.PriceInvalid, MeterUnknown) as error:
        raise PriceRefused(str(error)) from error
    with transaction.atomic():
        price, _ = Price.objects.get_or_create(model=model)
        Price.objects.select_for_update().get(id=price.id)
        price.versions.filter(valid_from__lt=valid_from).filter(
            Q(valid_to=None) | Q(valid_to__gt=valid_from)
        ).update(valid_to=valid_from)
        try:
            with transaction.atomic():
                version = PriceVersion.objects.create(
                    price=price,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    rates=dict(rates),
                    source=source,
                )
        except IntegrityError as error:
            raise _refusal(error, model) from error
        audit.record(
            actor,
            None,
            "price.set",
            version,
            model=model,
            valid_from=valid_from.isoformat(),
            valid_to=valid_to.isoformat() if valid_to else None,
            rates=dict(rates),
            source=source,
        )
        bump_epoch()
    return version


def end_price(actor: Actor, version: PriceVersion, valid_to: dt.datetime | None) -> PriceVersion:
    """Move the instant at which a version ends; None for open-ended. PriceRefused on an overlap."""
    with transaction.atomic():
        version.valid_to = valid_to
        try:
            with transaction.atomic():
                version.save(update_fields=["valid_to"])
        except IntegrityError as error:
            raise _refusal(error, version.price.model) from error
        audit.record(
            actor,
            None,
            "price.ended",
            version,
            model=version.price.model,
            valid_to=valid_to.isoformat() if valid_to else None,
        )
        bump_epoch()
    return version


def remove_price(actor: Actor, version: PriceVersion) -> None:
    """Remove a version that nothing was charged at; the caller knows that (I11)."""
    with transaction.atomic():
        audit.record(
            actor, None, "price.removed", version, model=version.price.model, rates=version.rates
        )
        version.delete()
        bump_epoch()


def load_catalogue(actor: Actor, rows: Iterable[CatalogueRow], source: str) -> int:
    """Make the catalogue's versions for every model that has no price yet; how many were made.

    The catalogue is active at a fresh installation only: when versions of any catalogue are there,
    nothing is done, because a newer catalogue is a proposal, not a price.
    """
    with transaction.atomic():
        if catalogue_loaded():
            return 0
        priced = set(Price.objects.values_list("model", flat=True))
        wanted = [row for row in rows if row.model not in priced]
        prices = Price.objects.bulk_create(
            [Price(model=model) for model in dict.fromkeys(row.model for row in wanted)]
        )
        by_model = {price.model: price for price in prices}
        versions = PriceVersion.objects.bulk_create(
            [
                PriceVersion(
                    price=by_model[row.model],
                    valid_from=row.valid_from,
                    valid_to=row.valid_to,
                    rates=row.rates,
                    source=source,
                )
                for row in wanted
            ]
        )
        if versions:
            audit.record(
                actor, None, "catalogue.loaded", versions[0], source=source, versions=len(versions)
            )
            bump_epoch()
    return len(versions)


def catalogue_loaded() -> bool:
    """Whether any catalogue was loaded into this installation."""
    return PriceVersion.objects.filter(source__startswith=CATALOGUE).exists()


def list_prices(models: Iterable[str] | None = None) -> list[ListedPrice]:
    """Every version, by model and time; of the named models only, when some are named."""
    versions = PriceVersion.objects.select_related("price").order_by("price__model", "valid_from")
    if models is not None:
        versions = versions.filter(price__model__in=list(models))
    return [
        ListedPrice(
            version.price.model,
            version.id,
            version.valid_from,
            version.valid_to,
            version.rates,
            version.source,
        )
        for version in versions
    ]


def _refusal(error: IntegrityError, model: str) -> PriceRefused:
    if "price_versions_do_not_overlap" in str(error):
        return PriceRefused(f"This price of {model} overlaps another one in time.")
    if "price_version_has_length" in str(error):
        return PriceRefused(f"This price of {model} ends before it begins.")
    raise error
