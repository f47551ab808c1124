"""What the client reads about budgets and limits: the refusal by the tightest limit, and headers
with what is left."""

import datetime as dt
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, Final, NamedTuple

from billing.currency.money import format_usd
from billing.limits.budget_rules import OF_SUBSCRIPTION, WITHOUT_END
from dialects.chat.chat import Dialect
from dialects.errors.errors import RequestFault, message_of, retry_after_s
from dialects.errors.masking import quote_value
from gateway.breaker.channel_state import BarReason
from lib.ids import id_text
from relay.errors import RelayError
from relay.requests.sessions import Session
from usage.sessions.sources import CAP_HEADER

_NAMES: Final = {
    "requests": "requests per minute",
    "tokens": "tokens per minute",
    "parallel": "requests at once",
}
# The books count whole seconds, so the first request of a window is released slightly later.
_WINDOW_MS: Final = 60_000
_ANTHROPIC: Final = "anthropic-ratelimit"
_BUDGET: Final = "budget"
# Percentages of a budget at which Claude Code warns.
_THRESHOLDS: Final = (95, 75)
BY_BUDGET: Final = ("x-weir-fallback", "budget")
"""The header that marks an answer by another model, because a budget was too low for the requested
one."""


class Headroom(NamedTuple):
    """What is left of one limit of a key, and the milliseconds until the whole limit is available
    again. For a budget, amounts are nano-USD and `resets_at` is when it resets, in Unix seconds, 0
    for never."""

    limit: int
    left: int
    reset_ms: int
    resets_at: int = 0


class LimitReached(RequestFault):
    """A limit on requests or tokens is reached. `wait_ms` is when the request would fit if no
    others came, None for never. `budget_id` is the exhausted budget that caused the limit, if any.
    `public_url` is the address of the pages."""

    def __init__(self, reached: Mapping[str, Any], public_url: str) -> None:
        super().__init__("rate_limited", None, "")
        self.wait_ms: int | None = min(reached["wait_ms"], _WINDOW_MS)
        self.headroom: Mapping[str, Headroom] = {}
        self.budget_id: int | None = None
        if reached["gate"] == "slow":
            self.budget_id = reached["budget"]
            what = f"{_budget_state(reached)}, so its requests run one at a time"
            self.message = message_of("rate_limited", what, seconds=retry_after_s(self.wait_ms))
            self.message += _ask_for_more(reached, public_url)
            return
        gate, limit, used = reached["gate"], reached["limit"], reached["used"]
        what = f"{limit} {_NAMES[gate]} of this {reached['scope']}"
        what += f", {used} are running" if gate == "parallel" else f", {used} are used"
        if reached["need"] > limit:
            what += f" and this request needs {reached['need']}"
        elif gate == "tokens":
            what += f" and this request needs up to {reached['need']}"
        if reached["scope"] == "key" and gate != "parallel":
            self.headroom = {gate: Headroom(limit, max(0, limit - used), self.wait_ms)}
        seconds = retry_after_s(self.wait_ms)
        self.message = message_of("rate_limited", what, seconds=seconds)
        if reached["need"] > limit:
            self.message = self.message.removesuffix(f"; retry in {seconds} s")
            self.message += (
                ". The request is larger than the whole limit, so waiting does not help: "
            )
            self.message += "request fewer tokens, or have the limit raised"
            self.wait_ms = None


class ChannelFull(RelayError):
    """The channel has reached its own limit, so another channel may serve the request. `wait_ms` is
    when the request would fit if no others came, None for never."""

    def __init__(self, reached: Mapping[str, Any]) -> None:
        super().__init__(f"{reached['limit']} {_NAMES[reached['gate']]} of the channel")
        self.reason: BarReason = reached["gate"]
        fits = reached["need"] <= reached["limit"]
        self.wait_ms: int | None = min(reached["wait_ms"], _WINDOW_MS) if fits else None


def read_headroom(gates: Mapping[str, Any] | None) -> Mapping[str, Headroom]:
    """Parse what the key's limits have left, as admission returned it."""
    if gates is None:
        return {}
    return {
        kind: Headroom(limit, left, 0, reset or 0)
        if kind == _BUDGET
        else Headroom(limit, left, min(reset, _WINDOW_MS))
        for kind, (limit, left, reset) in gates.items()
    }


class UsedUp(RequestFault):
    """The refusal for lack of money. It names what has the least left: the wallet, or the budget
    `budget_id` in its window `window_id`. If the client limited the cost of its session, only the
    window is named. `session` is the session of the request."""

    def __init__(
        self,
        budget: Mapping[str, Any] | None,
        needed_nano: int,
        available_nano: int,
        public_url: str,
        session: Session | None = None,
    ) -> None:
        needed = format_usd(needed_nano)
        self.budget_id: int | None = None
        self.window_id: int | None = None
        if budget is None or budget["gate"] == "wallet":
            available = format_usd(available_nano)
            what = f"team balance is used up (needed {needed} USD, available {available} USD"
            what += (
                f", debt {format_usd(budget['owed'])} USD)" if budget and budget["owed"] else ")"
            )
            what += f". Top up on the page Billing of {public_url}" if public_url else ""
        else:
            self.budget_id, self.window_id = budget["budget"], budget["window"]
            reset = "It does not reset"
            if budget["period"] not in WITHOUT_END:
                reset_at = dt.datetime.fromtimestamp(budget["reset"], dt.UTC)
                reset = f"It resets at {reset_at:%Y-%m-%dT%H:%M:%SZ}"
            what = f"{_budget_state(budget, session)}; this request may cost {needed} USD. {reset}"
            if self.budget_id is None:
                what += f". Send a higher {CAP_HEADER} to continue the session"
            else:
                what += _ask_for_more(budget, public_url)
            if budget["period"] == "session" and session is not None and public_url:
                what += f". Its turns: {session_address(session, public_url)}"
        super().__init__("insufficient_balance", None, what)

    @property
    def of_budget(self) -> bool:
        """Whether a budget refused the request; otherwise the wallet did."""
        return self.budget_id is not None or self.window_id is not None


def session_ended(session: Session | None, public_url: str) -> RequestFault:
    """Return the refusal of a request whose session somebody ended."""
    named = "this session" if session is None else f"session {_session_name(session)}"
    what = f"{named} was ended. Start another session"
    if session is not None and public_url:
        what += f", or reopen it: {session_address(session, public_url)}"
    return RequestFault("session_ended", None, what)


def session_address(session: Session, public_url: str) -> str:
    """Return the address of the page of a session."""
    return f"{public_url}/session/{id_text(session.id)}"


def _session_name(session: Session) -> str:
    return quote_value(session.name) if session.name else id_text(session.id)


def _budget_state(budget: Mapping[str, Any], session: Session | None = None) -> str:
    """Describe the state of a budget. `usage.requests.refusals` reads it for the pages."""
    scope, subject = budget["scope"], budget["subject"]
    named = f" {quote_value(subject)}" if subject else ""
    if budget["period"] == "session" and session is not None:
        named += f" of session {_session_name(session)}"
    scope = scope or "client's own"
    per = "" if budget["period"] == "total" else f" per {budget['period']}"
    # If something is left, only this request does not fit, and a smaller one might.
    fits_none = budget["spent"] + budget["held"] >= budget["limit"]
    state = "is used up" if fits_none else "has too little left"
    policy = f", set by the policy {quote_value(budget['policy'])}" if budget["policy"] else ""
    return (
        f"{scope} budget{named} {state}: {format_usd(budget['spent'])} USD spent and "
        f"{format_usd(budget['held'])} USD reserved of {format_usd(budget['limit'])} USD{per}"
        f"{policy}"
    )


def _ask_for_more(budget: Mapping[str, Any], public_url: str) -> str:
    link = f": {public_url}/b/{budget['budget']}" if public_url else ""
    if budget["scope"] == "organisation" and budget["subject"] == OF_SUBSCRIPTION:
        return f". The subscription plan sets this limit{link}"
    return f". Request more{link}" if link else ""


def limit_headers(
    dialect: Dialect, headroom: Mapping[str, Headroom], now: float
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the headers about limits for an answer. `now` is in Unix seconds."""
    for kind, (limit, left, reset_ms, resets_at) in headroom.items():
        if kind == _BUDGET:
            headers = _budget_headers(limit, left, resets_at) if dialect == "anthropic" else {}
        elif dialect == "anthropic":
            reset = dt.datetime.fromtimestamp(ceil(now + reset_ms / 1000), dt.UTC)
            fields = {"limit": str(limit), "remaining": str(left),
                    "reset": f"{reset:%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
            headers = {f"{_ANTHROPIC}-{kind}-{name}": value for name, value in fields.items()}
        else:
            fields = {"limit": str(limit), "remaining": str(left), "reset": _duration(reset_ms)}
            headers = {f"x-ratelimit-{name}-{kind}": value for name, value in fields.items()}
        for name, value in headers.items():
            yield name.encode(), value.encode()


def _budget_headers(limit: int, left: int, resets_at: int) -> Mapping[str, str]:
    """Return the headers with which Claude Code's gateway protocol says how full the caller's own
    budget is. The client warns of it from each threshold on, and of one that never resets without a
    time. It does not warn of what it is told that others share."""
    # A request that is still served has not used up everything.
    percent = min(100 * (limit - left) // max(limit, 1), 99)
    passed = next((threshold for threshold in _THRESHOLDS if percent >= threshold), None)
    status = "allowed" if passed is None else "allowed_warning"
    fields = {
        "status": status,
        "representative-claim": "overage",
        "overage-status": status,
        "overage-utilization": f"0.{percent:02}",
    }
    if resets_at:
        fields |= {"reset": str(resets_at), "overage-reset": str(resets_at)}
    if passed is not None:
        fields["overage-surpassed-threshold"] = f"0.{passed}"
    return {f"{_ANTHROPIC}-unified-{name}": value for name, value in fields.items()}


def _duration(ms: int) -> str:
    """Format a duration like Go: 300ms, 1.2s, 6m0s."""
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest = divmod(ms, 60_000)
    seconds, rest = divmod(rest, 1000)
    tail = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{minutes}m{seconds}{tail}s" if minutes else f"{seconds}{tail}s"
