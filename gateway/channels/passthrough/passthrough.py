"""The pass-through rules of a channel: the checks of every write, their prices, and their form as
text, one rule a line.

METHODS PATH PRICE
METHODS PATH PRICE POINTER UNIT_PRICE MAX_CHARGE

Each may end with what the provider charges: cost=COST unit_cost=UNIT_COST.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from django.utils.translation import gettext

from accounts.access.actors import Actor
from billing.currency.money import MoneyInvalid, format_usd, parse_usd
from billing.models import PriceVersion
from billing.prices.conditions import PriceKey
from billing.prices.prices import end_price, set_price
from gateway.channels.passthrough.rules import (
    AMOUNT_NANO_MAX,
    AMOUNTS,
    COST_KIND,
    COSTS,
    METHODS,
    PATH_MAX,
    PRICE_KIND,
    RULES_MAX,
    PassThroughRule,
    canonical,
    is_pattern,
    is_pointer,
    read_rules,
    stored_rules,
)
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from gateway.providers.provider import Provider
from gateway.providers.signing import AwsSigner, VolcengineSigner
from lib import clock

_FIELD: Final = "pass_through"
_SIGN_BODIES: Final = (AwsSigner, VolcengineSigner)
_OF_VALUE: Final = ("pointer", "unit_price", "max_charge")
_WORDS: Final = (3, 3 + len(_OF_VALUE))
_COST: Final = re.compile(f"({'|'.join(COSTS)})=(.+)")


def check_rules(provider: Provider, rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Validate the rules of a channel and return them in the stored form. Raises ChannelRefused."""
    if rules and provider.signer in _SIGN_BODIES:
        text = gettext("%(provider)s signs each body, so a body cannot be passed through.")
        raise ChannelRefused(_FIELD, text % {"provider": gettext(provider.label)})
    if len(rules) > RULES_MAX:
        text = gettext("A channel can have at most %(n)s rules.") % {"n": RULES_MAX}
        raise ChannelRefused(_FIELD, text)
    try:
        read = read_rules(rules)
    except msgspec.ValidationError as error:
        raise ChannelRefused(_FIELD, str(error)) from error
    checked: list[PassThroughRule] = []
    for number, rule in enumerate(read, 1):
        try:
            checked.append(_check_rule(rule, checked))
        except ChannelRefused as refused:
            text = gettext("Rule %(n)s: %(reason)s") % {"n": number, "reason": refused.message}
            raise ChannelRefused(_FIELD, text) from refused
    return stored_rules(checked)


def _check_rule(rule: PassThroughRule, earlier: Iterable[PassThroughRule]) -> PassThroughRule:
    if not rule.methods or sorted(rule.methods) != sorted(set(METHODS).intersection(rule.methods)):
        text = gettext("Name each method once, of %(methods)s.") % {"methods": ", ".join(METHODS)}
        raise ChannelRefused(_FIELD, text)
    if not is_pattern(rule.path):
        text = gettext(
            "%(path)s is not a path. It begins with a slash, has at most %(n)s plain characters, "
            "and may contain * as a segment and ** at its end."
        )
        raise ChannelRefused(_FIELD, text % {"path": rule.path[:80], "n": PATH_MAX})
    taken = {name for one in earlier if one.path == rule.path for name in one.methods}
    if not taken.isdisjoint(rule.methods):
        text = gettext("%(path)s already has a rule for this method.") % {"path": rule.path}
        raise ChannelRefused(_FIELD, text)
    for name in (*AMOUNTS, *filter(partial(getattr, rule), COSTS)):
        _check_amount(getattr(rule, name))
    _check_value(rule)
    return canonical(rule)


def _check_amount(text: str) -> None:
    try:
        nano = parse_usd(text)
    except MoneyInvalid as error:
        text = gettext("%(amount)s is not an amount in USD.") % {"amount": text[:40]}
        raise ChannelRefused(_FIELD, text) from error
    if not 0 <= nano <= AMOUNT_NANO_MAX:
        text = gettext("An amount must be from 0 to %(most)s USD.")
        raise ChannelRefused(_FIELD, text % {"most": format_usd(AMOUNT_NANO_MAX)})


def _check_value(rule: PassThroughRule) -> None:
    unit_nano, max_nano = parse_usd(rule.unit_price), parse_usd(rule.max_charge)
    if not rule.pointer:
        if unit_nano or max_nano or rule.unit_cost:
            text = gettext("An amount per unit and a maximum charge need a JSON pointer.")
            raise ChannelRefused(_FIELD, text)
    elif not is_pointer(rule.pointer):
        text = gettext("%(pointer)s is not a JSON pointer such as /usage/total.")
        raise ChannelRefused(_FIELD, text % {"pointer": rule.pointer[:80]})
    elif not unit_nano or not rule.value_micros_max or rule.value_micros_max < 0:
        text = gettext(
            "With a JSON pointer, enter a price per unit above 0, and a maximum charge above the "
            "price per request."
        )
        raise ChannelRefused(_FIELD, text)


def price_rules(actor: Actor, channel: str, rules: Iterable[PassThroughRule]) -> None:
    """Set the prices and costs of a channel's rules from now on, and end those of rules that no
    longer exist."""
    rules = tuple(rules)
    costs = {rule.label: rates for rule in rules if (rates := rule.cost_rates()) is not None}
    _price(actor, channel, PRICE_KIND, {rule.label: rule.rates() for rule in rules})
    _price(actor, channel, COST_KIND, costs)


def _price(actor: Actor, channel: str, kind: str, wanted: dict[str, dict[str, Any]]) -> None:
    versions = PriceVersion.objects.select_related("price").filter(
        price__kind=kind, price__channel=channel, valid_to=None
    )
    now = clock.now()
    for version in versions:
        if wanted.get(version.price.model) == version.rates:
            del wanted[version.price.model]
        elif version.price.model not in wanted:
            end_price(actor, version, now)
    for label, rates in wanted.items():
        set_price(actor, PriceKey(label, kind, channel), now, rates, source="channel")


# ---- as text


def rules_of(channel: Channel) -> tuple[PassThroughRule, ...]:
    """Return the stored rules of a channel."""
    return read_rules(channel.pass_through)


def rules_text(rules: Iterable[PassThroughRule]) -> str:
    """Return the rules as text, one per line, as `parse_rules` reads them."""
    return "\n".join(_format_rule(rule) for rule in rules)


def _format_rule(rule: PassThroughRule) -> str:
    words = [",".join(rule.methods), rule.path, rule.price]
    if rule.pointer:
        words += [rule.pointer, rule.unit_price, rule.max_charge]
    words += [f"{name}={text}" for name in COSTS if (text := getattr(rule, name))]
    return " ".join(words)


def parse_rules(text: str) -> list[dict[str, Any]]:
    """Parse rules, one a line. Raises ChannelRefused for an invalid line."""
    rules = []
    for line in filter(None, map(str.strip, text.splitlines())):
        words, costs = line.split(), dict[str, str]()
        while len(words) > 1 and (word := _COST.fullmatch(words[-1])) and word[1] not in costs:
            costs[word[1]] = word[2]
            del words[-1]
        if len(words) not in _WORDS:
            message = gettext(
                "%(line)s: expected methods, a path and a price; and for a price by the answer a "
                "JSON pointer, a price per unit and a maximum charge; at the end, cost= and "
                "unit_cost=."
            )
            raise ChannelRefused(_FIELD, message % {"line": line[:80]})
        methods, path, price, *value = words
        rule: dict[str, Any] = {"methods": methods.split(","), "path": path, "price": price}
        rules.append(rule | dict(zip(_OF_VALUE, value, strict=False)) | costs)
    return rules
