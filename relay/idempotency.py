"""Idempotency-Key: a request that is sent again gets the answer of the first, paid once (P5).

    free --claim--> RUNNING --answered--> ENDED --24 h--> free
      RUNNING --refused, nothing was spent--> free for the same body
      RUNNING --its process dies before the answer began--> free for the same body
      RUNNING --its process dies later--> what was kept and then an error, however often it is asked

Another body is refused for as long as the key is known, whatever became of the first.

The database decides who runs, in one statement. The end of an answer is kept before the answer is
settled and before its client hears it: what is paid can be had again, whatever dies when. A stream
is kept piece by piece, so that a second request is told it from its first event while it runs, by
any process. A client that leaves does not end such a request: it may come back.

Where the content may not be kept (`store: false`, retention 0) only the use of the key is: what
comes again is refused, and not run again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from hashlib import sha256
from typing import Final, Protocol
from uuid import UUID

from dialects.body import read_body
from dialects.errors import RequestFault, message_of
from lib.ids import id_text
from lib.vault import VaultError
from relay.database import DatabaseAway, DatabaseRefused
from relay.downstream import ErrorAnswer, Head, Sink
from relay.idempotent_answer import LOOK_S, AnswerKeeper, IdempotentAnswer, KeyUse, RunnerDied
from relay.request_context import RequestContext
from relay.state_store import StateStore, may_keep

log = logging.getLogger(__name__)

NAME: Final = "idempotency-key"
LENGTH_MAX: Final = 128
_RENEW_S: Final = 5.0


class Replayer(Sink, Protocol):
    """A client that can be told the answer of an earlier request."""

    def replay(self, request_id: UUID) -> None:
        """What follows is the answer of that request."""


def body_digest(operation: str, path: Sequence[object], raw: bytes) -> bytes:
    """What must be the same for two requests to be one: what is asked, and every byte of it."""
    words = "|".join([operation, *map(str, path)])
    return sha256(words.encode(errors="surrogatepass") + b"\0" + raw).digest()


def read_key(value: bytes) -> str:
    """The client's key. Raises RequestFault."""
    text = value.decode("latin-1").strip()
    if not 1 <= len(text) <= LENGTH_MAX:
        what = f"Idempotency-Key must have between 1 and {LENGTH_MAX} characters"
        raise RequestFault("invalid_value", NAME, what)
    return text


class IdempotentRequests:
    """The keys that requests of this process run under."""

    def __init__(self, states: StateStore) -> None:
        self.states = states
        self._running: set[IdempotentAnswer] = set()
        self._renewing: asyncio.Task[None] | None = None

    def enter(self, answer: IdempotentAnswer) -> None:
        """Renew the claim until `leave`."""
        self._running.add(answer)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    def leave(self, answer: IdempotentAnswer) -> None:
        self._running.discard(answer)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            if not self._running:
                self._renewing = None
                return
            try:
                await self.states.run([answer.renewal() for answer in self._running])
            except (DatabaseAway, DatabaseRefused) as error:
                log.warning("claims of idempotency keys are not renewed: %s", error)


class IdempotentRequest:
    """One request with a key. It stands between the run and its client, and keeps what passes."""

    def __init__(
        self,
        requests: IdempotentRequests,
        context: RequestContext,
        client: Replayer,
        key: str,
        raw: bytes,
    ) -> None:
        invocation, principal = context.invocation, context.principal
        body = read_body(raw)
        digest = body_digest(invocation.operation, invocation.target, raw)
        self._requests = requests
        self._client = client
        self._answer = IdempotentAnswer(requests.states, principal, key, context.request_id, digest)
        self._streams = invocation.target.stream or body.value("stream") == b"true"
        self._keeps = may_keep(principal, body)
        self._keeper = AnswerKeeper(self._answer, content=self._keeps)
        self._claimed = False
        self.gone = False

    # ---- before

    async def claim(self) -> bool:
        """Whether this request is the one that runs. Otherwise it has been answered.

        Raises RequestFault, DatabaseAway, DatabaseRefused.
        """
        while not self.gone:
            self._claimed, use = await self._answer.claim()
            if self._claimed:
                self._requests.enter(self._answer)
                return True
            if use is not None and await self._answer_again(use):
                return False
            await asyncio.sleep(LOOK_S)
        return False

    async def _answer_again(self, use: KeyUse) -> bool:
        """Answer what somebody else's request has been answered; False: it is to be asked again."""
        if not use.same_body:
            what = "the Idempotency-Key was used with another body: use a new key for a new request"
            raise RequestFault("idempotency_mismatch", NAME, what)
        running = use.state == "running"
        if use.state == "not_kept" or (running and not use.alive and use.head is None):
            what = (
                f"the answer to this Idempotency-Key was not kept; request "
                f"{id_text(use.request_id)} is in the log"
            )
            raise RequestFault("unsupported_capability", NAME, what)
        if running and (not self._streams or not self._keeps):
            what = "the request with this Idempotency-Key is still running: retry when it has ended"
            raise RequestFault("conflict", NAME, what)
        if use.head is None:
            return False
        await self._replay(use)
        return True

    async def _replay(self, use: KeyUse) -> None:
        try:
            kept = await self._answer.read_head(use)
            self._client.replay(use.request_id)
            if kept.stream:
                await self._client.begin(kept.head)
            whole: list[bytes] = []
            async for raw, last in self._answer.read_pieces(use.request_id, lambda: not self.gone):
                if kept.stream:
                    await self._client.write(raw, last=last)
                else:
                    whole.append(raw)
            if not kept.stream:
                await self._client.answer(kept.head, b"".join(whole))
        except (VaultError, RunnerDied):
            # Its process died in the middle, or its KEK is gone.
            await self._client.refuse(ErrorAnswer("internal", 500, message_of("internal")))

    # ---- the sink of the run

    def leave(self) -> None:
        """The client has gone; its request goes on, for it may come back."""
        self.gone = True

    async def refuse(self, error: ErrorAnswer) -> None:
        """Nothing was spent: the key is free again for the same body."""
        await self._keeper.release()
        if not self.gone:
            await self._client.refuse(error)

    async def answer(self, head: Head, raw: bytes) -> None:
        if not self.gone:
            await self._client.answer(head, raw)

    async def begin(self, head: Head) -> None:
        await self._keeper.begin(head)
        if not self.gone:
            await self._client.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        if last:
            await self._keeper.end(raw)
        else:
            self._keeper.piece(raw)
        if not self.gone:
            await self._client.write(raw, last=last)

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        self._keeper.piece(raw)
        return None if self.gone else self._client.write_now(raw)

    # ---- the recorder of its answer

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        await self._keeper.whole(head, raw)

    async def keep_end(self, raw: bytes) -> None:
        await self._keeper.end(raw)

    async def close(self) -> None:
        """The run is over: whatever became of it, nobody waits for it any more."""
        if self._claimed:
            await self._keeper.close()
            self._requests.leave(self._answer)
