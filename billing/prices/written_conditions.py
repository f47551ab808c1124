"""The conditions of a price in files, the API and forms, with rates and multipliers as exact
decimals. The stored form is that of pricing.py."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from billing.currency.money import format_multiplier, parse_multiplier

Written = dict[str, Any]


def write_conditions(
    stored: Mapping[str, Any], write: Callable[[Mapping[str, int]], dict[str, str]]
) -> list[Written]:
    """Return a stored price's conditions as people write them; `write` converts the rates."""
    return [
        {
            "kind": one["kind"],
            "value": one["value"],
            **(
                {"multiplier": format_multiplier(one["multiplier_ppm"])}
                if "multiplier_ppm" in one
                else {"meters": write(one["meters"]), **_tiers(one, write)}
            ),
            **{name: one[name] for name in ("source", "date") if one.get(name)},
        }
        for one in stored.get("conditions") or ()
    ]


def read_conditions(
    written: Iterable[Mapping[str, Any]], read: Callable[[dict[str, str]], dict[str, int]]
) -> list[Written]:
    """Return written conditions as they are stored. `read` converts the rates and may raise. Raises
    MoneyInvalid for an invalid multiplier."""
    return [
        {
            "kind": one["kind"],
            "value": one["value"],
            **({"meters": read(one["meters"])} if one.get("meters") is not None else {}),
            **(
                {"tiers": [{**tier, "meters": read(tier["meters"])} for tier in one["tiers"]]}
                if one.get("tiers")
                else {}
            ),
            **(
                {"multiplier_ppm": parse_multiplier(one["multiplier"])}
                if one.get("multiplier") is not None
                else {}
            ),
            **{name: one[name] for name in ("source", "date") if one.get(name)},
        }
        for one in written
    ]


def _tiers(one: Mapping[str, Any], write: Callable[[Mapping[str, int]], dict[str, str]]) -> Written:
    tiers = [
        {
            "input_over": tier["input_over"],
            "mode": tier.get("mode", "whole"),
            "meters": write(tier["meters"]),
        }
        for tier in one.get("tiers") or ()
    ]
    return {"tiers": tiers} if tiers else {}
