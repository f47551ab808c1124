"""The relay as an ASGI application; for our own pages: `in_process.py`.

What is asked is read here, with who asks it; what happens then is `run.py`.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Final, NamedTuple

import msgspec

from accounts.keys.last_uses import LAST_USES
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.json.forms import FormFile, object_of
from dialects.media import jimeng
from gateway.media_tasks.content_links import is_signed
from lib.ids import id_text, new_id
from lib.process.asgi import HEED, Receive, Scope, Send
from lib.process.log_context import REQUEST_ID
from relay.answers import look_ups
from relay.answers.idempotency import IdempotentRequest
from relay.answers.state_store import StateStore
from relay.attempts.run import Run
from relay.config import RelayConfig
from relay.credentials.keys import Credentials, Principal, read_credentials
from relay.endpoints import Endpoint, find_endpoint, read_invocation
from relay.front.cors import PREFLIGHT
from relay.front.downstream import ErrorAnswer
from relay.front.error_answers import answer_to, too_busy
from relay.front.http_sink import HttpSink
from relay.front.in_process import InProcessRelay
from relay.front.request_body import BodyFields, ClientGone, read_body, read_body_fields, too_large
from relay.ledger.database import DatabaseAway, DatabaseRefused
from relay.ledger.writer import LedgerWriter
from relay.lifespan import Lifespan
from relay.media.answers import (
    midjourney_answers,
    midjourney_picture,
    task_answers,
    task_content,
    task_events,
)
from relay.media.media_operation import MediaOperation
from relay.media.realtime.attempt import RealtimeAttempt
from relay.media.realtime.operation import session_invocation
from relay.media.realtime.sink import STOPPING_EXTENSION, RealtimeSink
from relay.media.sourced_operation import SourcedOperation, about_its_source
from relay.media.video_operations import Remix
from relay.requests.client_apps import client_app
from relay.requests.context import Invocation, RequestContext, RequestOptions, context_of_task
from relay.requests.form_body import FORM_BYTES_MAX, read_form
from relay.requests.several_prompts import Prompts
from relay.requests.uploads import Form
from relay.routing.snapshot import Snapshot
from relay.upstream.upstream import Upstreams
from usage.records.sql import ADDRESS_LENGTH

log = logging.getLogger(__name__)

# A request that ends sooner needs nobody to watch its client; a client that leaves must be noticed
# within 250 ms (P6).
_WATCH_AFTER_S: Final = 0.05
_JSON: Final = (b"content-type", b"application/json")
# A WebSocket is asked for where only HTTP is served: Codex goes on over HTTP, by the status.
_OVER_HTTP_ONLY: Final = ErrorAnswer(
    "method_not_allowed", 426, "API request failed: no WebSocket is served here; send it with POST"
)
_UPGRADE: Final = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))
# Bytes of what was made, for a key or a signed link.
_CONTENT: Final = {
    "video_content": task_content.serve,
    "midjourney_image": midjourney_picture.serve,
}
_WITHOUT_BODY: Final = frozenset(
    {"not_implemented", "realtime", "midjourney_seed", "video_events", *_CONTENT}
)


class _Caller(NamedTuple):
    """Who asks, by which credentials, as of which catalogue, and when the request came."""

    credentials: Credentials
    principal: Principal
    snapshot: Snapshot
    began: float


class Relay:
    """The data plane of one process; `in_process` is what its own pages ask."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._life: Lifespan | None = None
        self.in_process = InProcessRelay(self._started)

    @property
    def ready(self) -> bool:
        """Whether a paid request can be taken now."""
        return self._life is not None and self._life.readiness.ready

    def knows(self, model: str) -> bool:
        """Whether some channel serves this model, as far as this process has heard."""
        return self._life is not None and bool(self._life.snapshot.routes_of(model))

    def is_draining(self) -> bool:
        """Whether the process is about to end."""
        return self._life is not None and self._life.readiness.draining

    def linger_s(self) -> float:
        """For how long connections without a request are left open, once the process is about to
        end; 0 before."""
        return self._config.accept_while_draining_s if self.is_draining() else 0.0

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
        # The server cuts the requests that it carries; these are carried here.
        await self.in_process.drain(self._config.drain_s)
        await self._life.stop()

    def _started(self) -> Lifespan:
        if self._life is None:
            raise DatabaseAway("the relay has not started")
        return self._life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request on a claimed path, or carry one realtime session."""
        path, method = scope["path"], scope.get("method", "GET")
        endpoint = find_endpoint(path)
        if endpoint is not None and endpoint.handler == "model" and _calls(method, path):
            endpoint = None
        row = endpoint
        if endpoint is not None:
            endpoint = endpoint.by_method(method)
        invocation = read_invocation(endpoint, path, scope["headers"], scope["query_string"])
        make_sink = RealtimeSink if scope["type"] == "websocket" else HttpSink
        sink = make_sink(scope, send, new_id(), invocation)
        REQUEST_ID.set(sink.request_id)
        if method == "OPTIONS":
            await sink.respond(204, PREFLIGHT, b"")
        elif row is None or endpoint is None:
            await sink.unknown(path)
        elif method not in endpoint.methods:
            allow = (b"allow", row.allow.encode())
            if _asks_for_websocket(scope):
                await sink.refuse(_OVER_HTTP_ONLY, *_UPGRADE, allow)
            else:
                await sink.fault(RequestFault("method_not_allowed", None, method), allow)
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
        """Answer in turn, or refuse in a process that is too busy. Raises RequestFault, ClientGone,
        DatabaseAway, DatabaseRefused."""
        began, snapshot = life.parts.loop.time(), life.snapshot
        caller = None
        if endpoint.handler not in _CONTENT or not is_signed(
            self._config.pepper,
            sink.invocation.target.task,
            scope["query_string"],
            snapshot.now(),
        ):
            query = scope["query_string"] if endpoint.key_in_query else b""
            subprotocols = scope.get("subprotocols", ())
            credentials = read_credentials(scope["headers"], query, scope["path"], subprotocols)
            principal = await life.authenticator.principal(credentials, snapshot.now())
            caller = _Caller(credentials, principal, snapshot, began)
        asks = None if caller is None else caller.principal
        if not life.load.enter(asks):
            await sink.refuse(too_busy(life.load.come_again_ms()))
            return
        try:
            await life.turns.begin(asks)
            if caller is None:
                serve = _CONTENT[endpoint.handler]
                await serve(life.parts, life.snapshot, None, scope, receive, sink)
                return
            if life.snapshot.epoch != snapshot.epoch:
                # The key may have ended while the request waited.
                snapshot = life.snapshot
                principal = await life.authenticator.principal(credentials, snapshot.now())
                caller = _Caller(credentials, principal, snapshot, began)
            await self._answer_caller(life, endpoint, sink, scope, receive, caller)
        finally:
            life.load.leave(asks)

    async def _answer_caller(
        self,
        life: Lifespan,
        endpoint: Endpoint,
        sink: HttpSink,
        scope: Scope,
        receive: Receive,
        caller: _Caller,
    ) -> None:
        """Answer a request whose turn it is. Raises as `_answer`."""
        credentials, principal, snapshot, began = caller
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
            if invocation.unary is not None and isinstance(invocation.unary, SourcedOperation):
                unary = await about_its_source(
                    invocation.unary,
                    life.parts.states,
                    principal,
                    raw,
                    credentials.key or "",
                    self._config.hook_networks,
                )
                invocation = msgspec.structs.replace(invocation, unary=unary)
            options = _options(principal, fields, scope, user_agent)
            context = context_of_task(
                life.parts,
                snapshot,
                principal,
                sink,
                invocation,
                sink.request_id,
                options=options,
                began=began,
            )
            if endpoint.handler == "count_tokens":
                await self._carry(life, context, scope, receive, raw, counts=True)
            elif fields.idempotency_key is None:
                await self._carry(life, context, scope, receive, raw, counts=False)
            else:
                files = b"" if form is None else await form.digest()
                key = fields.idempotency_key
                await self._carry_once(life, context, sink, key, raw, scope, receive, files)
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
            case "video_content" | "midjourney_image":
                serve = _CONTENT[endpoint.handler]
                await serve(life.parts, snapshot, principal, scope, receive, sink)
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
                context = context_of_task(
                    life.parts, snapshot, principal, sink, sink.invocation, sink.request_id
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
        options = msgspec.structs.replace(options, session_id=sink.request_id)
        context = context_of_task(
            life.parts, snapshot, principal, sink, invocation, sink.request_id, options=options
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
        scope: Scope,
        receive: Receive,
        raw: bytes,
        *,
        counts: bool,
    ) -> None:
        """Run the request, or only count its tokens."""
        run = _run_of(context)
        watch = _watch(scope, receive, run)
        life.running.enter(run, context.principal)
        try:
            if counts and isinstance(run, Run):
                await run.count_tokens(raw)
            else:
                await run.answer(raw)
        finally:
            life.running.leave(run)
            if watch is not None:
                watch.stop()

    async def _carry_once(
        self,
        life: Lifespan,
        context: RequestContext,
        sink: HttpSink,
        key: str,
        raw: bytes,
        scope: Scope,
        receive: Receive,
        files: bytes,
    ) -> None:
        """Run the request, or replay the answer that it had under this key (P5)."""
        idempotent = IdempotentRequest(life.idempotent_requests, context, sink, key, raw, files)
        run = _run_of(context)
        watch = _watch(scope, receive, idempotent)
        life.running.enter(run, context.principal)
        try:
            if await idempotent.claim():
                context.downstream.record(idempotent)
                await run.answer(raw)
        finally:
            life.running.leave(run)
            if watch is not None:
                watch.stop()
            await idempotent.close()


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
    return dict(headers).get(b"user-agent", b"").decode("latin-1")


def _asks_for_websocket(scope: Scope) -> bool:
    upgrade: bytes = dict(scope["headers"]).get(b"upgrade", b"")
    return upgrade.lower() == b"websocket"


def _calls(method: str, path: str) -> bool:
    """Whether what looks like one model's address is a call of a model that is no row."""
    return method not in ("GET", "OPTIONS") and ":" in path


def _run_of(context: RequestContext) -> Run | Prompts:
    return Prompts(context) if context.invocation.operation == "completions" else Run(context)


def _watch(
    scope: Scope, receive: Receive, run: Run | Prompts | IdempotentRequest
) -> "_Watch | None":
    """Let a request hear that its client has gone; None where its server tells it so."""
    heed = scope.get(HEED)
    return None if heed is not None and heed(scope, run.leave) else _Watch(receive, run)


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
