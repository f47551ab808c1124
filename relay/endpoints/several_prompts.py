"""Several prompts in one completions request, for a model that only chats.

Each prompt is sent as a request of its own, with its own hold and record, so that each attempt is
one provider request (P1). The first has the request id that the client receives. They run one after
the other, and form one answer: the choices of prompt i have the indices from i x n on, and the
usage is added up.

The first prompt that fails ends the request. A stream has already delivered the earlier answers; a
whole answer becomes an error with the number of paid prompts.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from content.guards.masks import Masks
from dialects.chat.chat import ChatAnswer, ChatRequest
from dialects.chat.events import Event
from dialects.chat.operation import Operation
from dialects.codec import Target
from dialects.endpoints.completions import (
    answer_encode,
    request_decode,
    request_read,
    stream_encode,
)
from dialects.endpoints.completions.codec import CompletionsCodec
from dialects.endpoints.completions.request_decode import CompletionPlan
from dialects.endpoints.completions.request_read import CompletionFacts
from dialects.errors.errors import RequestFault
from dialects.errors.kinds import ErrorKind
from gateway.providers.models import capabilities_of
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from relay.answers.cost_in_answer import with_cost
from relay.attempts.request_reader import RequestReader
from relay.attempts.run import Run
from relay.context.context import RequestContext
from relay.credentials.revocation import EndReason
from relay.downstream.deadline import Deadline
from relay.downstream.downstream import Downstream, ErrorAnswer, Head
from relay.preparation.translator import has_operation
from relay.requests.outcome import Outcome

_NATIVE: Final[Operation] = "completions"


class Prompts:
    """Answers one completions request with any number of prompts."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        # The amount that the request may still cost; None without a limit.
        self._max_cost_nano = context.options.max_cost_nano
        # The current run; None between two prompts, and at the end.
        self._run: Run | None = None
        # What guards masked in all prompts: no placeholder stands for two texts.
        self._masks = Masks()
        self._model_name = ""
        self._left = False
        self._revoked: EndReason | None = None

    def leave(self) -> None:
        """Record that the client left, and send no further prompt."""
        self._left = True
        if self._run is not None:
            self._run.leave()

    @property
    def model_name(self) -> str:
        """The model's name in the catalogue, "" for an unknown one."""
        return self._model_name if self._run is None else self._run.model_name

    @property
    def session_id(self) -> UUID | None:
        """The id of the request's session, once it is known."""
        return None if self._run is None else self._run.session_id

    @property
    def failures(self) -> tuple[str, ...]:
        """The errors of the current prompt's attempts that failed."""
        return () if self._run is None else self._run.failures

    @property
    def masked(self) -> Mapping[str, str]:
        """The texts that guards masked in the prompts, by placeholder."""
        return self._masks.originals

    def revoke(self, reason: EndReason = "revoked") -> None:
        """Stop the current run because the key or session has ended, and admit no further
        prompt."""
        self._revoked = reason
        if self._run is not None:
            self._run.revoke(reason)

    async def answer(self, raw: bytes) -> Outcome:
        """Answer the request with this body. No input of a client makes it raise."""
        try:
            plan, bodies = self._split(raw)
        except RequestFault:
            # The run refuses the body like any other request.
            bodies = []
        if len(bodies) < 2:
            self._run = Run(self._context, masks=self._masks)
            return await self._run.answer(raw)
        self._masks.reserve(raw.decode(errors="replace"))
        return await self._answer_each(_Joined(self._context, plan), bodies)

    def bodies(self, raw: bytes) -> list[bytes]:
        """Return the bodies that would be sent for this one, each with a hold of its own. Raises
        RequestFault."""
        return self._split(raw)[1] or [raw]

    def _split(self, raw: bytes) -> tuple[CompletionPlan, list[bytes]]:
        """Return the plan, and a body for each prompt; none if the request is sent whole. Raises
        RequestFault.
        """
        context = self._context
        facts = request_read.read(raw)
        plan = CompletionPlan((), 1, False, ())
        if facts.prompts < 2 or self._has_completions(facts):
            return plan, []
        plan = request_decode.decode(
            raw, request_id=id_text(context.request_id), received_at=int(context.snapshot.now())
        )
        limits = (self._max_cost_nano, facts.max_cost_nano)
        self._max_cost_nano = min((limit for limit in limits if limit is not None), default=None)
        prompts: list[msgspec.Raw] = msgspec.json.decode(
            facts.body.value("prompt") or b"[]", type=list[msgspec.Raw]
        )
        return plan, [
            facts.body.splice({"prompt": bytes(prompt), "max_cost": None}) for prompt in prompts
        ]

    def _has_completions(self, facts: CompletionFacts) -> bool:
        """Return whether a channel of the model has the completions endpoint, so that the request
        can be sent whole. Raises RequestFault."""
        snapshot = self._context.snapshot
        model = RequestReader(self._context).find_model(facts.model).name
        for route in snapshot.routes_of(model):
            channel = snapshot.channels[route.channel_id]
            known = capabilities_of(route.upstream_model or model, channel.provider, model)
            if has_operation(channel, _NATIVE, known):
                return True
        return False

    async def _answer_each(self, joined: "_Joined", bodies: list[bytes]) -> Outcome:
        charged = False
        for place, body in enumerate(bodies):
            self._run = Run(self._context_of(joined, place), masks=self._masks.of_prompt())
            if self._revoked is not None:
                self._run.revoke(self._revoked)
            outcome = await self._run.answer(body)
            self._model_name = self._run.model_name
            self._run = None
            charged = charged or outcome.is_charged
            if self._max_cost_nano is not None:
                self._max_cost_nano -= outcome.charge_nano + outcome.own_nano
            if outcome.kind is not None or self._left:
                await joined.stop(place, charged=charged)
                return outcome
            joined.charge_nano += outcome.charge_nano
        await joined.end()
        return outcome

    def _context_of(self, joined: "_Joined", place: int) -> RequestContext:
        whole, task = self._context, asyncio.current_task()
        return RequestContext(
            whole.parts,
            whole.snapshot,
            whole.principal,
            Downstream(joined, shared=True),
            Deadline(task),  # type: ignore[arg-type]
            msgspec.structs.replace(whole.invocation, codec=_OnePrompt(joined, place)),
            request_id=RequestId(new_id()) if place else whole.request_id,
            source=whole.source,
            options=msgspec.structs.replace(
                whole.options, max_cost_nano=self._max_cost_nano, include_cost=False
            ),
        )


class _Joined:
    """The sink of all prompts, which joins their answers into one."""

    def __init__(self, context: RequestContext, plan: CompletionPlan) -> None:
        self.encoder = stream_encode.Encoder(plan)
        self.answers: list[ChatAnswer] = []
        self.charge_nano = 0
        self._context = context
        self._plan = plan
        self._heads: list[Head] = []
        self._error: ErrorAnswer | None = None

    async def refuse(self, error: ErrorAnswer) -> None:
        self._error = error

    async def answer(self, head: Head, raw: bytes) -> None:
        self._heads.append(head)

    async def begin(self, head: Head) -> None:
        await self._context.downstream.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        if raw:
            await self._context.downstream.sink.write(raw, last=False)

    async def cut(self) -> None:
        """Send nothing, because a chat inside the joined answer cannot be cut."""

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        return self._context.downstream.sink.write_now(raw)

    async def stop(self, place: int, *, charged: bool) -> None:
        """Stop the joined answer, because prompt number `place` failed or the client has left.
        `charged`: it or an earlier one was charged."""
        downstream, error = self._context.downstream, self._error
        if downstream.begun and error is None:
            await downstream.sink.write(b"", last=True)
        elif error is not None:
            if place:
                what = f"prompt[{place}] failed, those before it were answered and charged"
                error = error._replace(message=f"{error.message} ({what})")
            await downstream.refuse(error, charged=charged)

    async def end(self) -> None:
        """End the joined answer after all prompts were answered."""
        context, downstream = self._context, self._context.downstream
        if downstream.begun:
            await downstream.sink.write(self.encoder.end(), last=True)
            return
        raw = answer_encode.encode(self.answers, self._plan)
        if context.options.include_cost:
            raw = with_cost(raw, self.charge_nano)
        head = msgspec.structs.replace(
            self._heads[0],
            hold_nano=sum(head.hold_nano for head in self._heads),
            cost_nano=self.charge_nano,
            attempts=sum(head.attempts for head in self._heads),
            headroom=self._heads[-1].headroom,
        )
        if downstream.recorder is not None:
            await downstream.recorder.keep_answer(head, raw)
        await downstream.sink.answer(head, raw)


class _OnePrompt(CompletionsCodec):
    """The dialect of one prompt. Its answer becomes part of the joined answer."""

    def __init__(self, joined: _Joined, place: int) -> None:
        self._joined = joined
        self._place = place

    def operation(self, target: Target, *, stream: bool) -> Operation | None:
        """Return None: an answer is decoded to be joined, so no prompt is forwarded, although a
        fallback model may have the endpoint."""
        return None

    def write_answer(self, answer: ChatAnswer, request: ChatRequest) -> bytes:
        self._joined.answers.append(answer)
        return b""

    def encoder(self, request: ChatRequest, target: Target) -> "_OneEncoder":
        return _OneEncoder(self._joined.encoder, self._place)


class _OneEncoder:
    """Writes the answer to one prompt into the joined stream."""

    def __init__(self, encoder: stream_encode.Encoder, place: int) -> None:
        self._encoder = encoder
        self._place = place

    def feed(self, event: Event) -> bytes:
        return self._encoder.feed(event, self._place)

    def end(self) -> bytes:
        return b""

    def fail(self, kind: ErrorKind, message: str, guard_code: str | None = None) -> bytes:
        return self._encoder.fail(kind, message, guard_code)
