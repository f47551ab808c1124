"""Parse the balance of a key from a provider's answer, and decide what follows from a reading.

| Source | Requested below the base URL | The balance |
| --- | --- | --- |
| `openrouter` | `/v1/credits` | `data.total_credits` less `data.total_usage`, USD |
| `openrouter_key` | `/v1/key` | `data.limit_remaining`, USD; null: the key has no limit |
| `deepseek` | `/user/balance` | `balance_infos[].total_balance` of each `currency` |
| `moonshot` | `/v1/users/me/balance` | `data.available_balance`, in the currency of the host |
| `siliconflow` | `/v1/user/info` | `data.totalBalance`, in the currency of the host |
| `new_api` | `/v1/dashboard/billing/…` | `hard_limit_usd` less `total_usage` / 100 |
| `one_api` | `/v1/dashboard/billing/…` | `hard_limit_usd` |

Sources, read 2026-11: openrouter.ai/docs (credits/get-credits, api-keys/get-current-key),
api-docs.deepseek.com/api/get-user-balance, platform.moonshot.cn/docs/api/balance,
docs.siliconflow.cn (user info), `controller/billing.go` of songquanpeng/one-api. If a One API
reports on the key, its limit is the remaining plus the used amount, like a New API's; if it reports
on the account, the limit is only the remaining amount. The answers look alike, so an operator says
which it is. Their unit is the site's own, despite the field's name; 100000000 stands for a key
without a limit; errors have status 200.

Nothing is guessed: an answer that cannot be read makes the balance unknown with a reason, never
zero. Amounts are nano of the currency that the provider names ("" for the site's own unit), rounded
down, and never converted.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, NoReturn

import msgspec

from billing.currency.money import INT64_MAX, INT64_MIN

Verdict = Literal["rest", "serve", "keep"]

_SUBSCRIPTION: Final = "/v1/dashboard/billing/subscription"
PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "openrouter": ("/v1/credits",),
    "openrouter_key": ("/v1/key",),
    "deepseek": ("/user/balance",),
    "moonshot": ("/v1/users/me/balance",),
    "siliconflow": ("/v1/user/info",),
    "new_api": (_SUBSCRIPTION, "/v1/dashboard/billing/usage"),
    "one_api": (_SUBSCRIPTION,),
}
"""The requested paths, in this order, below the base URL without its `/v1`."""

EVERY: Final = dt.timedelta(minutes=10)
"""How often a provider is asked."""
STALE: Final = dt.timedelta(hours=1)
"""The age from which a reading has no consequences."""
AMOUNTS_MAX: Final = 10
_DIGITS_MAX: Final = 60
_NANO_DIGITS: Final = 9
_UNLIMITED: Final = 100_000_000
_DECIMAL: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MESSAGE_MAX: Final = 300


class Amount(NamedTuple):
    """Nano of a currency; "" is the site's own unit."""

    currency: str
    nano: int


class Balance(NamedTuple):
    """The remaining amounts by currency; none if the key has no limit."""

    amounts: tuple[Amount, ...] = ()
    unlimited: bool = False


class BalanceUnknown(ValueError):
    """The answer contains no balance; the message says why."""


class BalanceRefused(BalanceUnknown):
    """An answer with status 200 is an error; the message comes from the provider."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The last reading of a key's balance: the last reported balance with its time, and the result
    of the reading, with a `fault` if it failed. `low`: the balance was below the operator's
    amount."""

    checked_at: dt.datetime
    read_at: dt.datetime | None = None
    amounts: tuple[Amount, ...] = ()
    unlimited: bool = False
    fault: str = ""
    detail: str = ""
    low: bool = False

    @property
    def balance(self) -> Balance | None:
        """The last reported balance."""
        return None if self.read_at is None else Balance(self.amounts, self.unlimited)


# Reading an answer ------------------------------------------------------------------------------


def read_balance(source: str, answers: Sequence[bytes], host: str) -> Balance:
    """Return the balance in the answers to `PATHS[source]`. Raises BalanceUnknown."""
    documents = [_document(text) for text in answers]
    if source == "deepseek":
        return _deepseek(documents[0])
    if source in ("new_api", "one_api"):
        return _site(documents)
    data = _object(documents[0], "data")
    if source == "openrouter":
        usage_nano = _nano(_number(data, "total_usage"), up=True)
        return _single("USD", _nano(_number(data, "total_credits")) - usage_nano)
    if source == "openrouter_key":
        if "limit_remaining" in data and data["limit_remaining"] is None:
            return Balance(unlimited=True)
        return _single("USD", _nano(_number(data, "limit_remaining")))
    if source == "moonshot":
        return _single(currency_of(host), _nano(_number(data, "available_balance")))
    return _single(currency_of(host), _nano(_decimal(data, "totalBalance")))


def currency_of(host: str) -> str:
    """Return the currency that Moonshot or SiliconFlow bills in at a host; "" at any other."""
    country = host.rpartition(".")[2]
    return {"cn": "CNY", "ai": "USD", "com": "USD"}.get(country, "")


def _deepseek(document: Mapping[str, Any]) -> Balance:
    listed = document.get("balance_infos")
    if not isinstance(listed, list) or not 1 <= len(listed) <= AMOUNTS_MAX:
        raise BalanceUnknown(f"balance_infos is not a list of 1 to {AMOUNTS_MAX} balances")
    amounts = tuple(_listed_amount(entry) for entry in listed)
    if len({amount.currency for amount in amounts}) < len(amounts):
        raise BalanceUnknown("balance_infos names a currency twice")
    return Balance(amounts)


def _listed_amount(entry: Any) -> Amount:
    if not isinstance(entry, dict):
        raise BalanceUnknown("an entry of balance_infos is not an object")
    currency = entry.get("currency")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise BalanceUnknown("currency is not three capital letters")
    return _amount(currency, _nano(_decimal(entry, "total_balance")))


def _site(documents: Sequence[Mapping[str, Any]]) -> Balance:
    limit = _number(documents[0], "hard_limit_usd")
    if limit == _UNLIMITED:
        return Balance(unlimited=True)
    # `total_usage` is in hundredths of the unit.
    used_nano = sum(
        _nano(_number(document, "total_usage"), up=True, digits=_NANO_DIGITS - 2)
        for document in documents[1:]
    )
    return _single("", _nano(limit) - used_nano)


def _single(currency: str, nano: int) -> Balance:
    return Balance((_amount(currency, nano),))


def _amount(currency: str, nano: int) -> Amount:
    if not INT64_MIN <= nano <= INT64_MAX:
        raise BalanceUnknown("the amount is too large")
    return Amount(currency, nano)


def _document(text: bytes) -> Mapping[str, Any]:
    """Return the JSON object of an answer. Raises BalanceUnknown."""
    try:
        document = json.loads(
            text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_members
        )
    except BalanceUnknown:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BalanceUnknown("the response is not JSON") from error
    if not isinstance(document, dict):
        raise BalanceUnknown("the response is not an object")
    _refuse_error(document)
    return document


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise BalanceUnknown("the response names a member twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise BalanceUnknown(f"the response has {name} for a number")


def _refuse_error(document: Mapping[str, Any]) -> None:
    """Raise BalanceRefused for an error: New API's `error`, Moonshot's and SiliconFlow's `status`,
    New API's `success`."""
    error = document.get("error")
    reason = error.get("message") if isinstance(error, dict) else error
    failed = document.get("status") is False or document.get("success") is False
    if error or failed:
        message = reason or document.get("message") or "the provider reports an error"
        # A lone surrogate cannot be stored.
        raise BalanceRefused(str(message)[:_MESSAGE_MAX].encode("utf-8", "replace").decode())


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise BalanceUnknown(f"{name} is not an object")
    return value


def _number(document: Mapping[str, Any], name: str) -> Decimal:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BalanceUnknown(f"{name} is not a number")
    return Decimal(value)


def _decimal(document: Mapping[str, Any], name: str) -> Decimal:
    value = document.get(name)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise BalanceUnknown(f"{name} is not a decimal text")
    return Decimal(value)


def _nano(value: Decimal, *, up: bool = False, digits: int = _NANO_DIGITS) -> int:
    """Return value times 10^digits, rounded down, or up with `up`. Does not depend on the decimal
    context."""
    sign, coefficient, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(coefficient) > _DIGITS_MAX:
        raise BalanceUnknown("a number has too many digits")
    if value and value.adjusted() > _DIGITS_MAX:
        raise BalanceUnknown("the amount is too large")
    # A smaller value is rounded like this one.
    shift = max(exponent + digits, -2 * _DIGITS_MAX)
    whole = int("".join(map(str, coefficient)))
    whole = -whole if sign else whole
    if shift >= 0:
        return int(whole * 10**shift)
    unit = int(10**-shift)
    return -(-whole // unit) if up else whole // unit


# Consequences -----------------------------------------------------------------------------------


def is_below(balance: Balance, limit_nano: int) -> bool:
    """Return whether every currency is below the limit, in the unit that the provider reports."""
    return not balance.unlimited and all(nano < limit_nano for _, nano in balance.amounts)


def known_reading(balance: Balance, at: dt.datetime, warn_nano: int | None) -> Reading:
    """Return the reading of a reported balance."""
    return Reading(
        checked_at=at,
        read_at=at,
        amounts=balance.amounts,
        unlimited=balance.unlimited,
        low=warn_nano is not None and is_below(balance, warn_nano),
    )


def failed_reading(before: Reading | None, at: dt.datetime, fault: str, detail: str) -> Reading:
    """Return the reading after a failure, with the last balance and its time."""
    if before is None:
        return Reading(checked_at=at, fault=fault, detail=detail)
    return msgspec.structs.replace(before, checked_at=at, fault=fault, detail=detail)


def is_stale(reading: Reading | None, now: dt.datetime) -> bool:
    """Return whether a reading is too old to decide anything, or there is none."""
    return reading is None or reading.read_at is None or now - reading.read_at > STALE


def decide_rest(
    readings: Iterable[Reading | None], rest_nano: int | None, now: dt.datetime
) -> Verdict:
    """Decide whether a channel rests, by the readings of its active keys. The channel rests if all
    of them were recently below the amount. It serves if a reading was above it, or if one is
    missing or out of date. Otherwise nothing changes."""
    known = list(readings)
    if rest_nano is None or not known or any(is_stale(reading, now) for reading in known):
        return "serve"
    fresh = [reading for reading in known if reading is not None and not reading.fault]
    below = [is_below(Balance(one.amounts, one.unlimited), rest_nano) for one in fresh]
    if not all(below):
        return "serve"
    return "rest" if len(fresh) == len(known) else "keep"
