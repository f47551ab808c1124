"""The requests of guards to models: each is a request of its own of the same key, with its own
hold, record and charge. Its record names the application `guard`, and the record of the request
that is guarded names it in a flag.

The rules of the key about models, endpoints, guards and the content log do not apply to it, because
it is the policy that asks; its budgets and limits do. So does the data policy of the request, whose
texts it has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Protocol

from content.detectors.call import CallFailed, ModelOperation
from dialects.endpoints.codecs import CODECS
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from relay.context.context import RequestContext, context_of_task
from relay.downstream.downstream import ErrorAnswer, Head
from relay.operations.unary import MODERATIONS
from relay.requests.invocation import Invocation
from relay.requests.options import RequestOptions
from relay.requests.outcome import Outcome

APPLICATION: Final = "guard"
_INVOCATIONS: Final[Mapping[ModelOperation, Invocation]] = MappingProxyType({
    "moderations": Invocation(CODECS["openai"], "moderations", unary=MODERATIONS),
    "chat_completions": Invocation(CODECS["openai"], "chat_completions"),
})  # fmt: skip
# The requests that run on after their guard has left.
_running: set[asyncio.Task[Outcome]] = set()


class ModelRun(Protocol):
    """See `relay.attempts.run.Run`."""

    def leave(self) -> None: ...
    def answer(self, raw: bytes) -> Awaitable[Outcome]: ...


class _WholeAnswer:
    """Receives a whole answer."""

    raw: bytes = b""

    async def refuse(self, error: ErrorAnswer) -> None:
        """Keep nothing, because the outcome reports the error."""

    async def answer(self, head: Head, raw: bytes) -> None:
        self.raw = raw

    async def begin(self, head: Head) -> None:
        """Keep nothing: it is asked for a whole answer."""

    async def write(self, raw: bytes, *, last: bool) -> None:
        """See `begin`."""

    async def cut(self) -> None:
        """Keep nothing, because the outcome reports the cut."""

    def write_now(self, raw: bytes) -> None:
        """See `begin`."""


async def ask_model(
    context: RequestContext,
    new_run: Callable[[RequestContext], ModelRun],
    noted: list[str],
    operation: ModelOperation,
    body: bytes,
) -> bytes:
    """Return the whole answer of a model to a request of a guard of `context`, and note the
    request's id. Raises CallFailed.
    """
    sink, request_id = _WholeAnswer(), new_id()
    noted.append(id_text(request_id))
    principal = replace(
        context.principal, model_patterns=(), endpoints=(), guard_rules=(), log_rules=(),
        policies=(), required_labels=(),
    )  # fmt: skip
    begun: list[ModelRun] = []

    async def answer() -> Outcome:
        own = context_of_task(
            context.parts,
            context.snapshot,
            principal,
            sink,
            _INVOCATIONS[operation],
            request_id=RequestId(request_id),
            source=context.source,
            options=RequestOptions(
                labels=context.options.labels,
                data_policy=context.options.data_policy,
                client_app=APPLICATION,
                end_user=context.options.end_user,
                flags=context.options.flags,
            ),
        )
        run = new_run(own)
        begun.append(run)
        return await run.answer(body)

    task = asyncio.create_task(answer())
    _running.add(task)
    task.add_done_callback(_running.discard)
    try:
        outcome = await asyncio.shield(task)
    except asyncio.CancelledError:
        # It is late, or its client has left: the channel's terms say what is charged.
        for run in begun:
            run.leave()
        raise
    if outcome.status != 200:
        why = f"the model's request ended with {outcome.kind}"
        raise CallFailed("answer", why, outcome.kind)
    return sink.raw
