#!/usr/bin/env python3
"""Recompute what a request cost from its receipt, with Python (3.10 or newer) and nothing else.

    python3 recompute_receipt.py receipt.json        (or the receipt on standard input)

The receipt is what GET /api/v1/requests/{id}/receipt gives, or the download on the request's page.
From its meters, its price and what was held alone, every other figure is computed again:

    amount of a line = quantity x rate / per x multiplier          exact, no rounding
                       (x the multiplier of conditions, for language-model tokens)
    rounding         = (sum of the lines, half-even to 1e-9 USD) - (sum of the lines)
    own              = with your own provider key: the sum of the lines and the rounding
    fee              = for that key: per request, or for each million tokens, at most what was held
    charge           = sum of the lines + rounding - above_hold - waived - own + fee
                       (of a stored answer: its share of the charge of the request it answered)
    paid             = charge + what was corrected after the request had ended

Exit status: 0 when every figure is equal, 1 when one differs (each is named), 2 when the file is
no such receipt.
"""

import json
import sys
from fractions import Fraction
from typing import Any

FORMAT = "weir-receipt-1"
NANO = 10**9
# Input tokens, in the order in which they stand in a prompt: marginal tiers count so.
INPUT = [
    "in_cache_read",
    "in_audio_cached",
    "in_image_cached",
    "in_cache_write_12h",
    "in_cache_write_1h",
    "in_cache_write_5m",
    "in_cache_write_30m",
    "in_text",
    "in_audio",
    "in_image",
]
# Language-model tokens, in and out: what a multiplier of a condition holds for.
TOKENS = [*INPUT, "out_text", "out_reasoning", "out_audio", "out_image"]
# A meter without a rate of its own has that of the other.
FALLBACKS = {
    "in_cache_read": "in_text",
    "in_cache_write_1h": "in_text",
    "in_cache_write_5m": "in_text",
    "in_cache_write_30m": "in_cache_write_5m",
    "out_reasoning": "out_text",
}
UNCHARGED = ["absorbed", "free", "held", "none"]


class MeterWithoutRate(Exception):
    """A meter was used and has no rate: no charge can be named."""


def complete(rates: dict[str, Any]) -> dict[str, Any]:
    """The rates with those that others stand in for."""
    filled = dict(rates)
    for meter, other in FALLBACKS.items():
        if meter not in rates and other in filled:
            filled[meter] = filled[other]
    return filled


def bands(price: dict[str, Any], input_tokens: int) -> list[tuple[int, dict[str, Any]]]:
    """The rates that are reached, from the bottom: [(input tokens beneath, rates)]."""
    laid = dict(price["rates"])
    candidates = [(0, complete(laid))]
    for tier in price["tiers"]:
        laid.update(tier["rates"])
        if input_tokens > tier["input_over"]:
            candidates.append((tier["input_over"], complete(laid)))
    return candidates


def split(meters: dict[str, int], price: dict[str, Any]) -> list[tuple[str, int, Any]]:
    """What is priced together: [(meter, quantity, rates that hold for it)]."""
    input_tokens = sum(meters.get(meter, 0) for meter in INPUT)
    reached = bands(price, input_tokens)
    top = reached[-1][1]
    marginal = price["tiers"] and price["tiers"][0]["mode"] == "marginal" and len(reached) > 1
    if not marginal:
        return [(meter, quantity, top) for meter, quantity in meters.items() if quantity]
    parts = []
    at = 0
    ends = [*(floor for floor, _ in reached[1:]), input_tokens]
    for meter in INPUT:
        end = at + meters.get(meter, 0)
        for (floor, rates), ceiling in zip(reached, ends, strict=True):
            inside = min(end, ceiling) - max(at, floor)
            if inside > 0:
                parts.append((meter, inside, rates))
        at = end
    rest = [meter for meter in meters if meter not in INPUT and meters[meter]]
    return [*parts, *((meter, meters[meter], top) for meter in rest)]


def half_even(amount: Fraction) -> Fraction:
    """USD to whole nano; a Fraction rounds half to even."""
    return Fraction(round(amount * NANO), NANO)


def price_under(price: dict[str, Any], conditions: dict[str, str]) -> dict[str, Any]:
    """The price where some of its conditions hold: rates that replace others, multipliers of the
    rates of tokens."""
    held = dict(price)
    multiplier = Fraction(price.get("token_multiplier", "1"))
    for one in price.get("conditions", []):
        if conditions.get(one["kind"]) != one["value"]:
            continue
        if "multiplier" in one:
            multiplier *= Fraction(one["multiplier"])
        else:
            held["rates"] = {**price["rates"], **one["rates"]}
            held["tiers"] = one["tiers"]
    held["token_multiplier"] = multiplier
    return held


def parts_of(receipt: dict[str, Any]) -> list[tuple[dict[str, int], dict[str, Any]]]:
    """What is priced apart: [(meters, price)]; one part where it is all one."""
    price = receipt["price"]
    if not receipt.get("parts"):
        return [(receipt["meters"], price_under(price, {}))]
    return [
        (
            part["meters"],
            price_under(part["price"] or price, {} if part["price"] else part["conditions"]),
        )
        for part in receipt["parts"]
    ]


def fee_of(meters: dict[str, int], own_key: dict[str, str]) -> Fraction:
    """The fee for a request with the organisation's own key."""
    tokens = sum(count for meter, count in meters.items() if meter in TOKENS)
    million = half_even(Fraction(own_key["per_million_tokens"]) * tokens / 10**6)
    return Fraction(own_key["per_request"]) + million


def recompute(receipt: dict[str, Any]) -> dict[str, Any]:
    """Every figure of a receipt that follows from its meters, its price and its hold."""
    price = receipt["price"]
    lines = []
    total = exact = Fraction(0)
    if price is not None:
        for meters, priced in parts_of(receipt):
            for meter, quantity, rates in split(meters, priced):
                if meter not in rates or quantity < 0:
                    raise MeterWithoutRate(meter)
                rate = rates[meter]
                amount = quantity * Fraction(rate["usd"]) / rate["per"]
                amount *= Fraction(price["multiplier"])
                if meter in TOKENS:
                    amount *= priced["token_multiplier"]
                exact += amount
                lines.append((meter, quantity, rate, amount))
        total = half_even(exact)
    waived = total if receipt["basis"] in UNCHARGED else Fraction(0)
    own_key, held = receipt.get("own_key"), Fraction(receipt["held"])
    own = fee = Fraction(0)
    if own_key and price is not None and receipt["basis"] not in UNCHARGED:
        own, fee = total, min(fee_of(receipt["meters"], own_key), held)
    if cached := receipt.get("cached"):
        total = half_even(Fraction(cached["charge"]) * cached["price_percent"] / 100)
    above = max(total - waived - own - held, Fraction(0))
    result: dict[str, Any] = {
        "rounding": Fraction(0) if cached else total - exact,
        "above_hold": above,
        "waived": waived,
        "own": own,
        "fee": fee,
        "charge": total - above - waived - own + fee,
    }
    corrected = sum(Fraction(one["amount"]) for one in receipt["corrections"])
    result["paid"] = result["charge"] + corrected
    for index, (meter, quantity, rate, amount) in enumerate(lines):
        result[f"lines[{index}].meter"] = meter
        result[f"lines[{index}].quantity"] = quantity
        result[f"lines[{index}].rate"] = Fraction(rate["usd"])
        result[f"lines[{index}].per"] = rate["per"]
        result[f"lines[{index}].amount"] = amount
    return result


def receipt_figures(receipt: dict[str, Any]) -> dict[str, Any]:
    """The same figures as the receipt states them."""
    result: dict[str, Any] = {
        name: Fraction(receipt[name])
        for name in ("rounding", "above_hold", "waived", "charge", "paid")
    }
    # A receipt of before there were own keys has none.
    result |= {name: Fraction(receipt.get(name, "0")) for name in ("own", "fee")}
    for index, line in enumerate(receipt["lines"]):
        result[f"lines[{index}].meter"] = line["meter"]
        result[f"lines[{index}].quantity"] = line["quantity"]
        result[f"lines[{index}].rate"] = Fraction(line["rate"])
        result[f"lines[{index}].per"] = line["per"]
        result[f"lines[{index}].amount"] = Fraction(line["amount"])
    return result


def text(value: Any) -> str:
    """A figure for people; amounts are exact decimals, for all of them end."""
    if value is None:
        return "nothing"
    if not isinstance(value, Fraction):
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1 and digits < 40:
        digits += 1
    scaled = int(abs(value) * 10**digits)
    whole, part = divmod(scaled, 10**digits)
    sign = "-" if value < 0 else ""
    return f"{sign}{whole}.{part:0{digits}}" if digits else f"{sign}{whole}"


def main(arguments: list[str]) -> int:
    try:
        if len(arguments) > 1:
            with open(arguments[1], encoding="utf-8") as file:
                receipt = json.load(file)
        else:
            receipt = json.load(sys.stdin)
        if "error" in receipt:
            # The API gave no receipt, and says why.
            raise ValueError(receipt["error"]["message"])
        if receipt["format"] != FORMAT:
            raise ValueError(f"its format is {receipt['format']!r}, expected {FORMAT!r}")
        receipt_values, computed = receipt_figures(receipt), recompute(receipt)
    except MeterWithoutRate as error:
        print(f"{error} was used and has no rate in this price: no charge can be computed")
        return 1
    except (OSError, ValueError) as error:
        print(f"this is no receipt that can be read: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"this is no receipt that can be read: it has no {error}", file=sys.stderr)
        return 2
    except (TypeError, AttributeError, ZeroDivisionError) as error:
        print(f"this is no receipt that can be read: {error!r}", file=sys.stderr)
        return 2
    differing = [
        name
        for name in {**computed, **receipt_values}
        if receipt_values.get(name) != computed.get(name)
    ]
    for name in differing:
        on_receipt, recomputed = text(receipt_values.get(name)), text(computed.get(name))
        print(f"{name}: the receipt says {on_receipt}, computed {recomputed}")
    if differing:
        return 1
    charge, paid = computed["charge"], computed["paid"]
    since = "" if paid == charge else f"; it was corrected since, to {text(paid)} USD"
    print(f"equal: {receipt['request']} was charged {text(charge)} USD{since}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
