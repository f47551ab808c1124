"""Clients that hold a conversation over a WebSocket, and go on with it on another one when theirs
ends.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.hub import Tenant

_LIMIT_S = 60.0


class Turns:
    """Turns of several clients, until they are stopped; `ends` says what became of them."""

    def __init__(
        self, ports: Sequence[int], tenants: Sequence[Tenant], model: str, *, seed: int
    ) -> None:
        self._ports = ports
        self._tenants = tenants
        self._model = model
        self._stopping = False
        self._random = random.Random(seed)
        self._ended = asyncio.Event()
        self.ends: Counter[str] = Counter()
        # The ids of the responses that a client was told of as whole.
        self.whole: list[str] = []

    def stop(self) -> None:
        """Let the running turns end, and begin no more."""
        self._stopping = True

    async def until(self, whole: int) -> None:
        """Wait until so many turns have come to a whole response."""
        while len(self.whole) < whole:
            self._ended.clear()
            await self._ended.wait()

    async def run(self, clients: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(self._live())

    async def _live(self) -> None:
        tenant = self._random.choice(self._tenants)
        headers = {"authorization": f"Bearer {tenant.key}"}
        while not self._stopping:
            url = f"ws://127.0.0.1:{self._random.choice(self._ports)}/v1/responses"
            try:
                async with asyncio.timeout(_LIMIT_S), connect(
                    url, additional_headers=headers, compression=None, ping_interval=None
                ) as socket:  # fmt: skip
                    await self._converse(socket)
            except (OSError, InvalidHandshake, TimeoutError):
                await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _converse(self, socket: ClientConnection) -> None:
        """Turns of one conversation, until the connection ends or a turn fails."""
        previous: str | None = None
        while not self._stopping:
            n = self._random.randint(5, 120)
            body: dict[str, Any] = {
                "type": "response.create",
                "model": self._model,
                "store": False,
                "input": f"once more #tokens={n} #delay_ms=10",
                "previous_response_id": previous,
            }
            try:
                await socket.send(json.dumps(body))
                end, response = await self._hear(socket)
            except WebSocketException:
                self._note("lost")
                return
            self._note(end, response.get("id", ""))
            if end != "completed":
                await asyncio.sleep(self._random.uniform(0.05, 0.3))
                previous = None
                continue
            previous = response["id"]

    def _note(self, end: str, response_id: str = "") -> None:
        self.ends[end] += 1
        if end == "completed":
            self.whole.append(response_id)
            self._ended.set()

    async def _hear(self, socket: ClientConnection) -> tuple[str, dict[str, Any]]:
        """How a turn ends, and its response."""
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "error":
                return str(event["status"]), {}
            if event["type"] in ("response.completed", "response.failed"):
                return event["type"].removeprefix("response."), event["response"]
        with contextlib.suppress(WebSocketException):
            await socket.recv()
        raise WebSocketException("closed")
