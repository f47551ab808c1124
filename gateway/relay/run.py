"""The story of one chat request.

    read -> route -> bound -> admit -> send -> first content (commit point) -> relay -> settle

Before the commit point a fault may lead to the next channel; `attempt.py` tells what comes after.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

import msgspec

from billing.rules.money import format_usd
from gateway.codecs.body import read_body
from gateway.codecs.errors import KINDS, ErrorKind, RequestFault, message_of
from gateway.codecs.openai import request as openai_request
from gateway.codecs.openai.request import ChatFacts
from gateway.relay.admission import Asked
from gateway.relay.attempt import Attempt
from gateway.relay.call import (
    CLIENT_CLOSED,
    DIALECT,
    MODEL_LENGTH_MAX,
    OPERATION,
    Call,
    Outcome,
    Refused,
)
from gateway.relay.database import DatabaseAway, DatabaseRefused
from gateway.relay.settlement import Resolved
from gateway.relay.sizing import Size, Sizing
from gateway.relay.snapshot import Price
from gateway.relay.upstream import UpstreamFailed
from gateway.rules.faults import FAULTS, final_kind
from gateway.rules.retry import ATTEMPTS_MAX, next_candidate
from gateway.rules.routing import Candidate, plan
from lib.ids import new_id
from usage.sql import AttemptOpened, Ending

# A wallet that others draw on may have less again when the smaller hold arrives.
_SHRINK_TRIES: Final = 3
# The share of the deadline after which no further attempt begins (promises.md, fault table).
_LAST_START_SHARE: Final = 0.75
_BACKOFF_S: Final = 0.05
# Faults that the same channel would only repeat.
_CHANNEL_OUT: Final = frozenset({"key_off", "route_off", "misconfigured", "cool"})


class Run:
    """Answers one call. Every attempt ends in exactly one settlement, on every path."""

    __slots__ = ("_attempt", "_call", "_facts", "_price", "_sizing")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._facts: ChatFacts | None = None
        self._price: Price | None = None
        self._sizing: Sizing | None = None
        self._attempt: Attempt | None = None

    def leave(self) -> None:
        """The client has gone: nothing more is written to it."""
        if self._call.silent:
            return
        self._call.silent = True
        if self._attempt is not None:
            self._attempt.leave()
        else:
            self._call.deadline.interrupt("left")

    async def chat(self, raw: bytes) -> Outcome:
        """Answer the request with this body. Raises nothing that a client could cause."""
        try:
            facts = self._facts = self._read(raw)
            return await self._try(facts, self._route(facts))
        except RequestFault as fault:
            outcome = self._note(KINDS[fault.kind].status, fault.kind, fault.message)
            await self._call.sink.refuse(
                Refused(fault.kind, outcome.status, fault.message, fault.param)
            )
            return outcome
        except (DatabaseAway, DatabaseRefused):
            # An infrastructure failure is never told as 401, 402 or 403.
            return await self._refuse_overloaded()
        finally:
            self._call.deadline.stop()

    # ---- before the upstream

    def _read(self, raw: bytes) -> ChatFacts:
        try:
            return openai_request.read(raw)
        except RequestFault as fault:
            # The order of the contract: whether the model exists comes before its other fields.
            if fault.param not in (None, "model"):
                named = read_body(raw).value("model")
                if named is not None and named.startswith(b'"'):
                    self._check_model(msgspec.json.decode(named, type=str))
            raise

    def _check_model(self, model: str) -> None:
        # A pattern meets names that are longer than any catalogue's, and than a row has room for.
        if len(model) > MODEL_LENGTH_MAX or not self._call.snapshot.routes_of(model):
            raise RequestFault("model_not_found", "model", "", model=model)
        if not self._call.principal.may_use(model):
            raise RequestFault("permission", "model", f"model {model}")

    def _route(self, facts: ChatFacts) -> list[Candidate]:
        """The channels that may answer, best first; the price that holds for all of them."""
        call, snapshot = self._call, self._call.snapshot
        self._check_model(facts.model)
        candidates = snapshot.only_candidate(facts.model) or plan(
            facts.model, snapshot.routes_of(facts.model), seed=random.getrandbits(64)
        )
        self._price = snapshot.price_of(facts.model)
        if self._price is not None:
            limits = (call.max_cost_nano, facts.max_cost_nano)
            self._sizing = Sizing(
                facts,
                self._price,
                [snapshot.channels[candidate.channel_id] for candidate in candidates],
                assumed_cap=call.parts.config.output_tokens_assumed,
                max_cost_nano=min((limit for limit in limits if limit is not None), default=None),
            )
        elif snapshot.unpriced_models == "reject":
            raise RequestFault("model_unpriced", "model", "", model=facts.model)
        return candidates

    async def _admit(
        self, facts: ChatFacts, candidate: Candidate, n: int, size: Size, replaces: Resolved | None
    ) -> Attempt:
        """Place the hold of an attempt. Raises RequestFault when the wallet or the key says no."""
        call, sizing = self._call, self._sizing
        channel = call.snapshot.channels[candidate.channel_id]
        available_nano = 0
        for _ in range(_SHRINK_TRIES):
            attempt_id = new_id()
            opened = AttemptOpened(
                call.principal.organisation_id,
                attempt_id,
                call.request_id,
                n,
                call.principal.team_id,
                call.principal.key_id,
                call.principal.user_id,
                facts.model,
                channel.uuid,
                channel.name,
                candidate.upstream_model,
                DIALECT,
                OPERATION,
                facts.stream,
                call.source,
                None if self._price is None else self._price.id,
                size.hold_nano,
            )
            ttl_seconds = int(channel.timeouts.total) + call.parts.config.hold_margin_s
            verdict = await call.parts.books.admit(Asked(opened, ttl_seconds, replaces))
            replaces = None
            if verdict.word == "admitted":
                bytes_max = None if sizing is None else sizing.output_bytes_max
                return Attempt(call, facts, candidate, attempt_id, size, self._price, bytes_max)
            if verdict.word == "key_gone":
                raise RequestFault("authentication", None, "")
            available_nano = verdict.available_nano
            smaller = None if sizing is None else sizing.within(available_nano)
            if smaller is None:
                break
            size = smaller
        needed, available = format_usd(size.hold_nano), format_usd(available_nano)
        what = f"team balance is used up (needed {needed} USD, available {available} USD)"
        raise RequestFault("insufficient_balance", None, what)

    # ---- attempts

    async def _try(self, facts: ChatFacts, candidates: list[Candidate]) -> Outcome:
        """One attempt after the other until one answers, the table says stop, or none is left."""
        size = Size(0, None) if self._sizing is None else self._sizing.first()
        candidate, fresh = candidates[0], False
        made: list[Candidate] = []
        failures: list[UpstreamFailed] = []
        replaces: Resolved | None = None
        while True:
            try:
                attempt = await self._admit(facts, candidate, len(made) + 1, size, replaces)
            except (DatabaseAway, DatabaseRefused):
                if replaces is not None:
                    self._settle_final(replaces, 503, "overloaded", message_of("overloaded"))
                raise
            except asyncio.CancelledError:
                # Whether or not the hold is being placed: admission writes the record.
                if self._call.deadline.caught() is None:
                    raise
                return self._call.plain_outcome(499, "client_closed", CLIENT_CLOSED)
            made.append(candidate)
            self._attempt = attempt
            try:
                return await attempt.go(fresh=fresh)
            except UpstreamFailed as failure:
                failures.append(failure)
            self._attempt = None
            again = self._again(candidates, made, failures)
            if again is None:
                return await self._give_up(attempt, failures)
            replaces = attempt.failed(failures[-1], final=False)
            if again[0] == candidate and not again[1]:
                try:
                    await asyncio.sleep(random.uniform(0, _BACKOFF_S * 2 ** len(made)))
                except asyncio.CancelledError:
                    if self._call.deadline.caught() is None:
                        raise
                    self._settle_final(replaces, 499, "client_closed", CLIENT_CLOSED)
                    return self._call.plain_outcome(499, "client_closed", CLIENT_CLOSED)
            candidate, fresh = again

    def _again(
        self,
        candidates: Sequence[Candidate],
        made: Sequence[Candidate],
        failures: Sequence[UpstreamFailed],
    ) -> tuple[Candidate, bool] | None:
        """The candidate of the next attempt, and whether it needs a fresh connection."""
        last = failures[-1].fault
        row = FAULTS[last]
        call = self._call
        total_s = call.snapshot.channels[made[-1].channel_id].timeouts.total
        if call.silent or row.next == "never":
            return None
        if call.time() - call.began > total_s * _LAST_START_SHARE:
            return None
        times = sum(failure.fault == last for failure in failures)
        if row.next == "once" and times > 1:
            return None
        if row.next == "resend" and times == 1 and len(made) < ATTEMPTS_MAX:
            return made[-1], True
        closed = {
            tried.channel_id
            for tried, failure in zip(made, failures, strict=True)
            if FAULTS[failure.fault].health in _CHANNEL_OUT
        }
        found = next_candidate(candidates, made, closed=closed)
        return None if found is None else (found, False)

    async def _give_up(self, attempt: Attempt, failures: Sequence[UpstreamFailed]) -> Outcome:
        """Answer with the last failure, or the one that the contract prefers to it."""
        kind = final_kind([failure.kind for failure in failures])
        told = next(failure for failure in reversed(failures) if failure.kind == kind)
        ended = attempt.failed(failures[-1], final=True)
        if self._call.silent:
            self._settle_final(ended, 499, "client_closed", CLIENT_CLOSED)
            return self._call.plain_outcome(499, "client_closed", CLIENT_CLOSED)
        self._settle_final(ended, told.status, kind, told.message)
        waits = [failure.retry_after_ms for failure in failures if failure.retry_after_ms]
        await self._call.sink.refuse(
            Refused(
                kind, told.status, told.message, told.param, told.code, min(waits, default=None)
            )
        )
        return self._call.plain_outcome(told.status, kind, told.message, basis=ended.ending.basis)

    # ---- books

    def _settle_final(self, ended: Resolved, status: int, kind: ErrorKind, message: str) -> None:
        """Write the end of the last attempt as the end of its request."""
        ending: Ending = ended.ending._replace(
            final=True, status=status, kind=kind, message=message
        )
        self._call.parts.books.settle(ended._replace(ending=ending))

    def _note(self, status: int, kind: ErrorKind, message: str) -> Outcome:
        facts = self._facts
        model, stream = ("", False) if facts is None else (facts.model, facts.stream)
        return self._call.note(status, kind, message, model, stream=stream)

    async def _refuse_overloaded(self) -> Outcome:
        message = message_of("overloaded")
        await self._call.sink.refuse(Refused("overloaded", 503, message, retry_after_ms=1000))
        return self._call.plain_outcome(503, "overloaded", message)
