"""The relay for our own pages, in their process. Admission, holds and books are the same as over
HTTP; the pages use a key whose text they never have."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from accounts.key_uses.last_uses import LAST_USES, PLAYGROUND
from content.guards.rules import GuardRule
from content.policies.rules import Tried
from dialects.errors.errors import RequestFault
from lib.id_types import KeyId, OrganisationId, RequestId, TeamId
from lib.ids import new_id
from lib.process.asgi import Receive, Scope, Send
from lib.process.log_context import REQUEST_ID
from relay.attempts.run import Run
from relay.catalogue.snapshot_build import ChannelRow, build_single_channel
from relay.context.context import RequestContext, context_of_task
from relay.credentials.keys import Principal
from relay.downstream.downstream import Head
from relay.endpoints.generation import generate
from relay.endpoints.table import find_endpoint, read_invocation
from relay.endpoints.task_services import SERVICE_ROWS
from relay.errors import DatabaseFailed
from relay.front.lifespan import Lifespan
from relay.hold_sizes.bound import Bound
from relay.media.task_content import VideoContent, open_content
from relay.operations.media_operation import MediaOperation
from relay.operations.sourced_operation import SourcedOperation, about_its_source
from relay.pages.guard_trial import try_calls
from relay.pages.page_connection import PageConnection, attach_connection, read_connection_bound
from relay.pages.page_operations import PAGE_PATHS
from relay.pages.queue_sink import QueueSink
from relay.pages.sent_preview import MASK, SentPreview, preview_sent
from relay.previews.expected_cost import read_bound
from relay.previews.route_preview import RoutePreview, preview_route
from relay.requests.headers import read_headers
from relay.requests.invocation import Invocation
from relay.requests.labels import NO_LABELS, Labels
from relay.requests.options import RequestOptions, Source
from relay.requests.outcome import Outcome
from relay.requests.uploads import Form

_PAGE_INVOCATIONS: Final[Mapping[str, Invocation]] = {
    operation: read_invocation(find_endpoint(path), path, (), b"")
    for operation, path in PAGE_PATHS.items()
}
# The caller of a preview; nothing is stored or found for it.
_NOBODY: Final = Principal(
    key_id=KeyId(UUID(int=1)),
    organisation_id=OrganisationId(UUID(int=2)),
    team_id=TeamId(UUID(int=3)),
    user_id=None,
    kind="model",
    model_patterns=(),
    expires_at=None,
    disabled=False,
    retention_hours=0,
)


class InProcessRelay:
    """Sends the requests of a process's pages to its relay. `started` returns the relay's lifespan,
    or raises DatabaseAway."""

    def __init__(self, started: Callable[[], Lifespan]) -> None:
        self._started = started
        self._running: set[asyncio.Task[Outcome]] = set()

    async def principal_of_key(self, key_id: UUID, user_id: int | None = None) -> Principal:
        """Return the principal of a key by its id, as a person uses it. Raises RequestFault,
        DatabaseAway."""
        life = self._started()
        return await life.authenticator.principal_of_key(
            key_id, life.refresher.snapshot.now(), user_id
        )

    async def chat(
        self,
        principal: Principal,
        body: bytes,
        *,
        source: Source,
        request_id: UUID | None = None,
        operation: str = "chat_completions",
        labels: Labels = NO_LABELS,
        form: Form | None = None,
        client_app: str = PLAYGROUND,
    ) -> AsyncGenerator[Head | bytes | Outcome]:
        """Answer a request in this process. Admission, holds and books are the same as over HTTP.
        With a `form`, which the caller closes, the body has its texts and the form its files.
        `client_app` is the application that the books name.

        Yields the Head and the bytes that an HTTP client would get, and the Outcome last; a refusal
        is an Outcome alone. Raises RequestFault if the request refers to a missing task.

        Closing the iterator counts as a disconnect: the channel's policy decides whether the answer
        is cut or drained. The usage record of `request_id` then tells how it ended.
        """
        life = self._started()
        LAST_USES.note(principal.key_id, principal.digest, "", PLAYGROUND)
        sink = QueueSink()
        invocation = await _of_page(life, principal, operation, form, body)
        options = RequestOptions(labels=labels, client_app=client_app)
        make_context = partial(
            context_of_task,
            life.parts,
            life.refresher.snapshot,
            principal,
            sink,
            invocation,
            request_id=RequestId(request_id or new_id()),
            source=source,
            options=options,
        )
        task = asyncio.create_task(self._chat_task(life, make_context, body, sink))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
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
        operation: str = "chat_completions",
        labels: Labels = NO_LABELS,
        form: Form | None = None,
    ) -> Bound:
        """Return what `chat` would hold for this body now, without holding anything. Raises
        RequestFault like `chat`, except for lack of money, which is part of the Bound. Raises
        DatabaseAway if the balance cannot be read.
        """
        life = self._started()
        invocation = await _of_page(life, principal, operation, form, body)
        context = context_of_task(
            life.parts,
            life.refresher.snapshot,
            principal,
            QueueSink(),
            invocation,
            request_id=RequestId(new_id()),
            source="playground",
            options=RequestOptions(max_cost_nano, labels),
        )
        return await read_bound(context, body, life.available_nano)

    async def connection_bound(self, principal: Principal, model: str) -> Bound:
        """Return what a realtime connection of this model would hold for its first response,
        without holding anything. Raises RequestFault, DatabaseAway.
        """
        return await read_connection_bound(self._started(), principal, model)

    async def converse(
        self, connection: PageConnection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run a page's realtime connection to its end, with the same holds and books as over the
        API. A refusal is sent to the page as an event.
        """
        await attach_connection(self._started(), connection, scope, receive, send)

    async def video_content(
        self, principal: Principal, task_id: str, *, range_: bytes = b""
    ) -> VideoContent:
        """Return a finished video of the principal's team, whose bytes arrive from the provider.
        The caller closes it. Raises RequestFault if there is no such video, UpstreamFailed if the
        provider does not return it, DatabaseFailed."""
        life = self._started()
        return await open_content(
            life.parts, life.refresher.snapshot, principal, task_id, range_=range_
        )

    async def service_file(
        self, service: str, principal: Principal, task_id: str, number: int, *, range_: bytes = b""
    ) -> VideoContent:
        """Return a file of a finished task of that service, like `video_content`. Files are
        numbered from 0."""
        life, rows = self._started(), SERVICE_ROWS.get(service)
        if rows is None or rows.open_file is None:
            raise RequestFault("task_not_found", "id", task_id)
        return await rows.open_file(
            life.parts, life.refresher.snapshot, principal, task_id, number, range_
        )

    async def try_guards(
        self, key_id: UUID, user_id: int | None, rules: Sequence[GuardRule], tried: Sequence[Tried]
    ) -> list[Tried]:
        """Return what guards that make a call make of texts that none has refused yet. Their
        requests to models are charged to this key, as the person uses it."""
        try:
            life = self._started()
            principal = await self.principal_of_key(key_id, user_id)
        except (RequestFault, DatabaseFailed) as error:
            return [one._replace(text="", failure=str(error)) for one in tried]
        context = context_of_task(
            life.parts,
            life.refresher.snapshot,
            principal,
            QueueSink(),
            _PAGE_INVOCATIONS["chat_completions"],
            request_id=RequestId(new_id()),
            source="playground",
        )
        return await asyncio.gather(*(try_calls(context, rules, one) for one in tried))

    async def preview_route(
        self,
        principal: Principal,
        path: str,
        body: bytes,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> RoutePreview:
        """Return to which channel a POST of this body to this path would go now. Nothing is sent or
        held. Of `headers` only those about routing count. Raises RequestFault if nothing can be
        posted to the path, DatabaseFailed."""
        life, endpoint = self._started(), find_endpoint(path)
        if endpoint is None or endpoint.handler is not generate:
            raise RequestFault("route_not_found", None, path)
        read = read_headers(headers, endpoint.body_bytes_max)
        options = RequestOptions(read.max_cost_nano, read.labels, data_policy=read.data_policy)
        context = context_of_task(
            life.parts,
            life.refresher.snapshot,
            principal,
            QueueSink(),
            read_invocation(endpoint, path, (), b""),
            request_id=RequestId(new_id()),
            options=options,
        )
        return await preview_route(context, body, life.available_nano)

    async def preview_sent(
        self,
        row: ChannelRow,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        teams: Sequence[str] = (),
    ) -> SentPreview:
        """Return what a channel would be sent for a POST of this body to this path with these
        headers, without a caller, as if of the organisation and the team with these slugs. Nothing
        is sent, and the channel's key is masked. Raises RequestFault if nothing can be posted to
        the path, UnknownProvider and BadAddress if no request can be made, DatabaseFailed.
        """
        life, endpoint = self._started(), find_endpoint(path)
        if endpoint is None or endpoint.handler is not generate:
            raise RequestFault("route_not_found", None, path)
        snapshot, channel = build_single_channel(
            life.refresher.snapshot, row, MASK if row.keys else ""
        )
        of_caller = dict.fromkeys(teams, _NOBODY.organisation_id)
        snapshot = replace(snapshot, holder_ids=of_caller)
        raw_headers = [(name.lower().encode(), value.encode()) for name, value in headers]
        invocation = read_invocation(endpoint, path, raw_headers, b"")
        context = context_of_task(
            life.parts,
            snapshot,
            _NOBODY,
            QueueSink(),
            invocation,
            request_id=RequestId(new_id()),
        )
        return await preview_sent(context, channel, body)

    async def _chat_task(
        self,
        life: Lifespan,
        make_context: Callable[[], RequestContext],
        body: bytes,
        sink: QueueSink,
    ) -> Outcome:
        # A context belongs to the task that creates it.
        context = make_context()
        REQUEST_ID.set(context.request_id)
        sink.run = run = Run(context)
        life.open_requests.enter()
        life.running.enter(run, context.principal)
        try:
            return await run.answer(body)
        finally:
            life.running.leave(run)
            life.open_requests.leave()

    async def drain(self, seconds: float) -> None:
        """Let running requests finish within `seconds`, then cancel the rest."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _of_page(
    life: Lifespan, principal: Principal, operation: str, form: Form | None, body: bytes
) -> Invocation:
    """Return the invocation of a page's request, with the files of its form and the task that it
    refers to. Raises RequestFault, DatabaseFailed."""
    invocation = _PAGE_INVOCATIONS[operation]
    if isinstance(invocation.unary, SourcedOperation):
        states = life.parts.states
        unary = await about_its_source(invocation.unary, states, principal, body)
        return msgspec.structs.replace(invocation, unary=unary)
    if form is None or not isinstance(invocation.unary, MediaOperation):
        return invocation
    return msgspec.structs.replace(invocation, unary=invocation.unary.of_form(form))
