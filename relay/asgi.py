"""The relay as an ASGI application, and as a function for our own pages.

What is asked is read here, with who asks it; what happens then is `run.py`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from accounts.last_uses import LAST_USES, PLAYGROUND
from dialects import jimeng
from dialects.codec import Target
from dialects.errors import RequestFault
from dialects.forms import FormFile, object_of
from lib.asgi import Receive, Scope, Send
from lib.ids import id_text, new_id
from lib.log_context import REQUEST_ID
from relay import (
    look_ups,
    midjourney_answers,
    midjourney_picture,
    task_answers,
    task_content,
    task_events,
)
from relay.auth import Principal, read_credentials
from relay.config import RelayConfig
from relay.content_links import is_signed
from relay.cors import PREFLIGHT
from relay.database import DatabaseAway, DatabaseRefused
from relay.deadline import Deadline
from relay.downstream import Downstream, Head, Sink
from relay.endpoints import Endpoint, find_endpoint, read_invocation
from relay.error_answers import answer_to, too_busy
from relay.form_body import FORM_BYTES_MAX, read_form
from relay.hold_preview import read_bound
from relay.http_sink import HttpSink
from relay.idempotency import IdempotentRequest
from relay.labels import NO_LABELS, Labels
from relay.ledger_writer import LedgerWriter
from relay.lifespan import Lifespan
from relay.media_operation import MediaOperation
from relay.page_session import PageSession, carry_session, read_session_bound
from relay.queue_sink import QueueSink
from relay.realtime_attempt import RealtimeAttempt
from relay.realtime_operation import session_invocation
from relay.realtime_sink import STOPPING_EXTENSION, RealtimeSink
from relay.request_body import BodyFields, ClientGone, read_body, read_body_fields, too_large
from relay.request_context import (
    Bound,
    Invocation,
    Outcome,
    PageOperation,
    RequestContext,
    RequestOptions,
    Source,
)
from relay.route_preview import RoutePreview, preview_route
from relay.run import Run
from relay.sent_preview import MASK, SentPreview, preview_sent
from relay.several_prompts import Prompts
from relay.snapshot import ChannelRow, Snapshot, alone
from relay.sourced_operation import SourcedOperation, about_its_source
from relay.state_store import StateStore
from relay.task_clips import open_clip
from relay.task_content import VideoContent, open_content
from relay.uploads import Form
from relay.upstream import Upstreams
from relay.video_operations import Remix
from usage.rules.client_apps import client_app
from usage.sql import ADDRESS_LENGTH

log = logging.getLogger(__name__)

# A request that ends sooner needs nobody to watch its client; a client that leaves must be noticed
# within 250 ms (P6).
_WATCH_AFTER_S: Final = 0.05
_PAGE_PATHS: Final[Mapping[PageOperation, str]] = {
    "chat_completions": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "image_generations": "/v1/images/generations",
    "image_edits": "/v1/images/edits",
    "speech": "/v1/audio/speech",
    "transcriptions": "/v1/audio/transcriptions",
    "translations": "/v1/audio/translations",
    "videos": "/v1/videos",
    "suno_music": "/suno/submit/music",
    "suno_lyrics": "/suno/submit/lyrics",
    "midjourney_imagine": "/mj/submit/imagine",
    "midjourney_describe": "/mj/submit/describe",
    "midjourney_blend": "/mj/submit/blend",
    "midjourney_shorten": "/mj/submit/shorten",
    "midjourney_action": "/mj/submit/action",
    "midjourney_modal": "/mj/submit/modal",
}
_PAGE_INVOCATIONS: Final[Mapping[PageOperation, Invocation]] = {
    operation: read_invocation(find_endpoint(path), path, (), b"")
    for operation, path in _PAGE_PATHS.items()
}
_NO_OPTIONS: Final = RequestOptions()
# Who asks in a preview; nothing is kept for it, and nothing is found.
_NOBODY: Final = Principal(
    UUID(int=1), UUID(int=2), UUID(int=3), None, "model", (), None, False, retention_hours=0
)
_JSON: Final = (b"content-type", b"application/json")
_WITHOUT_BODY: Final = frozenset(
    {"not_implemented", "video_content", "realtime", "midjourney_seed", "video_events"}
)


class Relay:
    """The data plane of one process."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._life: Lifespan | None = None
        self._detached: set[asyncio.Task[Outcome]] = set()

    @property
    def ready(self) -> bool:
        """Whether a paid request can be taken now."""
        return self._life is not None and self._life.readiness.ready

    def knows(self, model: str) -> bool:
        """Whether some channel serves this model, as far as this process has heard."""
        return self._life is not None and bool(self._life.snapshot.routes_of(model))

    async def start(self) -> None:
        self._life = self._new_life()
        await self._life.start()

    def _new_life(self) -> Lifespan:
        return Lifespan(self._config, ledger_writer=LedgerWriter, upstreams=Upstreams())

    async def stop(self) -> None:
        """Let what runs end within the time to drain, cut the rest, and write the books."""
        if self._life is None:
            return
        self._life.readiness.draining = True
        if self._detached:
            # The server cuts the requests that it carries; these are carried here.
            _, late = await asyncio.wait(self._detached, timeout=self._config.drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._life.stop()

    # ---- for our own pages

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Principal:
        """The principal of a key without its text, as a person uses it. Raises RequestFault,
        DatabaseAway."""
        life = self._started()
        return await life.authenticator.principal_of_key(key_id, life.snapshot.now(), user_id)

    async def chat(
        self,
        principal: Principal,
        body: bytes,
        *,
        source: Source,
        request_id: UUID | None = None,
        operation: PageOperation = "chat_completions",
        labels: Labels = NO_LABELS,
        on_admission: Callable[[], None] | None = None,
        form: Form | None = None,
    ) -> AsyncGenerator[Head | bytes | Outcome]:
        """Answer a request in this process: same admission, holds and books as over HTTP. With a
        `form`, which its maker closes, the body has its texts and the form its files.

        Gives the Head and the bytes that an HTTP client would get, and the Outcome as the last
        item; a refusal is an Outcome alone. Raises RequestFault where it is about a task that is
        not there. `on_admission` is called when an attempt is admitted:
        from then on only a provider can refuse. Closing the iterator is a client that leaves: the
        channel's policy decides whether its answer is cut or read on. Whoever leaves finds the end
        in the usage record of the `request_id` that it gave.
        """
        life = self._started()
        LAST_USES.note(principal.key_id, principal.digest, "", PLAYGROUND)
        sink = QueueSink()
        request_id = request_id or new_id()
        invocation = await _of_page(life, principal, operation, form, body)
        options = RequestOptions(labels=labels, client_app=PLAYGROUND)
        make_context = partial(
            _context, life, life.snapshot, principal, sink, invocation, request_id, source, options
        )
        task = asyncio.create_task(self._chat_task(life, make_context, body, sink, on_admission))
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)
        task.add_done_callback(sink.close)
        try:
            while (item := await sink.get()) is not None:
                yield item
            yield await asyncio.shield(task)
        finally:
            if not task.done() and sink.run is not None:
                sink.run.leave()
                sink.give_way()

    async def bound(
        self,
        principal: Principal,
        body: bytes,
        *,
        max_cost_nano: int | None = None,
        operation: PageOperation = "chat_completions",
        labels: Labels = NO_LABELS,
        form: Form | None = None,
    ) -> Bound:
        """What `chat` would hold for this body now, without holding anything.

        Raises RequestFault as `chat` would refuse it, but for the money: that is in the Bound.
        DatabaseAway when the balance cannot be read.
        """
        life = self._started()
        invocation = await _of_page(life, principal, operation, form, body)
        context = _context(
            life,
            life.snapshot,
            principal,
            QueueSink(),
            invocation,
            new_id(),
            "playground",
            RequestOptions(max_cost_nano, labels),
        )
        return await read_bound(context, body, life.available_nano)

    async def session_bound(self, principal: Principal, model: str) -> Bound:
        """What a realtime session of this model would hold for its first response, without holding
        anything. Raises RequestFault, DatabaseAway."""
        return await read_session_bound(self._started(), principal, model)

    async def converse(
        self, session: PageSession, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Carry a realtime session of a page of ours to its end: same holds and books as over the
        API. What refuses it is told to the page by an event."""
        await carry_session(self._started(), session, scope, receive, send)

    async def video_content(
        self, principal: Principal, task_id: str, *, range_: bytes = b""
    ) -> VideoContent:
        """The bytes of a finished video of the principal's team, from its provider, as they come.
        Whoever asked closes it.

        Raises RequestFault where there is none, UpstreamFailed where its provider does not give it,
        DatabaseAway, DatabaseRefused.
        """
        life = self._started()
        return await open_content(life.parts, life.snapshot, principal, task_id, range_=range_)

    async def clip_content(
        self, principal: Principal, task_id: str, number: int, *, range_: bytes = b""
    ) -> VideoContent:
        """The sound of a clip of a finished song of the principal's team, in the same way; clips
        are numbered from 0."""
        life = self._started()
        return await open_clip(life.parts, life.snapshot, principal, task_id, number, range_=range_)

    async def preview_route(
        self,
        principal: Principal,
        path: str,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> RoutePreview:
        """Where this body would go, posted to that path now; nothing is sent or held. Of the
        `headers` those count that say where it may go.

        Raises RequestFault where nothing is posted to that path, DatabaseAway, DatabaseRefused.
        """
        life, endpoint = self._started(), find_endpoint(path)
        if endpoint is None or endpoint.handler not in ("chat", "unary"):
            raise RequestFault("route_not_found", None, path)
        fields = read_body_fields(headers, endpoint.body_bytes_max)
        options = RequestOptions(
            fields.max_cost_nano, fields.labels, data_policy=fields.data_policy
        )
        context = _context(
            life,
            life.snapshot,
            principal,
            QueueSink(),
            read_invocation(endpoint, path, (), b""),
            new_id(),
            options=options,
        )
        return await preview_route(context, body, life.available_nano)

    async def preview_sent(
        self, row: ChannelRow, path: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> SentPreview:
        """What a channel would be sent for this body, posted to that path with these headers by
        nobody in particular; nothing is sent, and its key is masked.

        Raises RequestFault where nothing is posted to that path, UnknownProvider and BadAddress
        where no request can be made, DatabaseAway, DatabaseRefused.
        """
        life, endpoint = self._started(), find_endpoint(path)
        if endpoint is None or endpoint.handler not in ("chat", "unary"):
            raise RequestFault("route_not_found", None, path)
        snapshot, channel = alone(life.snapshot, row, MASK if row.keys else "")
        raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers]
        invocation = read_invocation(endpoint, path, raw_headers, b"")
        context = _context(
            life, snapshot, _NOBODY, QueueSink(), invocation, new_id(), options=_NO_OPTIONS
        )
        return await preview_sent(context, channel, body)

    async def _chat_task(
        self,
        life: Lifespan,
        make_context: Callable[[], RequestContext],
        body: bytes,
        sink: QueueSink,
        on_admission: Callable[[], None] | None,
    ) -> Outcome:
        # The context belongs to the task that it is made in.
        context = make_context()
        REQUEST_ID.set(context.request_id)
        context.downstream.on_admission = on_admission
        sink.run = run = Run(context)
        life.open_requests.enter()
        life.running.enter(run, context.principal)
        try:
            return await run.answer(body)
        finally:
            life.running.leave(run)
            life.open_requests.leave()

    def _started(self) -> Lifespan:
        if self._life is None:
            raise DatabaseAway("the relay has not started")
        return self._life

    # ---- ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request on a claimed path, or carry one realtime session."""
        path, method = scope["path"], scope.get("method", "GET")
        endpoint = find_endpoint(path)
        if endpoint is not None and endpoint.handler == "model" and _calls(method, path):
            endpoint = None
        allow = b"" if endpoint is None else endpoint.allow.encode()
        if endpoint is not None:
            endpoint = endpoint.by_method(method)
        invocation = read_invocation(endpoint, path, scope["headers"], scope["query_string"])
        make_sink = RealtimeSink if scope["type"] == "websocket" else HttpSink
        sink = make_sink(scope, send, new_id(), invocation)
        REQUEST_ID.set(sink.request_id)
        if method == "OPTIONS":
            await sink.respond(204, PREFLIGHT, b"")
        elif endpoint is None:
            await sink.unknown(path)
        elif method not in endpoint.methods:
            await sink.fault(RequestFault("method_not_allowed", None, method), (b"allow", allow))
        else:
            await self._guarded(endpoint, sink, scope, receive)

    async def _guarded(
        self, endpoint: Endpoint, sink: HttpSink, scope: Scope, receive: Receive
    ) -> None:
        """Answer, whatever is raised meanwhile."""
        life = self._life
        if life is None or life.snapshot.epoch < 0:
            await sink.overloaded()
            return
        if not life.load.takes():
            await sink.refuse(too_busy())
            return
        life.open_requests.enter()
        try:
            await self._answer(life, endpoint, sink, scope, receive)
        except RequestFault as fault:
            await sink.fault(fault)
        except (DatabaseAway, DatabaseRefused):
            await sink.overloaded()
        except ClientGone:
            return
        except Exception:
            log.exception("request %s failed by a defect", id_text(sink.request_id))
            await sink.fault(RequestFault("internal", None, ""))
        finally:
            life.open_requests.leave()

    async def _answer(
        self, life: Lifespan, endpoint: Endpoint, sink: HttpSink, scope: Scope, receive: Receive
    ) -> None:
        if not endpoint.needs_key:
            await midjourney_picture.serve(life.parts, life.snapshot, scope, receive, sink)
            return
        if endpoint.handler == "video_content" and is_signed(
            self._config.pepper,
            sink.invocation.target.task,
            scope["query_string"],
            life.snapshot.now(),
        ):
            await task_content.serve(life.parts, life.snapshot, None, scope, receive, sink)
            return
        query = scope["query_string"] if endpoint.key_in_query else b""
        subprotocols = scope.get("subprotocols", ())
        credentials = read_credentials(scope["headers"], query, scope["path"], subprotocols)
        snapshot = life.snapshot
        principal = await life.authenticator.principal(credentials, snapshot.now())
        if principal.networks or principal.endpoints:
            _check_use(principal, endpoint, scope)
        endpoint = endpoint.by_action(scope["query_string"])
        user_agent = _user_agent(scope["headers"])
        LAST_USES.note(principal.key_id, principal.digest, _address(scope), user_agent)
        if endpoint.handler in look_ups.HANDLERS:
            invocation = sink.invocation
            if endpoint.handler == "jimeng_result":
                invocation = await self._with_task(invocation, endpoint, scope, receive)
            request_id = id_text(sink.request_id)
            body = await look_ups.look_up(
                life, snapshot, principal, endpoint, invocation, scope, request_id
            )
            await sink.respond(200, [_JSON], body)
            return
        began = asyncio.get_running_loop().time()
        if endpoint.handler in _WITHOUT_BODY:
            await self._answer_without_body(
                life, snapshot, principal, endpoint, sink, scope, receive, user_agent
            )
            return
        if endpoint.takes_form:
            fields = read_body_fields(scope["headers"], FORM_BYTES_MAX, takes_form=True)
        else:
            fields = read_body_fields(scope["headers"], endpoint.body_bytes_max)
        invocation, form = sink.invocation, Form() if fields.form_type else None
        try:
            if form is None:
                raw = await read_body(receive, fields.length, endpoint.body_bytes_max, self._config)
            else:
                await read_form(receive, fields.form_type, fields.length, self._config, form)
                invocation, raw = _with_form(invocation, form, endpoint.body_bytes_max)
            if life.snapshot.epoch != snapshot.epoch:
                # A body may take a minute, in which the key may have ended.
                principal = await life.authenticator.principal(credentials, life.snapshot.now())
            if endpoint.handler in look_ups.TASK_LISTS:
                body = await look_ups.list_tasks(life, principal, endpoint, raw)
                await sink.respond(200, [_JSON], body)
                return
            if endpoint.handler == "remix":
                invocation = await _with_source(life.parts.states, principal, invocation)
            if isinstance(invocation.unary, SourcedOperation):
                unary = await about_its_source(
                    invocation.unary, life.parts.states, principal, raw, credentials.key or ""
                )
                invocation = msgspec.structs.replace(invocation, unary=unary)
            options = _options(principal, fields, scope, user_agent)
            context = _context(
                life,
                snapshot,
                principal,
                sink,
                invocation,
                sink.request_id,
                options=options,
                began=began,
            )
            if endpoint.handler == "count_tokens":
                await self._carry(life, context, receive, raw, counts=True)
            elif fields.idempotency_key is None:
                await self._carry(life, context, receive, raw, counts=False)
            else:
                files = b"" if form is None else await form.digest()
                key = fields.idempotency_key
                await self._carry_once(life, context, sink, key, raw, receive, files)
        finally:
            if form is not None:
                form.close()

    async def _answer_without_body(
        self,
        life: Lifespan,
        snapshot: Snapshot,
        principal: Principal,
        endpoint: Endpoint,
        sink: HttpSink,
        scope: Scope,
        receive: Receive,
        user_agent: str,
    ) -> None:
        """Answer what is told by its path alone. Raises RequestFault, DatabaseAway,
        DatabaseRefused."""
        match endpoint.handler:
            case "video_content":
                await task_content.serve(life.parts, snapshot, principal, scope, receive, sink)
            case "realtime":
                fields = read_body_fields(scope["headers"], 0)
                options = _options(principal, fields, scope, user_agent)
                await self._converse(life, snapshot, principal, sink, scope, receive, options)
            case "midjourney_seed":
                await midjourney_answers.seed(life.parts, snapshot, principal, sink)
            case "video_events":
                states, readiness = life.parts.states, life.readiness
                await task_events.serve(
                    states, principal, sink, receive, lambda: readiness.draining
                )
            case _:
                fault = RequestFault("not_implemented", None, "")
                context = _context(
                    life, snapshot, principal, sink, sink.invocation, sink.request_id
                )
                context.record_refusal(answer_to(fault), "", stream=False)
                raise fault

    async def _converse(
        self,
        life: Lifespan,
        snapshot: Snapshot,
        principal: Principal,
        sink: HttpSink,
        scope: Scope,
        receive: Receive,
        options: RequestOptions,
    ) -> None:
        """Carry a realtime session to its end. Raises RequestFault."""
        if not isinstance(sink, RealtimeSink):
            raise RequestFault("malformed_json", None, "send Upgrade: websocket to open a session")
        invocation = session_invocation(sink.invocation, snapshot, scope)
        context = _context(
            life, snapshot, principal, sink, invocation, sink.request_id, options=options
        )
        sink.listen(receive)
        stopping = scope.get("extensions", {}).get(STOPPING_EXTENSION) or asyncio.Event()
        run = Run(context, partial(RealtimeAttempt, sink, lambda: life.snapshot, stopping))
        life.running.enter(run, principal)
        try:
            await run.answer(b"{}")
        finally:
            life.running.leave(run)

    async def _with_task(
        self, invocation: Invocation, endpoint: Endpoint, scope: Scope, receive: Receive
    ) -> Invocation:
        """With the task that a body names. Raises RequestFault, ClientGone."""
        bytes_max = endpoint.body_bytes_max
        fields = read_body_fields(scope["headers"], bytes_max)
        raw = await read_body(receive, fields.length, bytes_max, self._config)
        return msgspec.structs.replace(invocation, target=Target(task=jimeng.read_task(raw)))

    async def _carry(
        self,
        life: Lifespan,
        context: RequestContext,
        receive: Receive,
        raw: bytes,
        *,
        counts: bool,
    ) -> None:
        """Run the request, or only count its tokens."""
        run = _run_of(context)
        watch = _Watch(receive, run)
        life.running.enter(run, context.principal)
        try:
            if counts and isinstance(run, Run):
                await run.count_tokens(raw)
            else:
                await run.answer(raw)
        finally:
            life.running.leave(run)
            watch.stop()

    async def _carry_once(
        self,
        life: Lifespan,
        context: RequestContext,
        sink: HttpSink,
        key: str,
        raw: bytes,
        receive: Receive,
        files: bytes,
    ) -> None:
        """Run the request, or replay the answer that it had under this key (P5)."""
        idempotent = IdempotentRequest(life.idempotent_requests, context, sink, key, raw, files)
        run = _run_of(context)
        watch = _Watch(receive, idempotent)
        life.running.enter(run, context.principal)
        try:
            if await idempotent.claim():
                context.downstream.record(idempotent)
                await run.answer(raw)
        finally:
            life.running.leave(run)
            watch.stop()
            await idempotent.close()


def _context(
    life: Lifespan,
    snapshot: Snapshot,
    principal: Principal,
    sink: Sink,
    invocation: Invocation,
    request_id: UUID,
    source: Source = "api",
    options: RequestOptions = _NO_OPTIONS,
    began: float | None = None,
) -> RequestContext:
    """Of a request that the running task answers."""
    task = asyncio.current_task()
    return RequestContext(
        life.parts,
        snapshot,
        principal,
        Downstream(sink),
        Deadline(task),  # type: ignore[arg-type]
        invocation,
        request_id=request_id,
        source=source,
        options=options,
        began=began,
    )


async def _of_page(
    life: Lifespan, principal: Principal, operation: PageOperation, form: Form | None, body: bytes
) -> Invocation:
    """What a page of ours asks; with the files of a form, where it has one, and the task that it is
    about. Raises RequestFault, DatabaseAway, DatabaseRefused."""
    invocation = _PAGE_INVOCATIONS[operation]
    if isinstance(invocation.unary, SourcedOperation):
        states = life.parts.states
        unary = await about_its_source(invocation.unary, states, principal, body)
        return msgspec.structs.replace(invocation, unary=unary)
    if form is None or not isinstance(invocation.unary, MediaOperation):
        return invocation
    return msgspec.structs.replace(invocation, unary=invocation.unary.of_form(form))


async def _with_source(
    states: StateStore, principal: Principal, invocation: Invocation
) -> Invocation:
    """What is asked of the video that a remix begins with. Raises RequestFault."""
    task_id = invocation.target.task
    source = await task_answers.source_of(states, principal, task_id)
    target = Target(source.model, task=task_id)
    return msgspec.structs.replace(invocation, target=target, unary=Remix(source))


def _with_form(invocation: Invocation, form: Form, bytes_max: int) -> tuple[Invocation, bytes]:
    """What is asked by a form, and its texts as the body; of an operation that sends no files on,
    also its pictures. Raises RequestFault."""
    operation = invocation.unary
    if not isinstance(operation, MediaOperation):
        if (size := sum(file.size for file in form.files)) > bytes_max // 2:
            raise too_large(size, bytes_max // 2)
        for file in form.files:
            file.check("image")
        pictures = [
            FormFile(file.name, file.media_type, b"".join(file.pieces())) for file in form.files
        ]
        return invocation, object_of(form.texts, pictures)
    raw = operation.members_of(form)
    return msgspec.structs.replace(invocation, unary=operation.of_form(form)), raw


def _options(
    principal: Principal, fields: BodyFields, scope: Scope, user_agent: str
) -> RequestOptions:
    """What is wanted of a request beside its body."""
    include_cost = fields.include_cost
    return RequestOptions(
        fields.max_cost_nano,
        fields.labels,
        principal.include_cost if include_cost is None else include_cost,
        fields.data_policy,
        client_app(user_agent, fields.app_title, fields.app_address),
        _address(scope)[:ADDRESS_LENGTH] if principal.keeps_addresses else "",
    )


def _check_use(principal: Principal, endpoint: Endpoint, scope: Scope) -> None:
    """Raise RequestFault when the key is not for this address or endpoint."""
    address = _address(scope)
    if not principal.may_come_from(address):
        raise RequestFault("permission", None, f"address {address or 'unknown'}")
    if endpoint.restricted and not principal.may_call(endpoint.operation):
        raise RequestFault("permission", None, f"endpoint {endpoint.operation}")


def _address(scope: Scope) -> str:
    # The server has put in what a trusted proxy says; anybody else's word for it is not heard.
    address: str = (scope.get("client") or ("", 0))[0]
    return address


def _user_agent(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"user-agent":
            return value.decode("latin-1")
    return ""


def _calls(method: str, path: str) -> bool:
    """Whether what looks like one model's address is a call of a model that is no row."""
    return method not in ("GET", "OPTIONS") and ":" in path


def _run_of(context: RequestContext) -> Run | Prompts:
    return Prompts(context) if context.invocation.operation == "completions" else Run(context)


class _Watch:
    """Notices that the client of a running request has gone."""

    __slots__ = ("_receive", "_run", "_task", "_timer")

    def __init__(self, receive: Receive, run: Run | Prompts | IdempotentRequest) -> None:
        self._receive = receive
        self._run = run
        self._task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WATCH_AFTER_S, self._begin)

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            # How it was cancelled leads back here: until the next collection of garbage nothing of
            # the request would go, neither its body nor its answer.
            self._task = None

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # Only a closed connection gives this message: a server that stops lets answers end.
        self._run.leave()
