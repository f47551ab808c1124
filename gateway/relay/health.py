"""What this process has learned of the channels: which are out, which keys rest, since when.

It lives as long as the process and is told to nobody: every process finds out for itself, which
costs each a few attempts and no agreement. What it knows of a channel is forgotten when the channel
is changed.

    channel  breaker open (faults) | misconfigured (F3, F21)
    key      off (F5, F9) | cooling (F8) | its own breaker, where a channel has several
    route    off (F7)
"""

import logging
import random
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from gateway.codecs.errors import KINDS, ErrorKind, message_of
from gateway.relay.alerts import LONG_S, Alert, Alerts, Cause
from gateway.relay.snapshot import Channel, Snapshot
from gateway.relay.upstream import UpstreamFailed
from gateway.rules.breaker import PANIC_PERCENT, Breaker, RetryBudget, cooling_s
from gateway.rules.faults import FAULTS
from gateway.rules.routing import Candidate
from lib.ids import id_text

log = logging.getLogger(__name__)

Condition = Literal["good", "open", "half_open", "keys_out"]

_BUDGETS_MAX: Final = 4096
# A key that is refused, and a model that is unknown, are asked for again after so long: providers
# take keys back and models up, and nobody tells us.
_OFF_S: Final = 300.0
# What a client may be able to bring about with a request of its own (a file that is not there, or
# not its own) turns something off only when nothing else comes between.
_DOUBTED_MAX: Final = 3
_CONNECTS: Final = frozenset({"F1", "F2", "F3", "F4"})
# Between the choice of a candidate and its attempt lies the admission.
_CLAIM_S: Final = 5.0
_JITTER: Final = 0.1
# What a client hears of causes that only operators can end, all of which were told to them. Whether
# a provider refused a key or wants money is between it and the operators.
_REFUSED: Final = "the provider refuses the hub's key; the operator has been told"
_CAUSES: Final[Mapping[Cause, str]] = MappingProxyType(
    {
        "key_refused": _REFUSED,
        "no_credit": _REFUSED,
        "misconfigured": "the hub cannot speak to the provider; the operator has been told",
        "model_unknown": "the provider does not know the model; the operator has been told",
    }
)


class Out(NamedTuple):
    """Why none of a model's channels can be asked, as the client hears it."""

    kind: ErrorKind
    status: int
    message: str
    retry_after_ms: int


class Told(NamedTuple):
    """A channel as this process sees it. `seconds`: until it is asked again; `kind`: of the last
    failure that took something out."""

    condition: Condition
    seconds: int = 0
    kind: ErrorKind | None = None


class _Key:
    """One key of a channel."""

    __slots__ = ("breaker", "cause", "cooling", "cools", "doubted", "out_until")

    def __init__(self, breaker: Breaker | None) -> None:
        self.breaker = breaker
        # Why it was refused, the last time.
        self.cause: Cause | None = None
        self.out_until = 0.0
        self.cooling = False
        self.cools = self.doubted = 0

    def allows(self, now: float) -> bool:
        return now >= self.out_until and (self.breaker is None or self.breaker.allows(now))

    def calm(self, now: float) -> bool:
        return now >= self.out_until and (self.breaker is None or self.breaker.closed)


class _State:
    """What is known of one channel."""

    __slots__ = ("breaker", "cause", "channel", "keys", "kind", "routes", "since", "turn")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.breaker = Breaker(channel.breaker)
        several = len(channel.headers) > 1
        self.keys = [_Key(Breaker(channel.breaker) if several else None) for _ in channel.headers]
        # By the upstream's name of a model: how often it was unknown in a row, and until when off.
        self.routes: dict[str, tuple[int, float]] = {}
        self.turn = 0
        self.kind: ErrorKind | None = None
        # Why its breaker opened, where that is known.
        self.cause: Cause | None = None
        # When its trouble began.
        self.since = 0.0

    def allows(self, model: str, now: float) -> bool:
        return (
            self.breaker.allows(now)
            and now >= self.routes.get(model, (0, 0.0))[1]
            and any(key.allows(now) for key in self.keys)
        )

    def calm(self, now: float) -> bool:
        return self.breaker.closed and not self.routes and all(key.calm(now) for key in self.keys)

    def waits(self, model: str, now: float) -> float:
        """For how many seconds nothing goes there."""
        keys = min(
            max(key.out_until - now, 0.0 if key.breaker is None else key.breaker.waits(now))
            for key in self.keys
        )
        return max(keys, self.breaker.waits(now), self.routes.get(model, (0, 0.0))[1] - now)

    def cools(self, now: float) -> bool:
        """Whether rest is all that its keys need."""
        out = [key for key in self.keys if not key.allows(now)]
        return len(out) == len(self.keys) and any(key.cooling for key in out)

    def why(self, model: str, now: float) -> Cause | None:
        """What only an operator can end, where that is all that keeps it from being asked."""
        if not self.breaker.allows(now):
            return self.cause
        if now < self.routes.get(model, (0, 0.0))[1]:
            return "model_unknown"
        causes = {key.cause if now < key.out_until else None for key in self.keys}
        return causes.pop() if len(causes) == 1 else None

    def next_key(self, now: float, avoid: int) -> int:
        """The keys take turns; those that are out, and the one to avoid, are passed over."""
        count = len(self.keys)
        if count == 1:
            return 0
        self.turn += 1
        order = [(self.turn + n) % count for n in range(count)]
        ready = (n for n in order if n != avoid and self.keys[n].allows(now))
        return next(ready, order[0])


class Trial:
    """One attempt at a channel, by one of its keys. Its end is told once: `good`, `failed`, or
    `close`, which tells nothing and may follow the others."""

    __slots__ = ("_again", "_health", "_model", "_open", "_state", "key")

    def __init__(
        self, health: "Health", state: _State, key: int, model: str, again: RetryBudget | None
    ) -> None:
        self.key = key
        self._health = health
        self._state = state
        self._model = model
        self._again = again
        self._open = True

    def first_content(self) -> None:
        """It answers: what waits for this probe need not wait for the end of a long stream."""
        if not self._state.breaker.closed:
            self._state.breaker.good(self._health.now())

    def good(self) -> None:
        """The answer came to its end."""
        if not self._open:
            return
        self._open = False
        state, now = self._state, self._health.now()
        state.breaker.good(now)
        key = state.keys[self.key]
        if key.breaker is not None:
            key.breaker.good(now)
        key.cools = key.doubted = 0
        if state.routes:
            state.routes.pop(self._model, None)
        self._health.settle(state, now)

    def failed(self, failure: UpstreamFailed) -> None:
        """A fault, before or behind the commit point."""
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
        self._health.blame(self._state, self.key, self._model, failure)
        if self._again is not None:
            self._again.failed(self._state.channel.id, self._health.now())

    def close(self) -> None:
        if self._open:
            self._open = False
            self._state.breaker.give_back()
            breaker = self._state.keys[self.key].breaker
            if breaker is not None:
                breaker.give_back()


class Health:
    """The health of all channels, as far as this process knows."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._troubled: set[str] = set()
        self._budgets: dict[str, RetryBudget] = {}
        self.alerts = Alerts()
        self.now = time.monotonic

    # ---- before an attempt

    def budget(self, model: str) -> RetryBudget:
        """The budget of a model's further attempts; the request that asks is counted."""
        budget = self._budgets.get(model)
        if budget is None:
            if len(self._budgets) >= _BUDGETS_MAX:
                self._budgets.clear()
            budget = self._budgets[model] = RetryBudget()
        budget.request(self.now())
        return budget

    def ready(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that may be asked now. When none is left, a few requests go out nevertheless:
        a channel that nobody asks can never be found to be well again."""
        if self._troubled.isdisjoint(candidate.channel_id for candidate in candidates):
            return candidates
        now = self.now()
        left = [candidate for candidate in candidates if self._allows(candidate, now)]
        if left or random.randrange(100) >= PANIC_PERCENT:
            return left
        return [one for one in candidates if not self._states[one.channel_id].cools(now)]

    def out(self, candidates: Sequence[Candidate]) -> set[str]:
        """The ids of the candidates' channels that may not be asked now."""
        if not self._troubled:
            return set()
        now = self.now()
        return {one.channel_id for one in candidates if not self._allows(one, now)}

    def has_other_key(self, channel_id: str, key: int) -> bool:
        """Whether a key of the channel beside that one can be used."""
        state, now = self._states.get(channel_id), self.now()
        return state is not None and any(
            n != key and other.allows(now) for n, other in enumerate(state.keys)
        )

    def usable_key(self, channel_id: str) -> int:
        """A key for what is no attempt."""
        state = self._states.get(channel_id)
        return 0 if state is None else state.next_key(self.now(), -1)

    def why_out(self, candidates: Sequence[Candidate], model: str) -> Out:
        """What to say when none of them is ready (errors.md, section 6)."""
        now = self.now()
        states = [(self._states[one.channel_id], one.upstream_model) for one in candidates]
        cooling = [state.waits(name, now) for state, name in states if state.cools(now)]
        if cooling:
            wait_ms = jittered(int(min(cooling) * 1000))
            what = "every channel of the model is at its provider's limit"
            message = message_of("upstream_rate_limited", what, seconds=-(-wait_ms // 1000))
            return Out("upstream_rate_limited", 429, message, wait_ms)
        wait_ms = int(min(state.waits(name, now) for state, name in states) * 1000)
        message = message_of("no_channel", model=model)
        causes = {
            _CAUSES.get(why) if (why := state.why(name, now)) else None for state, name in states
        }
        if len(causes) == 1 and (cause := causes.pop()):
            message = f"{message}: {cause}"
        return Out("no_channel", KINDS["no_channel"].status, message, jittered(max(wait_ms, 1000)))

    def claim(self, candidate: Candidate) -> None:
        """This candidate is about to be asked: while it is half-open, nobody else asks it."""
        if candidate.channel_id in self._troubled:
            self._states[candidate.channel_id].breaker.claim(self.now(), _CLAIM_S)

    def begin(
        self,
        candidate: Candidate,
        channel: Channel,
        again: RetryBudget | None = None,
        *,
        avoid: int = -1,
    ) -> Trial:
        """An attempt begins. `again`: the budget that it burdens when it is a further one and
        fails; `avoid`: the key of the one before it, which was at fault."""
        state = self._states.get(channel.id)
        if state is None:
            state = self._states[channel.id] = _State(channel)
        now = self.now()
        key = state.next_key(now, avoid)
        if channel.id in self._troubled:
            long_s = channel.timeouts.connect + channel.timeouts.first_content
            for breaker in (state.breaker, state.keys[key].breaker):
                if breaker is not None:
                    breaker.claim(now, long_s)
        return Trial(self, state, key, candidate.upstream_model, again)

    # ---- after one

    def settle(self, state: _State, now: float) -> None:
        """A channel without trouble is looked at no more."""
        channel_id = state.channel.id
        if channel_id in self._troubled and state.calm(now):
            self._troubled.discard(channel_id)
            state.kind = None
            log.warning("channel %s answers again", state.channel.name)

    def blame(self, state: _State, n: int, model: str, failure: UpstreamFailed) -> None:
        """What a fault does to the health of its channel, its key and its route."""
        now, key, fault = self.now(), state.keys[n], failure.fault
        name, state.kind = state.channel.name, failure.kind
        if state.channel.id not in self._troubled:
            state.since = now
        match FAULTS[fault].health:
            case "count":
                state.breaker.bad(now, connect=fault in _CONNECTS)
                if key.breaker is not None:
                    key.breaker.bad(now)
                state.cause = None
                if state.breaker.closed and (key.breaker is None or key.breaker.closed):
                    return
                log.warning("channel %s is out: %s", name, failure)
                if now - state.since >= LONG_S:
                    self.alert(state, "out")
            case "misconfigured":
                if state.channel.breaker.enabled:
                    state.breaker.trip(now)
                    state.cause = "misconfigured"
                log.error("channel %s is misconfigured: %s", name, failure)
                self.alert(state, "misconfigured")
            case "key_off":
                key.doubted += 1
                if failure.upstream_status == 403 and key.doubted < _DOUBTED_MAX:
                    return
                key.out_until, key.cooling = now + _OFF_S, False
                log.error("channel %s: key %d is refused: %s", name, n + 1, failure)
                cause: Cause = "no_credit" if fault == "F9" else "key_refused"
                key.cause = cause
                last = not any(other.allows(now) for other in state.keys)
                self.alert(state, cause, str(n + 1), last=last)
            case "cool":
                key.cools += 1
                wait_s = cooling_s(failure.retry_after_ms, key.cools)
                key.out_until, key.cooling = max(key.out_until, now + wait_s), True
            case "route_off":
                times = state.routes.get(model, (0, 0.0))[0] + 1
                until = now + _OFF_S if times >= _DOUBTED_MAX else 0.0
                state.routes[model] = (times, until)
                if until:
                    log.error("channel %s: model %s is unknown there", name, model)
                    self.alert(state, "model_unknown", model)
        state.breaker.give_back()
        self._troubled.add(state.channel.id)

    def alert(self, state: _State, cause: Cause, what: str = "", *, last: bool = False) -> None:
        """Tell the operators."""
        self.alerts.tell(Alert(id_text(state.channel.uuid), state.channel.name, cause, what, last))

    def keep(self, snapshot: Snapshot) -> None:
        """Forget what is known of channels that are no longer so."""
        for channel_id, state in list(self._states.items()):
            channel = snapshot.channels.get(channel_id)
            if channel == state.channel:
                state.channel = channel
            else:
                del self._states[channel_id]
                self._troubled.discard(channel_id)

    # ---- for the page

    def told(self, channel_id: str) -> Told:
        """How a channel is doing."""
        state, now = self._states.get(channel_id), self.now()
        if state is None or state.calm(now):
            return Told("good")
        if state.breaker.closed:
            if any(key.allows(now) for key in state.keys):
                return Told("good")
            return Told("keys_out", int(state.waits("", now)) + 1, state.kind)
        wait_s = state.breaker.waits(now)
        if not wait_s:
            return Told("half_open", 0, state.kind)
        return Told("open", int(wait_s) + 1, state.kind)

    def _allows(self, candidate: Candidate, now: float) -> bool:
        state = self._states.get(candidate.channel_id)
        return state is None or state.allows(candidate.upstream_model, now)


def jittered(wait_ms: int) -> int:
    """A wait, made a little longer, so that not all come back at once."""
    return int(wait_ms * random.uniform(1, 1 + _JITTER))
