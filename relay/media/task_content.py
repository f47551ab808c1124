"""The bytes of a finished video. The provider stores them, and they are forwarded as they arrive.
The client's `Range` is forwarded. The provider is read no faster than the client reads, so that
nothing is buffered here. If the client disconnects, the provider's request ends.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Final, NamedTuple
from uuid import UUID

from dialects.chat.fold import AnswerFault
from dialects.endpoints.codecs import CODECS
from dialects.errors.errors import RequestFault
from gateway.providers.provider import BadModelName
from gateway.providers.task_forms import VIDEO_FORMS
from gateway.providers.video_forms.form import VideoForm
from lib.ids import id_text, new_id
from lib.process.asgi import Receive, Scope
from lib.process.waiting import timeout
from relay.catalogue.snapshot import Channel, Snapshot
from relay.context.context import Parts
from relay.credentials.keys import Principal
from relay.downstream.error_answers import answer_to_failures
from relay.downstream.http_sink import HttpSink
from relay.front.request import Request
from relay.media import task_answers
from relay.media_tasks.media_tasks import Task
from relay.upstream.failures import UpstreamFailed, upstream_failure
from relay.upstream.upstream import Answer, Upstreams

_VARIANTS: Final = ("video", "thumbnail", "spritesheet")
_RANGE: Final = re.compile(rb"bytes=[0-9, -]{1,200}")
# The media types that browsers do not execute.
_TYPES: Final = frozenset(
    {
        *("video/mp4", "video/webm", "image/webp", "image/jpeg", "image/png"),
        *("audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/flac"),
        "application/octet-stream",
    }
)
_BYTES: Final = (200, 206, 416)
_LINK_BYTES_MAX: Final = 64 * 1024
_PASSED: Final = ("content-length", "content-range", "accept-ranges", "etag", "last-modified")


async def stream_content(request: Request) -> None:
    """Answer with the content of a task, for a key or for a request with the task's signed link."""
    parts, snapshot, sink = request.life.parts, request.snapshot, request.sink
    variant = request.query.get("variant", _VARIANTS[0])
    wanted = _Wanted(request.task_id, variant, asked_range(request.scope))
    try:
        answer, channel = await _request_content(
            parts, snapshot, request.caller, wanted, sink.request_id
        )
    except UpstreamFailed as failure:
        await sink.refuse(answer_to_failures([failure]))
        return
    await pass_on(answer, channel, request.receive, sink)


class VideoContent:
    """A video, or a part of it, streamed from its provider. `status` is 200, 206 or 416; `headers`
    are for the client."""

    def __init__(self, answer: Answer, channel: Channel) -> None:
        self.status = answer.status
        self.headers = {
            name.decode(): value.decode("latin-1") for name, value in _fields(answer.headers)
        }
        self._answer = answer
        self._idle_s = channel.timeouts.idle

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the content as it arrives. An interruption raises UpstreamFailed or
        TimeoutError."""
        whole = False
        try:
            while True:
                async with timeout(self._idle_s):
                    piece = await self._answer.next_bytes()
                if not piece:
                    break
                yield piece
            whole = True
        finally:
            if whole:
                self._answer.release()
            else:
                self._answer.cut()


async def open_content(
    parts: Parts, snapshot: Snapshot, principal: Principal, task_id: str, *, range_: bytes
) -> VideoContent:
    """Open the content of a task for one of our pages. Raises RequestFault, UpstreamFailed,
    DatabaseFailed.
    """
    wanted = _Wanted(task_id, _VARIANTS[0], known_range(range_))
    return VideoContent(*await _request_content(parts, snapshot, principal, wanted, new_id()))


class _Wanted(NamedTuple):
    """The requested content of a task, and the requested range of its bytes."""

    task_id: str
    variant: str
    range: bytes


async def _request_content(
    parts: Parts,
    snapshot: Snapshot,
    principal: Principal | None,
    wanted: _Wanted,
    request_id: UUID,
) -> tuple[Answer, Channel]:
    """Return the provider's answer once its headers have arrived. Raises RequestFault,
    UpstreamFailed, DatabaseFailed."""
    if principal is None:
        task = await task_answers.find_linked(parts.states, wanted.task_id)
    else:
        task = await task_answers.find(parts.states, principal, wanted.task_id)
    _check_available(task)
    channel = channel_of(task, snapshot)
    source = _Source(parts.upstreams, snapshot, task, channel, id_text(request_id))
    try:
        async with timeout(channel.timeouts.first_content):
            answer = await source.open(wanted.variant, wanted.range)
    except TimeoutError:
        raise upstream_failure("F11", seconds=int(channel.timeouts.first_content)) from None
    except UpstreamFailed as failure:
        if failure.upstream_status in (404, 410) or (
            task.content and failure.upstream_status == 403
        ):
            # The file no longer exists: answer as for an expired link.
            raise _missing(task) from None
        raise
    return answer, channel


def channel_of(task: Task, snapshot: Snapshot) -> Channel:
    """Return the channel that made the task's content, with the organisation's own key if that
    started it. Raises RequestFault if the channel, or that key, no longer exists."""
    if task.own_key:
        channel = snapshot.channels.get(str(task.channel_key_id))
    else:
        channels = (row for row in snapshot.channels.values() if row.uuid == task.channel_id)
        channel = next((row for row in channels if row.own is None), None)
    if channel is None or channel.uuid != task.channel_id:
        raise RequestFault("no_channel", None, "", model=task.video.model)
    return channel


def asked_range(scope: Scope) -> bytes:
    """Return the byte range that a client requests, b"" for the whole content."""
    return known_range(next((value for name, value in scope["headers"] if name == b"range"), b""))


def known_range(value: bytes) -> bytes:
    """Return the byte range if it is valid, else b""."""
    return value if _RANGE.fullmatch(value) else b""


def _check_available(task: Task) -> None:
    state = task.video.state
    if state in ("queued", "running"):
        raise RequestFault("conflict", "video_id", f"video {task.video.id} is not completed yet")
    if state == "failed" or not task.content_kept:
        raise _missing(task)


def _missing(task: Task) -> RequestFault:
    return RequestFault("task_not_found", "video_id", task.video.id)


class _Source:
    """Opens the bytes of a task, below the channel's address or wherever the provider stores
    them."""

    def __init__(
        self,
        upstreams: Upstreams,
        snapshot: Snapshot,
        task: Task,
        channel: Channel,
        request_id: str,
    ) -> None:
        self._upstreams = upstreams
        self._snapshot = snapshot
        self._task = task
        self._channel = channel
        self._request_id = request_id

    async def open(self, variant: str, range_: bytes) -> Answer:
        """Request the content and return the response. Raises RequestFault, UpstreamFailed."""
        if variant not in _VARIANTS:
            what = "variant must be one of " + ", ".join(_VARIANTS)
            raise RequestFault("invalid_value", "variant", what)
        task, form = self._task, VIDEO_FORMS.get(self._task.form)
        url = None if form is None else self._channel.address.urls.get(form.tasks_operation)
        if form is None or url is None:
            raise RequestFault("no_channel", None, "", model=task.video.model)
        if not task.content:
            if not form.content_path:
                raise _missing(task)
            content_path = self._below(form, url, task.upstream_id)
            whole = content_path if variant == _VARIANTS[0] else f"{content_path}?variant={variant}"
            return await self._get(form, whole, range_)
        if variant != _VARIANTS[0]:
            what = f"the video has no {variant}: its provider makes none"
            raise RequestFault("unsupported_capability", "variant", what)
        named = task.content
        if form.read_link is not None:
            named = await self._linked(form, form.read_link, self._below(form, url, task.content))
        return await self._upstreams.get_elsewhere(
            self._channel,
            self._snapshot.egress,
            named,
            self._request_id,
            codec=CODECS[form.dialect],
            key=key_of(task, self._channel),
            range_=range_,
        )

    def _below(self, form: VideoForm, url: str, id_: str) -> str:
        try:
            return form.below(url, form.content_path, id_)
        except BadModelName:
            raise _missing(self._task) from None

    async def _get(
        self, form: VideoForm, url: str, range_: bytes, statuses: Collection[int] = _BYTES
    ) -> Answer:
        """Send a request to the channel, with the key that the task belongs to."""
        return await self._upstreams.get(
            self._channel,
            self._snapshot.egress,
            url,
            self._request_id,
            codec=CODECS[form.dialect],
            key=key_of(self._task, self._channel),
            range_=range_,
            statuses=statuses,
        )

    async def _linked(self, form: VideoForm, read_link: Callable[[bytes], str], url: str) -> str:
        answer = await self._get(form, url, b"", (200,))
        try:
            body = b""
            while len(body) < _LINK_BYTES_MAX and (piece := await answer.next_bytes()):
                body += piece
        finally:
            answer.cut()
        try:
            return read_link(body)
        except AnswerFault:
            raise upstream_failure("F15") from None


def key_of(task: Task, channel: Channel) -> int:
    """Return the position of the key that the task belongs to; the first if that key no longer
    exists."""
    keys = channel.key_ids
    return keys.index(task.channel_key_id) if task.channel_key_id in keys else 0


async def pass_on(
    answer: Answer,
    channel: Channel,
    receive: Receive,
    sink: HttpSink,
    bytes_max: int | None = None,
) -> None:
    """Forward the content of an answer until its end, or until the client leaves. Content above
    `bytes_max` is cut off."""
    task = asyncio.current_task()
    left = False

    def leave(_: "asyncio.Task[None]") -> None:
        nonlocal left
        if not left and task is not None and not watch.cancelled():
            left = True
            task.cancel()

    watch = asyncio.create_task(_wait_for_disconnect(receive))
    watch.add_done_callback(leave)
    whole, size = False, 0
    try:
        async with timeout(channel.timeouts.idle) as limit:
            await sink.begin_bytes(answer.status, _fields(answer.headers))
            while piece := await answer.next_bytes():
                size += len(piece)
                if bytes_max is not None and size > bytes_max:
                    return
                await sink.write(piece, last=False)
                limit.restart()
        await sink.write(b"", last=True)
        whole = True
    except (UpstreamFailed, TimeoutError):
        # An error cannot be sent any more: the server closes the connection because the last byte
        # is missing.
        return
    except asyncio.CancelledError:
        if not left or task is None or task.uncancel():
            raise
    finally:
        left = True
        watch.cancel()
        if whole:
            answer.release()
        else:
            answer.cut()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _fields(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = kind if kind in _TYPES else "application/octet-stream"
    fields = [(b"content-type", kind.encode()), (b"cache-control", b"private, no-store")]
    for name in _PASSED:
        if name in headers:
            fields.append((name.encode(), headers[name].encode("latin-1")))
    return fields
