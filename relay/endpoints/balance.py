"""The balance in the form of OpenAI's former dashboard API, for desktop clients that show it.

    …/dashboard/billing/subscription     what the key has used and can still use
    …/dashboard/billing/usage            what it has used between two dates, in cents, by day
    …/dashboard/billing/credit_grants    the same three numbers as credit

A key sees its own limit: the lowest of the wallet and the budgets that apply to all its requests.
Usage is some seconds behind. Amounts are JSON numbers in this API.
"""

import calendar
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from billing.currency.money import format_scaled, format_usd
from dialects.errors.errors import RequestFault
from relay.credentials.keys import Principal
from relay.front.request import Request

_CENT_DIGITS: Final = 7
_DAYS_MAX: Final = 400


class BillingSource(Protocol):
    """The source of the numbers; both methods raise DatabaseAway."""

    async def available_nano(self, principal: Principal, budget_ids: Sequence[int]) -> int: ...

    async def charges(
        self, principal: Principal, days: tuple[str, str] | None
    ) -> list[tuple[str, str, int]]: ...


async def show_balance(request: Request) -> None:
    """Answer with what the key has used and can still use."""
    operation, query = request.endpoint.operation, request.query
    await request.respond(await render(request.life, request.principal, operation, query))


async def render(
    source: BillingSource, principal: Principal, operation: str, query: Mapping[str, str]
) -> bytes:
    """Return the body of a balance answer. Raises RequestFault for invalid dates, and
    DatabaseAway."""
    if operation == "billing_usage":
        days = _read_dates(query)
        return _usage(await source.charges(principal, days), by_day=days is not None)
    used = sum(nano for _, _, nano in await source.charges(principal, None))
    available = await source.available_nano(principal, principal.unconditional_budget_ids())
    answer: dict[str, object] = {"object": "credit_summary"}
    if operation == "billing_credit_grants":
        answer |= {"total_granted": _usd(used + available), "total_used": _usd(used)}
        answer |= {"total_available": _usd(available)}
        return msgspec.json.encode(answer | {"grants": {"object": "list", "data": []}})
    limit = _usd(used + available)
    return msgspec.json.encode(
        {
            "object": "billing_subscription",
            "has_payment_method": True,
            "soft_limit_usd": limit,
            "hard_limit_usd": limit,
            "system_hard_limit_usd": limit,
            "access_until": 0 if principal.expires_at is None else int(principal.expires_at),
        }
    )


def _usage(charges: Sequence[tuple[str, str, int]], *, by_day: bool) -> bytes:
    total = sum(nano for _, _, nano in charges)
    answer: dict[str, object] = {"object": "list", "total_usage": _cents(total)}
    if by_day:
        days: dict[str, list[dict[str, object]]] = {}
        for day, model, nano in charges:
            days.setdefault(day, []).append({"name": model, "cost": _cents(nano)})
        answer["daily_costs"] = [
            {"timestamp": _midnight(day), "line_items": items} for day, items in days.items()
        ]
    return msgspec.json.encode(answer)


def _read_dates(query: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first day, and the day after the last, from `start_date` and `end_date`; old
    clients send an `end_date` that is not included. Return None without dates."""
    days = []
    for name in ("start_date", "end_date"):
        text = query.get(name, "")
        try:
            days.append(dt.date.fromisoformat(text) if text else None)
        except ValueError:
            what = f"{name} must be a date such as 2026-11-01"
            raise RequestFault("invalid_value", name, what) from None
    start, end = days
    if start is None or end is None:
        return None
    if not 0 <= (end - start).days <= _DAYS_MAX:
        what = f"end_date must be start_date or up to {_DAYS_MAX} days later"
        raise RequestFault("invalid_value", "end_date", what)
    return f"{start}T00:00:00Z", f"{end}T00:00:00Z"


def _midnight(day: str) -> int:
    return calendar.timegm(dt.date.fromisoformat(day).timetuple())


def _usd(nano: int) -> msgspec.Raw:
    return msgspec.Raw(format_usd(nano).encode())


def _cents(nano: int) -> msgspec.Raw:
    return msgspec.Raw(format_scaled(nano, _CENT_DIGITS).encode())
