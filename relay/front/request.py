"""A row of the relay's endpoint table, and a request to it: its caller, headers and body.
`relay/asgi.py` finds the row, authenticates, waits for the request's turn and calls the row's
handler. A handler reads what it needs and answers through the request's sink; while it does,
`watch_client` notices when the client disconnects.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn
from urllib.parse import parse_qsl

import msgspec

from accounts.secrets.key_format import AUTH_TOKEN_PREFIX, is_client_secret
from dialects.chat.chat import Dialect
from dialects.codec import Codec
from dialects.errors.errors import RequestFault
from dialects.errors.task_errors import Family
from lib.process.asgi import HEED, Receive, Scope
from relay.context.context import RequestContext, context_of_task
from relay.context.records import record_refusal
from relay.credentials.client_secrets import ClientSecret, SecretRefused
from relay.credentials.end_users import NO_END_USER, read_end_user
from relay.credentials.keys import NO_CREDENTIALS, Principal, read_credentials
from relay.downstream.error_answers import answer_to
from relay.downstream.http_sink import HttpSink
from relay.front.lifespan import Lifespan
from relay.guarding.operations import UNGUARDED, unguarded
from relay.operations.unary import UnaryOperation
from relay.requests.body import read_body
from relay.requests.client_apps import client_app
from relay.requests.headers import RequestHeaders, read_headers
from relay.requests.invocation import Invocation
from relay.requests.options import NO_OPTIONS, RequestOptions
from relay.requests.sessions import read_session_headers
from usage.records.sql import ADDRESS_LENGTH

# A request that ends sooner needs no watch on its client; a disconnect must be noticed within 250
# ms (P6).
_WATCH_AFTER_S: Final = 0.05
_JSON: Final = ((b"content-type", b"application/json"),)
# Rows that every key may use: those that show the catalogue, feedback about the requests that it
# may send, and the estimate, for which a key needs the endpoint that it is about.
_OPEN: Final = frozenset({"models", "model", "estimate", "feedback"})
_OPENS_ONLY: Final = (
    "a client secret opens only the WebSocket of /v1/realtime",
    "an ephemeral token opens only the WebSocket of BidiGenerateContentConstrained",
)
# Rows that open a session, without a body.
_SESSIONS: Final = frozenset({"realtime", "live_sessions"})

Handler = Callable[["Request"], Awaitable[None]]
"""Answers a request. Raises RequestFault, ChannelsOut, ClientGone, DatabaseFailed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its handler, methods, dialect, name in the records, and maximum body size (0 =
    no body is read).

    `shows` is the stored object that it returns, "" for an action. `path_names` is the kind of
    object that a part of its path names. `stream` is set if the path, not the body, asks for a
    stream. `takes_form`: the body may be a form with files, which has another size limit.
    `opens_by_link`: a signed link opens it without a key. `is_sealed_link`: the path is a link that
    takes the place of a key. `reading` is another operation at the same path, for some of the
    methods; `asking` is one that the query selects, as `is_asked` says; it raises RequestFault.
    `family` is the task service in whose form it returns errors. `codec` replaces that of the
    dialect: a cloud's form of it. `socket` answers a WebSocket at the same path; a client secret
    with `secret_prefix` opens that like its key. `key_header` is another header that may carry the
    key.
    """

    handler: Handler
    methods: tuple[str, ...]
    dialect: Dialect = "openai"
    operation: str = ""
    body_bytes_max: int = 0
    shows: str = ""
    path_names: Literal["", "model", "response", "task", "file", "link", "request"] = ""
    key_in_query: bool = False
    stream: bool = False
    unary: UnaryOperation | None = None
    takes_form: bool = False
    opens_by_link: bool = False
    is_sealed_link: bool = False
    reading: "Endpoint | None" = None
    asking: "Endpoint | None" = None
    is_asked: Callable[[dict[str, str]], bool] | None = None
    family: Family | None = None
    codec: Codec[Any] | None = None
    socket: Handler | None = None
    secret_prefix: str = ""
    key_header: bytes = b""

    @property
    def restricted(self) -> bool:
        """Whether keys can be excluded from the endpoint."""
        if self.is_sealed_link or self.shows in _OPEN:
            return False
        return self.body_bytes_max > 0 or self.operation in _SESSIONS or self.shows != ""

    @property
    def reference_name(self) -> str:
        """The endpoint's name in the API reference."""
        return self.shows or self.operation

    @property
    def allow(self) -> str:
        """The value of the header `Allow`."""
        return ", ".join((*self.methods, "OPTIONS"))

    def by_method(self, method: str) -> "Endpoint":
        """Return the operation for a method at this path."""
        reading = self.reading
        return self if reading is None or method not in reading.methods else reading

    def by_action(self, query: bytes) -> "Endpoint":
        """Return the operation that the query selects. Raises RequestFault."""
        if self.asking is None or self.is_asked is None:
            return self
        return self.asking if self.is_asked(dict(parse_qsl(query.decode("latin-1")))) else self


class Request:
    """One request and its caller. `caller` is None until the caller is authenticated, and for a
    signed link; `principal` is the caller, for endpoints that require a key. `client_secret` is the
    secret that was sent in place of the caller's key, if any. `invocation` is what the path and
    headers describe. `address` is the client's. `began` is the arrival time by the event loop's
    clock."""

    __slots__ = (
        "address",
        "began",
        "caller",
        "client_secret",
        "credentials",
        "endpoint",
        "invocation",
        "life",
        "principal",
        "receive",
        "scope",
        "sink",
        "snapshot",
        "user_agent",
    )

    def __init__(
        self, life: Lifespan, endpoint: Endpoint, sink: HttpSink, scope: Scope, receive: Receive
    ) -> None:
        self.life = life
        self.endpoint = endpoint
        self.sink = sink
        self.invocation = sink.invocation
        self.scope = scope
        self.receive = receive
        self.began = life.parts.loop.time()
        self.snapshot = life.refresher.snapshot
        self.credentials = NO_CREDENTIALS
        self.caller: Principal | None = None
        self.principal: Principal
        self.client_secret: ClientSecret | None = None
        # Headers from untrusted clients are ignored: the server sets the address from trusted
        # proxies only.
        self.address: str = (scope.get("client") or ("", 0))[0]
        self.user_agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")

    # ---- the caller

    async def authenticate(self) -> None:
        """Authenticate the caller. Raises RequestFault, DatabaseAway."""
        scope = self.scope
        query = scope["query_string"] if self.endpoint.key_in_query else b""
        subprotocols = scope.get("subprotocols", ())
        self.credentials = read_credentials(
            scope["headers"], query, self.endpoint.key_header, subprotocols
        )
        await self._find_principal()

    async def refresh(self) -> None:
        """Use the newest catalogue. If it changed while the request waited, authenticate again,
        because the key may have ended, or got guards or limits. Raises RequestFault, DatabaseAway.
        """
        snapshot = self.life.refresher.snapshot
        if snapshot.epoch != self.snapshot.epoch:
            self.snapshot = snapshot
            if self.caller is not None:
                await self._find_principal()
                self.check_use()

    async def _find_principal(self) -> None:
        authenticator, now = self.life.authenticator, self.snapshot.now()
        key = self.credentials.key
        if key is None or not is_client_secret(key):
            self.caller = self.principal = await authenticator.principal(self.credentials, now)
            return
        prefix = self.endpoint.secret_prefix
        if not prefix or not key.startswith(prefix) or self.scope["type"] != "websocket":
            raise SecretRefused(_OPENS_ONLY[key.startswith(AUTH_TOKEN_PREFIX)])
        self.client_secret = authenticator.open_secret(key, now)
        self.caller = self.principal = await authenticator.principal_of_secret(
            self.client_secret, now
        )

    def check_use(self, endpoint: Endpoint | None = None) -> None:
        """Check that the key is permitted from this address and for this endpoint, or another one
        that the request is about. Raises RequestFault."""
        principal, endpoint = self.principal, endpoint or self.endpoint
        operation = endpoint.operation
        if not principal.may_come_from(self.address):
            what = f"address {principal.explain_address(self.address)}"
            raise RequestFault("permission", None, what)
        if principal.endpoints and endpoint.restricted and not principal.may_call(operation):
            raise RequestFault("permission", None, f"endpoint {operation}")
        if principal.guard_rules and (operation in UNGUARDED or self.scope["type"] == "websocket"):
            self._refuse_unguarded(operation)

    def _refuse_unguarded(self, operation: str) -> NoReturn:
        """Record and refuse a request that guards cannot check."""
        socket = self.scope["type"] == "websocket"
        fault = unguarded(f"WebSockets of {operation}" if socket else f"requests of {operation}")
        record_refusal(self.make_context(self.invocation), answer_to(fault), "", stream=False)
        raise fault

    # ---- the operation and its body

    @property
    def task_id(self) -> str:
        """The id of the media task or request in the path."""
        return self.invocation.target.task

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1")))

    def read_headers(self) -> RequestHeaders:
        """Read the headers about the body. Raises RequestFault."""
        return read_headers(self.scope["headers"], self.endpoint.body_bytes_max)

    async def read_body(self, headers: RequestHeaders) -> bytes:
        """Read the whole body. Raises RequestFault, ClientGone, DatabaseAway."""
        config, bytes_max = self.life.config, self.endpoint.body_bytes_max
        raw = await read_body(self.receive, headers.length, bytes_max, config)
        # Reading a body may take a minute.
        if self.life.refresher.snapshot is not self.snapshot:
            await self.refresh()
        return raw

    # ---- the answer

    def options_of(self, headers: RequestHeaders) -> RequestOptions:
        """Return the options that the headers set for the request."""
        principal, include_cost, session = self.principal, headers.include_cost, headers.session
        end_user = NO_END_USER
        if principal.end_users is not None:
            end_user = read_end_user(principal.end_users, self.scope["headers"], self.address)
            self.sink.end_user = (b"x-weir-end-user", end_user.state.encode())
        return RequestOptions(
            max_cost_nano=headers.max_cost_nano,
            labels=headers.labels,
            include_cost=principal.include_cost if include_cost is None else include_cost,
            data_policy=headers.data_policy,
            client_app=client_app(self.user_agent, headers.app_title, headers.app_address),
            address=self.address[:ADDRESS_LENGTH] if principal.keeps_addresses else "",
            session=read_session_headers(principal.key_id, session) if session else None,
            session_cap_nano=headers.session_cap_nano,
            end_user=end_user.name,
            flags=end_user.flags,
        )

    def make_context(
        self, invocation: Invocation, options: RequestOptions = NO_OPTIONS
    ) -> RequestContext:
        """Return the context for the running task."""
        return context_of_task(
            self.life.parts,
            self.snapshot,
            self.principal,
            self.sink,
            invocation,
            request_id=self.sink.request_id,
            options=options,
            began=self.began,
        )

    async def respond(self, body: Any) -> None:
        """Respond with JSON: bytes are sent unchanged, anything else is encoded."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        await self.sink.respond(200, _JSON, raw)


class ClientWatch:
    """Notices when the client of a running request disconnects."""

    __slots__ = ("_leave", "_receive", "_task", "_timer")

    def __init__(self, receive: Receive, leave: Callable[[], None]) -> None:
        self._receive = receive
        self._leave = leave
        self._task: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_WATCH_AFTER_S, self._begin)

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            # The cancellation's traceback refers to this frame: without this, the request's body
            # and answer would stay in memory until the next garbage collection.
            self._task = None

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        # Only a closed connection sends this message: a server that stops lets answers finish.
        self._leave()


def watch_client(
    request: Request, leave: Callable[[], None], receive: Receive | None = None
) -> ClientWatch | None:
    """Call `leave` when the client of a request disconnects. The caller stops the watch; None if
    there is nothing to stop. `receive` returns the client's messages that nobody else reads.
    """
    heed = request.scope.get(HEED)
    if heed is not None and heed(request.scope, leave):
        # Some servers call `leave` themselves.
        return None
    return ClientWatch(receive or request.receive, leave)
