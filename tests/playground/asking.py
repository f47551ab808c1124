"""Asks views of the playground within a test's transaction, also those that are coroutines. Behind
them is a relay that answers as the test plans it."""

import asyncio
import copy
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from unittest import mock
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.messages import get_messages
from django.db import connections
from django.test import AsyncClient, Client

from accounts.access.actors import SYSTEM
from billing.prices import prices
from gateway.models import Channel, Route
from lib import clock
from lib.database import async_database
from lib.id_types import KeyId, OrganisationId, RequestId, TeamId, UserId
from lib.ids import new_id
from playground.answers.notifications import RunNotifications
from playground.runs import runs
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head
from relay.hold_sizes.bound import Bound
from relay.requests.outcome import Outcome

CHAT: Final = {"in_text": 250_000_000, "out_text": 2_000_000_000}
STREAM: Final = Head("text/event-stream", 9_000, None, None)
JSON: Final = Head("application/json", 9_000, None, None)
BOUND: Final = Bound(42_000_000, None, 3_412, 4_096, 7, 128_000_000_000, True, 6_000_000)
WAIT: Final = TimeoutError("waits until nobody asks any more")
Answer = TypeVar("Answer")


def outcome(status: int = 200, kind: str | None = None, **over: Any) -> Outcome:
    facts: dict[str, Any] = {
        "request_id": RequestId(new_id()), "status": status, "kind": kind, "message": "",
        "finish_reason": "stop", "meters": {"in_text": 3, "out_text": 2}, "charge_nano": 1_800,
        "basis": "measured", "hold_nano": 9_000, "ttft_ms": 120, "total_ms": 620,
    }  # fmt: skip
    return Outcome(**(facts | over))


def chunks(*deltas: Mapping[str, Any]) -> list[bytes]:
    """A streamed answer of the openai dialect, without its end."""
    return [
        f"data: {json.dumps({'choices': [{'index': 0, 'delta': dict(delta)}]})}\n\n".encode()
        for delta in deltas
    ]


def whole(text: str) -> bytes:
    """An answer of the openai dialect that is not streamed."""
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@dataclass
class PlannedRelay:
    """Yields `items` for each request, or those of `answers` in turn; an exception among them is
    raised, and WAIT lasts for good. `calls` are the arguments of each request, `bounds` those of
    each bound; `ended` counts the requests that were read to their end."""

    items: Sequence[Head | bytes | Outcome | Exception] = ()
    answers: list[Sequence[Head | bytes | Outcome | Exception]] = field(default_factory=list)
    bound_result: Bound | Exception = BOUND
    principal: Exception | None = None
    content: Any = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    bounds: list[dict[str, Any]] = field(default_factory=list)
    payers: list[UUID] = field(default_factory=list)
    ended: int = 0

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Principal:
        if self.principal is not None:
            await _fail(self.principal)
        self.payers.append(key_id)
        return Principal(
            key_id=KeyId(key_id), organisation_id=OrganisationId(new_id()),
            team_id=TeamId(new_id()), user_id=None if user_id is None else UserId(user_id),
            kind="playground", model_patterns=(), expires_at=None, disabled=False,
        )  # fmt: skip

    async def chat(
        self, principal: Principal, body: bytes, **options: Any
    ) -> AsyncIterator[Head | bytes | Outcome]:
        form = options.pop("form", None)
        parts = {} if form is None else {one.name: one.file_name for one in form.files}
        self.calls.append({"body": json.loads(body), "user": principal.user_id, **options,
                           **({"files": parts} if parts else {})})  # fmt: skip
        for item in self.answers.pop(0) if self.answers else self.items:
            if isinstance(item, Exception):
                await _fail(item)
            else:
                yield item
        self.ended += 1

    async def bound(self, principal: Principal, body: bytes, **options: Any) -> Bound:
        options.pop("form", None)
        self.bounds.append({"body": json.loads(body), **options})
        return self._bound()

    async def connection_bound(self, principal: Principal, model: str) -> Bound:
        self.bounds.append({"model": model})
        return self._bound()

    def _bound(self) -> Bound:
        if isinstance(self.bound_result, Exception):
            raise self.bound_result
        return self.bound_result

    async def video_content(self, principal: Principal, task_id: str, **options: Any) -> Any:
        return self._content("video", task_id, options)

    async def service_file(
        self, service: str, principal: Principal, task_id: str, number: int, **options: Any
    ) -> Any:
        return self._content(service, task_id, {"number": number, **options})

    def _content(self, service: str, task_id: str, options: Mapping[str, Any]) -> Any:
        self.calls.append({"service": service, "task": task_id, **options})
        if isinstance(self.content, Exception):
            raise self.content
        return self.content


async def _fail(why: Exception) -> None:
    if why is WAIT:
        await asyncio.Event().wait()
    raise why


@contextmanager
def in_this_transaction() -> Iterator[None]:
    """Let coroutines that `async_to_sync` runs work in the database on its caller's connection, and
    write frames of an answer without a pause."""

    def here(work: Callable[..., Any], **_: Any) -> Any:
        return sync_to_async(work)

    async def deaf(self: RunNotifications) -> None:
        return

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(async_database, "sync_to_async", here))
        stack.enter_context(
            mock.patch.object(connections["default"], "close_if_unusable_or_obsolete")
        )
        stack.enter_context(mock.patch.object(RunNotifications, "_listen", deaf))
        stack.enter_context(mock.patch.object(runs, "FRAME_S", 0.0))
        yield


def finished(work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
    """What a coroutine returns, and the tasks that it started have ended."""

    async def all_of_it() -> Answer:
        answer = await work()
        await runs.finish()
        return answer

    with in_this_transaction():
        return async_to_sync(all_of_it)()


class Visitor:
    """A signed-in person, by their browser; `relay` is that of the process."""

    def __init__(self, browser: Client, relay: PlannedRelay | None = None) -> None:
        self.relay = relay or PlannedRelay()
        self._client = _Client(self.relay)
        self._client.cookies = copy.deepcopy(browser.cookies)

    def post(self, path: str, form: Mapping[str, Any] | None = None, **headers: str) -> Any:
        return self._ask(self._client.post, path, form or {}, headers)

    def post_json(self, path: str, value: object) -> Any:
        async def send(path: str, body: Any, **rest: Any) -> Any:
            return await self._client.post(path, body, content_type="application/json", **rest)

        return self._ask(send, path, json.dumps(value), {})

    def get(self, path: str, **headers: str) -> Any:
        return self._ask(self._client.get, path, {}, headers)

    def _ask(self, how: Any, path: str, form: Any, headers: Mapping[str, str]) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def ask() -> Any:
            answer = await how(path, form, headers=named)
            if answer.streaming:
                answer.whole = b"".join([piece async for piece in answer])
            return answer

        return finished(ask)


class _Client(AsyncClient):
    def __init__(self, relay: PlannedRelay) -> None:
        super().__init__()
        self._relay = relay

    def _base_scope(self, **request: Any) -> dict[str, Any]:
        scope: dict[str, Any] = super()._base_scope(**request)  # type: ignore[misc]
        return {**scope, "weir.relay": self._relay}


def toast_of(answer: Any) -> dict[str, Any]:
    """The toast that an answer shows, {} for none."""
    events = json.loads(answer.get("HX-Trigger", "{}"))
    toast: dict[str, Any] = events.get("toast", {})
    return toast


def said(answer: Any) -> list[str]:
    """The messages that the next page shows."""
    return [str(message) for message in get_messages(answer.asgi_request)]


def serve(*models: str, **rates: int) -> None:
    """Let a channel serve these models, at rates of a chat model unless others are given."""
    channel = Channel.objects.create(
        name=f"of {models[0]}", provider="openai", base_url="https://x.example/v1"
    )
    for model in models:
        Route.objects.create(channel=channel, model=model)
        prices.set_price(
            SYSTEM, model, valid_from=clock.now() - dt.timedelta(days=1),
            rates={"meters": rates or CHAT}, source="test",
        )  # fmt: skip
