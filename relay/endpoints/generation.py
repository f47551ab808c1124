"""Requests that a model, or a service of media tasks, answers: this reads the body, and `Run`
answers it."""

from collections.abc import Awaitable, Callable

import msgspec

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.json.forms import FormFile, object_of
from lib.process.asgi import Receive
from relay.answers.idempotency import IdempotentRequest
from relay.attempts.cached_run import CachedRun
from relay.attempts.run import Run
from relay.content_log.recorded_answer import RepeatableAnswer
from relay.context.context import RequestContext
from relay.context.records import record_refusal
from relay.downstream.error_answers import answer_to
from relay.endpoints.background import answer_in_background, background_body
from relay.endpoints.estimate import answer_estimate
from relay.endpoints.several_prompts import Prompts
from relay.front.request import Endpoint, Request, watch_client
from relay.media import task_answers
from relay.operations.media_operation import MediaOperation
from relay.operations.sourced_operation import SourcedOperation, about_its_source
from relay.operations.video_operations import Remix
from relay.requests.body import TooLarge
from relay.requests.form_body import FORM_BYTES_MAX, read_form
from relay.requests.headers import read_headers
from relay.requests.invocation import Invocation
from relay.requests.outcome import Outcome
from relay.requests.uploads import Form
from relay.states.background_forms import BACKGROUND_KINDS

_FindSource = Callable[[Request, Invocation, bytes], Awaitable[Invocation]]
"""Returns the invocation with the earlier task that it refers to. Raises the same exceptions as a
handler.
"""


async def generate(
    request: Request,
    find_source: _FindSource | None = None,
    estimated: tuple[Endpoint, Invocation] | None = None,
) -> None:
    """Answer a request to a model or to a service of media tasks; with `estimated`, only answer
    what it would hold there. `find_source` finds the earlier task that the path names."""
    endpoint, invocation = estimated or (request.endpoint, request.invocation)
    bytes_max = FORM_BYTES_MAX if endpoint.takes_form else endpoint.body_bytes_max
    lines = request.scope["headers"]
    headers = read_headers(lines, bytes_max, takes_form=endpoint.takes_form)
    form = Form() if headers.form_type else None
    try:
        if form is None:
            invocation, raw = _in_usual_form(invocation, await request.read_body(headers))
        else:
            config = request.life.config
            await read_form(request.receive, headers.form_type, headers.length, config, form)
            invocation, raw = _with_form(invocation, form, endpoint.body_bytes_max)
            await request.refresh()
        if find_source is not None:
            invocation = await find_source(request, invocation, raw)
        elif invocation.unary is not None and isinstance(invocation.unary, SourcedOperation):
            invocation = await _find_source(request, invocation, invocation.unary, raw)
        context = request.make_context(invocation, request.options_of(headers))
        if estimated is not None:
            await answer_estimate(request, context, raw)
            return
        if invocation.operation in BACKGROUND_KINDS and (body := background_body(raw)) is not None:
            await answer_in_background(request, context, body, headers)
            return
        rule, cached = request.principal.cache, None
        run: Run | Prompts
        if invocation.operation == "completions":
            run = Prompts(context)
        elif rule is None:
            run = Run(context)
        else:
            path, stores = request.scope["path"], headers.stores
            run = cached = CachedRun(context, rule, path, raw, stores=stores)
        recorded: RepeatableAnswer | None = None
        outcome: Outcome | None
        if request.principal.log_rules:
            log, stores = request.life.content_log, headers.stores
            recorded = RepeatableAnswer(request.sink, context, log, raw, run, stores=stores)
        if (key := headers.idempotency_key) is None:
            with Registration(request, run, run.leave):
                outcome = await run.answer(raw)
        else:
            files = b"" if form is None else await form.digest()
            store, sink = request.life.idempotent_requests, recorded or request.sink
            idempotent = IdempotentRequest(store, context, sink, key, raw, files)
            outcome = await _answer_once(request, context, run, raw, idempotent)
        if recorded is not None and outcome is not None:
            await recorded.end(outcome, form)
        if cached is not None and outcome is not None:
            await cached.store(outcome)
    finally:
        if form is not None:
            form.close()


async def estimate(request: Request, endpoint: Endpoint, invocation: Invocation) -> None:
    """Answer what a request to another endpoint with this body would hold. Raises RequestFault like
    sending it, except for lack of money."""
    request.check_use(endpoint)
    await generate(request, estimated=(endpoint, invocation))


async def remix_video(request: Request) -> None:
    """Remix the video that the path names."""
    await generate(request, _find_remix_source)


async def count_tokens(request: Request) -> None:
    """Answer with the number of tokens of the request in the body."""
    headers = request.read_headers()
    raw = await request.read_body(headers)
    invocation, raw = _in_usual_form(request.invocation, raw)
    context = request.make_context(invocation, request.options_of(headers))
    run = Run(context)
    with Registration(request, run, run.leave):
        await run.count_tokens(raw)


async def refuse_not_implemented(request: Request) -> None:
    """Record a request to an endpoint that is not implemented, and raise RequestFault."""
    fault = RequestFault("not_implemented", None, "")
    record_refusal(request.make_context(request.invocation), answer_to(fault), "", stream=False)
    raise fault


def _in_usual_form(invocation: Invocation, raw: bytes) -> tuple[Invocation, bytes]:
    """Return the request of a cloud's client as others send it. Raises RequestFault."""
    raw, lines = invocation.codec.standard_request(raw, invocation.target)
    if lines:
        headers = (*invocation.headers, *lines)
        invocation = msgspec.structs.replace(invocation, headers=headers)
    return invocation, raw


async def _find_source(
    request: Request, invocation: Invocation, sourced: SourcedOperation, raw: bytes
) -> Invocation:
    life = request.life
    unary = await about_its_source(
        sourced,
        life.parts.states,
        request.principal,
        raw,
        key=request.credentials.key or "",
        hook_networks=life.config.hook_networks,
    )
    return msgspec.structs.replace(invocation, unary=unary)


async def _find_remix_source(request: Request, invocation: Invocation, raw: bytes) -> Invocation:
    states, task_id = request.life.parts.states, request.task_id
    source = await task_answers.source_of(states, request.principal, task_id)
    target = Target(source.model, task=task_id)
    return msgspec.structs.replace(invocation, target=target, unary=Remix(source))


def _with_form(invocation: Invocation, form: Form, bytes_max: int) -> tuple[Invocation, bytes]:
    """Return the invocation for a form, and the body: the form's texts, with its pictures if the
    operation forwards no files. Raises RequestFault."""
    operation = invocation.unary
    if not isinstance(operation, MediaOperation):
        if (size := sum(file.size for file in form.files)) > bytes_max // 2:
            raise TooLarge(size, bytes_max // 2)
        for file in form.files:
            file.check("image")
        pictures = [
            FormFile(file.name, file.media_type, b"".join(file.pieces())) for file in form.files
        ]
        return invocation, object_of(form.texts, pictures)
    raw = operation.members_of(form)
    return msgspec.structs.replace(invocation, unary=operation.of_form(form)), raw


async def _answer_once(
    request: Request,
    context: RequestContext,
    run: Run | Prompts,
    raw: bytes,
    idempotent: IdempotentRequest,
) -> Outcome | None:
    """Answer, or replay the stored answer of an earlier request with the same idempotency key (P5).
    Return None if nothing was run."""
    outcome = None
    try:
        with Registration(request, run, idempotent.leave):
            if await idempotent.claim():
                context.downstream.record(idempotent)
                outcome = await run.answer(raw)
    finally:
        await idempotent.close()
    return outcome


class Registration:
    """Registers a request while it runs, so that it is notified when its client leaves or its key
    ends. `receive` returns the client's messages that nobody else reads."""

    __slots__ = ("_run", "_running", "_watch")

    def __init__(
        self,
        request: Request,
        run: Run | Prompts,
        leave: Callable[[], None],
        receive: Receive | None = None,
    ) -> None:
        self._run, self._running = run, request.life.running
        self._watch = watch_client(request, leave, receive)
        self._running.enter(run, request.principal)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *raised: object) -> None:
        self._running.leave(self._run)
        if self._watch is not None:
            self._watch.stop()
