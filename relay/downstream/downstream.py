"""The client's end of one request: what it receives, and whether it still listens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import msgspec

from dialects.errors.kinds import ErrorKind
from relay.downstream.limit_answers import Headroom

NOTHING_LIMITED: Final[Mapping[str, Headroom]] = MappingProxyType({})


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What precedes an answer. `cost_nano` is known in advance only for a whole answer; `dropped`
    are the parameters that were not sent to the upstream; `headroom` is what the key's limits have
    left. `channel` and the number of attempts are sent to operators only. `notices` are the headers
    about the model: when it retires, and that a budget let another model answer."""

    content_type: str
    hold_nano: int
    output_cap: int | None
    cost_nano: int | None
    dropped: tuple[str, ...] = ()
    headroom: Mapping[str, Headroom] = NOTHING_LIMITED
    channel: str | None = None
    attempts: int = 1
    notices: Sequence[tuple[str, str]] = ()


class ErrorAnswer(NamedTuple):
    """An error answer. `code` is the provider's; `waits` is False if waiting cannot help;
    `budget_id` is the budget that refused, and `guard_code` the code of the guard that did; `allow`
    are the methods that the path has, for the header of that name."""

    kind: ErrorKind
    status: int
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_ms: int | None = None
    headroom: Mapping[str, Headroom] = NOTHING_LIMITED
    waits: bool = True
    budget_id: int | None = None
    guard_code: str | None = None
    allow: str = ""


class AnswerRecorder(Protocol):
    """Stores the answer to a request with an Idempotency-Key before the request is settled."""

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        """Store a whole answer."""

    async def keep_end(self, raw: bytes) -> None:
        """Store the rest of a stream."""

    async def use_up(self) -> None:
        """Keep the request from running again: it was charged, and has no answer."""


class Sink(Protocol):
    """The receiver of an answer: an HTTP client, or one of our pages."""

    async def refuse(self, error: ErrorAnswer) -> None:
        """Send an error as the whole answer."""

    async def answer(self, head: Head, raw: bytes) -> None:
        """Send a whole answer."""

    async def begin(self, head: Head) -> None:
        """Begin a stream."""

    async def write(self, raw: bytes, *, last: bool) -> None:
        """Write more of the stream. Return once the sink accepts more."""

    async def cut(self) -> None:
        """End an incomplete answer in which no error can be sent."""

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        """Write more of the stream from outside a task. Return what must be awaited before more is
        written, or None.
        """


class NobodySink:
    """Takes the place of a client that left."""

    async def refuse(self, error: ErrorAnswer) -> None: ...
    async def answer(self, head: Head, raw: bytes) -> None: ...
    async def begin(self, head: Head) -> None: ...
    async def write(self, raw: bytes, *, last: bool) -> None: ...
    async def cut(self) -> None: ...
    def write_now(self, raw: bytes) -> None: ...


class RecordingSink(Sink, AnswerRecorder, Protocol):
    """Passes an answer to its client, and stores it."""


class Downstream:
    """Writes the answer to the client of one request, in order."""

    __slots__ = (
        "begun",
        "client_gone",
        "keep_alive",
        "notices",
        "recorder",
        "shared",
        "sink",
    )

    def __init__(self, sink: Sink, *, shared: bool = False) -> None:
        self.sink = sink
        # The answer is part of a joined one, which ends only after all its parts.
        self.shared = shared
        # The headers about its model.
        self.notices: Sequence[tuple[str, str]] = ()
        # Stores the answer; None if the request cannot be repeated.
        self.recorder: AnswerRecorder | None = None
        # A stream has begun: its status has been sent.
        self.begun = False
        # The client has disconnected.
        self.client_gone = False
        # Sends keep-alives while a stream is silent; None for a whole answer.
        self.keep_alive: KeepAlive | None = None

    def record(self, recorder: RecordingSink) -> None:
        """Send everything through this recorder from now on."""
        self.sink = self.recorder = recorder

    def start_keep_alive(self, ping: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Send a keep-alive after every silence of `every_s`. The keep-alive of the first attempt
        serves the whole request."""
        if self.keep_alive is None:
            self.keep_alive = KeepAlive(ping, every_s)

    async def begin(self, head: Head) -> None:
        """Begin the stream, unless a keep-alive has begun it already."""
        if not self.begun:
            self.begun = True
            await self.sink.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        """Write more of the stream."""
        if last:
            self.stop_keep_alive()
        await self.sink.write(raw, last=last)

    async def cut(self) -> None:
        """Cut an answer whose beginning was already sent."""
        self.stop_keep_alive()
        await self.sink.cut()

    async def refuse(self, error: ErrorAnswer, *, charged: bool = False) -> None:
        """Answer with an error, inside the stream if one was begun. `charged`: the request may not
        run again, because something was spent on it."""
        self.stop_keep_alive()
        if charged and self.recorder is not None:
            await self.recorder.use_up()
        await self.sink.refuse(error)

    def stop_keep_alive(self) -> None:
        """Stop sending keep-alives."""
        if self.keep_alive is not None:
            self.keep_alive.stop()
            # Break the reference cycle with the keep-alive.
            self.keep_alive = None


class KeepAlive:
    """Sends a keep-alive after every `every_s` of silence, so that no proxy closes a silent stream.
    Writers move `heard_at` (loop time). A keep-alive before the first content commits the HTTP
    status only: another channel may still answer, and a failure is then reported inside the stream.
    """

    __slots__ = ("_every_s", "_loop", "_ping", "_task", "_timer", "heard_at")

    def __init__(self, ping: Callable[[], Awaitable[None]], every_s: float) -> None:
        self._ping = ping
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Future[None] | None = None
        self.heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(every_s, self._look)

    def stop(self) -> None:
        """Stop the keep-alive."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        due = self.heard_at + self._every_s
        now = self._loop.time()
        if now >= due and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._ping())
            self.heard_at = now
        self._timer = self._loop.call_at(self.heard_at + self._every_s, self._look)
