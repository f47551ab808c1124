"""New API and One API: what their databases have in common, and in what they differ."""

import functools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from billing.rules.money import round_half_even
from billing.rules.pricing import PPM
from config.management.imports import values
from config.management.imports.converted import Channel, Converted, Origin, Plan, Price
from config.management.imports.databases import Database
from config.management.imports.quota_channel_types import Peer
from config.management.imports.quota_channels import read_channels
from config.management.imports.quota_people import Terms, groups_of, read_users
from config.management.imports.quota_ratios import RatioTables, rates_of, written_rates
from config.management.imports.reading import Reader, Skipped
from config.management.imports.report import Report
from config.management.imports.values import Row, ValueUnreadable

TABLES: Final = ("users", "tokens", "channels", "options")
LABELS: Final[Mapping[Peer, str]] = {"new-api": "New API", "one-api": "One API"}
_NEEDED: Final = ("users", "tokens", "channels")
# Each has a column of tokens that the other has not.
_OWN_COLUMN: Final[Mapping[Peer, str]] = {"new-api": "model_limits", "one-api": "subnet"}

_QUOTA_PER_USD: Final = Fraction(500_000)
_RATIO_OPTIONS: Final = (
    *("ModelRatio", "CompletionRatio", "ModelPrice", "CacheRatio", "CreateCacheRatio"),
    *("ImageRatio", "AudioRatio", "AudioCompletionRatio"),
)
_TAKEN_OPTIONS: Final = frozenset({*_RATIO_OPTIONS, "GroupRatio", "QuotaPerUnit"})


class WrongPeer(ValueError):
    """This is no database of that peer; the text says why."""


def convert(peer: Peer, database: Database) -> Converted:
    """Everything that can be imported, and the report of the rest. Raises WrongPeer, and
    ValueUnreadable where a setting that all prices depend on cannot be read."""
    _check_peer(peer, database)
    reader = Reader(database, Report())
    options = _read_options(reader)
    channels, models_of_group = read_channels(reader, peer)
    quota_per_usd = values.fraction(options.get("QuotaPerUnit")) or _QUOTA_PER_USD
    if quota_per_usd <= 0:
        raise ValueUnreadable("the option QuotaPerUnit: expected more than 0")
    prices = _read_prices(reader, peer, options, channels, quota_per_usd)
    plans = _read_plans(reader, options, models_of_group, groups_of(reader))
    terms = Terms(peer, LABELS[peer], quota_per_usd, plans)
    organisations = read_users(reader, terms)
    reader.report.tables_left = dict(database.others)
    reader.report.notes.append(
        "Passwords are not imported: people choose one by 'Forgot your password?'."
    )
    return Converted(
        tuple(plan for plan in plans.values() if plan),
        tuple(channels),
        tuple(prices),
        tuple(organisations),
        reader.report,
    )


def _check_peer(peer: Peer, database: Database) -> None:
    for table in _NEEDED:
        if table not in database.rows:
            raise WrongPeer(f"this is no database of {LABELS[peer]}: it has no table {table}")
    for other, column in _OWN_COLUMN.items():
        if other != peer and any(column in row for row in database.rows["tokens"][:1]):
            raise WrongPeer(
                f"this is a database of {LABELS[other]}: tokens have a {column}. Use {other}"
            )


def _read_options(reader: Reader) -> dict[str, object]:
    options: dict[str, object] = {}

    def take(row: Row) -> None:
        name = values.text(row.get("key"))
        if name not in _TAKEN_OPTIONS:
            raise Skipped("settings of the program itself")
        options[name] = row.get("value")

    reader.each("options", take, id="key", name="", taken={"key", "value"})
    return options


def _ratios(options: Mapping[str, object], name: str) -> dict[str, Fraction]:
    try:
        read: dict[str, Any] = values.mapping(options.get(name))
        return {model: values.fraction(ratio) for model, ratio in read.items()}
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option {name}: {error}") from error


def _read_prices(
    reader: Reader,
    peer: Peer,
    options: Mapping[str, object],
    channels: list[Channel],
    quota_per_usd: Fraction,
) -> list[Price]:
    """The prices of the models that a channel serves."""
    tables = RatioTables(*map(functools.partial(_ratios, options), _RATIO_OPTIONS))
    served = sorted({model for channel in channels for model in channel.models})
    report, prices = reader.report, []
    for model in served:
        report.table("prices").read += 1
        rates = rates_of(peer, model, tables, quota_per_usd)
        if rates is None:
            why = "the database has no ratio for it: the built-in one was used. Weir's own price"
            report.skip("prices", model, "", f"{why} list holds, else set a price")
            continue
        if any(rate < 0 for rate in rates.values()):
            report.skip("prices", model, "", "a rate below 0")
            continue
        written, rounded = written_rates(rates)
        if rounded:
            report.note("prices", model, "", "rounded to what a price holds (10⁻⁹ USD)")
        prices.append(Price(Origin("prices", model), model, written))
    unserved = {*tables.model, *tables.fixed_price} - set(served)
    if unserved:
        report.notes.append(f"Ratios of {len(unserved)} models that no channel serves: left out.")
    return prices


def _read_plans(
    reader: Reader,
    options: Mapping[str, object],
    models_of_group: Mapping[str, set[str]],
    used: set[str],
) -> dict[str, Plan | None]:
    """Each group as a plan: its multiplier, and the models of its channels. None where it changes
    nothing."""
    ratios = _ratios(options, "GroupRatio")
    every = set().union(*models_of_group.values())
    plans: dict[str, Plan | None] = {}
    for group in sorted(used | set(ratios)):
        report = reader.report.table("groups")
        report.read += 1
        ratio = ratios.get(group, Fraction(1))
        if group not in ratios:
            reader.report.note("groups", group, "", "has no ratio: taken as 1")
        models = models_of_group.get(group, set())
        if group not in used:
            reader.report.skip("groups", group, "", "nobody is in it")
        elif ratio == 1 and models in (every, set()):
            reader.report.skip("groups", group, "", "changes nothing: no plan is needed")
            plans[group] = None
        else:
            plans[group] = _plan(reader, group, ratio, models)
        if group in used and not models:
            reader.report.note("groups", group, "", "has no channel there; here it has every model")
    return plans


def _plan(reader: Reader, group: str, ratio: Fraction, models: set[str]) -> Plan:
    scaled = ratio * PPM
    if scaled.denominator != 1:
        reader.report.note("groups", group, "", "its ratio is rounded to 6 decimals")
    multiplier = round_half_even(scaled.numerator, scaled.denominator)
    return Plan(Origin("groups", group), group, multiplier, tuple(sorted(models)))
