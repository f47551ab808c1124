"""A live connection between a client and Google: messages pass unchanged, and each answer is held
before it can begin and settled by the usage that follows it.

    client --turnComplete, input, toolResponse--> a hold is placed --> upstream
    upstream --content, toolCall--> uses the hold; without one, one is placed first
             --usageMetadata--> the answer so far is settled by it; Google bills each of them
             --turnComplete without usage--> usage is awaited briefly, then counted here
    whatever ends the connection --> the client gets a close with its reason --> usage is awaited
        briefly, because an answer cannot be cancelled --> settled
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from dialects.json.request_members import unpriced_members
from dialects.realtime import gemini_live as live
from dialects.realtime.gemini_live import ClientMessage, LiveResponse
from dialects.realtime.realtime import Response
from gateway.providers.suffixes import RequestedModel
from lib.process.waiting import timeout
from relay.answers.abandoned import USAGE_AFTER_TEXT_S
from relay.catalogue.snapshot import Snapshot
from relay.context.context import RequestContext
from relay.downstream.deadline import Reason
from relay.downstream.error_answers import answer_to
from relay.health.channel_health import HealthProbe
from relay.health.channels_out import ChannelsOut
from relay.holds.admitted_attempt import AdmittedAttempt
from relay.realtime.connection import RealtimeConnection
from relay.realtime.connection_holds import EventRefused, RealtimeOver
from relay.realtime.connection_life import CONNECTION_IDLE_S
from relay.realtime.conversation import Conversation
from relay.realtime.gemini_live.handles import Handle, seal_handle
from relay.realtime.gemini_live.operation import LiveOrder
from relay.realtime.gemini_live.talk_messages import (
    record_answered,
    record_heard,
    record_sent,
    record_setup,
)
from relay.realtime.holds import ResponseHolds
from relay.realtime.response import MeteredResponse
from relay.realtime.sink import RealtimeSink
from relay.routing.model_products import unpriced_members_fault
from relay.upstream.failures import upstream_failure
from relay.upstream.websocket import SocketLost, UpstreamSocket

# The id of the only running answer, because Google gives answers no id.
_TURN: Final = "turn"
# A picture in the highest resolution (ai.google.dev, "Media resolution", 2026-11).
_PICTURE_TOKENS: Final = 1_120


class LiveConnection(RealtimeConnection):
    """Relays one live connection. `opening` is the provider's first message."""

    def __init__(
        self,
        context: RequestContext,
        admitted: AdmittedAttempt,
        probe: HealthProbe,
        first: MeteredResponse,
        socket: UpstreamSocket,
        sink: RealtimeSink,
        newest: Callable[[], Snapshot],
        stopping: asyncio.Event,
        order: LiveOrder,
        opening: bytes,
    ) -> None:
        super().__init__(
            context=context,
            admitted=admitted,
            probe=probe,
            first=first,
            socket=socket,
            sink=sink,
            newest=newest,
            stopping=stopping,
            fixed=None,
        )
        self._newest = newest
        self._token = order.token
        self._is_fixed = order.is_fixed
        self._opening = opening
        if self._talk is not None:
            record_setup(self._talk, order.setup.members)
        self._session_id = live.session_id(live.read_server_message(opening))
        self._conversation: LiveConversation = LiveConversation(order.context_tokens)
        limit = first.bound.output_tokens if first.output_cap is None else first.output_cap
        self._holds = ResponseHolds(
            context,
            admitted.facts.model,
            self._connection_holds,
            first,
            self._conversation,
            limit,
        )
        # The turn was interrupted by the client.
        self._interrupted = False
        # The client's functions are called, and it has not answered.
        self._client_works = False
        # The turn is over, and its usage has not come; then that its usage may still come, but the
        # turn is settled.
        self._usage_due: asyncio.TimerHandle | None = None
        self._settled_without_usage = False
        self._goodbye = False

    async def _begin_connection(self) -> None:
        await self._sink.accept(self._admitted.head(self._context, None))
        await self._sink.send_text(self._opening.decode())

    # ---- from the client

    async def _from_client(self) -> None:
        while True:
            try:
                raw = (await self._sink.receive() or "").encode()
                message = live.read_client_message(raw)
                await self._admit_message(message)
            except (RequestFault, ChannelsOut) as fault:
                raise RealtimeOver(answer_to(fault)) from None
            except EventRefused as limited:
                raise RealtimeOver(limited.error) from None
            try:
                async with timeout(self._stall_s):
                    await self._socket.send(raw)
            except TimeoutError:
                raise upstream_failure("F13", seconds=int(self._stall_s)) from None
            self._note_message(message)
            if self._talk is not None:
                record_sent(self._talk, raw)

    async def _admit_message(self, message: ClientMessage) -> None:
        """Place the hold of the answer that a message may cause. Raises RequestFault, EventRefused,
        RealtimeOver."""
        if message.may_set and self._is_fixed:
            what = f"{message.kind[:60] or 'the message'} may change what the ephemeral token sets"
            raise RequestFault("invalid_value", message.kind[:60] or None, what)
        self._check_tools(message)
        if message.may_be_answered and not self._running:
            await self._holds.next(asked=True)

    def _check_tools(self, message: ClientMessage) -> None:
        """Check that the charges of a message's tools can be computed. Raises RequestFault."""
        price = self._first.meter.prices.price
        if price is None or not price.listed or bytes(message.tools) in (b"", b"null"):
            return
        body = read_body(b'{"tools":%s}' % bytes(message.tools))
        if unpriced := unpriced_members("gemini", body):
            model, public_url = (
                RequestedModel(self._first.model),
                self._context.parts.config.public_url,
            )
            raise unpriced_members_fault(model, unpriced, public_url)

    def _note_message(self, message: ClientMessage) -> None:
        self._conversation.note_message(message)
        if message.kind == "toolResponse":
            self._client_works = False
        if message.answered_at_once and not self._running:
            self._asked = True
            self._context.deadline.allow("first_content", self._admitted.first_content_s)
        elif not self._asked and not (self._running and not self._client_works):
            self._touch()

    # ---- from the upstream

    async def _take(self, raw: bytes) -> bytes:
        message = live.read_server_message(raw)
        self._goodbye = self._goodbye or message.says_goodbye
        if self._talk is not None:
            record_heard(self._talk, raw)
        if message.has_output:
            await self._begin_output()
            if self._talk is not None:
                record_answered(self._talk, _TURN, raw)
        if (response := self._running.get(_TURN)) is not None:
            has_content = self._answer(response).note_message(message)
            if not response.note_output(has_content=has_content):
                raise upstream_failure("F18", "an answer is longer than its model's limit")
        if message.interrupts:
            self._interrupted = True
        if message.calls_functions:
            self._client_works = True
        if message.usage is not None:
            await self._settle_by(message.usage)
        elif message.ends_turn and self._running and self._usage_due is None:
            loop = self._context.parts.loop
            self._usage_due = loop.call_later(USAGE_AFTER_TEXT_S, self._settle_without_usage)
        if message.ends_turn:
            self._client_works = False
        return (
            raw
            if message.handle is None
            else live.with_handle(raw, self._seal_resumption(message.handle))
        )

    async def _begin_output(self) -> None:
        """Begin an answer, unless one is in progress."""
        if self._usage_due is not None:
            # The usage of the turn before this one did not come.
            self._settle_without_usage()
        if _TURN not in self._running:
            await self._begin_answer()

    async def _begin_answer(self) -> None:
        response = await self._holds.take()
        self._running.begin(_TURN, response)
        talk = self._conversation
        response.begin(_TURN, input_meters=talk.begin(), said_bytes_ms=talk.said_bytes_ms)
        response.end.upstream_request_id = self._session_id
        if self._talk is not None:
            self._talk.put_sound()
            self._talk.begin(_TURN, response.request_id)
        self._interrupted = self._settled_without_usage = False
        self._probe.first_content()

    async def _settle_by(self, usage: bytes, *, abandoned: bool = False) -> None:
        if _TURN not in self._running:
            if self._settled_without_usage:
                # The usage comes too late: the turn was counted here.
                self._settled_without_usage = False
                return
            await self._begin_answer()
        answer = self._answer(self._running[_TURN])
        counted = answer.counted_usage(usage, self._admitted.upstream_model)
        self._finish_answer(counted, abandoned=abandoned)

    def _settle_without_usage(self) -> None:
        if _TURN in self._running:
            self._finish_answer(b"")
            self._settled_without_usage = True
            self._touch()

    def _finish_answer(self, usage: bytes, *, abandoned: bool = False) -> None:
        if self._usage_due is not None:
            self._usage_due.cancel()
            self._usage_due = None
        status = "cancelled" if self._interrupted else "completed"
        done = Response(id=_TURN, status=status, usage=msgspec.Raw(usage))
        response = self._running.end(_TURN)
        outcome = response.finish(done)
        if self._talk is not None:
            broken = self._interrupted or abandoned
            self._talk.end(_TURN, response.model, outcome, broken=broken)
        self._probe.good()
        if outcome.basis in ("measured", "drained"):
            self._conversation.end(outcome.meters)

    def _answer(self, response: MeteredResponse) -> LiveResponse:
        answer = response.meter.response
        if not isinstance(answer, LiveResponse):
            raise TypeError("the operation is no live connection")
        return answer

    def _seal_resumption(self, handle: str) -> str:
        context, channel = self._context, self._admitted.channel
        return seal_handle(
            context.parts.config.pepper,
            Handle(
                handle=handle,
                team_id=context.principal.team_id,
                channel_id=channel.uuid,
                channel_key_id=channel.key_ids[self._probe.key],
                tokens=self._conversation.tokens_max,
                token_id=None if self._token is None else self._token.id,
            ),
        )

    def _lost(self, lost: SocketLost) -> RealtimeOver:
        if self._goodbye and not self._running:
            # The provider announced that it would close.
            return RealtimeOver(None)
        return super()._lost(lost)

    # ---- times

    def _by_deadline(self, reason: Reason | None) -> RealtimeOver:
        over, token = super()._by_deadline(reason), self._token
        ended = token is not None and self._newest().now() >= token.ends_at
        if reason != "revoked" or over.error is None or not ended:
            return over
        what = "the ephemeral token has expired, and its sessions end with it"
        return RealtimeOver(over.error._replace(message=f"{over.error.message}: {what}"))

    @property
    def _is_generating(self) -> bool:
        # While functions of the client run, nobody waits for the provider.
        return super()._is_generating and not self._client_works

    def _touch(self) -> None:
        """Restart the silence timer: the client's limit while functions of the client run, else the
        provider's."""
        if self._client_works:
            self._context.deadline.allow("idle", CONNECTION_IDLE_S)
        else:
            super()._touch()

    # ---- its end

    async def _cancel_running(self) -> None:
        """Wait for the usage of the abandoned answer, because it cannot be cancelled."""
        with contextlib.suppress(SocketLost, TimeoutError, ValueError):
            async with timeout(USAGE_AFTER_TEXT_S):
                while self._running:
                    message = live.read_server_message(await self._socket.receive())
                    if message.has_output:
                        self._answer(self._running[_TURN]).note_message(message)
                    if message.usage is not None:
                        await self._settle_by(message.usage, abandoned=True)


class LiveConversation(Conversation):
    """Counts the context of one live connection, which begins with at most `context_tokens`."""

    __slots__ = ()

    input_token_ms = live.INPUT_TOKEN_MS

    def __init__(self, context_tokens: int) -> None:
        super().__init__()
        self._known = context_tokens
        self._heard["in_text"] = context_tokens
        self.said_bytes_ms = live.SAID_BYTES_MS

    def note_message(self, message: ClientMessage) -> None:
        """Count a message of the client that was forwarded."""
        self._heard_ms += message.sound_ms
        if message.pictures:
            tokens = message.pictures * _PICTURE_TOKENS
            self._heard["in_image"] = self._heard.get("in_image", 0) + tokens
            self._known += tokens
        self._heard["in_text"] += message.other_bytes // 4
        self._sent_bytes += message.other_bytes
