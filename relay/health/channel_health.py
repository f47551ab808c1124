"""What this process knows about the channels: which are disabled, which keys rest, and since when.

Every process detects problems itself and shares them (`health_sharing.py`). A channel's state is
discarded when the channel is edited. The states and the effects of faults are in
`gateway/breaker/channel_state.py`.
"""

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from dialects.errors.kinds import ErrorKind
from gateway.breaker.breaker import PANIC_PERCENT, Breaker, Rest
from gateway.breaker.channel_state import BarReason, Block, ChannelCondition, Fault, Sought
from gateway.breaker.faults import FAULTS
from gateway.breaker.retry_budget import RetryBudget
from gateway.breaker.state_names import ChannelStatus
from gateway.channel_order.channel_order import Candidate, Skipped
from lib.ids import id_text
from relay.catalogue.snapshot import Channel, Snapshot
from relay.health.channel_measures import ChannelMeasures
from relay.health.operator_alerts import LONG_S, Alert, Alerts, Cause
from relay.upstream.failures import UpstreamFailed

log = logging.getLogger(__name__)


_BUDGETS_MAX: Final = 4096
# Reasons that concern one key only.
_OF_KEYS: Final = frozenset({"key_refused", "no_credit"})
_GOOD: Final = ChannelStatus("good")
# The alerts for the owners of an organisation's own key, by our own cause.
_OF_OWN_KEY: Final[Mapping[Cause, Cause]] = {
    "key_refused": "own_key_refused",
    "no_credit": "own_no_credit",
}


class ChannelState(ChannelCondition):
    """The state of one channel."""

    __slots__ = ("channel", "in_flight", "kind", "since")

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel.breaker, len(channel.headers))
        self.channel = channel
        self.kind: ErrorKind | None = None
        # The number of running attempts of this process at the channel.
        self.in_flight = 0
        # When its trouble began.
        self.since = 0.0


class HealthProbe:
    """One attempt at a channel with one of its keys. Report its result once, by `good` or `failed`.
    `close` ends the attempt without a result, and may follow the others."""

    __slots__ = (
        "_again",
        "_began",
        "_breakers",
        "_health",
        "_open",
        "_rests",
        "_sought",
        "_state",
        "key",
    )

    def __init__(
        self,
        health: "Health",
        state: ChannelState,
        sought: Sought,
        again: RetryBudget | None,
        *,
        avoid: int,
        only: int,
        order: Sequence[int],
    ) -> None:
        self._health = health
        self._state = state
        self._sought = sought
        self._again = again
        self._began = health.now()
        self.key = only if only >= 0 else state.next_key(sought, self._began, avoid, order)
        self._open = True
        state.in_flight += 1
        # The breakers and rests that are reserved for this attempt.
        self._breakers: Sequence[Breaker] = ()
        self._rests: Sequence[Rest] = ()

    def claim(self, seconds: float) -> None:
        """Reserve the probe of a half-open breaker for this request. The reservation ends after
        `seconds`."""
        state, key, now = self._state, self._state.keys[self.key], self._health.now()
        breakers = [state.breaker] if key.breaker is None else [state.breaker, key.breaker]
        self._breakers = [breaker for breaker in breakers if not breaker.closed]
        for breaker in self._breakers:
            breaker.claim(now, seconds)
        rests = [*key.rests(self._sought), *(breaker.rest for breaker in self._breakers)]
        self._rests = [rest for rest in rests if rest.claim(now)]

    def accepted(self) -> None:
        """Record that the provider accepted the key and the model."""
        self._state.keys[self.key].good(self._sought.model, self._began)

    def first_content(self) -> None:
        """Release requests that wait for this probe. The provider answers, so they need not wait
        for the end of a long stream."""
        if not self._state.breaker.closed:
            self._state.breaker.good(self._health.now())

    def good(self) -> None:
        """Record that the answer finished successfully."""
        if not self._open:
            return
        self._open = False
        state, now = self._state, self._health.now()
        state.in_flight -= 1
        state.breaker.good(now)
        key = state.keys[self.key]
        if key.breaker is not None:
            key.breaker.good(now)
        key.good(self._sought.model, self._began)
        self._health.settle(state, now)

    def failed(self, failure: UpstreamFailed) -> None:
        """Report a fault, before or after the commit point."""
        if not self._open:
            return
        row = FAULTS[failure.fault]
        if row.health == "alert":
            log.error("channel %s: %s", self._state.channel.name, failure)
            self._health.alert(self._state, "compressed")
        if row.health in ("none", "note", "quarantine", "alert"):
            self.close()
            return
        self._open = False
        self._state.in_flight -= 1
        self._health.blame(self._state, self.key, self._sought, self._began, failure)
        for breaker in self._breakers:
            breaker.give_back()
        if self._again is not None:
            self._again.failed(self._state.channel.id, self._health.now())

    def close(self) -> None:
        """End the attempt. If it reported no result, the next attempt may probe."""
        if self._open:
            self._open = False
            self._state.in_flight -= 1
            for breaker in self._breakers:
                breaker.give_back()
            now = self._health.now()
            for rest in self._rests:
                rest.give_back(now)


class Health:
    """The health of all channels, as this process knows it."""

    def __init__(self) -> None:
        self._states: dict[str, ChannelState] = {}
        self._troubled: set[str] = set()
        self._budgets: dict[str, RetryBudget] = {}
        self.alerts = Alerts()
        self.now = time.monotonic
        self.measures = ChannelMeasures(time.monotonic, self._in_flight)

    # ---- before an attempt

    def budget(self, model: str) -> RetryBudget:
        """Return the retry budget of a model."""
        budget = self._budgets.get(model)
        if budget is None:
            if len(self._budgets) >= _BUDGETS_MAX:
                self._budgets.clear()
            budget = self._budgets[model] = RetryBudget()
        return budget

    def ready(self, candidates: list[Candidate], organisation_id: UUID) -> list[Candidate]:
        """Return the candidates that can be tried now, or if there is none, those that can be tried
        as a last resort. A few requests also go to failing channels, because a channel without
        requests would never be seen to recover."""
        troubled = self._troubled
        if not troubled or troubled.isdisjoint(item.channel_id for item in candidates):
            return candidates
        now = self.now()
        known = [
            (candidate, *self._find_condition(candidate, organisation_id))
            for candidate in candidates
        ]
        left = [
            candidate
            for candidate, state, sought in known
            if state is None or state.allows(sought, now)
        ]
        if left:
            return left
        left = [
            candidate
            for candidate, state, sought in known
            if state and state.allows_without_alternative(sought, now)
        ]
        if not left and random.randrange(100) < PANIC_PERCENT:
            left = [
                candidate
                for candidate, state, sought in known
                if state and state.only_fails(sought, now)
            ]
        return [replace(candidate, why="last_resort") for candidate in left]

    def skipped(self, candidates: Iterable[Candidate], organisation_id: UUID) -> list[Skipped]:
        """Return the channels that are skipped now, each with the reason."""
        blocks = [(item.channel_id, self.why_not(item, organisation_id)) for item in candidates]
        return [Skipped(name, block.reason, block.wait_s) for name, block in blocks if block]

    def out(self, candidates: Sequence[Candidate], organisation_id: UUID) -> set[str]:
        """Return the ids of the candidates' channels that are unavailable now."""
        if not self._troubled:
            return set()
        now = self.now()
        known = [
            (candidate.channel_id, *self._find_condition(candidate, organisation_id))
            for candidate in candidates
        ]
        out = {name for name, state, sought in known if state and not state.allows(sought, now)}
        if len(out) < len(known):
            return out
        return {
            name
            for name, state, sought in known
            if state and not state.allows_without_alternative(sought, now)
        }

    def take_retry(self, candidate: Candidate, key: int) -> bool:
        """Reserve the single further use of a refused key. Return whether the caller got it."""
        state = self._states.get(candidate.channel_id)
        return state is not None and state.keys[key].take_retry()

    def has_other_key(self, candidate: Candidate, organisation_id: UUID, key: int) -> bool:
        """Return whether another key of the channel can be used."""
        (state, sought), now = self._find_condition(candidate, organisation_id), self.now()
        return state is not None and any(
            n != key and other.allows(sought, now) for n, other in enumerate(state.keys)
        )

    def usable_key(self, candidate: Candidate, organisation_id: UUID) -> int:
        """Return a key for a request that is not an attempt."""
        state, sought = self._find_condition(candidate, organisation_id)
        return 0 if state is None else state.next_key(sought, self.now())

    def blocks(self, candidates: Sequence[Candidate], organisation_id: UUID) -> list[Block]:
        """Return the reasons that block the candidates that are not ready."""
        now = self.now()
        known = [self._block(candidate, organisation_id, now) for candidate in candidates]
        return [block for block in known if block is not None]

    def why_not(self, candidate: Candidate, organisation_id: UUID) -> Block | None:
        """Return why this channel cannot serve an organisation's requests now, or None. Sends and
        reserves nothing."""
        if candidate.channel_id not in self._troubled:
            return None
        return self._block(candidate, organisation_id, self.now())

    def bar(self, channel: Channel, reason: BarReason, wait_s: float) -> None:
        """Block the channel for `wait_s`, because the channel's own limit is reached; 0 unblocks
        it."""
        state = self.state_of(channel)
        state.bar(reason, self.now() + wait_s)
        if wait_s:
            self._troubled.add(channel.id)

    def begin(
        self,
        candidate: Candidate,
        channel: Channel,
        organisation_id: UUID,
        again: RetryBudget | None = None,
        *,
        avoid: int = -1,
        only: int = -1,
        order: Sequence[int] = (),
    ) -> HealthProbe:
        """Begin an attempt, and reserve what only one request may try at a time. `again` is the
        retry budget to charge if a further attempt fails; `avoid` is the key of the failed attempt
        before; `only` is the key that has the requested object; `order` is the order of the keys,
        if they are not used in rotation."""
        state = self._states.get(channel.id) or self.state_of(channel)
        sought = Sought(candidate.upstream_model, organisation_id)
        probe = HealthProbe(self, state, sought, again, avoid=avoid, only=only, order=order)
        if channel.id in self._troubled:
            probe.claim(channel.timeouts.connect + channel.timeouts.first_content)
        return probe

    # ---- findings of other processes

    def states(self) -> list[ChannelState]:
        """Return the state of each channel."""
        return list(self._states.values())

    def state_of(self, channel: Channel) -> ChannelState:
        """Return the state of a channel; an empty one if it is new."""
        return self._states.setdefault(channel.id, ChannelState(channel))

    def adopted(self, state: ChannelState, now: float) -> None:
        """Record that another process's findings were merged into the state."""
        if state.calm(now):
            self.settle(state, now)
        else:
            self._troubled.add(state.channel.id)

    # ---- after an attempt

    def settle(self, state: ChannelState, now: float) -> None:
        """Delete the state of a channel that has no problems."""
        channel_id = state.channel.id
        if channel_id in self._troubled and state.calm(now):
            if not state.barred(now):
                self._troubled.discard(channel_id)
            if state.kind is not None:
                state.kind = None
                log.warning("channel %s answers again", state.channel.name)

    def blame(
        self, state: ChannelState, n: int, sought: Sought, began: float, failure: UpstreamFailed
    ) -> None:
        """Apply a fault to the health of the channel, of its key, and of its model."""
        now, name = self.now(), state.channel.name
        state.kind = failure.kind
        if state.channel.id not in self._troubled:
            state.since = now
        fault = Fault(
            failure.fault,
            began,
            failure.upstream_status,
            failure.retry_after_ms,
            failure.expired,
        )
        reason = state.blame(n, sought, fault, now)
        if not state.calm(now):
            self._troubled.add(state.channel.id)
        if reason is not None:
            log.error("channel %s, key %d, model %s: %s", name, n + 1, sought.model, failure)
            whats = {"misconfigured": "", "model_unknown": sought.model}
            last = reason in _OF_KEYS and not any(key.allows(sought, now) for key in state.keys)
            self.alert(state, reason, whats.get(reason, str(n + 1)), last=last)
        elif not state.breaker.closed:
            log.warning("channel %s is out: %s", name, failure)
            if now - state.since >= LONG_S:
                self.alert(state, "out")

    def alert(
        self, state: ChannelState, cause: Cause, what: str = "", *, last: bool = False
    ) -> None:
        """Alert the operators; for an organisation's own key, alert the organisation instead."""
        if state.channel.own is not None:
            if cause in _OF_OWN_KEY:
                key_id = str(state.channel.own.key_id)
                self.alerts.report(Alert(key_id, state.channel.name, _OF_OWN_KEY[cause]))
            return
        self.alert_channel(state.channel, cause, what, last=last)

    def alert_channel(
        self, channel: Channel, cause: Cause, what: str = "", *, last: bool = False
    ) -> None:
        """Alert the operators about a channel, whatever its recorded state."""
        self.alerts.report(Alert(id_text(channel.uuid), channel.name, cause, what, last))

    def keep(self, snapshot: Snapshot) -> None:
        """Delete the states of channels that were changed or removed."""
        for channel_id, state in list(self._states.items()):
            channel = snapshot.channels.get(channel_id)
            if channel == state.channel:
                state.channel = channel
            else:
                del self._states[channel_id]
                self._troubled.discard(channel_id)

    # ---- for the page

    def channel_status(self, channel_id: str) -> ChannelStatus:
        """Return the state of a channel."""
        state, now = self._states.get(channel_id), self.now()
        if state is None:
            return _GOOD
        if state.calm(now):
            barred = state.barred(now)
            return ChannelStatus("limited", int(barred.wait_s) + 1) if barred else _GOOD
        if state.breaker.closed:
            keys_s = min(key.left(now) for key in state.keys)
            if keys_s:
                return ChannelStatus("keys_out", int(keys_s) + 1, state.kind)
            models_s = max(key.models_left(now) for key in state.keys)
            return ChannelStatus("models_out", int(models_s) + 1, state.kind) if models_s else _GOOD
        wait_s = state.breaker.seconds_open(now)
        if not wait_s:
            return ChannelStatus("half_open", 0, state.kind)
        return ChannelStatus("open", int(wait_s) + 1, state.kind)

    def _in_flight(self) -> Mapping[str, int]:
        return {name: state.in_flight for name, state in self._states.items()}

    def _block(self, candidate: Candidate, organisation_id: UUID, now: float) -> Block | None:
        state, sought = self._find_condition(candidate, organisation_id)
        return None if state is None else state.block(sought, now)

    def _find_condition(
        self, candidate: Candidate, organisation_id: UUID
    ) -> tuple[ChannelState | None, Sought]:
        sought = Sought(candidate.upstream_model, organisation_id)
        return self._states.get(candidate.channel_id), sought
