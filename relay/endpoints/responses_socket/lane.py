"""One lane of a connection: its requests run one after another."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final

from dialects.responses.websocket import CreateEvent, SteerEvent
from relay.attempts.run import Run
from relay.upstream.turn_socket import TurnSocket

STEERS_MAX: Final = 16


class Steer:
    """User messages that were accepted, and wait for the next response to read them."""

    __slots__ = ("event", "id")

    def __init__(self, id: str, event: SteerEvent) -> None:
        self.id = id
        self.event = event


class Turn:
    """One request of a lane. `steers` arrived while it ran; the response must read `commits`."""

    __slots__ = ("commits", "event", "response_id", "run", "steers")

    def __init__(self, event: CreateEvent, commits: Sequence[Steer] = ()) -> None:
        self.event = event
        self.commits = commits
        self.steers: list[Steer] = []
        self.run: Run | None = None
        self.response_id = ""

    def begin(self, response_id: str) -> None:
        """Record that the response has begun, and has read its input."""
        self.response_id = response_id
        self.commits = ()


class Lane:
    """The requests of one `stream_id`. `answer` answers one; `upstream` is its socket to a
    provider.
    """

    __slots__ = ("_answer", "_task", "turn", "upstream", "waiting")

    def __init__(
        self, answer: Callable[["Lane", Turn], Awaitable[None]], upstream: TurnSocket
    ) -> None:
        self._answer = answer
        self.upstream = upstream
        self._task: asyncio.Task[None] | None = None
        self.waiting: deque[Turn] = deque()
        self.turn: Turn | None = None

    def add(self, turn: Turn) -> None:
        """Run a request after the earlier ones of the lane."""
        self.waiting.append(turn)
        if self._task is None:
            # Start without the context of the connection, because each request sets its own id.
            self._task = asyncio.create_task(self._work(), context=Context())

    def waiting_bytes(self) -> int:
        """Return how many bytes of requests, and of steering of the running one, wait."""
        steers = () if self.turn is None else self.turn.steers
        requests = sum(len(turn.event.body.raw) for turn in self.waiting)
        return requests + sum(len(bytes(steer.event.input)) for steer in steers)

    def drop_waiting(self) -> Sequence[Turn]:
        """Remove the requests that wait, and return them."""
        dropped = list(self.waiting)
        self.waiting.clear()
        return dropped

    def leave(self) -> None:
        """Handle a client that left: drop waiting requests, and end the running one as over
        HTTP."""
        self.waiting.clear()
        if self.turn is not None and self.turn.run is not None:
            self.turn.run.leave()

    def cancel(self) -> None:
        """Cancel everything, because the process stops."""
        self.waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def join(self) -> None:
        """Wait until nothing is running in the lane."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self.waiting:
                self.turn = self.waiting.popleft()
                await self._answer(self, self.turn)
                self.turn = None
        finally:
            self._task = self.turn = None
