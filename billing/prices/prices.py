"""Prices: the rates of a model name, or of a pattern of names, from an instant on.

A version that may have been used is never changed (I11): a new one closes it. The database itself
refuses versions of one price that overlap in time.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.limits.data_policy import is_region
from billing.models import Price, PriceKind, PriceProposal, PriceVersion
from billing.prices import pricing
from billing.prices.catalogue.catalogue import CATALOGUE as CATALOGUE
from billing.prices.catalogue.catalogue import CatalogueRow
from billing.prices.conditions import ConditionInvalid, PriceKey, read_hours, tier_name
from billing.prices.meters import MeterUnknown


class PriceRefused(ValueError):
    """The price is not valid; the text says why."""


class PriceStale(PriceRefused):
    """Another version than the named one would be replaced; the text says which."""


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One version as a price list shows it. `rates` is the stored form of pricing.py."""

    key: PriceKey
    price_id: int
    version_id: int
    valid_from: dt.datetime
    valid_to: dt.datetime | None
    rates: dict[str, Any]
    source: str

    @property
    def model(self) -> str:
        return self.key.model

    @property
    def from_catalogue(self) -> bool:
        return self.source.startswith(CATALOGUE)

    def in_force_at(self, at: dt.datetime) -> bool:
        """Return whether this version is valid at an instant, by its dates."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


def check_key(key: PriceKey) -> None:
    """Check that a price can have this key. Raises PriceRefused."""
    if key.kind == PriceKind.CHARGE and key.channel:
        raise PriceRefused(
            gettext("Only costs are set by channel. A charge is the same on all channels.")
        )
    if key.service_tier != tier_name(key.service_tier):
        text = gettext(
            "%(tier)s is not a service tier of its own. Leave it empty for the standard price."
        )
        raise PriceRefused(text % {"tier": key.service_tier})
    if key.region and not is_region(key.region):
        text = gettext("%(region)s is not a region. Enter one such as us-east-1, eu or global.")
        raise PriceRefused(text % {"region": key.region})
    try:
        read_hours(key.hours)
    except ConditionInvalid as error:
        text = gettext(
            "Enter hours in UTC such as 16:30-00:30, with different start and end times, "
            "or leave them empty for the whole day."
        )
        raise PriceRefused(text) from error


def set_price(
    actor: Actor,
    model: str | PriceKey,
    valid_from: dt.datetime,
    rates: Mapping[str, object],
    *,
    source: str,
    valid_to: dt.datetime | None = None,
) -> PriceVersion:
    """Create a version of a price. The version that is valid at `valid_from` ends there.

    `rates` is the stored form of pricing.py. A model's name alone means its plain charge. Raises
    PriceRefused for invalid rates, for hours that overlap those of another price, and if the new
    version would overlap a later one.
    """
    key = PriceKey(model) if isinstance(model, str) else model
    check_key(key)
    try:
        pricing.PriceVersion.from_stored(rates)
    except (pricing.PriceInvalid, MeterUnknown) as error:
        raise PriceRefused(str(error)) from error
    with transaction.atomic():
        price, _ = Price.objects.get_or_create(**key._asdict())
        Price.objects.select_for_update().get(id=price.id)
        _refuse_shared_hours(key)
        try:
            with transaction.atomic():
                if not source.startswith(CATALOGUE):
                    _end_shipped_prices(key, valid_from)
                price.versions.filter(valid_from__lt=valid_from).filter(
                    Q(valid_to=None) | Q(valid_to__gt=valid_from)
                ).update(valid_to=valid_from)
                version = PriceVersion.objects.create(
                    price=price,
                    valid_from=valid_from,
                    valid_to=valid_to,
                    rates=dict(rates),
                    source=source,
                )
        except IntegrityError as error:
            raise _refusal(error, str(key)) from error
        audit.record(
            actor,
            None,
            "price.set",
            version,
            **_key_fields(key),
            valid_from=valid_from.isoformat(),
            valid_to=valid_to.isoformat() if valid_to else None,
            rates=dict(rates),
            source=source,
        )
        bump_epoch()
    return version


def _refuse_shared_hours(key: PriceKey) -> None:
    hours = read_hours(key.hours)
    if hours is None:
        return
    same = Price.objects.filter(
        model=key.model,
        kind=key.kind,
        channel=key.channel,
        service_tier=key.service_tier,
        region=key.region,
    )
    for other in same.exclude(hours__in=("", key.hours)).filter(versions__isnull=False).distinct():
        span = read_hours(other.hours)
        if span is not None and span.overlap(hours):
            text = gettext(
                "The hours %(hours)s of %(model)s overlap %(others)s, which already has a price."
            )
            named = {"hours": key.hours, "model": key.model, "others": other.hours}
            raise PriceRefused(text % named)


def _end_shipped_prices(key: PriceKey, valid_from: dt.datetime) -> None:
    """End the catalogue's prices by service tier, hour and region when a plain price of our own
    begins: the plain price then applies to them."""
    if key.kind != PriceKind.CHARGE or not key.unconditional:
        return
    conditional = Q(service_tier__gt="") | Q(hours__gt="") | Q(region__gt="")
    prices = Price.objects.filter(conditional, model=key.model, kind=key.kind)
    # Select by ids, because with a join the planner expected no rows and read the whole table per
    # version.
    narrowed = PriceVersion.objects.filter(
        price__in=list(prices.values_list("id", flat=True)), source__startswith=CATALOGUE
    )
    narrowed.filter(valid_from__gte=valid_from).delete()
    narrowed.filter(Q(valid_to=None) | Q(valid_to__gt=valid_from)).update(valid_to=valid_from)


def _key_fields(key: PriceKey) -> dict[str, str]:
    """Return the key's fields for the audit log, without empty ones."""
    conditions = {name: value for name, value in key._asdict().items() if value}
    if key.kind == PriceKind.CHARGE:
        del conditions["kind"]
    return conditions


def end_price(actor: Actor, version: PriceVersion, valid_to: dt.datetime | None) -> PriceVersion:
    """Set the end of a version; None leaves it open. Raises PriceRefused on an overlap."""
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
            **_key_fields(key_of(version.price)),
            valid_to=valid_to.isoformat() if valid_to else None,
        )
        bump_epoch()
    return version


def remove_price(actor: Actor, version: PriceVersion) -> None:
    """Remove a version. Call this only if nothing was charged at the version (I11)."""
    with transaction.atomic():
        key = key_of(version.price)
        audit.record(actor, None, "price.removed", version, **_key_fields(key), rates=version.rates)
        try:
            with transaction.atomic():
                version.delete()
        except IntegrityError as error:
            raise _refusal(error, str(key)) from error
        bump_epoch()


def load_catalogue(actor: Actor, rows: Iterable[CatalogueRow], source: str) -> int:
    """Create the catalogue's versions for every model without a price. Return how many.

    Only a fresh installation gets its prices this way. If any catalogue was loaded before, nothing
    happens, because a newer catalogue is a proposal, not a price.
    """
    with transaction.atomic():
        if catalogue_loaded():
            return 0
        priced = set(Price.objects.values_list("model", flat=True))
        wanted = [row for row in rows if row.model not in priced]
        keys = dict.fromkeys(catalogue_key(row) for row in wanted)
        prices = Price.objects.bulk_create([Price(**key._asdict()) for key in keys])
        by_key = {key_of(price): price for price in prices}
        versions = PriceVersion.objects.bulk_create(
            [
                PriceVersion(
                    price=by_key[catalogue_key(row)],
                    valid_from=row.valid_from,
                    valid_to=row.valid_to,
                    rates=row.rates,
                    source=source_of(row, source),
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


def source_of(row: CatalogueRow, catalogue: str) -> str:
    """Return the source to record for a version that is created from a catalogue row: the
    catalogue, or the row's own source."""
    return f"{CATALOGUE} + {row.source}" if row.source else catalogue


def catalogue_loaded() -> bool:
    """Return whether any catalogue was loaded into this installation."""
    return PriceVersion.objects.filter(source__startswith=CATALOGUE).exists()


def catalogue_key(row: CatalogueRow) -> PriceKey:
    """Return the key of the price that a row of the catalogue belongs to."""
    return PriceKey(row.model, service_tier=row.service_tier, hours=row.hours)


def key_of(price: Price | PriceProposal) -> PriceKey:
    """Return the key of a stored price or of a proposal."""
    return PriceKey(**{name: getattr(price, name) for name in PriceKey._fields})


def list_prices(models: Iterable[str] | None = None, *, kind: str = "charge") -> list[ListedPrice]:
    """Return every version of that kind, by key and time. With `models`, only the versions of
    these.

    The plain price of a model comes before the prices of its service tiers, hours and regions.
    """
    versions = PriceVersion.objects.filter(price__kind=kind).order_by(
        *(f"price__{name}" for name in PriceKey._fields if name != "kind"), "valid_from"
    )
    if models is not None:
        versions = versions.filter(price__model__in=list(models))
    # Plain rows, not objects: every page of prices reads thousands.
    rows = versions.values_list(
        *(f"price__{name}" for name in PriceKey._fields),
        "price_id",
        "id",
        "valid_from",
        "valid_to",
        "rates",
        "source",
    )
    width = len(PriceKey._fields)
    return [ListedPrice(PriceKey(*row[:width]), *row[width:]) for row in rows]


def _refusal(error: IntegrityError, model: str) -> PriceRefused:
    if "price_versions_do_not_overlap" in str(error):
        text = gettext("This price of %(model)s overlaps another one in time.")
    elif "price_version_has_length" in str(error):
        text = gettext("This price of %(model)s ends before it starts.")
    elif "stays as it is" in str(error):
        text = gettext(
            "Requests were already charged at the price of %(model)s that is in force at that "
            "time, so it cannot change. Choose a later start."
        )
    else:
        raise error
    return PriceRefused(text % {"model": model})
