"""Groups of New API and One API: each is a plan here, with its ratio and its channels' models.

A channel serves its groups, so it serves their plans here. A channel that serves every group there
serves everybody here.
"""

from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from typing import Final

from billing.currency.money import round_half_even
from billing.prices.pricing import PPM
from extensions.import_hubs.converted import NO_MODEL, Origin, PricePlan
from extensions.import_hubs.new_api.channels import GroupedChannel
from extensions.import_hubs.new_api.people import AUTO
from extensions.import_hubs.reading import Reader

_TABLE: Final = "groups"
# The programs' defaults for an option that was never saved.
_USABLE: Final = ("default", "vip")


def price_plans_of(
    reader: Reader,
    ratios: Mapping[str, Fraction],
    channels: list[GroupedChannel],
    used: Collection[str],
    auto: Collection[str],
) -> dict[str, PricePlan]:
    """Build a plan for each group that a user or a channel is in. `auto` are the groups available
    to a token without a group."""
    models = {group: _models_of(group, channels) for group in groups_of_channels(channels)}
    if AUTO in used:
        models[AUTO] = set().union(*(models.get(group, set()) for group in auto))
        ratios = {
            **ratios,
            AUTO: max((ratios.get(g, Fraction(1)) for g in auto), default=Fraction(1)),
        }
    plans: dict[str, PricePlan] = {}
    for group in sorted({*used, *models, *ratios}):
        reader.report.table(_TABLE).read += 1
        if group not in used and group not in models:
            reader.report.skip(_TABLE, group, "", "nobody is in it")
            continue
        if group not in ratios:
            reader.report.note(_TABLE, group, "", "has no ratio: taken as 1")
        plans[group] = _price_plan(
            reader, group, ratios.get(group, Fraction(1)), models.get(group, ())
        )
    return plans


def groups_of_channels(channels: list[GroupedChannel]) -> set[str]:
    return {group for grouped in channels for group in grouped.groups}


def _models_of(group: str, channels: list[GroupedChannel]) -> set[str]:
    """Return the models that an enabled channel serves for a group."""
    return {
        model
        for grouped in channels
        if grouped.channel.enabled and group in grouped.groups
        for model in grouped.channel.models
    }


def _price_plan(reader: Reader, group: str, ratio: Fraction, models: Collection[str]) -> PricePlan:
    scaled = ratio * PPM
    if scaled.denominator != 1:
        reader.report.note(_TABLE, group, "", "its ratio is rounded to 6 decimals")
    if not models:
        reader.report.note(_TABLE, group, "", "has no channel: its plan has no model")
    multiplier = round_half_even(scaled.numerator, scaled.denominator)
    return PricePlan(Origin(_TABLE, group), group, multiplier, tuple(sorted(models)) or (NO_MODEL,))


def price_plans_of_channel(
    grouped: GroupedChannel, plans: Mapping[str, PricePlan], auto: Collection[str]
) -> tuple[Origin, ...]:
    """Return the plans that a channel serves; () = everybody."""
    groups = set(grouped.groups)
    if AUTO in plans and groups & set(auto):
        groups.add(AUTO)
    if groups >= plans.keys():
        return ()
    return tuple(plans[group].origin for group in sorted(groups))


def usable_groups(
    ratios: Mapping[str, object] | None, special: Mapping[str, object], known: Collection[str]
) -> Callable[[str], Collection[str]]:
    """Return, by the group of a user, the groups that the user's tokens may have. `special` adds
    and removes groups, as {"vip": {"+:a": "", "-:b": ""}}."""
    common = set(_USABLE if ratios is None else ratios)

    def usable(group: str) -> Collection[str]:
        allowed, changes = set(common), special.get(group)
        for name in changes if isinstance(changes, dict) else ():
            if name.startswith("-:"):
                allowed.discard(name[2:])
            else:
                allowed.add(name.removeprefix("+:"))
        return allowed & set(known)

    return usable
