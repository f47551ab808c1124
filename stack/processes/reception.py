"""Answer on the installation's address from the first second until the web process takes over.

This responder and the web process accept from the same listening socket, so no connection is
refused in between. Every response is 503 with `Retry-After`, which clients do not mistake for a
wrong key, an empty wallet or a missing right.
"""

import asyncio
import json
import socket
from contextlib import suppress
from html import escape
from typing import Final, NamedTuple

_HEAD_SECONDS: Final = 10
# A client that is still sending is read for this long, because it would lose the response if the
# connection were closed.
_REST_SECONDS: Final = 1
_RETRY_SECONDS: Final = 1


class Stage(NamedTuple):
    """The step that the start is waiting for, in the languages of the pages."""

    en: str
    zh_hans: str


DATABASE: Final = Stage("starting the database", "正在启动数据库")
TABLES: Final = Stage("preparing the database", "正在准备数据库")
WEB: Final = Stage("starting the web process", "正在启动网页服务")


class Reception:
    """Answers on a listening socket, which stays open for the web process."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.stage = DATABASE
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        # A copy, because the server closes its socket.
        self._server = await asyncio.start_server(self._answer, sock=self.listening.dup())

    def close(self) -> None:
        """Stop accepting: the web process gets all further connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def leave(self) -> None:
        """Close the socket, because the installation stops: nobody waits in its queue any more."""
        self.close()
        self.listening.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError, asyncio.LimitOverrunError):  # also TimeoutError
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(compose_answer(head, self.stage))
                await writer.drain()
            writer.write_eof()
            async with asyncio.timeout(_REST_SECONDS):
                while await reader.read(65_536):
                    pass
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def compose_answer(head: bytes, stage: Stage) -> bytes:
    """Return the response to a request with this head: for a browser a page that reloads itself,
    else the error as JSON."""
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(":", 1) for line in lines if ":" in line)
    if "text/html" in fields.get("accept", ""):
        chinese = fields.get("accept-language", "").strip().startswith("zh")
        kind, body = "text/html; charset=utf-8", _page(stage, chinese)
    else:
        kind, body = "application/json", _error(stage)
    content = body.encode()
    answer = (
        "HTTP/1.1 503 Service Unavailable\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\n"
        f"Retry-After: {_RETRY_SECONDS}\r\n"
        "Cache-Control: no-store\r\n"
        "Content-Security-Policy: default-src 'none'\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    ).encode()
    return answer if first.startswith("HEAD ") else answer + content


def _error(stage: Stage) -> str:
    """Return the error in a form that the clients of all model APIs can read."""
    message = f"Weir is starting: {stage.en}. Try again in a second."
    return json.dumps(
        {"type": "error", "error": {"type": "api_error", "code": "starting", "message": message}}
    )


def _page(stage: Stage, chinese: bool) -> str:
    if chinese:
        language, title = "zh-Hans", "Weir 正在启动"
        text = f"{stage.zh_hans}…… 本页会自动刷新。"
    else:
        language, title = "en", "Weir is starting"
        text = f"{stage.en.capitalize()} … This page loads itself again."
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="refresh" content="{_RETRY_SECONDS}">'
        f"<title>{escape(title)}</title></head>"
        f'<body><main><h1>{escape(title)}</h1><p role="status">{escape(text)}</p></main></body>'
        "</html>\n"
    )
