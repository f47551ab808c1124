"""A client's end of a live session, by Google's own client. It always uses TLS."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google import genai
from google.genai import types
from google.genai.live import AsyncSession
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.fakes import listeners
from tests.fakes.tls_front import TlsFront
from tests.support.hub import Hub

# Nano per million tokens; per million searches.
RATES = {
    "in_text": 10**6,
    "in_audio": 3 * 10**6,
    "in_image": 2 * 10**6,
    "out_text": 5 * 10**6,
    "out_audio": 12 * 10**6,
    "searches": 14 * 10**6,
}
Said = Callable[[AsyncSession], Awaitable[Any]]


@dataclass(frozen=True)
class Door:
    """A hub behind TLS."""

    url: str
    tls: ssl.SSLContext

    def client(self, key: str, version: str = "v1beta") -> genai.Client:
        options = types.HttpOptions(
            base_url=self.url,
            api_version=version,
            async_client_args={"ssl": self.tls},
            client_args={"verify": self.tls},
        )
        return genai.Client(api_key=key, http_options=options)

    @asynccontextmanager
    async def session(
        self,
        key: str,
        model: str,
        config: dict[str, Any] | None = None,
        version: str = "v1beta",
    ) -> AsyncIterator[AsyncSession]:
        own: Any = config or {"response_modalities": ["TEXT"]}
        live = self.client(key, version).aio.live
        async with live.connect(model=model, config=own) as session:
            yield session

    def converse(
        self,
        key: str,
        model: str,
        talk: Said,
        config: dict[str, Any] | None = None,
        version: str = "v1beta",
    ) -> Any:
        """What a client hears in one session."""

        async def run() -> Any:
            async with asyncio.timeout(60), self.session(key, model, config, version) as session:
                return await talk(session)

        return asyncio.run(run())


@contextmanager
def open_door(hub: Hub, authority: listeners.Authority, directory: Path) -> Iterator[Door]:
    context, _ = listeners.tls_context(directory, authority=authority)
    with TlsFront(hub.port, context) as front:
        trusting = ssl.create_default_context(cafile=str(authority.path))
        yield Door(f"https://127.0.0.1:{front.port}", trusting)


async def ask(session: AsyncSession, text: str) -> list[types.LiveServerMessage]:
    """The messages of the answer to a text."""
    turn = types.Content(role="user", parts=[types.Part(text=text)])
    await session.send_client_content(turns=turn)
    return await hear(session)


async def hear(session: AsyncSession) -> list[types.LiveServerMessage]:
    """The messages until the turn is over."""
    return [message async for message in session.receive()]


def text_of(messages: list[types.LiveServerMessage]) -> str:
    return "".join(message.text or "" for message in messages)


def end(socket: ClientConnection) -> tuple[int, str]:
    """The code and reason with which a session ends."""
    try:
        while True:
            socket.recv(timeout=30)
    except ConnectionClosed as error:
        return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")


def say(socket: ClientConnection, text: str) -> None:
    socket.send(json.dumps({"realtimeInput": {"text": text}}))
