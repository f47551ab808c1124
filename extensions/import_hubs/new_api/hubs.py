"""New API and One API: the common parts of their databases, and the differences."""

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from extensions.import_hubs import values
from extensions.import_hubs.converted import Channel, Converted, Origin, Price
from extensions.import_hubs.databases import Database
from extensions.import_hubs.new_api import options as quota_options
from extensions.import_hubs.new_api.channel_types import Peer
from extensions.import_hubs.new_api.channels import read_channels
from extensions.import_hubs.new_api.codes import read_codes, report_subscriptions
from extensions.import_hubs.new_api.columns import COLUMNS, OTHER_TABLES
from extensions.import_hubs.new_api.groups import (
    price_plans_of,
    price_plans_of_channel,
    usable_groups,
)
from extensions.import_hubs.new_api.people import Terms, groups_of, read_users
from extensions.import_hubs.new_api.ratios import RatioTables, rates_of, written_rates
from extensions.import_hubs.reading import Reader, Skipped
from extensions.import_hubs.report import Report
from extensions.import_hubs.values import Row, ValueUnreadable

TABLES: Final = tuple(COLUMNS)
LABELS: Final[Mapping[Peer, str]] = {"new-api": "New API", "one-api": "One API"}
_NEEDED: Final = ("users", "tokens", "channels")
# The column of tokens that only this peer has.
_OWN_COLUMN: Final[Mapping[Peer, str]] = {"new-api": "model_limits", "one-api": "subnet"}

_QUOTA_PER_USD: Final = Fraction(500_000)
_RATIO_OPTIONS: Final = (
    *("ModelRatio", "CompletionRatio", "ModelPrice", "CacheRatio", "CreateCacheRatio"),
    *("ImageRatio", "AudioRatio", "AudioCompletionRatio"),
)
_SPECIAL_GROUPS: Final = "group_ratio_setting.group_special_usable_group"
_TAKEN_OPTIONS: Final = frozenset(
    {
        *(*_RATIO_OPTIONS, *quota_options.NAMES),
        *("GroupRatio", "QuotaPerUnit", "UserUsableGroups", "AutoGroups", _SPECIAL_GROUPS),
    }
)
_GROUP_RATIO: Final[Mapping[str, Fraction]] = dict.fromkeys(("default", "vip", "svip"), Fraction(1))
# Options that restrict or price requests and are not imported: the report names them.
_TOLD_OPTIONS: Final[Mapping[str, str]] = {
    "GroupGroupRatio": "ratios for users of another group: set them at /admin/plans",
}


class WrongPeer(ValueError):
    """This is not a database of that program. The text says why."""


def convert(
    peer: Peer, database: Database, accepted: frozenset[str], now: dt.datetime
) -> Converted:
    """Return everything that can be imported, and the report on the rest. Raises WrongPeer, and
    ValueUnreadable if a setting that all prices depend on cannot be read."""
    _check_peer(peer, database)
    reader = Reader(database, Report(), COLUMNS, accepted)
    options = _read_options(reader)
    grouped = read_channels(reader, peer)
    quota_per_usd = values.fraction(options.get("QuotaPerUnit")) or _QUOTA_PER_USD
    if quota_per_usd <= 0:
        raise ValueUnreadable("the option QuotaPerUnit: expected more than 0")
    prices = _read_prices(reader, peer, options, [each.channel for each in grouped], quota_per_usd)
    used, auto = groups_of(reader), _auto_groups(options)
    ratios = _ratios(options, "GroupRatio") if "GroupRatio" in options else _GROUP_RATIO
    plans = price_plans_of(reader, ratios, grouped, used, auto)
    rate_of, closed = quota_options.rates_by_group(options)
    terms = Terms(
        label=LABELS[peer],
        quota_per_usd=quota_per_usd,
        plans=plans,
        usable=usable_groups(
            _document(options, "UserUsableGroups"), _document(options, _SPECIAL_GROUPS) or {},
            ratios,
        ),
        auto=auto,
        rate_of=rate_of,
        closed=reader.without_accepted((*closed, *quota_options.forbidden_words(options))),
    )  # fmt: skip
    organisations = read_users(reader, terms)
    codes = read_codes(reader, terms, now)
    report_subscriptions(reader, terms)
    reader.report.tables_left = dict(database.others)
    reader.report.explain_tables(OTHER_TABLES)
    reader.report.accepted = sorted(reader.lost)
    reader.report.notes.append(
        "Passwords are not imported: people choose one by 'Forgot your password?'."
    )
    return Converted(
        tuple(plans.values()),
        tuple(
            replace(each.channel, plans=price_plans_of_channel(each, plans, auto))
            for each in grouped
        ),
        tuple(prices),
        tuple(organisations),
        reader.report,
        tuple(codes),
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

    def take(row: Row, closed: tuple[str, ...]) -> None:
        name = values.text(row.get("key"))
        if name in _TOLD_OPTIONS and not values.is_nothing(row.get("value")):
            raise Skipped(_TOLD_OPTIONS[name])
        if name not in _TAKEN_OPTIONS:
            raise Skipped("settings of the program itself")
        options[name] = row.get("value")

    reader.each("options", take, id="key", name="")
    return options


def _ratios(options: Mapping[str, object], name: str) -> dict[str, Fraction]:
    try:
        read: dict[str, Any] = values.mapping(options.get(name))
        return {model: values.fraction(ratio) for model, ratio in read.items()}
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option {name}: {error}") from error


def _document(options: Mapping[str, object], name: str) -> Mapping[str, object] | None:
    try:
        return values.mapping(options[name]) if name in options else None
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option {name}: {error}") from error


def _auto_groups(options: Mapping[str, object]) -> tuple[str, ...]:
    try:
        listed = values.document(options["AutoGroups"]) if "AutoGroups" in options else ["default"]
    except ValueUnreadable as error:
        raise ValueUnreadable(f"the option AutoGroups: {error}") from error
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def _read_prices(
    reader: Reader,
    peer: Peer,
    options: Mapping[str, object],
    channels: list[Channel],
    quota_per_usd: Fraction,
) -> list[Price]:
    """Return the prices of the models that a channel serves."""
    tables = RatioTables(*map(functools.partial(_ratios, options), _RATIO_OPTIONS))
    behind = {
        model: (model, upstream) if upstream else (model,)
        for channel in channels
        for model, upstream in channel.models.items()
    }
    served = sorted(behind)
    report, prices = reader.report, []
    for model in served:
        report.table("prices").read += 1
        rates = rates_of(peer, model, tables, quota_per_usd)
        if rates is None:
            why = "the database has no ratio for it: the built-in one was used"
            report.note("prices", model, "", f"{why}. Here the price of the model behind holds")
            prices.append(Price(Origin("prices", model), model, {}, like=behind[model]))
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
