"""Forty clients that ask again and again, in every way; what becomes of each is the judge's."""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from tests.support.hub import Tenant

# (weight, text of the question, stream, how many bytes are read before leaving)
_STREAMS = (
    (6, "#tokens={n} #delay_ms=10", True, None),
    (3, "#tokens={n} #delay_ms=4 #batch=3", True, None),
    (2, "#tokens={n} #delay_ms=10 #reasoning=9", True, None),
    (2, "#tokens={n} #delay_ms=10 #tools=2", True, None),
    (1, "#tokens={n} #delay_ms=10 #usage=cumulative", True, None),
    (3, "#tokens=12 #first_ms=200", False, None),
    (1, "#tokens=20 #a.fault=F33", False, None),
    (1, "#tokens=30 #a.fault=F10:503 #delay_ms=10", True, None),
)
_LEAVING = ((2, "#tokens={n} #delay_ms=10", True, 4000),)


class Load:
    """Runs in a thread of its own until it is stopped."""

    def __init__(
        self, ports: Sequence[int], tenants: Sequence[Tenant], model: str, *, clients: int,
        leaving: bool, seed: int,
    ) -> None:  # fmt: skip
        self._ports = ports
        self._tenants = tenants
        self._model = model
        self._clients = clients
        self._works = _STREAMS + (_LEAVING if leaving else ())
        self._random = random.Random(seed)
        self._stopping = False
        self.ends: Counter[str] = Counter()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the running requests end, and begin no more."""
        self._stopping = True
        self._thread.join(120)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._live())

    async def _live(self) -> None:
        number = 0
        while not self._stopping:
            number += 1
            try:
                async with asyncio.timeout(60):
                    end = await self._ask(number)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                end = type(error).__name__
            self.ends[end] += 1
            if end != "whole":
                await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _ask(self, number: int) -> str:
        weights = [work[0] for work in self._works]
        ((_, text, stream, leave_after),) = self._random.choices(self._works, weights)
        text = f"one more time {number} {text.format(n=self._random.randint(20, 400))}"
        body = json.dumps(
            {
                "model": self._model,
                "stream": stream,
                "max_tokens": 600,
                "messages": [{"role": "user", "content": text}],
            }
        ).encode()
        tenant = self._random.choice(self._tenants)
        port = self._random.choice(self._ports)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            head = "POST /v1/chat/completions HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n"
            head += f"authorization: Bearer {tenant.key}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            seen = b""
            while piece := await reader.read(65536):
                seen += piece
                if leave_after is not None and len(seen) > leave_after:
                    return "left"
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        status = seen[9:12].decode()
        if status != "200":
            return status
        whole = b"[DONE]" in seen if stream else seen.rstrip().endswith(b"}")
        return "whole" if whole else "cut"
