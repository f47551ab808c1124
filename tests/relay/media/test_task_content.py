"""The bytes of a finished video, from the channel and the key that made it, without a hub."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.errors.errors import RequestFault
from dialects.media.videos import Video
from gateway.channels.timeouts import Timeouts
from lib.ids import new_id
from relay.downstream.http_sink import HttpSink
from relay.media import linked_picture, task_answers, task_content
from relay.media_tasks import media_tasks
from relay.upstream.failures import UpstreamFailed
from tests.relay.media_tasks.test_media_tasks import States, states_of

CHANNEL, KEYS, OWN = UUID(int=1), (UUID(int=2), UUID(int=3)), UUID(int=4)


def video(state: Any = "succeeded", size: str = "720x1280") -> Video:
    return Video("video_1", "m", state, 100, 1, 2, 3, 8, size, "p", None, None)


def task(state: Any = "succeeded", **over: Any) -> Any:
    known = {
        "id": new_id(), "video": video(state), "form": "videos", "channel_id": CHANNEL,
        "channel_key_id": KEYS[1], "own_key": False, "upstream_id": "up_1", "content_kept": True,
        "content": "",
    }  # fmt: skip
    return SimpleNamespace(**known | over)


def channel(own: Any = None, **over: Any) -> Any:
    known = {
        "uuid": CHANNEL, "own": own, "key_ids": KEYS, "timeouts": Timeouts(idle=0.05),
        "address": SimpleNamespace(urls={"videos": "https://api.example/v1/videos"}), "id": "a",
    }  # fmt: skip
    return SimpleNamespace(**known | over)


class Upstream:
    """A provider whose answer has these headers and pieces."""

    status = 206

    def __init__(self, *pieces: bytes | Exception | None, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pieces = [*pieces, b""]
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.ended = ""

    async def get(self, channel: Any, egress: Any, url: str, _: str, **more: Any) -> Any:
        self.asked.append((url, more))
        return self

    get_elsewhere = get

    async def next_bytes(self) -> bytes:
        piece = self.pieces.pop(0)
        if piece is None:
            await asyncio.Event().wait()
        if isinstance(piece, Exception):
            raise piece
        return cast(bytes, piece)

    def release(self) -> None:
        self.ended = "released"

    def cut(self) -> None:
        self.ended = "cut"


# ---- what is told of it


def test_headers_about_the_bytes_go_on_and_no_others() -> None:
    told = {
        "content-type": "video/mp4; codecs=x", "content-length": "7",
        "content-range": "bytes 0-6/9",
        "accept-ranges": "bytes", "etag": '"e"', "last-modified": "Mon", "set-cookie": "secret",
        "cache-control": "public", "x-request-id": "theirs",
    }  # fmt: skip
    fields = {name.decode(): value.decode() for name, value in task_content._fields(told)}
    assert fields == {
        "content-type": "video/mp4", "cache-control": "private, no-store", "content-length": "7",
        "content-range": "bytes 0-6/9", "accept-ranges": "bytes", "etag": '"e"',
        "last-modified": "Mon",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/javascript", ""])
def test_bytes_that_a_browser_would_run_have_no_such_type(kind: str) -> None:
    assert task_content._fields({"content-type": kind})[0] == (
        b"content-type", b"application/octet-stream",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (b"bytes=0-99", True),
        (b"bytes=-5, 10-", True),
        (b"bytes=a", False),
        (b"lines=1", False),
        (b"bytes=0-1\r\nx: y", False),
    ],
)
def test_only_a_range_of_bytes_is_asked_of_the_provider(value: bytes, asked: bool) -> None:
    scope: Any = {"headers": [(b"accept", b"*/*"), (b"range", value)]}
    assert task_content.asked_range(scope) == (value if asked else b"")
    assert task_content.asked_range(cast(Any, {"headers": []})) == b""


# ---- where it is


def test_key_that_ordered_a_video_asks_for_it() -> None:
    assert task_content.key_of(task(), channel()) == 1
    # One that is gone leaves the first.
    assert task_content.key_of(task(channel_key_id=OWN), channel()) == 0
    assert task_content.key_of(task(channel_key_id=None), channel()) == 0


def test_channel_is_the_one_that_made_it_with_an_own_key_if_that_did() -> None:
    plain, own = channel(), channel(own="terms")
    other = channel(uuid=UUID(int=9))
    snapshot: Any = SimpleNamespace(channels={str(OWN): own, "x": other, "a": plain})
    assert task_content.channel_of(task(), snapshot) is plain
    with_own = task(own_key=True, channel_key_id=OWN)
    assert task_content.channel_of(with_own, snapshot) is own
    gone: Any = SimpleNamespace(channels={"x": other})
    for one in (task(), with_own):
        with pytest.raises(RequestFault) as fault:
            task_content.channel_of(one, gone)
        assert fault.value.kind == "no_channel"


@pytest.mark.parametrize(
    ("one", "kind"),
    [
        (task("queued"), "conflict"),
        (task("running"), "conflict"),
        (task("failed"), "task_not_found"),
        (task(content_kept=False), "task_not_found"),
        (task(), None),
    ],
)
def test_video_without_bytes_says_why(one: Any, kind: str | None) -> None:
    if kind is None:
        task_content._check_available(one)
        return
    with pytest.raises(RequestFault) as fault:
        task_content._check_available(one)
    assert fault.value.kind == kind


async def opened(
    upstream: Upstream, one: Any, variant: str = "video"
) -> tuple[str, dict[str, Any]]:
    snapshot: Any = SimpleNamespace(egress=None)
    source = task_content._Source(cast(Any, upstream), snapshot, one, channel(), "r")
    await source.open(variant, b"bytes=0-1")
    return upstream.asked[-1]


async def test_variant_of_a_video_is_asked_for_by_its_name() -> None:
    url, more = await opened(Upstream(), task())
    assert url == "https://api.example/v1/videos/up_1/content"
    assert (more["key"], more["range_"]) == (1, b"bytes=0-1")
    url, _ = await opened(Upstream(), task(), "thumbnail")
    assert url == "https://api.example/v1/videos/up_1/content?variant=thumbnail"
    with pytest.raises(RequestFault) as unknown:
        await opened(Upstream(), task(), "poster")
    assert (unknown.value.kind, unknown.value.param) == ("invalid_value", "variant")
    # Whose provider names its file has that file alone.
    kept = task(content="https://store.example/v.mp4")
    url, more = await opened(Upstream(), kept)
    assert (url, more["key"]) == ("https://store.example/v.mp4", 1)
    with pytest.raises(RequestFault) as missing:
        await opened(Upstream(), kept, "thumbnail")
    assert missing.value.kind == "unsupported_capability"


@pytest.mark.parametrize(
    ("status", "content", "gone"),
    [(404, "", True), (410, "", True), (403, "", False), (403, "https://a.example/v", True),
     (500, "", False)],
)  # fmt: skip
async def test_file_that_the_provider_no_longer_has_is_missing(
    monkeypatch: pytest.MonkeyPatch, status: int, content: str, gone: bool
) -> None:
    async def find(*_: Any) -> Any:
        return task(content=content)

    async def fail(*_: Any) -> Any:
        raise UpstreamFailed("F2", "upstream_error", "no", upstream_status=status)

    monkeypatch.setattr(task_answers, "find", find)
    monkeypatch.setattr(task_content._Source, "open", fail)
    snapshot: Any = SimpleNamespace(channels={"a": channel()}, egress=None)
    parts: Any = SimpleNamespace(states=None, upstreams=None)
    wanted = task_content._Wanted("video_1", "video", b"")
    with pytest.raises(RequestFault if gone else UpstreamFailed):
        await task_content._request_content(parts, snapshot, cast(Any, "who"), wanted, new_id())


# ---- on its way


class Client:
    def __init__(self, *, leaves: bool = False) -> None:
        self.body, self.ended = b"", False
        self.leaves = leaves

    async def begin_bytes(self, status: int, fields: Any) -> None:
        self.status = status

    async def write(self, piece: bytes, *, last: bool) -> None:
        self.body += piece
        self.ended = last

    async def receive(self) -> Any:
        if self.leaves:
            return {"type": "http.disconnect"}
        await asyncio.Event().wait()


async def passed(upstream: Upstream, client: Client, bytes_max: int | None = None) -> Client:
    work = task_content.pass_on(
        cast(Any, upstream), channel(), cast(Any, client.receive), cast(HttpSink, client), bytes_max
    )
    await asyncio.create_task(work)
    return client


async def test_bytes_go_on_to_their_end() -> None:
    upstream = Upstream(b"ab", b"cd")
    client = await passed(upstream, Client())
    assert (client.status, client.body, client.ended) == (206, b"abcd", True)
    assert upstream.ended == "released"


@pytest.mark.parametrize(
    "piece", [UpstreamFailed("F12", "upstream_error", "cut"), None], ids=["cut", "silent"]
)
async def test_interrupted_bytes_have_no_end(piece: Any) -> None:
    upstream = Upstream(b"ab", piece)
    client = await passed(upstream, Client())
    assert (client.body, client.ended, upstream.ended) == (b"ab", False, "cut")


async def test_each_piece_may_take_as_long_as_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    restarts: list[float] = []

    class Limit:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        async def __aenter__(self) -> "Limit":
            return self

        async def __aexit__(self, *_: object) -> None: ...

        def restart(self) -> None:
            restarts.append(self.seconds)

    monkeypatch.setattr(task_content, "timeout", Limit)
    await passed(Upstream(b"ab", b"cd"), Client())
    assert restarts == [0.05, 0.05]


async def test_bytes_beyond_the_limit_are_cut_off_and_those_at_it_are_not() -> None:
    for bytes_max, body, ended in ((4, b"abcd", True), (3, b"ab", False)):
        upstream = Upstream(b"ab", b"cd")
        client = await passed(upstream, Client(), bytes_max)
        assert (client.body, client.ended) == (body, ended)
        assert upstream.ended == ("released" if ended else "cut")


async def test_provider_is_let_go_when_the_client_leaves() -> None:
    upstream = Upstream(b"ab", None)
    client = await passed(upstream, Client(leaves=True))
    assert (client.ended, upstream.ended) == (False, "cut")


@pytest.mark.parametrize(
    ("piece", "error"),
    [(b"cd", None), (UpstreamFailed("F12", "upstream_error", "cut"), UpstreamFailed),
     (None, TimeoutError)],
    ids=["whole", "cut", "silent"],
)  # fmt: skip
async def test_page_gets_the_bytes_until_their_end(
    monkeypatch: pytest.MonkeyPatch, piece: Any, error: type[Exception] | None
) -> None:
    upstream, wanted = Upstream(b"ab", piece, content_type="video/mp4", etag="e"), list[Any]()

    async def request(parts: Any, snapshot: Any, principal: Any, *more: Any) -> Any:
        wanted.append((principal, more[0]))
        return upstream, channel()

    monkeypatch.setattr(task_content, "_request_content", request)
    for asked, range_ in ((b"bytes=0-1", b"bytes=0-1"), (b"lines=1", b"")):
        content = await task_content.open_content(
            cast(Any, None), cast(Any, None), cast(Any, "who"), "video_1", range_=asked
        )
        assert wanted.pop() == ("who", ("video_1", "video", range_))
    assert (content.status, content.headers) == (206, {
        "content-type": "video/mp4", "cache-control": "private, no-store", "etag": "e",
    })  # fmt: skip
    body = b""
    with contextlib.suppress(*([] if error is None else [error])):
        async for more in content.pieces():
            body += more
    assert (body, upstream.ended) == ((b"abcd", "released") if error is None else (b"ab", "cut"))


@pytest.mark.parametrize("status", [403, 404, 410, 502])
async def test_link_to_a_picture_that_is_gone_is_not_valid(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    refused: list[Any] = []

    async def fail(*_: Any) -> Any:
        raise UpstreamFailed("F2", "upstream_error", "no", upstream_status=status)

    async def refuse(error: Any) -> None:
        refused.append(error.status)

    picture = SimpleNamespace(channel="a", model="m", url="https://a.example/p")
    monkeypatch.setattr(linked_picture, "open_link", lambda *_: picture)
    monkeypatch.setattr(linked_picture, "_open", fail)
    request: Any = SimpleNamespace(
        snapshot=SimpleNamespace(channels={"a": channel()}, now=lambda: 0.0),
        invocation=SimpleNamespace(target=SimpleNamespace(task="x")),
        life=SimpleNamespace(config=SimpleNamespace(pepper="")),
        sink=SimpleNamespace(refuse=refuse),
    )  # fmt: skip
    if status == 502:
        await linked_picture.stream_linked_picture(request)
        assert refused == [502]
    else:
        with pytest.raises(RequestFault) as missing:
            await linked_picture.stream_linked_picture(request)
        assert missing.value.kind == "route_not_found"
    # A channel that is off is told as that, by the client's name of the model.
    request.snapshot.channels = {}
    with pytest.raises(RequestFault) as off:
        await linked_picture.stream_linked_picture(request)
    assert off.value.kind == "no_channel"


# ---- the stored task


async def test_columns_of_a_task_are_read_each_at_its_place() -> None:
    row = (
        str(UUID(int=21)), "video_9", "m", "succeeded", "42", "100.5", "200.5", "300.5", "8",
        "1280x720", "video_8", None, None, "videos", str(CHANNEL), str(KEYS[0]), "t", "up_9", "t",
        "DONE", "150.5",
    )  # fmt: skip
    one = await media_tasks.find_any(states_of(row), "video_9", "video")
    assert one is not None
    assert one.video == Video(
        "video_9", "m", "succeeded", 42, 100, 200, 300, 8, "1280x720", None, "video_8", None
    )
    assert (one.id, one.form, one.channel_id, one.channel_key_id) == (
        UUID(int=21), "videos", CHANNEL, KEYS[0],
    )  # fmt: skip
    assert (one.own_key, one.upstream_id, one.content_kept, one.provider_state) == (
        True, "up_9", True, "DONE",
    )  # fmt: skip
    assert (one.created_ms, one.started_ms, one.ended_ms) == (100_500, 150_500, 200_500)
    # What has failed has no time at which it was completed, or expires.
    failed = await media_tasks.find_any(
        states_of((*row[:3], "failed", *row[4:16], "f", "up_9", "f", *row[19:])), "video_9", "video"
    )
    assert failed is not None
    assert (failed.video.completed_at, failed.video.expires_at) == (None, None)
    assert (failed.own_key, failed.content_kept) == (False, False)
    assert failed.video.error is not None
    shown = media_tasks.display_task(failed._replace(result={"url": "x"}), "link")
    assert (shown.result, shown.link, shown.word, shown.progress) == ({}, "link", "DONE", 42)


@pytest.mark.parametrize(("found", "more"), [(2, False), (3, False), (4, True)])
async def test_page_of_videos_says_whether_there_are_more(found: int, more: bool) -> None:
    row = (
        str(UUID(int=21)), "v", "m", "queued", "0", "1", None, None, "8", "", "", None, None,
        "videos", str(CHANNEL), None, "f", "up", None, "", None,
    )  # fmt: skip
    asked: list[dict[str, Any]] = []

    class Asked(States):
        async def run(self, statements: Any) -> Any:
            asked.extend(dict(parameters) for _, parameters in statements)
            return await super().run(statements)

    states: Any = Asked(*[row] * found)
    who: Any = SimpleNamespace(team_id=UUID(int=5))
    for ascending, first in ((True, UUID(int=0)), (False, UUID(int=2**128 - 1))):
        tasks, has_more = await media_tasks.page(
            states, who, after=None, limit=3, ascending=ascending
        )
        assert (len(tasks), has_more) == (min(found, 3), more)
        assert (asked[-1]["after"], asked[-1]["team"], asked[-1]["limit"]) == (
            first, UUID(int=5), 4,
        )  # fmt: skip


@pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed"])
async def test_only_a_finished_video_is_the_source_of_another(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    async def find(*_: Any) -> Any:
        return task(state)

    monkeypatch.setattr(task_answers, "find", find)
    if state == "succeeded":
        source = await task_answers.source_of(cast(Any, None), cast(Any, None), "video_1")
        assert (source.public_id, source.upstream_id, source.model) == ("video_1", "up_1", "m")
        assert (source.channel_id, source.channel_key_id) == (CHANNEL, KEYS[1])
        assert (source.seconds, source.size) == (8, "720x1280")
        return
    with pytest.raises(RequestFault) as fault:
        await task_answers.source_of(cast(Any, None), cast(Any, None), "video_1")
    assert fault.value.kind == "conflict"
