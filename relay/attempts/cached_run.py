"""The course of a request whose answer may be served again: see `relay/answers/answer_cache.py`.

    read -> route -> find --hit--> admit for its charge -> settle -> the stored answer
                     find --miss-> as every request; then its answer is stored

A hit is a request of its own: its own id, its own record, its own hold, which is its charge.
"""

import asyncio
from typing import Final

import msgspec

from accounts.limits.answer_cache import CacheRule
from billing.prices.cached_answers import CACHED, CachedCharge
from relay.answers.answer_cache import (
    AnswerCache,
    AnswerCopy,
    CacheControl,
    Hit,
    digest_of,
    headers_of,
    is_cacheable,
    read_cache_control,
)
from relay.answers.attempt_end import dropped_text
from relay.attempts.run import Run
from relay.context.context import RequestContext
from relay.context.records import uncharged_outcome
from relay.downstream.downstream import Head
from relay.downstream.error_answers import CLIENT_CLOSED
from relay.holds.admitted_attempt import PlacedHold
from relay.ledger.settlement import Settlement
from relay.requests.outcome import Outcome
from usage.records.sql import Ending

STATUS_HEADER: Final = "cache-status"

# The flags of what guards did with an answer: a stored one is as they left it.
_OF_ANSWERS: Final = ("guard:", "masked", "guard_policy:", "guard_in:", "guard_masked:")


class CachedRun(Run):
    """Answers one request from the cache, or as every other."""

    __slots__ = ("_cache", "_control", "_copy", "_digest", "_path", "_raw", "_stores")

    def __init__(
        self,
        context: RequestContext,
        rule: CacheRule,
        path: str,
        raw: bytes,
        *,
        stores: bool,
    ) -> None:
        """`stores` is False if a header asks that nothing of the request is stored."""
        super().__init__(context)
        self._cache = AnswerCache(context.parts.states, context, rule)
        self._path, self._raw = path, raw
        self._control: CacheControl = read_cache_control(context.invocation.headers)
        self._stores = stores and self._control.stores
        self._digest = b""
        self._copy: AnswerCopy | None = None

    async def store(self, outcome: Outcome) -> None:
        """Store the answer, if it may be served again. Call it after the request has ended."""
        if self._copy is None or self._next.answering.why is not None:
            # Nothing is stored if another model answered.
            return
        guarding = self._context.guarding
        # What its guards did holds for the answer; their time and requests are of this request.
        noted = () if guarding is None else guarding.flags
        flags = tuple(flag for flag in noted if flag.startswith(_OF_ANSWERS))
        answer = self._copy.stored(self._digest, outcome, flags)
        if answer is not None:
            await self._cache.store(answer)

    async def _make_attempts(self) -> Outcome:
        """Serve the stored answer, or make attempts. Raises RequestFault, ChannelsOut,
        DatabaseFailed."""
        if not self._is_cacheable():
            self._announce("weir; fwd=bypass")
            return await super()._make_attempts()
        self._digest = self._find_digest()
        age_max = self._control.age_max
        try:
            hit = (
                None
                if age_max is not None and age_max < 0
                else await self._cache.find(self._digest)
            )
            if hit is not None and self._may_serve(hit):
                return await self._serve(hit)
        except asyncio.CancelledError:
            self._reraise_unless_left()
            return uncharged_outcome(self._context, CLIENT_CLOSED)
        self._announce(f"weir; fwd={'miss' if age_max is None else 'request'}")
        if self._stores:
            downstream = self._context.downstream
            downstream.sink = self._copy = AnswerCopy(downstream.sink)
        return await super()._make_attempts()

    def _is_cacheable(self) -> bool:
        context = self._context
        if context.guarding is not None and context.guarding.masks.originals:
            # What was masked is put back for this caller alone, and stored nowhere.
            return False
        return self._next.answering.why is None and is_cacheable(context, self._raw)

    def _find_digest(self) -> bytes:
        context, routed = self._context, self._next.answering.routed
        channels = [context.snapshot.channels[one.channel_id] for one in routed.planned]
        dialect = context.invocation.codec.name
        forwarded = frozenset[bytes]().union(
            *(channel.passed_headers.get(dialect, frozenset()) for channel in channels),
            *(channel.overrides.passed for channel in channels if channel.overrides is not None),
        )
        headers = headers_of(context.invocation.headers, forwarded)
        return digest_of(context, self._path, routed.model.name, headers, self._raw)

    def _may_serve(self, hit: Hit) -> bool:
        age_max = self._control.age_max
        return age_max is None or hit.age_s <= age_max

    def _announce(self, status: str, *more: tuple[str, str]) -> None:
        downstream = self._context.downstream
        downstream.notices = (*downstream.notices, (STATUS_HEADER, status), *more)

    # ---- a hit

    async def _serve(self, hit: Hit) -> Outcome:
        """Serve a stored answer. Raises RequestFault, DatabaseFailed."""
        context, answer = self._context, hit.answer
        rule = context.principal.cache
        percent = 100 if rule is None else rule.price_percent
        charge = CachedCharge(answer.request_id, answer.charge_nano, percent)
        hold = await self._next.answering.holds.place_cached(charge.nano)
        outcome = Outcome(
            request_id=context.request_id,
            status=200,
            kind=None,
            message="",
            finish_reason=answer.finish_reason,
            meters={},
            charge_nano=charge.nano,
            basis=CACHED,
            hold_nano=charge.nano,
            ttft_ms=context.elapsed_ms(),
            total_ms=context.elapsed_ms(),
        )
        downstream = context.downstream
        self._announce(f"weir; hit; ttl={hit.left_s}", ("age", str(hit.age_s)))
        head = Head(
            answer.content_type,
            charge.nano,
            None,
            charge.nano,
            answer.dropped,
            hold.headroom,
            notices=downstream.notices,
        )
        try:
            if answer.stream:
                await downstream.begin(head)
            if downstream.recorder is not None:
                keep = downstream.recorder
                await (
                    keep.keep_end(answer.raw)
                    if answer.stream
                    else keep.keep_answer(head, answer.raw)
                )
        finally:
            # Nothing of it is charged twice, and the hold is never left open.
            self._settle_hit(hold, outcome, charge, hit)
        context.deadline.stop()
        if not downstream.client_gone:
            if answer.stream:
                await downstream.write(answer.raw, last=True)
            else:
                await downstream.sink.answer(head, answer.raw)
        return outcome

    def _settle_hit(
        self, hold: PlacedHold, outcome: Outcome, charge: CachedCharge, hit: Hit
    ) -> None:
        context, guarding = self._context, self._context.guarding
        flags = context.options.flags
        if guarding is not None:
            flags = (*flags, *guarding.flags)
        ending = Ending(
            final=True,
            status=200,
            finish_reason=outcome.finish_reason,
            charge_nano=outcome.charge_nano,
            basis=CACHED,
            ttft_ms=outcome.ttft_ms,
            total_ms=outcome.total_ms,
            flags=(*flags, *(flag for flag in hit.answer.flags if flag not in flags)),
            cost_nano=0,
            dropped=dropped_text(hit.answer.dropped),
            address=context.options.address,
            pricing=msgspec.json.encode(charge.pricing()).decode(),
        )
        settlement = Settlement(
            organisation_id=hold.principal.organisation_id,
            attempt_id=hold.attempt_id,
            state="settled",
            ending=ending,
            included_nano=0,
        )
        context.parts.ledger.settle(settlement, at_once=hold.settles_at_once)
