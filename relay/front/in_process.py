"""The relay for pages of ours, in their own process: same admission, holds and books as over HTTP,
by a key whose text they never have."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import msgspec

from accounts.keys.last_uses import LAST_USES, PLAYGROUND
from dialects.errors.errors import RequestFault
from lib.id_types import KeyId, OrganisationId, RequestId, TeamId
from lib.ids import new_id
from lib.process.asgi import Receive, Scope, Send
from lib.process.log_context import REQUEST_ID
from relay.attempts.run import Run
from relay.credentials.keys import Principal
from relay.endpoints.generation import generate
from relay.endpoints.table import find_endpoint, read_invocation
from relay.front.downstream import Head
from relay.front.queue_sink import QueueSink
from relay.front.request_body import read_body_fields
from relay.holds.preview import read_bound
from relay.lifespan import Lifespan
from relay.media.answers.task_clips import open_clip
from relay.media.answers.task_content import VideoContent, open_content
from relay.media.media_operation import MediaOperation
from relay.media.realtime.page_session import PageSession, attach_session, read_session_bound
from relay.media.sourced_operation import SourcedOperation, about_its_source
from relay.requests.context import (
    Bound,
    Invocation,
    Outcome,
    PageOperation,
    RequestContext,
    RequestOptions,
    Source,
    context_of_task,
)
from relay.requests.labels import NO_LABELS, Labels
from relay.requests.uploads import Form
from relay.routing.route_preview import RoutePreview, preview_route
from relay.routing.sent_preview import MASK, SentPreview, preview_sent
from relay.routing.snapshot_build import ChannelRow, build_single_channel

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
# Who asks in a preview; nothing is kept for it, and nothing is found.
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
    """What the pages of a process ask its relay; `started` gives the relay's life, or raises
    DatabaseAway."""

    def __init__(self, started: Callable[[], Lifespan]) -> None:
        self._started = started
        self._running: set[asyncio.Task[Outcome]] = set()

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
        invocation = await _of_page(life, principal, operation, form, body)
        options = RequestOptions(labels=labels, client_app=PLAYGROUND)
        make_context = partial(
            context_of_task,
            life.parts,
            life.snapshot,
            principal,
            sink,
            invocation,
            request_id=RequestId(request_id or new_id()),
            source=source,
            options=options,
        )
        task = asyncio.create_task(self._chat_task(life, make_context, body, sink, on_admission))
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
        context = context_of_task(
            life.parts,
            life.snapshot,
            principal,
            QueueSink(),
            invocation,
            request_id=RequestId(new_id()),
            source="playground",
            options=RequestOptions(max_cost_nano, labels),
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
        await attach_session(self._started(), session, scope, receive, send)

    async def video_content(
        self, principal: Principal, task_id: str, *, range_: bytes = b""
    ) -> VideoContent:
        """The bytes of a finished video of the principal's team, from its provider, as they come.
        Whoever asked closes it.

        Raises RequestFault where there is none, UpstreamFailed where its provider does not give it,
        DatabaseFailed.
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

        Raises RequestFault where nothing is posted to that path, DatabaseFailed.
        """
        life, endpoint = self._started(), find_endpoint(path)
        if endpoint is None or endpoint.handler is not generate:
            raise RequestFault("route_not_found", None, path)
        fields = read_body_fields(headers, endpoint.body_bytes_max)
        options = RequestOptions(
            fields.max_cost_nano, fields.labels, data_policy=fields.data_policy
        )
        context = context_of_task(
            life.parts,
            life.snapshot,
            principal,
            QueueSink(),
            read_invocation(endpoint, path, (), b""),
            request_id=RequestId(new_id()),
            options=options,
        )
        return await preview_route(context, body, life.available_nano)

    async def preview_sent(
        self, row: ChannelRow, path: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> SentPreview:
        """What a channel would be sent for this body, posted to that path with these headers by
        nobody in particular; nothing is sent, and its key is masked.

        Raises RequestFault where nothing is posted to that path, UnknownProvider and BadAddress
        where no request can be made, DatabaseFailed.
        """
        life, endpoint = self._started(), find_endpoint(path)
        if endpoint is None or endpoint.handler is not generate:
            raise RequestFault("route_not_found", None, path)
        snapshot, channel = build_single_channel(life.snapshot, row, MASK if row.keys else "")
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

    async def drain(self, seconds: float) -> None:
        """Let what runs end within that time, and cut the rest."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _of_page(
    life: Lifespan, principal: Principal, operation: PageOperation, form: Form | None, body: bytes
) -> Invocation:
    """What a page of ours asks; with the files of a form, where it has one, and the task that it is
    about. Raises RequestFault, DatabaseFailed."""
    invocation = _PAGE_INVOCATIONS[operation]
    if isinstance(invocation.unary, SourcedOperation):
        states = life.parts.states
        unary = await about_its_source(invocation.unary, states, principal, body)
        return msgspec.structs.replace(invocation, unary=unary)
    if form is None or not isinstance(invocation.unary, MediaOperation):
        return invocation
    return msgspec.structs.replace(invocation, unary=invocation.unary.of_form(form))
