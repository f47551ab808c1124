"""From the first second the address answers that Weir is starting, and nobody is refused while the
web process takes over."""

import asyncio
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from stack.ports import open_port
from stack.processes.reception import DATABASE, TABLES, Reception, compose_answer
from tests.support.ports import free_port

BROWSER = b"GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html,*/*\r\nAccept-Language: "
CLIENT = b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\n\r\n"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with open_port("127.0.0.1", free_port()) as listening:
        yield listening


def url(listening: socket.socket) -> str:
    return f"http://127.0.0.1:{listening.getsockname()[1]}/v1/chat/completions"


async def others() -> None:
    """Let whoever still answers end."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (b"de, en", ['lang="en"', "Weir is starting", "Preparing the database"]),
        (b"zh-CN,zh;q=0.9", ['lang="zh-Hans"', "Weir 正在启动", "正在准备数据库"]),
    ],
)
def test_browser_gets_a_page_that_reloads_itself(language: bytes, words: list[str]) -> None:
    head, _, body = compose_answer(BROWSER + language + b"\r\n\r\n", TABLES).partition(b"\r\n\r\n")
    assert b"text/html; charset=utf-8" in head
    for word in [*words, '<meta http-equiv="refresh" content="1">']:
        assert word in body.decode()


def test_client_gets_an_error_that_does_not_blame_it() -> None:
    """A start is no 401, 402 or 403 (docs/promises.md); clients of all APIs read its message."""
    head, _, body = compose_answer(CLIENT, DATABASE).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in head
    assert f"Content-Length: {len(body)}".encode() in head
    error = json.loads(body)["error"]
    assert error["code"] == "starting"
    assert error["message"].startswith("Weir is starting: starting the database.")


@pytest.mark.parametrize("request_head", [BROWSER + b"en\r\n\r\n", CLIENT])
def test_answer_is_kept_and_guessed_by_nobody(request_head: bytes) -> None:
    """Neither a cache nor a browser makes more of it than a moment's error."""
    head = compose_answer(request_head, TABLES).partition(b"\r\n\r\n")[0].decode()
    assert set(head.split("\r\n")) >= {
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    }


def test_a_head_request_gets_no_body() -> None:
    assert compose_answer(b"HEAD / HTTP/1.1\r\n\r\n", TABLES).endswith(b"\r\n\r\n")


async def test_a_large_request_is_answered_whole(listening: socket.socket) -> None:
    reception = Reception(listening)
    await reception.open()
    async with httpx.AsyncClient() as client:
        answer = await client.post(url(listening), content=b"x" * 2_000_000)
    reception.leave()
    await others()
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "starting"


async def test_no_request_is_rejected_during_the_takeover(
    listening: socket.socket,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    reception = Reception(listening)
    await reception.open()
    statuses = []
    async with httpx.AsyncClient() as client:
        for n in range(60):
            if n == 20:
                server = await asyncio.start_server(serve, sock=listening.dup())
            if n == 40:
                reception.close()
            statuses.append((await client.get(url(listening))).status_code)
    server.close()
    await others()
    assert set(statuses[:20]) == {503}
    assert set(statuses[20:40]) <= {200, 503}
    assert set(statuses[40:]) == {200}


async def test_no_one_waits_for_a_stopping_installation(listening: socket.socket) -> None:
    address = url(listening)
    reception = Reception(listening)
    await reception.open()
    reception.leave()
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(address)
