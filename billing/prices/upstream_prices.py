"""Read the prices that an upstream publishes for its customers, such as us: two forms of JSON.

OpenRouter, and upstreams with the same form (`GET …/models`): USD per token, request or search, as
decimals.

    {"data": [{"id": "openai/gpt-5", "pricing": {"prompt": "0.00000125", …}}]}

New API, and hubs that derive from it or from One API (`GET /api/pricing`): ratios. A ratio of 1 is
2 USD per million tokens, as on its own page of prices, times the ratio of the customer's group.

    {"success": true, "group_ratio": {"default": 1}, "data": [{"model_name": "gpt-5",
     "quota_type": 0, "model_ratio": 0.625, "completion_ratio": 8, "enable_groups": ["default"]}]}

Nothing is guessed. A model is not understood if any of its prices cannot be read, is in an unknown
member, or is not exact in our unit: it is listed with the reason, and none of its prices are used.
In OpenRouter's form, a price of 0 beside others means that the part has no price of its own. A
model that costs nothing at all must be priced by an operator.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple, NoReturn

Form = Literal["models", "pricing"]
"""OpenRouter's list of models, or New API's list of prices."""

MODELS_MAX: Final = 20_000
"""The most models of a list; a longer list is refused."""
_UNIT_USD_MAX: Final = "0.01"
_CALL_USD_MAX: Final = "1000"
_NANO_PER_MILLION: Final = 10**9 * 10**6
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?")
_NAME: Final = re.compile(r"[^\s*\x00-\x1f\x7f]{1,200}")
_WRITES: Final = ("in_cache_write_5m", "in_cache_write_1h")

# OpenRouter's members (openrouter.ai/docs/api-reference, PublicPricing, 2026-11) that are meters.
_PER_TOKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "prompt": ("in_text",),
    "completion": ("out_text",),
    "internal_reasoning": ("out_reasoning",),
    "input_cache_read": ("in_cache_read",),
    "input_cache_write": _WRITES,
    "input_cache_write_1h": ("in_cache_write_1h",),
    "image_token": ("in_image",),
    "image_output": ("out_image",),
    "audio": ("in_audio",),
    "input_audio_cache": ("in_audio_cached",),
    "audio_output": ("out_audio",),
}
_PER_ONE: Final[Mapping[str, str]] = {"request": "requests", "web_search": "searches"}
# Known members without a meter: pictures in a request, discounts, other prices above some length.
_WITHOUT_METER: Final = frozenset({"image", "discount", "overrides"})

# New API's members of a model (model/pricing.go, 2026-11) that do not affect its price.
_NOT_PRICES: Final = frozenset(
    {
        "model_name", "description", "icon", "tags", "vendor_id", "owner_by", "enable_groups",
        "supported_endpoint_types", "pricing_version", "wallet_available",
        "subscription_available",
    }
)  # fmt: skip
_RATIOS: Final = frozenset(
    {
        "quota_type", "model_ratio", "model_price", "completion_ratio", "cache_ratio",
        "create_cache_ratio", "image_ratio", "audio_ratio", "audio_completion_ratio",
        "billing_mode", "billing_expr",
    }
)  # fmt: skip
_OF_PRICE: Final = re.compile("ratio|pric|cost|fee|tier|expr|billing|discount|quota|rate")
_ALL_GROUPS: Final = "all"


class PricesInvalid(ValueError):
    """The text has no readable prices; the message says why."""


class GroupNeeded(PricesInvalid):
    """Prices depend on the group of our key, but no group, or an unknown one, was chosen."""

    def __init__(self, groups: tuple[str, ...]) -> None:
        super().__init__(f"choose the group of your key: {', '.join(groups)[:400]}")
        self.groups = groups


ReasonCode = Literal[
    "no_prices", "twice", "member_twice", "no_meter", "unknown", "missing", "other_group",
    "quota_type", "alone", "no_name", "bad_name", "free", "no_number", "below_zero", "too_much",
    "not_exact",
]  # fmt: skip


class Reason(NamedTuple):
    """Why a model is not understood: the reason, the member, and the member's value."""

    code: ReasonCode
    member: str = ""
    given: str = ""


class UpstreamPrices(NamedTuple):
    """`rates` by the upstream's model name, as pricing.py stores them. `not_understood` has the
    reason for each other model. `unknown` are unknown members with the number of models that have
    them. `groups` are the groups to choose from, if any."""

    form: Form
    rates: dict[str, dict[str, Any]]
    not_understood: dict[str, Reason]
    unknown: dict[str, int]
    groups: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """Return all models of the list."""
        return {*self.rates, *self.not_understood}


class _NotUnderstood(Exception):
    """The model is left out, with the reason."""

    def __init__(self, code: ReasonCode, member: str = "", value: str = "") -> None:
        super().__init__(code)
        self.reason = Reason(code, _printable(member), _printable(value))


class _Twice(dict[str, Any]):
    """A JSON object with a duplicate member, which two readers may understand differently."""


def read_upstream_prices(text: bytes, group: str = "") -> UpstreamPrices:
    """Return the prices of a list in either form. `group` is our key's group at a New API. Raises
    PricesInvalid."""
    try:
        document = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise PricesInvalid("it is no JSON") from error
    entries = document.get("data") if isinstance(document, dict) else None
    if isinstance(document, _Twice) or not isinstance(entries, list) or not entries:
        raise PricesInvalid("it is no list of models")
    if len(entries) > MODELS_MAX:
        raise PricesInvalid(f"it lists more than {MODELS_MAX:,} models")
    first = entries[0]
    if isinstance(first, dict) and "model_name" in first:
        if document.get("success") is not True:
            raise PricesInvalid("it says that it did not succeed")
        return _ratios(document, entries, group)
    if any(isinstance(entry, dict) and "pricing" in entry for entry in entries):
        return _prices(entries)
    raise PricesInvalid("it publishes no prices")


# OpenRouter --------------------------------------------------------------------------------------


def _prices(entries: list[Any]) -> UpstreamPrices:
    unknown: Counter[str] = Counter()
    result = UpstreamPrices("models", {}, {}, {})
    for name, entry in _models_by_name(entries, "id", result):
        try:
            result.rates[name] = _check_meters(dict(_iterate_rates(entry.get("pricing"), unknown)))
        except _NotUnderstood as error:
            result.not_understood[name] = error.reason
    return result._replace(unknown=dict(unknown))


def _iterate_rates(pricing: Any, unknown: Counter[str]) -> Iterator[tuple[str, int]]:
    if not isinstance(pricing, dict):
        raise _NotUnderstood("no_prices")
    if isinstance(pricing, _Twice):
        raise _NotUnderstood("member_twice")
    unread = sorted(pricing.keys() - _PER_TOKEN.keys() - _PER_ONE.keys() - _WITHOUT_METER)
    unknown.update(_printable(member) for member in unread)
    for member in (*unread, *sorted(_WITHOUT_METER)):
        if not _is_nothing(pricing.get(member)):
            raise _NotUnderstood("no_meter" if member in _WITHOUT_METER else "unknown", member)
    for member in ("prompt", "completion"):
        if member not in pricing:
            raise _NotUnderstood("missing", member)
    base = {"prompt", "completion"}
    for member, meters in _PER_TOKEN.items():
        if member in base or not _is_nothing(pricing.get(member)):
            rate = _nano(member, _number(member, pricing[member]), _UNIT_USD_MAX)
            yield from ((meter, rate) for meter in meters)
    for member, meter in _PER_ONE.items():
        if not _is_nothing(pricing.get(member)):
            yield meter, _nano(member, _number(member, pricing[member]), _CALL_USD_MAX)


# New API -----------------------------------------------------------------------------------------


def _ratios(document: Mapping[str, Any], entries: list[Any], group: str) -> UpstreamPrices:
    group_ratios = document.get("group_ratio")
    if not isinstance(group_ratios, dict) or isinstance(group_ratios, _Twice) or not group_ratios:
        raise PricesInvalid("it publishes no ratios of groups")
    groups = tuple(sorted(map(_printable, group_ratios)))
    if not group and len(group_ratios) == 1:
        (group,) = group_ratios
    if group not in group_ratios:
        raise GroupNeeded(groups)
    try:
        of_group = _number("group_ratio", group_ratios[group])
        if of_group < 0:
            raise PricesInvalid("the ratio of the group is below 0")
    except _NotUnderstood as error:
        raise PricesInvalid("the ratio of the group is no number") from error
    unknown: Counter[str] = Counter()
    result = UpstreamPrices("pricing", {}, {}, {}, groups)
    for name, entry in _models_by_name(entries, "model_name", result):
        try:
            result.rates[name] = _check_meters(
                dict(_rates_from_ratios(entry, group, of_group, unknown))
            )
        except _NotUnderstood as error:
            result.not_understood[name] = error.reason
    return result._replace(unknown=dict(unknown))


def _rates_from_ratios(
    entry: Mapping[str, Any], group: str, of_group: Fraction, unknown: Counter[str]
) -> Iterator[tuple[str, int]]:
    unread = sorted(entry.keys() - _NOT_PRICES - _RATIOS)
    unknown.update(map(_printable, unread))
    for member in unread:
        if _OF_PRICE.search(member) and not _is_nothing(entry[member]):
            raise _NotUnderstood("unknown", member)
    for member in ("billing_mode", "billing_expr"):
        if entry.get(member):
            raise _NotUnderstood("no_meter", member)
    groups = entry.get("enable_groups")
    if not isinstance(groups, list) or not {group, _ALL_GROUPS} & {*map(str, groups)}:
        raise _NotUnderstood("other_group", value=group)
    kind = entry.get("quota_type")
    if type(kind) is not int or kind not in (0, 1):
        raise _NotUnderstood("quota_type", "quota_type", str(kind))
    if kind == 1:
        price = _number("model_price", entry.get("model_price")) * of_group
        yield "requests", _nano("model_price", price, _CALL_USD_MAX)
        return

    def ratio(member: str) -> Fraction:
        return _number(member, entry.get(member))

    def rate(member: str, usd: Fraction) -> int:
        return _nano(member, usd, _UNIT_USD_MAX)

    text = ratio("model_ratio") * of_group * Fraction(2, 10**6)
    yield "in_text", rate("model_ratio", text)
    yield "out_text", rate("completion_ratio", text * ratio("completion_ratio"))
    if entry.get("cache_ratio") is not None:
        yield "in_cache_read", rate("cache_ratio", text * ratio("cache_ratio"))
    if entry.get("create_cache_ratio") is not None:
        written = rate("create_cache_ratio", text * ratio("create_cache_ratio"))
        yield from ((meter, written) for meter in _WRITES)
    if entry.get("image_ratio") is not None:
        yield "in_image", rate("image_ratio", text * ratio("image_ratio"))
    if entry.get("audio_ratio") is not None:
        audio = text * ratio("audio_ratio")
        yield "in_audio", rate("audio_ratio", audio)
        if entry.get("audio_completion_ratio") is not None:
            spoken = audio * ratio("audio_completion_ratio")
            yield "out_audio", rate("audio_completion_ratio", spoken)
    elif entry.get("audio_completion_ratio") is not None:
        raise _NotUnderstood("alone", "audio_completion_ratio", "audio_ratio")


# Both kinds of lists ---------------------------------------------------------------------------


def _models_by_name(
    entries: list[Any], member: str, result: UpstreamPrices
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the models with their names. Models with a missing or duplicate name are not
    understood."""
    names = Counter(
        entry[member]
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get(member), str)
    )
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get(member), str):
            result.not_understood[f"#{place}"] = Reason("no_name", member)
            continue
        name = entry[member]
        if not _NAME.fullmatch(name) or not name.isprintable():
            result.not_understood[f"#{place} {_printable(name)}"] = Reason("bad_name")
        elif names[name] > 1 or isinstance(entry, _Twice):
            result.not_understood[name] = Reason("twice")
        else:
            yield name, entry


def _check_meters(meters: dict[str, int]) -> dict[str, Any]:
    if not any(meters.values()):
        raise _NotUnderstood("free")
    return {"meters": meters, "tiers": []}


def _is_nothing(value: Any) -> bool:
    """Return whether a member means "no such price": it is absent, empty or zero."""
    if value is None or value in ("", [], {}):
        return True
    try:
        return not isinstance(value, list | dict) and _number("", value) == 0
    except _NotUnderstood:
        return False


def _number(member: str, value: Any) -> Fraction:
    """Return a JSON number, or a number in a text, exactly."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise _NotUnderstood("no_number", member, json.dumps(value, default=str))
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise _NotUnderstood("no_number", member, text)
    return Fraction(Decimal(text))


def _nano(member: str, usd: Fraction, most: str) -> int:
    """Return USD per unit as nano per million units."""
    if usd < 0:
        raise _NotUnderstood("below_zero", member)
    if usd > Fraction(most):
        raise _NotUnderstood("too_much", member, most)
    nano = usd * _NANO_PER_MILLION
    if nano.denominator != 1:
        raise _NotUnderstood("not_exact", member)
    return int(nano)


def _printable(text: str) -> str:
    """Return the upstream's text shortened and safe to show and store."""
    printable = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return printable.encode("utf-8", "replace").decode()[:60]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    return read if len(read) == len(pairs) else _Twice(read)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
