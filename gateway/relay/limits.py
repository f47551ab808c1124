"""What budgets and limits say to a client: the refusal that names the most limiting one, and the
headers that tell how much is left."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from billing.rules.money import format_usd
from gateway.codecs.chat import Dialect
from gateway.codecs.errors import RequestFault, message_of, quote_value

_NAMES: Final = {
    "requests": "requests per minute",
    "tokens": "tokens per minute",
    "parallel": "requests at once",
}
_ANTHROPIC: Final = "anthropic-ratelimit"


class Headroom(NamedTuple):
    """What is left of one limit of a key, and in how many milliseconds all of it is free again."""

    limit: int
    left: int
    reset_ms: int


class LimitReached(RequestFault):
    """A limit of requests or tokens. `wait_ms` is when it would fit, if nobody else comes."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__("rate_limited", None, "")
        gate, limit, used = told["gate"], told["limit"], told["used"]
        self.wait_ms: int = told["wait_ms"]
        what = f"{limit} {_NAMES[gate]} of this {told['scope']}"
        what += f", {used} are running" if gate == "parallel" else f", {used} are used"
        if told["need"] > limit:
            what += f" and this request needs {told['need']}"
        elif gate == "tokens":
            what += f" and this request needs up to {told['need']}"
        self.message = message_of("rate_limited", what, seconds=max(1, -(-self.wait_ms // 1000)))
        self.headroom: Mapping[str, Headroom] = {}
        if told["scope"] == "key" and gate != "parallel":
            self.headroom = {gate: Headroom(limit, max(0, limit - used), self.wait_ms)}


def read_headroom(told: Mapping[str, Any] | None) -> Mapping[str, Headroom]:
    """What the admission told of a request that it let through."""
    return {} if told is None else {kind: Headroom(*left) for kind, left in told.items()}


def used_up(told: Mapping[str, Any] | None, needed_nano: int, available_nano: int) -> RequestFault:
    """The refusal for money, by what has the least of it: the wallet, or a budget."""
    needed, available = format_usd(needed_nano), format_usd(available_nano)
    if told is None or told["gate"] == "wallet":
        what = f"team balance is used up (needed {needed} USD, available {available} USD)"
        return RequestFault("insufficient_balance", None, what)
    scope, subject = told["scope"], told["subject"]
    named = f" {quote_value(subject)}" if scope in ("model", "project", "tag", "customer") else ""
    reset = "it does not reset"
    if told["period"] != "total":
        reset = (
            f"it resets at {dt.datetime.fromtimestamp(told['reset'], dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
        )
    what = (
        f"{scope} budget{named} is used up (spent {format_usd(told['spent'])} USD and held "
        f"{format_usd(told['held'])} USD of {format_usd(told['limit'])} USD per {told['period']}, "
        f"needed {needed} USD; {reset})"
    ).replace(" per total", "")
    return RequestFault("insufficient_balance", None, what)


def limit_headers(
    dialect: Dialect, headroom: Mapping[str, Headroom], now: float
) -> Iterator[tuple[bytes, bytes]]:
    """The headers of an answer (contract/errors.md, section 6); `now` is in Unix seconds."""
    for kind, (limit, left, reset_ms) in headroom.items():
        if dialect == "anthropic":
            reset = dt.datetime.fromtimestamp(now + reset_ms // 1000 + 1, dt.UTC)
            told = {"limit": str(limit), "remaining": str(left),
                    "reset": f"{reset:%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
            found = {f"{_ANTHROPIC}-{kind}-{name}": value for name, value in told.items()}
        else:
            told = {"limit": str(limit), "remaining": str(left), "reset": _duration(reset_ms)}
            found = {f"x-ratelimit-{name}-{kind}": value for name, value in told.items()}
        for name, value in found.items():
            yield name.encode(), value.encode()


def _duration(ms: int) -> str:
    """As Go writes durations: 300ms, 1.2s, 6m0s."""
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    seconds, rest = divmod(rest, 1000)
    tail = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{minutes}m{seconds}{tail}s" if minutes else f"{seconds}{tail}s"
