"""The layer between the web server and Django. It reads a body within limits before anything is
stored, and unknown callers only wait behind other unknown callers, never in front of known ones.

Django answers each request in its own thread, and Python runs one thread at a time. Without this
layer, a signed-in person would wait for the threads of three hundred strangers.

    known       callers whose session or key was accepted before; each has its own limit
    callers     unknown callers on /api/
    askers      unknown callers who change something: sign-ins, events of processors
    readers     all other unknown callers

A limit lets only a few concurrent requests into Django, until their response begins; streams then
no longer count. One network gets at most half of the askers' places and is answered 429 beyond
that, so that a person who sends fifty passwords or codes at once keeps nobody else from signing in.
"""

import asyncio
import json
import math
import re
from collections import Counter, OrderedDict
from functools import cache
from hashlib import blake2b
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, parse_cookie
from django.template.loader import render_to_string
from django.utils import translation

from accounts.throttle.throttle import network_of
from config.server.database_watch import LOOK_AFTER_S, DatabaseWatch
from gateway.model_entries.facts import LIST_BYTES_MAX
from lib.ids import id_text, new_id
from lib.process.asgi import Message, Receive, Scope, Send
from playground.attachments import rules as files
from playground.chats import export_format
from usage.margin.provider_bill_lines import BILL_BYTES_MAX

KNOWN: Final = "weir.known"
"""The key in the scope by which Django's side marks the caller as known."""

_MIB: Final = 1024 * 1024
BODY_BYTES_MAX: Final = 3 * _MIB
# Uploads of the playground, each with the overhead of its form; the views know the exact limits.
UPLOAD_BYTES_MAX: Final = export_format.IMPORT_BYTES_MAX + _MIB
UPLOADS: Final = (
    (re.compile(r"/o/[^/]+/playground/files(?:/media)?"), files.BYTES_MAX + _MIB),
    (re.compile(r"/o/[^/]+/playground/import"), UPLOAD_BYTES_MAX),
    (re.compile(r"/admin/models/catalogue/update"), LIST_BYTES_MAX + _MIB),
    (re.compile(r"/admin/reconcile/new"), BILL_BYTES_MAX + _MIB),
)
_BODY_S: Final = 60.0
# Room that each body has in addition to the room shared by all large bodies.
_SMALL_BYTES: Final = 64 * 1024
_ROOM_BYTES: Final = 32 * _MIB
_UPLOAD_ROOM_BYTES: Final = 130 * _MIB
_KNOWN_MAX: Final = 10_000
_CARRIERS: Final = (b"authorization", b"x-api-key", b"x-goog-api-key")
RETRY_AFTER_S: Final = 5
# The place of the request id in a page that is rendered once for all requests.
_ID_PLACE: Final = b"-request-id-"
# The error of the management API by status: message, type and code.
_API_ERRORS: Final = {
    408: (
        f"The body did not come within {_BODY_S:.0f} s. Send it again.",
        "invalid_request_error",
        "request_timeout",
    ),
    413: (
        f"The body is larger than {BODY_BYTES_MAX // _MIB} MiB. Send less at once.",
        "invalid_request_error",
        "request_too_large",
    ),
    503: (
        "The server has too much to do at this moment. Nothing was done. "
        f"Try again in {RETRY_AFTER_S} seconds.",
        "server_error",
        "server_overloaded",
    ),
}
AWAY_MESSAGE: Final = (
    "The database does not respond at this moment. What you sent may or may not have been saved. "
    "Check before you send it again."
)
AWAY_CODE: Final = "database_unavailable"
AWAY_PAGE: Final = "database_away.html"
_AWAY: Final = (AWAY_MESSAGE, "server_error", AWAY_CODE)


class NotAdmitted(Exception):
    """The request is refused before Django."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DatabaseAway(NotAdmitted):
    """The database does not answer."""

    def __init__(self) -> None:
        super().__init__(503)


class ClientGone(Exception):
    """The client disconnected before its request was complete."""


class ConcurrencyLimit:
    """Admits `at_once` requests; up to `waiting_max` more wait for at most `wait_s` seconds. At
    most `per_network` of all these may come from one network."""

    def __init__(
        self, at_once: int, waiting_max: int, wait_s: float, per_network: float = math.inf
    ) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._waiting_max = waiting_max
        self._waiting = 0
        self._wait_s = wait_s
        self._per_network = per_network
        self._by_network: Counter[str] = Counter()

    async def enter(self, network: str = "") -> None:
        """Return when this request may begin; call `leave` at its end. Raises NotAdmitted."""
        if self._by_network[network] >= self._per_network:
            raise NotAdmitted(429)
        if self._free.locked() and self._waiting >= self._waiting_max:
            raise NotAdmitted(503)
        self._waiting += 1
        self._by_network[network] += 1
        entered = False
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
            entered = True
        except TimeoutError:
            raise NotAdmitted(503) from None
        finally:
            self._waiting -= 1
            if not entered:
                self._forget(network)

    def leave(self, network: str = "") -> None:
        self._free.release()
        self._forget(network)

    def _forget(self, network: str) -> None:
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]


class RequestLimits:
    """The ASGI application around Django."""

    def __init__(self, pages: Any, watch: DatabaseWatch | None = None) -> None:
        self._pages = pages
        self._watch = watch
        # Refused requests that still have a thread which waits for the database.
        self._abandoned: set[asyncio.Task[None]] = set()
        self._room = {False: _ROOM_BYTES, True: _UPLOAD_ROOM_BYTES}
        self._callers = ConcurrencyLimit(8, 256, 10.0)
        self._askers = ConcurrencyLimit(4, 32, 5.0, per_network=18)
        self._readers = ConcurrencyLimit(4, 64, 5.0)
        self._known: OrderedDict[bytes, ConcurrencyLimit] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(self)
        try:
            if _has_body(scope):
                receive = await body.read(scope, receive)
            if self._watch is None or scope["path"].startswith(settings.STATIC_URL):
                await self._pass(scope, receive, send)
            else:
                await self._pass_while_answered(self._watch, scope, receive, send)
        except NotAdmitted as refused:
            await _refuse(scope, send, refused)
        except ClientGone:
            return
        finally:
            body.drop()

    async def _pass_while_answered(
        self, watch: DatabaseWatch, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pass the request to the application. If the database does not answer, a page that has not
        begun is abandoned. Raises NotAdmitted, DatabaseAway."""
        if watch.away:
            raise DatabaseAway
        begun, given_up = asyncio.Event(), False

        async def answer(message: Message) -> None:
            if not given_up:
                begun.set()
                await send(message)

        work = asyncio.create_task(self._pass(scope, receive, answer))
        try:
            while not begun.is_set() and not work.done():
                await asyncio.wait({work}, timeout=LOOK_AFTER_S)
                if begun.is_set() or work.done() or await watch.answers():
                    continue
                given_up = not begun.is_set() and not work.done()
                if given_up:
                    # The thread cannot be stopped. It continues as soon as the database answers.
                    self._abandoned.add(work)
                    work.add_done_callback(self._forget)
                    raise DatabaseAway
            await work
        except asyncio.CancelledError:
            work.cancel()
            raise

    def _forget(self, work: "asyncio.Task[None]") -> None:
        self._abandoned.discard(work)
        if not work.cancelled():
            work.exception()  # nobody awaits it

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        digest = _digest_of_credentials(scope)
        limit = self._limit_of(scope, digest)
        network = _network_of(scope)
        await limit.enter(network)
        inside = True

        def leave() -> None:
            nonlocal inside
            if inside:
                inside = False
                limit.leave(network)
                if digest is not None and KNOWN in scope:
                    self._remember(digest)

        async def answer(message: Message) -> None:
            # Django's threads are done; from here on only the client's pace counts.
            leave()
            await send(message)

        try:
            await self._pages(scope, receive, answer)
        finally:
            leave()

    def _limit_of(self, scope: Scope, digest: bytes | None) -> ConcurrencyLimit:
        if digest is not None and (limit := self._known.get(digest)) is not None:
            return limit
        if scope["path"].startswith("/api/"):
            return self._callers
        return self._readers if scope["method"] in ("GET", "HEAD") else self._askers

    def _remember(self, digest: bytes) -> None:
        if digest not in self._known:
            self._known[digest] = ConcurrencyLimit(16, 256, 30.0)
        self._known.move_to_end(digest)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)

    def take_room(self, size: int, *, upload: bool) -> None:
        """Reserve room for `size` more bytes of a large body. Raises NotAdmitted if all bodies of
        its kind together would be too large."""
        if size > self._room[upload]:
            raise NotAdmitted(503)
        self._room[upload] -= size

    def give_room(self, size: int, *, upload: bool) -> None:
        self._room[upload] += size


class _Body:
    """The body of one request, which is read completely before Django begins, because Django would
    store it on disk."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._bytes_max = BODY_BYTES_MAX
        self._taken = 0

    async def read(self, scope: Scope, receive: Receive) -> Receive:
        """Return the message for Django. Raises NotAdmitted, ClientGone."""
        self._bytes_max = _bytes_max(scope["path"])
        if _length(scope) > self._bytes_max:
            raise NotAdmitted(413)
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(_BODY_S):
                await self._gather(pieces, receive)
        except TimeoutError:
            raise NotAdmitted(408) from None
        return _replay_body(b"".join(pieces), receive)

    async def _gather(self, pieces: list[bytes], receive: Receive) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientGone
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._bytes_max:
                raise NotAdmitted(413)
            if (beyond := size - _SMALL_BYTES - self._taken) > 0:
                self._limits.take_room(beyond, upload=self._upload)
                self._taken += beyond
            more = message.get("more_body", False)

    @property
    def _upload(self) -> bool:
        return self._bytes_max != BODY_BYTES_MAX

    def drop(self) -> None:
        self._limits.give_room(self._taken, upload=self._upload)
        self._taken = 0


def _bytes_max(path: str) -> int:
    return next((most for pattern, most in UPLOADS if pattern.fullmatch(path)), BODY_BYTES_MAX)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def again() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _length(scope: Scope) -> int:
    # The server's parser only accepts digits.
    return max((int(v) for name, v in scope["headers"] if name == b"content-length"), default=0)


def _network_of(scope: Scope) -> str:
    # The server has applied the headers of trusted proxies; a Unix socket has no address.
    return network_of((scope.get("client") or ("", 0))[0])


def _digest_of_credentials(scope: Scope) -> bytes | None:
    """Return one digest per session or key, or None without credentials."""
    digest = blake2b(digest_size=16)
    presented = False
    for name, value in scope["headers"]:
        if name == b"cookie":
            value = _cookies(value).get(settings.SESSION_COOKIE_NAME, "").encode()
        elif name not in _CARRIERS:
            continue
        if value:
            presented = True
            digest.update(name + b"\0" + value + b"\0")
    return digest.digest() if presented else None


def _cookies(value: bytes) -> dict[str, str]:
    return parse_cookie(value.decode("latin-1"))


async def _refuse(scope: Scope, send: Send, refused: NotAdmitted) -> None:
    """Refuse the request without Django: no thread, no database. The connection stays open, because
    closing it in the middle of a body would lose the response. The server discards the rest of the
    body within the time limit for a head."""
    status, request_id = refused.status, id_text(new_id())
    away = isinstance(refused, DatabaseAway)
    headers = [
        (b"cache-control", b"private, no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", request_id.encode()),
    ]
    if status in (429, 503):
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    if scope["path"].startswith("/api/"):
        body = _api_error(_AWAY if away else _API_ERRORS[status], request_id)
        headers.append((b"content-type", b"application/json"))
    else:
        template = AWAY_PAGE if away else f"{status}.html"
        body = _page(template, _language(scope)).replace(_ID_PLACE, request_id.encode())
        headers.append((b"content-type", b"text/html; charset=utf-8"))
        headers.append((b"content-security-policy", _policy()))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _api_error(answer_parts: tuple[str, str, str], request_id: str) -> bytes:
    message, kind, code = answer_parts
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json.dumps({"error": error, "request_id": request_id}).encode()


@cache
def _page(template: str, language: str) -> bytes:
    with translation.override(language):
        context = {
            "lang": language,
            "request": {"id": _ID_PLACE.decode()},
            "seconds": RETRY_AFTER_S,
        }
        return render_to_string(template, context).encode()


def _language(scope: Scope) -> str:
    request = HttpRequest()
    for name, value in scope["headers"]:
        if name == b"cookie":
            request.COOKIES.update(_cookies(value))
        elif name == b"accept-language":
            request.META["HTTP_ACCEPT_LANGUAGE"] = value.decode("latin-1")
    return translation.get_language_from_request(request)


@cache
def _policy() -> bytes:
    directives: dict[str, list[str]] = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    return "; ".join(f"{name} {' '.join(words)}" for name, words in directives.items()).encode()
