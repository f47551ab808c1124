"""The condition of one channel: which of its parts may be used, and the effect of faults and
successes.

    channel                              breaker (count), misconfigured (F3, F21)
    key                                  refused for two models (F5), without credit (F9); its own
                                         breaker, if a channel has several
    key x upstream model                 at its provider's limit (F8), refused twice in a row (F5)
    key x upstream model x organisation  forbidden (403), unknown (F7)

A client may cause the last one with its own request (a file that does not exist, or is not its
own). It then affects only the client's organisation, and only if no success comes between.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from gateway.breaker.breaker import Breaker, BreakerRule, Rest
from gateway.breaker.faults import FAULTS
from gateway.breaker.state_names import KeyReason, KeyStatus, ModelCondition, ModelStatus

Reason = Literal["key_refused", "no_credit", "misconfigured", "model_unknown"]
"""Conditions that only an operator can end."""

# While another channel can serve, a refused key and an unknown model are tried again after this
# long: providers reactivate keys and add models without notice.
OFF_S: Final = 300.0
DOUBTED_MAX: Final = 3
DOUBT_S: Final = 60.0
"""A second refusal of a key within this time after the first confirms it."""
_CONNECTS: Final = frozenset({"F1", "F2", "F3", "F4"})
# Limited, because patterns match any name that clients choose.
_MODELS_MAX: Final = 1024
# A page shows only a few of them.
_MODELS_TOLD: Final = 100
_LIMITED: Final[ModelCondition] = "limited"
_REFUSED: Final[ModelCondition] = "key_refused"
_NO_MODEL: Final = ModelStatus("limited", 0, 0)


BarReason = Literal["requests", "tokens", "parallel", "spend_day", "spend_month"]
"""The channel's own limit that is reached."""
BAR_REASONS: Final = frozenset(get_args(BarReason))
BlockReason = Reason | BarReason | Literal["cooling", "failing"]
"""Why a channel cannot be used now: a condition that only an operator can end, its own limit, its
provider's limit, its faults or those of its keys."""


class Block(NamedTuple):
    """A channel cannot be used now. `wait_s` is the time until a request without an alternative may
    be sent."""

    reason: BlockReason
    wait_s: float


class Sought(msgspec.Struct, frozen=True):
    """The target of a request: a model, by its upstream name, for an organisation."""

    model: str
    organisation: UUID


class Fault(NamedTuple):
    """A failed attempt and its start: the row of the fault table, the HTTP status (0 for none), the
    wait that the provider asked for, and whether the credentials have expired."""

    row: str
    began: float
    status: int = 0
    retry_after_ms: int | None = None
    expired: bool = False


class _Doubt:
    """How many times in a row an organisation was refused a model, or was told that the model does
    not exist."""

    __slots__ = ("reason", "rest", "times")

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        self.rest = Rest()
        self.times = 0


class Key:
    """One key of a channel."""

    __slots__ = (
        "_doubts",
        "_limits",
        "_refusals",
        "_refused_at",
        "_retry_left",
        "breaker",
        "reason",
        "rest",
        "since",
    )

    def __init__(self, breaker: Breaker | None) -> None:
        self.breaker = breaker
        self.rest = Rest()
        # The reason for the last refusal, and its start.
        self.reason: KeyReason | None = None
        self.since = 0.0
        # When a healthy key was first refused (401), by model, as far as no success came after it;
        # and whether another request may try it once more.
        self._refused_at: dict[str, float] = {}
        self._retry_left = False
        # The models that the key is refused for, and those that are at the provider's limit.
        self._refusals: dict[str, Rest] = {}
        self._limits: dict[str, Rest] = {}
        self._doubts: dict[str, dict[UUID, _Doubt]] = {}

    def allows(self, sought: Sought, now: float) -> bool:
        """Return whether a request with an alternative may use the key."""
        return (self.breaker is None or self.breaker.allows(now)) and all(
            rest.allows(now) for rest in self.rests(sought)
        )

    def allows_without_alternative(self, sought: Sought, now: float) -> bool:
        """Return whether a request without an alternative may use the key."""
        return (self.breaker is None or self.breaker.allows_without_alternative(now)) and all(
            rest.allows_without_alternative(now) for rest in self.rests(sought)
        )

    def wait_s(self, sought: Sought, now: float) -> float:
        """Return in how many seconds a request without an alternative may use the key."""
        own = 0.0 if self.breaker is None else self.breaker.wait_s(now)
        return max(own, *(rest.wait_s(now) for rest in self.rests(sought)))

    def left(self, now: float) -> float:
        """Return in how many seconds any request may use the whole key."""
        return max(
            self.rest.left(now), 0.0 if self.breaker is None else self.breaker.seconds_open(now)
        )

    def cools(self, sought: Sought, now: float) -> bool:
        """Return whether the model is at the provider's limit for this key."""
        limit = self._limits.get(sought.model)
        return limit is not None and not limit.allows(now)

    def why(self, sought: Sought, now: float) -> Reason | None:
        """Return why the key cannot be used, if only an operator can change that; else None."""
        if not self.rest.allows(now):
            return self.reason
        refusal = self._refusals.get(sought.model)
        if refusal is not None and not refusal.allows(now):
            return "key_refused"
        doubt = self._doubts.get(sought.model, {}).get(sought.organisation)
        return None if doubt is None or doubt.rest.allows(now) else doubt.reason

    def rests(self, sought: Sought) -> Iterator[Rest]:
        """Yield every rest that may prevent the use of the key for this target."""
        yield self.rest
        limit = self._limits.get(sought.model)
        if limit is not None:
            yield limit
        refusal = self._refusals.get(sought.model)
        if refusal is not None:
            yield refusal
        doubt = self._doubts.get(sought.model, {}).get(sought.organisation)
        if doubt is not None:
            yield doubt.rest

    def models_left(self, now: float) -> float:
        """Return in how many seconds any request may use the last of the resting models."""
        return max((rest.left(now) for rest in self._models()), default=0.0)

    def calm(self, now: float) -> bool:
        """Return whether neither the key nor any of its models rests."""
        whole = self.rest.calm(now) and (self.breaker is None or self.breaker.closed)
        return whole and all(rest.calm(now) for rest in self._models())

    def refuse(self, reason: KeyReason, now: float, began: float) -> None:
        """Record that the provider refuses the key from now on."""
        if self.rest.calm(now):
            self.since = now
        self.reason = reason
        self.rest.fail(now, began, OFF_S)

    def refused_for(self, model: str, now: float, began: float) -> Literal["key", "model"] | None:
        """Record that the provider refused the key for a model (401). Return what rests: the key,
        if it rests already or was refused for another model too; the model, if a request that
        started after its first refusal is refused as well; nothing after the first one, which may
        be a glitch."""
        if not self.rest.calm(now):
            return "key"
        refused_at = {
            name: at
            for name, at in self._refused_at.items()
            if now - at <= DOUBT_S or not self._is_calm_for(name, now)
        }
        self._refused_at = refused_at
        if any(name != model and began >= at for name, at in refused_at.items()):
            return "key"
        if model in refused_at:
            return "model" if began >= refused_at[model] else None
        refused_at[model] = now
        if not self._is_calm_for(model, now):
            return "model"
        self._retry_left = True
        return None

    def refuse_model(self, model: str, now: float, began: float) -> None:
        """Record that the provider refuses the key for a model from now on."""
        if model not in self._refusals and len(self._refusals) >= _MODELS_MAX:
            self._refusals.clear()
        self._refusals.setdefault(model, Rest()).fail(now, began, OFF_S)

    def _is_calm_for(self, model: str, now: float) -> bool:
        """Return whether nothing refuses the key for a model."""
        refusal = self._refusals.get(model)
        return refusal is None or refusal.calm(now)

    def take_retry(self) -> bool:
        """Return whether the caller may retry once after the first refusal. Only one caller may."""
        left, self._retry_left = self._retry_left, False
        return left

    def adopt(self, now: float, rest_s: float, reason: KeyReason | None, since: float) -> None:
        """Apply another process's confirmed refusal of the key."""
        self.reason, self.since = reason, since
        self.rest.adopt(now, rest_s)

    def status(self, now: float) -> KeyStatus:
        """Return the key's state for a page."""
        if not self.rest.calm(now):
            return KeyStatus("paused", int(self.left(now)) + 1, self.reason, int(now - self.since))
        if self.breaker is not None and not self.breaker.closed:
            return KeyStatus("paused", int(self.left(now)) + 1)
        seconds = self.models_left(now)
        refused = any(rest.left(now) for rest in self._refusals.values())
        reason: KeyReason | None = "key_refused" if refused else None
        return KeyStatus("limited", int(seconds) + 1, reason) if seconds else KeyStatus("good")

    def models_out(self, now: float) -> dict[str, tuple[float, ModelCondition]]:
        """Return the key's resting models: the seconds until any request may use them, and the
        reason. If several organisations are affected, the longest rest counts."""
        conditions: dict[str, tuple[float, ModelCondition]] = {}
        for model, held in self._doubts.items():
            rests = [(doubt.rest.left(now), doubt.reason) for doubt in held.values()]
            left, reason = max(rests, default=(0.0, None))
            if left and (reason == "model_unknown" or reason == "key_refused"):
                conditions[model] = left, reason
        for rests_by_model, condition in ((self._limits, _LIMITED), (self._refusals, _REFUSED)):
            for model, rest in rests_by_model.items():
                if left := rest.left(now):
                    conditions[model] = left, condition
        return conditions

    def limit(self, model: str) -> Rest:
        """Return the rest of a model that is at the provider's limit; create it if needed."""
        if model not in self._limits and len(self._limits) >= _MODELS_MAX:
            self._limits.clear()
        return self._limits.setdefault(model, Rest())

    def doubt(self, sought: Sought, reason: Reason, now: float, began: float) -> bool:
        """Record that an organisation was refused a model. Return whether the model now rests for
        that organisation."""
        if sought.model not in self._doubts and len(self._doubts) >= _MODELS_MAX:
            self._doubts.clear()
        held = self._doubts.setdefault(sought.model, {})
        if sought.organisation not in held and len(held) >= _MODELS_MAX:
            held.clear()
        doubt = held.setdefault(sought.organisation, _Doubt(reason))
        doubt.times, doubt.reason = doubt.times + 1, reason
        if doubt.times < DOUBTED_MAX:
            return False
        doubt.rest.fail(now, began, OFF_S)
        return True

    def _models(self) -> Iterator[Rest]:
        yield from self._limits.values()
        yield from self._refusals.values()
        for held in self._doubts.values():
            yield from (doubt.rest for doubt in held.values())

    def good(self, model: str, began: float) -> None:
        """Record a success with this key and model, which ends the rests of both for everybody."""
        self.rest.end(began)
        if self._refused_at:
            left = {name: at for name, at in self._refused_at.items() if began < at}
            self._refused_at, self._retry_left = left, self._retry_left and bool(left)
        if self._refusals and (refusal := self._refusals.get(model)) is not None:
            refusal.end(began)
        if self._limits and (limit := self._limits.get(model)) is not None:
            limit.end(began)
        if self._doubts:
            self._doubts.pop(model, None)


class ChannelCondition:
    """The condition of one channel and its keys."""

    __slots__ = ("_bars", "_turn", "breaker", "keys", "reason")

    def __init__(self, rule: BreakerRule, keys: int) -> None:
        self.breaker = Breaker(rule)
        self.keys = [Key(Breaker(rule) if keys > 1 else None) for _ in range(keys)]
        # Why its breaker opened, if only an operator can close it.
        self.reason: Reason | None = None
        # The channel's own exhausted limits, with their end. No request is sent until then.
        self._bars: dict[BarReason, float] = {}
        self._turn = 0

    def allows(self, sought: Sought, now: float) -> bool:
        """Return whether a request with an alternative may use the channel."""
        if self._bars and self.barred(now):
            return False
        return self.breaker.allows(now) and any(key.allows(sought, now) for key in self.keys)

    def allows_without_alternative(self, sought: Sought, now: float) -> bool:
        """Return whether a request without an alternative may use the channel."""
        if self._bars and self.barred(now):
            return False
        return self.breaker.allows_without_alternative(now) and any(
            key.allows_without_alternative(sought, now) for key in self.keys
        )

    def bar(self, reason: BarReason, until: float) -> None:
        """Record that one of the channel's own limits is exhausted until `until`. A time in the
        past clears the record."""
        self._bars[reason] = until

    def barred(self, now: float) -> Block | None:
        """Return the block by the exhausted limit that ends last, or None."""
        left = {reason: until - now for reason, until in self._bars.items() if until > now}
        if not left:
            self._bars.clear()
            return None
        reason = max(left, key=left.__getitem__)
        return Block(reason, left[reason])

    def block(self, sought: Sought, now: float) -> Block | None:
        """Return why a request with an alternative may not use the channel, or None if it may."""
        if self.allows(sought, now):
            return None
        if (barred := self.barred(now)) is not None:
            return barred
        wait_s = self.wait_s(sought, now)
        if self.cools(sought, now):
            return Block("cooling", wait_s)
        return Block(self.why(sought, now) or "failing", wait_s)

    def only_fails(self, sought: Sought, now: float) -> bool:
        """Return whether only the channel's own breaker prevents its use."""
        if self.barred(now):
            return False
        return self.reason is None and any(key.allows(sought, now) for key in self.keys)

    def calm(self, now: float) -> bool:
        return self.breaker.closed and all(key.calm(now) for key in self.keys)

    def models_out(self, now: float) -> dict[str, ModelStatus]:
        """Return the models that some of the channel's keys cannot be used for, each with its
        longest rest."""
        statuses: dict[str, ModelStatus] = {}
        for key in self.keys:
            for model, (left, condition) in key.models_out(now).items():
                seconds, (_, known_s, keys) = int(left) + 1, statuses.get(model, _NO_MODEL)
                first_s = min(seconds, known_s) if keys else seconds
                statuses[model] = ModelStatus(condition, first_s, keys + 1)
        longest = sorted(statuses.items(), key=lambda item: -item[1].seconds)
        return dict(longest[:_MODELS_TOLD])

    def wait_s(self, sought: Sought, now: float) -> float:
        """Return in how many seconds a request without an alternative may use the channel."""
        return max(self.breaker.wait_s(now), min(key.wait_s(sought, now) for key in self.keys))

    def cools(self, sought: Sought, now: float) -> bool:
        """Return whether all keys of the channel are unavailable, and at least one is at the
        provider's limit."""
        out = [key for key in self.keys if not key.allows(sought, now)]
        return len(out) == len(self.keys) and any(key.cools(sought, now) for key in out)

    def why(self, sought: Sought, now: float) -> Reason | None:
        """Return the reason if only an operator can end what keeps the channel from being used."""
        if not self.breaker.allows(now):
            return self.reason
        reasons = {key.why(sought, now) for key in self.keys}
        return reasons.pop() if len(reasons) == 1 else None

    def next_key(
        self, sought: Sought, now: float, avoid: int = -1, order: Sequence[int] = ()
    ) -> int:
        """Choose the next key in rotation, or by `order` if that is given. Keys that rest are
        passed over, and so is the key `avoid`."""
        count = len(self.keys)
        if count == 1:
            return 0
        if len(order) != count:
            self._turn += 1
            order = [(self._turn + n) % count for n in range(count)]
        others = [n for n in order if n != avoid]
        allowed = (n for n in others if self.keys[n].allows(sought, now))
        due = (n for n in others if self.keys[n].allows_without_alternative(sought, now))
        return next(allowed, next(due, order[0]))

    def blame(self, n: int, sought: Sought, fault: Fault, now: float) -> Reason | None:
        """Apply a fault to the channel and the key that was used. Return the reason if the fault
        disabled something that only an operator can enable."""
        key = self.keys[n]
        match FAULTS[fault.row].health:
            case "count":
                self.reason = None
                self.breaker.bad(now, fault.began, connect=fault.row in _CONNECTS)
                if key.breaker is not None:
                    key.breaker.bad(now, fault.began)
            case "misconfigured":
                self.breaker.trip(now, fault.began)
                self.reason = None if self.breaker.closed else "misconfigured"
                return "misconfigured"
            # Amazon says 403 of credentials that have expired, as of a model that they may not use.
            case "key_off" if fault.row == "F5" and fault.status == 403 and not fault.expired:
                held = key.doubt(sought, "key_refused", now, fault.began)
                return "key_refused" if held else None
            case "key_off" if fault.row == "F5" and not fault.expired:
                out = key.refused_for(sought.model, now, fault.began)
                if out == "key":
                    key.refuse("key_refused", now, fault.began)
                elif out == "model":
                    key.refuse_model(sought.model, now, fault.began)
                return None if out is None else "key_refused"
            # Credentials that have expired are so for every model.
            case "key_off" if fault.row == "F5" and (
                key.refused_for(sought.model, now, fault.began) is None
            ):
                return None
            case "key_off":
                reason: KeyReason = "no_credit" if fault.row == "F9" else "key_refused"
                key.refuse(reason, now, fault.began)
                return reason
            case "cool" if fault.retry_after_ms is not None:
                key.limit(sought.model).cool(now, fault.retry_after_ms)
            case "cool":
                key.limit(sought.model).fail(now, fault.began)
            case "route_off":
                held = key.doubt(sought, "model_unknown", now, fault.began)
                return "model_unknown" if held else None
        return None
