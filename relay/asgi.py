"""The relay as an ASGI application. Our own pages use `relay/pages/in_process.py` instead. A
request is matched to its row in `relay/endpoints/table.py`, authenticated, queued for its turn, and
answered by the row's handler.
"""

import asyncio
import logging
from typing import Final

from accounts.key_uses.last_uses import LAST_USES
from dialects.errors.errors import RequestFault
from gateway.media_tasks.content_links import is_signed
from lib.id_types import RequestId
from lib.ids import id_text, new_id
from lib.process.asgi import Receive, Scope, Send
from lib.process.log_context import REQUEST_ID
from relay.config import RelayConfig
from relay.downstream.downstream import ErrorAnswer
from relay.downstream.error_answers import MethodNotAllowed, too_busy
from relay.downstream.http_sink import PREFLIGHT, HttpSink
from relay.endpoints.table import find_endpoint, read_invocation
from relay.errors import ClientGone, DatabaseAway, DatabaseFailed
from relay.front.lifespan import Lifespan
from relay.front.request import Endpoint, Request
from relay.health.channels_out import ChannelsOut
from relay.ledger.writer import LedgerWriter
from relay.pages.in_process import InProcessRelay
from relay.realtime.gemini_live.sink import LiveSink
from relay.realtime.sink import RealtimeSink
from relay.upstream.upstream import Upstreams

log = logging.getLogger(__name__)

# A WebSocket to an endpoint that only serves HTTP. With this status, clients fall back to HTTP.
_OVER_HTTP_ONLY: Final = ErrorAnswer(
    "method_not_allowed", 426, "API request failed: no WebSocket is served here; send it with POST"
)
_UPGRADE: Final = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))


class Relay:
    """The data plane of one process; `in_process` serves its own pages."""

    def __init__(self, config: RelayConfig) -> None:
        self._config = config
        self._life: Lifespan | None = None
        self.in_process = InProcessRelay(self._require_lifespan)

    @property
    def ready(self) -> bool:
        """Whether paid requests can be accepted now."""
        return self._life is not None and self._life.readiness.ready

    def knows(self, model: str) -> bool:
        """Return whether a channel serves this model, by this process's snapshot."""
        return self._life is not None and bool(self._life.refresher.snapshot.routes_of(model))

    def is_draining(self) -> bool:
        """Return whether the process is shutting down and accepts no more requests."""
        return self._life is not None and self._life.readiness.draining

    def linger_s(self) -> float:
        """Return how long idle connections stay open during shutdown; 0 before it."""
        if self._life is None or not self._life.readiness.draining:
            return 0.0
        return self._config.accept_while_draining_s

    async def start(self) -> None:
        self._life = self._new_life()
        await self._life.start()

    def _new_life(self) -> Lifespan:
        return Lifespan(
            self._config, ledger_writer=LedgerWriter, upstreams=Upstreams(self._config.token_files)
        )

    async def stop(self) -> None:
        """Let running requests finish within the drain time, cancel the rest, and write all
        settlements.
        """
        if self._life is None:
            return
        self._life.readiness.draining = True
        # The server cancels HTTP requests; those without a client's connection are cancelled here.
        left_s = self._life.readiness.left_of(self._config.drain_s)
        await asyncio.gather(self.in_process.drain(left_s), self._life.background.drain(left_s))
        await self._life.stop()

    def _require_lifespan(self) -> Lifespan:
        if self._life is None:
            raise DatabaseAway("the relay has not started")
        return self._life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request on a claimed path, or run one realtime connection."""
        path, method = scope["path"], scope.get("method", "GET")
        row = endpoint = find_endpoint(path)
        if endpoint is not None:
            calls_model = endpoint.shows == "model" and _calls_model(method, path)
            endpoint = None if calls_model else endpoint.by_method(method)
        invocation = read_invocation(endpoint, path, scope["headers"], scope["query_string"])
        sink_class = HttpSink if scope["type"] == "http" else _socket_sink(endpoint)
        sink = sink_class(scope, send, RequestId(new_id()), invocation)
        REQUEST_ID.set(sink.request_id)
        if method == "OPTIONS":
            await sink.respond(204, PREFLIGHT, b"")
        elif row is None or endpoint is None:
            await sink.unknown(path)
        elif method not in endpoint.methods and not _is_websocket(scope, endpoint):
            if _requests_upgrade(scope):
                await sink.refuse(_OVER_HTTP_ONLY._replace(allow=row.allow), *_UPGRADE)
            else:
                await sink.fault(MethodNotAllowed(method, row.allow))
        elif self._life is None:
            await sink.overloaded()
        else:
            await self._answer(Request(self._life, endpoint, sink, scope, receive))

    async def _answer(self, request: Request) -> None:
        """Authenticate, wait for the request's turn, and call its endpoint's handler. A busy
        process refuses instead. Every exception becomes an answer.
        """
        life, sink, endpoint = request.life, request.sink, request.endpoint
        if request.snapshot.epoch < 0:
            await sink.overloaded()
            return
        life.open_requests.enter()
        try:
            signed = endpoint.opens_by_link and self._has_signed_link(request)
            if not (signed or endpoint.is_sealed_link):
                await request.authenticate()
            caller = request.caller
            if not life.load.enter(caller):
                await sink.refuse(too_busy(life.load.come_again_ms()))
                return
            try:
                await life.turns.begin(caller)
                if life.refresher.snapshot is not request.snapshot:
                    await request.refresh()
                if caller is not None:
                    request.check_use()
                    if endpoint.asking is not None:
                        request.endpoint = endpoint.by_action(request.scope["query_string"])
                    principal, user_agent = request.principal, request.user_agent
                    LAST_USES.note(principal.key_id, principal.digest, request.address, user_agent)
                endpoint = request.endpoint
                socket = endpoint.socket if request.scope["type"] == "websocket" else None
                await (socket or endpoint.handler)(request)
            finally:
                life.load.leave(caller)
        except (RequestFault, ChannelsOut) as fault:
            await sink.fault(fault)
        except DatabaseFailed:
            await sink.overloaded()
        except ClientGone:
            return
        except Exception:
            log.exception("request %s failed by a defect", id_text(sink.request_id))
            await sink.fault(RequestFault("internal", None, ""))
        finally:
            life.open_requests.leave()

    def _has_signed_link(self, request: Request) -> bool:
        query, now = request.scope["query_string"], request.snapshot.now()
        return is_signed(self._config.pepper, request.task_id, query, now)


def _socket_sink(endpoint: Endpoint | None) -> type[RealtimeSink]:
    in_googles_form = endpoint is not None and endpoint.dialect == "gemini"
    return LiveSink if in_googles_form else RealtimeSink


def _is_websocket(scope: Scope, endpoint: Endpoint) -> bool:
    return scope["type"] == "websocket" and endpoint.socket is not None


def _requests_upgrade(scope: Scope) -> bool:
    upgrade: bytes = dict(scope["headers"]).get(b"upgrade", b"")
    return upgrade.lower() == b"websocket"


def _calls_model(method: str, path: str) -> bool:
    """Return whether a path that matches the address of a model calls a model by an action that has
    no row."""
    return method not in ("GET", "OPTIONS") and ":" in path
