"""Clients that hold a conversation over a WebSocket, and begin another one when it breaks.

Each turn has a name of its own, its `user`, which is in the provider's books and in ours.
"""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.support.hub import Tenant

_TURN_S = 60.0


class Turns:
    """Runs in a thread of its own until it is stopped. Processes are started by the main thread:
    the kernel ends Postgres with the thread that started it (stack/processes/leash.py)."""

    def __init__(
        self, ports: Sequence[int], tenants: Sequence[Tenant], model: str, *, clients: int,
        seed: int,
    ) -> None:  # fmt: skip
        self._ports = ports
        self._tenants = tenants
        self._model = model
        self._clients = clients
        self._random = random.Random(seed)
        self._stopping = False
        self._changed = threading.Condition()
        # How turns ended: completed, failed, with the status of an error, or cut. A 503 is a turn
        # while Postgres was away: each client asks about five times a second, so that their number
        # grows with the time that Postgres takes to come back, which is long on a busy machine.
        self.ends: Counter[str] = Counter()
        # The names of the turns whose whole response came to the client.
        self.whole: list[str] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def until(self, count: int) -> None:
        """Wait until so many turns have come to a whole response."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.whole) >= count, 2 * _TURN_S)
        assert came, f"{len(self.whole)} of {count} turns, {dict(self.ends)}"

    def stop(self) -> None:
        """Let the running turns end, and begin no more."""
        self._stopping = True
        self._thread.join(2 * _TURN_S)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._live(number))

    async def _live(self, client: int) -> None:
        tenant = self._random.choice(self._tenants)
        headers = {"authorization": f"Bearer {tenant.key}"}
        while not self._stopping:
            url = f"ws://127.0.0.1:{self._random.choice(self._ports)}/v1/responses"
            try:
                async with connect(url, additional_headers=headers, compression=None) as socket:
                    await self._converse(client, socket)
            except (OSError, InvalidHandshake, InvalidMessage):
                pass  # The process was killed.
            await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _converse(self, client: int, socket: ClientConnection) -> None:
        """Take turns until one of them does not come to a whole response."""
        previous: str | None = None
        end = "completed"
        while end == "completed" and not self._stopping:
            name = f"turn {client}-{self.ends.total()}"
            event = {
                "type": "response.create",
                "model": self._model,
                "store": False,
                "user": name,
                "input": f"once more #tokens={self._random.randint(5, 120)} #delay_ms=10",
                "previous_response_id": previous,
            }
            try:
                async with asyncio.timeout(_TURN_S):
                    await socket.send(json.dumps(event))
                    end, response = await _hear(socket)
            except ConnectionClosed:
                end, response = "cut", {}
            previous = response.get("id")
            with self._changed:
                self.ends[end] += 1
                if end == "completed":
                    self.whole.append(name)
                self._changed.notify_all()


async def _hear(socket: ClientConnection) -> tuple[str, dict[str, Any]]:
    """Return how a turn ends, and its response."""
    while True:
        event = json.loads(await socket.recv())
        if event["type"] == "error":
            return str(event["status"]), {}
        if event["type"] in ("response.completed", "response.failed"):
            return event["type"].removeprefix("response."), event["response"]
