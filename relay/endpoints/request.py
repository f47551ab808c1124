"""A row of the relay's endpoint table, and a request to it. `relay/asgi.py` finds the row,
authenticates, waits for the request's turn and calls the row's handler. A handler reads what it
needs and answers through the request's sink.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

import msgspec

from dialects.chat.chat import Dialect
from dialects.errors.errors import RequestFault
from dialects.errors.task_errors import Family
from dialects.media import jimeng
from lib.process.asgi import Receive, Scope
from relay.answers.unary import UnaryOperation
from relay.credentials.keys import NO_CREDENTIALS, Principal, read_credentials
from relay.front.http_sink import HttpSink
from relay.front.request_body import BodyFields, read_body, read_body_fields
from relay.lifespan import Lifespan
from relay.requests.client_apps import client_app
from relay.requests.context import (
    NO_OPTIONS,
    Invocation,
    RequestContext,
    RequestOptions,
    context_of_task,
)
from usage.records.sql import ADDRESS_LENGTH

_JSON: Final = ((b"content-type", b"application/json"),)
# Rows that show the catalogue: every key may use them.
_CATALOGUE: Final = frozenset({"models", "model"})

Handler = Callable[["Request"], Awaitable[None]]
"""Answers a request. Raises RequestFault, ClientGone, DatabaseFailed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its handler, methods, dialect, name in the records, and maximum body size (0 =
    no body is read). `shows` is the stored object that it shows, "" for an action. `path_names` is
    the object that a part of its path names. `stream` is set if the path, not the body, asks for a
    stream. `takes_form`: the body may be a form with files, with a size limit of its own.
    `opens_by_link`: a signed link opens it without a key. `reading` is another operation at the
    same path, for some of the methods; `asking` is one selected by an `Action` in the query.
    `family` is the task service in whose form it returns errors.
    """

    handler: Handler
    methods: tuple[str, ...]
    dialect: Dialect = "openai"
    operation: str = ""
    body_bytes_max: int = 0
    shows: str = ""
    path_names: Literal["", "model", "response", "task", "file"] = ""
    key_in_query: bool = False
    stream: bool = False
    unary: UnaryOperation | None = None
    takes_form: bool = False
    opens_by_link: bool = False
    reading: "Endpoint | None" = None
    asking: "Endpoint | None" = None
    family: Family | None = None

    @property
    def restricted(self) -> bool:
        """Whether keys can be excluded from it; everybody may list the models."""
        if self.body_bytes_max > 0 or self.operation == "realtime":
            return True
        return self.shows not in _CATALOGUE and self.shows != ""

    @property
    def reference_name(self) -> str:
        """What the reference calls it."""
        return self.shows or self.operation

    @property
    def allow(self) -> str:
        """The value of `Allow`."""
        return ", ".join((*self.methods, "OPTIONS"))

    def by_method(self, method: str) -> "Endpoint":
        """Return the operation for a method at this path."""
        reading = self.reading
        return self if reading is None or method not in reading.methods else reading

    def by_action(self, query: bytes) -> "Endpoint":
        """Return the operation for an action at this path. Raises RequestFault."""
        if self.asking is None:
            return self
        words = dict(parse_qsl(query.decode("latin-1")))
        jimeng.check_query(words)
        return self.asking if words["Action"] == jimeng.RESULT else self


class Request:
    """One request and its caller. `caller` is None until it is authenticated, and for a signed
    link. `began` is its arrival time, by the event loop's clock.
    """

    __slots__ = (
        "began",
        "caller",
        "credentials",
        "endpoint",
        "life",
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
        self.scope = scope
        self.receive = receive
        self.began = life.parts.loop.time()
        self.snapshot = life.snapshot
        self.credentials = NO_CREDENTIALS
        self.caller: Principal | None = None
        self.user_agent = dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1")

    # ---- who sends it

    @property
    def principal(self) -> Principal:
        """The caller, for endpoints that require a key."""
        if self.caller is None:
            raise TypeError("whoever opens a signed link is no principal")
        return self.caller

    @property
    def address(self) -> str:
        """The client's address. Headers from untrusted clients are ignored: the server sets the
        address from trusted proxies only.
        """
        address: str = (self.scope.get("client") or ("", 0))[0]
        return address

    async def authenticate(self) -> None:
        """Authenticate the caller. Raises RequestFault, DatabaseAway."""
        scope = self.scope
        query = scope["query_string"] if self.endpoint.key_in_query else b""
        subprotocols = scope.get("subprotocols", ())
        self.credentials = read_credentials(scope["headers"], query, scope["path"], subprotocols)
        await self._find_principal()

    async def refresh(self) -> None:
        """Use the newest catalogue. If it changed while the request waited, authenticate again,
        because the key may have ended. Raises RequestFault, DatabaseAway.
        """
        snapshot = self.life.snapshot
        if snapshot.epoch != self.snapshot.epoch:
            self.snapshot = snapshot
            if self.caller is not None:
                await self._find_principal()

    async def _find_principal(self) -> None:
        authenticator = self.life.authenticator
        self.caller = await authenticator.principal(self.credentials, self.snapshot.now())

    def check_use(self) -> None:
        """Raise RequestFault if the key is not permitted from this address or for this endpoint."""
        principal, endpoint, operation = self.principal, self.endpoint, self.endpoint.operation
        if not principal.may_come_from(self.address):
            raise RequestFault("permission", None, f"address {self.address or 'unknown'}")
        if principal.endpoints and endpoint.restricted and not principal.may_call(operation):
            raise RequestFault("permission", None, f"endpoint {operation}")

    # ---- what it asks for

    @property
    def invocation(self) -> Invocation:
        """Return what the path and headers ask for."""
        return self.sink.invocation

    @property
    def task_id(self) -> str:
        """The id of the media task in the path."""
        return self.sink.invocation.target.task

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1")))

    def read_fields(self) -> BodyFields:
        """Read the headers about the body. Raises RequestFault."""
        return read_body_fields(self.scope["headers"], self.endpoint.body_bytes_max)

    async def read_body(self, fields: BodyFields) -> bytes:
        """Read the whole body. Raises RequestFault, ClientGone, DatabaseAway."""
        config, bytes_max = self.life.config, self.endpoint.body_bytes_max
        raw = await read_body(self.receive, fields.length, bytes_max, config)
        # Reading a body may take a minute.
        await self.refresh()
        return raw

    # ---- what answers it

    def options_of(self, fields: BodyFields) -> RequestOptions:
        """Return the options that the headers set."""
        principal, include_cost = self.principal, fields.include_cost
        return RequestOptions(
            max_cost_nano=fields.max_cost_nano,
            labels=fields.labels,
            include_cost=principal.include_cost if include_cost is None else include_cost,
            data_policy=fields.data_policy,
            client_app=client_app(self.user_agent, fields.app_title, fields.app_address),
            address=self.address[:ADDRESS_LENGTH] if principal.keeps_addresses else "",
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
