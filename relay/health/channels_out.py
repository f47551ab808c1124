"""No channel of a model is available: the client's error, and when to retry."""

import random
from collections.abc import Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import Final

from accounts.limits.data_policy import DataPolicy
from dialects.errors.errors import message_of, retry_after_s
from dialects.errors.kinds import ErrorKind
from gateway.breaker.breaker import RETRY_AFTER_S_MAX
from gateway.breaker.channel_state import Block, BlockReason
from gateway.channel_order.channel_order import Skipped
from relay.catalogue.off_channels import OffChannel, OffReason
from relay.errors import RelayError

_JITTER: Final = 0.1
# The window of the operator's limits, and the longest wait that a provider may ask for (F8).
_WINDOW_MS: Final = 60_000
_PROVIDER_WAIT_MS: Final = int(RETRY_AFTER_S_MAX * 1000)
# When to retry if the request never fits, or if only other callers are served.
_NEVER_MS: Final = 60_000
# A cap may be raised long before its period ends.
_LONGEST_S: Final = 3600.0
# The client's errors for causes that only operators can fix. The operators are alerted to all of
# these. Clients do not learn that a provider refused a key or wants money.
_REFUSED: Final = "the provider rejects the channel's key; the operator has been notified"
# The errors that an organisation can fix itself, because they concern its own key.
_OWN_REFUSED: Final = (
    "the provider rejects your organisation's own key, or its account there is out of credit; "
    "replace it, or allow the fall-back (Provider keys)"
)
_TURNED_OFF: Final = "its channel is turned off"
_OFF: Final[Mapping[OffReason, str]] = MappingProxyType(
    {
        "disabled": _TURNED_OFF,
        "archived": _TURNED_OFF,
        "no_key": _TURNED_OFF,
        "resting": "its channel rests by a rule of the operator, who has been notified",
        "unusable": "the settings of its channel cannot be used; the operator has been notified",
    }
)
_OF_KEYS: Final = frozenset({"key_refused", "no_credit"})
_CAPPED: Final = "the operator's cap on its cost is reached; the operator has been notified"
_CAUSES: Final[Mapping[BlockReason, str]] = MappingProxyType(
    {
        "key_refused": _REFUSED,
        "no_credit": _REFUSED,
        "misconfigured": "the hub cannot connect to the provider; the operator has been notified",
        "spend_day": _CAPPED,
        "spend_month": _CAPPED,
        "model_unknown": "the provider does not know the model; the operator has been notified",
    }
)
# Limits that reset by themselves within a minute.
_OWN_LIMITS: Final = frozenset({"requests", "tokens", "parallel"})
_LIMITS_OF: Final[Mapping[frozenset[bool], str]] = MappingProxyType(
    {
        frozenset({False}): "its provider's limit",
        frozenset({True}): "the limit that the operator has set for it",
        frozenset({False, True}): "its provider's limit or the operator's",
    }
)
_BY_POLICY: Final = frozenset({"retention", "region"})


class ChannelsOut(RelayError):
    """No channel of the model is available now. `skipped` has the reason of each channel.
    `retry_after_ms` is None if waiting does not help."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        retry_after_ms: int | None,
        skipped: Sequence[Skipped] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.skipped = skipped


def none_ready(
    model: str, blocks: Sequence[Block], skipped: Sequence[Skipped] = (), *, own: bool = False
) -> ChannelsOut:
    """Return the error for a model whose channels are all temporarily unavailable, for these
    reasons. `own`: only the organisation's own keys may serve the request."""
    busy = [block for block in blocks if block.reason == "cooling" or block.reason in _OWN_LIMITS]
    wait_s = min((block.wait_s for block in busy), default=0.0)
    if wait_s == inf:
        what = "the request is larger than the limit of tokens per minute of every channel of the "
        what += "model. Request fewer tokens, or have the limit raised"
        message = f"Rate Limit Reached: {what}"
        return ChannelsOut("upstream_rate_limited", message, _NEVER_MS, skipped)
    if busy:
        whose = {block.reason in _OWN_LIMITS for block in busy}
        soonest = min(busy, key=lambda block: block.wait_s)
        # A limit of our own is free again within its window.
        most_ms = _WINDOW_MS if soonest.reason in _OWN_LIMITS else _PROVIDER_WAIT_MS
        wait_ms = min(jittered(int(wait_s * 1000)), most_ms)
        what = f"every channel of the model is at {_LIMITS_OF[frozenset(whose)]}"
        message = message_of("upstream_rate_limited", what, seconds=retry_after_s(wait_ms))
        return ChannelsOut("upstream_rate_limited", message, wait_ms, skipped)
    wait_s = min((block.wait_s for block in blocks), default=0.0)
    wait_ms = jittered(max(int(min(wait_s, _LONGEST_S) * 1000), 1000))
    message = message_of("no_channel", model=model)
    causes = {
        _OWN_REFUSED if own and block.reason in _OF_KEYS else _CAUSES.get(block.reason)
        for block in blocks
    }
    if len(causes) == 1 and (cause := causes.pop()):
        message = f"{message}: {cause}"
    return ChannelsOut("no_channel", message, wait_ms, skipped)


def none_suits(model: str, policy: DataPolicy, skipped: Sequence[Skipped]) -> ChannelsOut:
    """Return the error for a model none of whose channels serves requests like this
    (`screening.py`)."""
    if any(item.reason in _BY_POLICY for item in skipped):
        message = message_of("data_policy", str(policy), model=model)
        return ChannelsOut("data_policy", message, None, skipped)
    message = message_of("no_channel", model=model)
    if any(item.reason != "prepaid" for item in skipped):
        message += ": none of its channels is for such a request"
    return ChannelsOut("no_channel", message, _NEVER_MS, skipped)


def none_on(model: str, off: Sequence[OffChannel], now: float) -> ChannelsOut:
    """Return the error for a model none of whose channels is on. The client should retry only if
    one of them comes back by itself; `now` is the time by the database's clock."""
    message, causes = message_of("no_channel", model=model), {_OFF[one.reason] for one in off}
    if len(causes) == 1:
        message = f"{message}: {causes.pop()}"
    waits = [wait_s for one in off if (wait_s := one.back_in_s(now)) is not None]
    wait_ms = jittered(int(min(waits) * 1000)) if waits else None
    return ChannelsOut("no_channel", message, wait_ms)


def jittered(wait_ms: int) -> int:
    """Return a wait, lengthened at random so that clients do not return together."""
    return int(wait_ms * random.uniform(1, 1 + _JITTER))
