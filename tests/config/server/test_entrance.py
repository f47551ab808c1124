"""What stands before Django, tried without Django and without a server."""

import asyncio
import json
from collections import deque
from typing import Any

import pytest

from config.server import request_limits
from config.server.request_limits import (
    BODY_BYTES_MAX,
    KNOWN,
    UPLOADS,
    ConcurrencyLimit,
    NotAdmitted,
    RequestLimits,
)
from gateway.model_entries.facts import LIST_BYTES_MAX
from playground.attachments.rules import BYTES_MAX
from playground.chats.export_format import IMPORT_BYTES_MAX
from usage.margin.provider_bill_lines import BILL_BYTES_MAX

MIB = 1024 * 1024
Headers = list[tuple[bytes, bytes]]


class Pages:
    """Django's side: keeps who came in, and lets each go on when a test says so."""

    def __init__(self, *, knows: bool = False) -> None:
        self.knows = knows
        self.bodies: list[bytes] = []
        self.inside = 0
        self.most = 0
        self.go_on = asyncio.Event()
        self.end = asyncio.Event()
        self.end.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        self.bodies.append(message["body"])
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.go_on.wait()
        self.inside -= 1
        if self.knows:
            scope[KNOWN] = True
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.end.wait()
        await send({"type": "http.response.body", "body": b"page", "more_body": False})


class Client:
    """One request, and what it was told."""

    def __init__(
        self,
        method: str = "GET",
        path: str = "/login",
        headers: Headers | None = None,
        address: str = "192.0.2.1",
    ) -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": headers or [],
            "client": (address, 50_000),
        }
        self.coming: deque[dict[str, Any]] = deque()
        self.told: list[Any] = []
        self.left = asyncio.Event()

    def sends(self, *pieces: bytes) -> "Client":
        for at, piece in enumerate(pieces):
            more = at + 1 < len(pieces)
            self.coming.append({"type": "http.request", "body": piece, "more_body": more})
        return self

    async def receive(self) -> Any:
        if self.coming:
            return self.coming.popleft()
        if self.scope["method"] == "GET":
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.told.append(message)

    def asks(self, door: RequestLimits) -> "asyncio.Task[None]":
        return asyncio.create_task(door(self.scope, self.receive, self.send))

    @property
    def status(self) -> int:
        status: int = self.told[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.told[0]["headers"])

    @property
    def body(self) -> str:
        text: bytes = self.told[1]["body"]
        return text.decode()


def post(size: int | None = None, headers: Headers | None = None, path: str = "/login") -> Client:
    length = (
        (b"transfer-encoding", b"chunked") if size is None else (b"content-length", b"%d" % size)
    )
    return Client("POST", path, [length, *(headers or [])])


async def settle() -> None:
    """Until nothing more goes on by itself."""
    for _ in range(20):
        await asyncio.sleep(0)


# Bodies -------------------------------------------------------------------------------------------


async def test_body_arrives_whole() -> None:
    pages = Pages()
    pages.go_on.set()
    client = post().sends(b"one", b"", b"two")
    await client.asks(RequestLimits(pages))
    assert (client.status, pages.bodies) == (200, [b"onetwo"])


async def test_large_body_is_rejected_by_its_length_before_it_arrives() -> None:
    pages = Pages()
    client = post(BODY_BYTES_MAX + 1)
    await asyncio.wait_for(client.asks(RequestLimits(pages)), 30)
    assert (client.status, pages.bodies) == (413, [])
    assert "You can send up to 3 MiB" in client.body


@pytest.mark.parametrize(("page", "mib"), [("files", 21), ("import", 65)])
async def test_a_file_of_the_playground_may_be_larger(page: str, mib: int) -> None:
    """What the views take has to reach them; nothing else at such an address does."""
    pages = Pages()
    pages.go_on.set()
    path = f"/o/acme/playground/{page}"
    client = post(mib * MIB, path=path).sends(*[b"x" * MIB] * (mib - 1), b"y" * MIB)
    door = RequestLimits(pages)
    await client.asks(door)
    assert (client.status, len(pages.bodies[0])) == (200, mib * MIB)
    assert door._room == RequestLimits(pages)._room
    for refused in (post(mib * MIB + 1, path=path), post(mib * MIB, path=f"{path}/1")):
        await refused.asks(RequestLimits(Pages()))
        assert refused.status == 413


async def test_large_body_is_rejected_where_it_exceeds_the_limit() -> None:
    pages = Pages()
    client = post().sends(*[b"x" * MIB] * 300)
    await client.asks(RequestLimits(pages))
    assert (client.status, pages.bodies) == (413, [])
    assert len(client.coming) == 296


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ([(b"cookie", b"language=zh-hans")], "内容过大"),
        ([(b"accept-language", b"zh-CN,zh;q=0.9")], "内容过大"),
        ([], "The request is too large"),
    ],
)
async def test_a_refusal_speaks_the_language_of_the_reader(headers: Headers, word: str) -> None:
    client = post(4 * MIB, headers)
    await client.asks(RequestLimits(Pages()))
    assert word in client.body
    assert "default-src 'none'" in client.headers[b"content-security-policy"].decode()


async def test_a_refusal_of_the_api_has_its_form() -> None:
    client = post(4 * MIB, path="/api/v1/keys")
    await client.asks(RequestLimits(Pages()))
    assert client.headers[b"content-type"] == b"application/json"
    assert json.loads(client.body)["error"]["code"] == "request_too_large"


async def test_large_bodies_share_their_room_and_spare_small_ones() -> None:
    """P9: whatever a crowd sends, all that waits of it in memory is bounded."""
    pages = Pages()
    door = RequestLimits(pages)
    crowd = [post().sends(b"x" * 2 * MIB, b"y") for _ in range(30)]
    for client in crowd:
        client.coming.pop()
    tasks = [client.asks(door) for client in crowd]
    await settle()
    refused = [client.status for client in crowd if client.told]
    assert refused == [503] * 14
    for client in crowd:
        if client.told:
            headers = dict(client.told[0]["headers"])
            id = headers[b"x-request-id"].decode()
            assert f"Request <code>{id}</code>" in client.body
    small = post().sends(b"login=bob")
    tasks.append(small.asks(door))
    pages.go_on.set()
    await settle()
    assert small.status == 200
    for client in crowd:
        client.left.set()
    await asyncio.gather(*tasks)
    again = post().sends(b"x" * 2 * MIB)
    await again.asks(door)
    assert again.status == 200


async def test_stalled_body_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_BODY_S", 0.0)
    client = post(10)
    await asyncio.wait_for(client.asks(RequestLimits(Pages())), 30)
    assert client.status == 408
    program = post(10, path="/api/v1/keys")
    await asyncio.wait_for(program.asks(RequestLimits(Pages())), 30)
    body = json.loads(program.body)
    assert (program.status, body["error"]["code"]) == (408, "request_timeout")
    assert (b"x-request-id", body["request_id"].encode()) in program.told[0]["headers"]


async def test_client_leaving_during_its_body_gets_no_answer() -> None:
    client = post(10)
    client.left.set()
    await client.asks(RequestLimits(Pages()))
    assert client.told == []


# Lanes --------------------------------------------------------------------------------------------

COOKIE = [(b"cookie", b"theme=dark; session_8000=abc")]


@pytest.mark.parametrize("how", ["too long", "cancelled"])
async def test_cancelled_waiter_leaves_its_place_to_others(how: str) -> None:
    limit = ConcurrencyLimit(1, 1, 0.0 if how == "too long" else 10.0)
    await limit.enter()
    for _ in range(3):
        waiting = asyncio.create_task(limit.enter())
        await settle()
        waiting.cancel()
        with pytest.raises((NotAdmitted, asyncio.CancelledError)):
            await waiting
    limit._wait_s = 10.0
    waiting = asyncio.create_task(limit.enter())
    await settle()
    assert not waiting.done()
    limit.leave()
    await asyncio.wait_for(waiting, 30)


@pytest.fixture
def session_cookie(settings: Any) -> None:
    settings.SESSION_COOKIE_NAME = "session_8000"


def patient(pages: Pages) -> RequestLimits:
    """Limits in which nobody waits too long, however slow the machine draws the refusals."""
    door = RequestLimits(pages)
    door._askers._wait_s = door._readers._wait_s = 600.0
    return door


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_few_strangers_are_admitted_in_parallel(method: str) -> None:
    pages = Pages()
    door = patient(pages)
    crowd = [Client(method, address=f"198.51.{n // 250}.{n % 250}").sends(b"") for n in range(300)]
    tasks = [client.asks(door) for client in crowd]
    await settle()
    assert pages.inside == 4
    # Who finds the queue full is told at once.
    refused = [client for client in crowd if client.told]
    assert {client.status for client in refused} == {503}
    assert {client.headers[b"retry-after"] for client in refused} == {b"5"}
    assert len(refused) == 300 - 4 - (64 if method == "GET" else 32)
    pages.go_on.set()
    await asyncio.gather(*tasks)
    assert pages.most == 4
    assert {client.status for client in crowd if client not in refused} == {200}


async def test_one_network_leaves_sign_in_places_to_others() -> None:
    """Fifty codes or passwords that one network sends at once get one kind of refusal."""
    pages = Pages()
    door = patient(pages)
    crowd = [Client("POST", "/login/2fa", address=f"2001:db8::{n:x}").sends(b"") for n in range(50)]
    tasks = [client.asks(door) for client in crowd]
    await settle()
    refused = [client for client in crowd if client.told]
    assert [client.status for client in refused] == [429] * (50 - 18)
    assert {client.headers[b"retry-after"] for client in refused} == {b"5"}
    assert "Try again in 5 seconds." in refused[0].body
    elsewhere = Client("POST", address="198.51.100.1").sends(b"")
    tasks.append(elsewhere.asks(door))
    pages.go_on.set()
    await asyncio.gather(*tasks)
    assert elsewhere.status == 200
    # Whoever is answered makes room.
    again = Client("POST", address="2001:db8::1").sends(b"")
    await again.asks(door)
    assert again.status == 200


async def test_overlong_wait_is_reported() -> None:
    pages = Pages()
    door = RequestLimits(pages)
    door._readers = request_limits.ConcurrencyLimit(1, 5, 0.0)
    first, second = Client(), Client()
    inside = first.asks(door)
    await settle()
    await asyncio.wait_for(second.asks(door), 30)
    assert second.status == 503
    pages.go_on.set()
    await inside


async def test_known_person_does_not_wait_for_strangers(session_cookie: None) -> None:
    pages = Pages(knows=True)
    door = RequestLimits(pages)
    pages.go_on.set()
    await Client(headers=COOKIE).asks(door)
    pages.go_on.clear()
    forged = [(b"cookie", b"session_8000=forged")]
    crowd = [Client(headers=forged).asks(door) for _ in range(4)]
    await settle()
    known, stranger = Client(headers=COOKIE), Client(headers=forged)
    crowd += [known.asks(door), stranger.asks(door)]
    await settle()
    assert pages.inside == 5
    pages.go_on.set()
    await asyncio.gather(*crowd)


async def test_a_key_is_known_like_a_session_and_keys_do_not_share(session_cookie: None) -> None:
    pages = Pages(knows=True)
    door = RequestLimits(pages)
    pages.go_on.set()
    for key in (b"one", b"two"):
        await Client(path="/api/v1/keys", headers=[(b"authorization", key)]).asks(door)
    pages.go_on.clear()
    crowd = [
        Client(path="/api/v1/keys", headers=[(b"authorization", b"one")]).asks(door)
        for _ in range(40)
    ]
    await settle()
    assert pages.inside == 16
    crowd.append(Client(path="/api/v1/keys", headers=[(b"authorization", b"two")]).asks(door))
    await settle()
    assert pages.inside == 17
    pages.go_on.set()
    await asyncio.gather(*crowd)


async def test_stream_delays_no_one() -> None:
    pages = Pages()
    pages.go_on.set()
    pages.end.clear()
    door = RequestLimits(pages)
    crowd = [Client().asks(door) for _ in range(20)]
    await settle()
    assert len(pages.bodies) == 20
    pages.end.set()
    await asyncio.gather(*crowd)


async def test_remembered_visitors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "_KNOWN_MAX", 3)
    pages = Pages(knows=True)
    pages.go_on.set()
    door = RequestLimits(pages)
    for n in range(5):
        await Client(headers=[(b"authorization", b"%d" % n)]).asks(door)
    assert len(door._known) == 3


@pytest.mark.parametrize(
    ("path", "file_max"),
    [
        ("/o/acme/playground/files", BYTES_MAX), ("/o/acme/playground/files/media", BYTES_MAX),
        ("/o/acme/playground/import", IMPORT_BYTES_MAX),
        ("/admin/models/catalogue/update", LIST_BYTES_MAX),
        ("/admin/reconcile/new", BILL_BYTES_MAX), ("/o/acme/playground/files/media/x", None),
        ("/admin/reconcile", None), ("/o/acme/x/playground/files", None),
    ],
)  # fmt: skip
def test_upload_is_as_large_as_its_page_takes(path: str, file_max: int | None) -> None:
    """And its form around it; where nothing is uploaded, a body is small."""
    taken = [bytes_max for pattern, bytes_max in UPLOADS if pattern.fullmatch(path)]
    assert taken == ([] if file_max is None else [file_max + MIB])
