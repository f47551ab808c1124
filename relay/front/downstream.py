"""The client's end of one request: what it gets to hear, and whether anybody still listens."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

import msgspec

from dialects.errors.errors import ErrorKind
from relay.front.limit_answers import Headroom

NOTHING_LIMITED: Final[Mapping[str, Headroom]] = MappingProxyType({})


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What stands before an answer: `cost_nano` is known before the body only for a whole one,
    `dropped` are the parameters that the upstream did not hear of, `headroom` what is left of the
    key's limits. `channel` is told to operators only, with the number of attempts. `notices` are
    the headers that tell of the model's end."""

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
    """An answer that is an error; `waits` is False where no wait makes it another, `budget_id` the
    budget that refuses."""

    kind: ErrorKind
    status: int
    message: str
    param: str | None = None
    code: str | None = None
    retry_after_ms: int | None = None
    headroom: Mapping[str, Headroom] = NOTHING_LIMITED
    waits: bool = True
    budget_id: int | None = None


class AnswerRecorder(Protocol):
    """Keeps the answer of a request that may be sent again, before it is settled."""

    async def keep_answer(self, head: Head, raw: bytes) -> None:
        """The whole answer."""

    async def keep_end(self, raw: bytes) -> None:
        """The rest of a stream."""


class Sink(Protocol):
    """Whoever gets the answer: an HTTP client, or a page of ours."""

    async def refuse(self, error: ErrorAnswer) -> None:
        """The whole answer is an error."""

    async def answer(self, head: Head, raw: bytes) -> None:
        """The whole answer at once."""

    async def begin(self, head: Head) -> None:
        """A stream begins."""

    async def write(self, raw: bytes, *, last: bool) -> None:
        """More of the stream; returns when more can be taken."""

    async def cut(self) -> None:
        """The answer ends here and is not whole; nothing can be said inside of it."""

    def write_now(self, raw: bytes) -> Awaitable[None] | None:
        """More of the stream, from outside of any task; what must be awaited before there may be
        more, None where it may come at once."""


class RecordingSink(Sink, AnswerRecorder, Protocol):
    """Stands between a request and its client, and keeps what passes."""


class Downstream:
    """What is written to the client of one request, in its order."""

    __slots__ = (
        "begun",
        "client_gone",
        "keep_alive",
        "notices",
        "on_admission",
        "recorder",
        "shared",
        "sink",
    )

    def __init__(self, sink: Sink, *, shared: bool = False) -> None:
        self.sink = sink
        # Called when its first attempt is admitted.
        self.on_admission: Callable[[], None] | None = None
        # Its answer is a part of another: the client hears its end only when it is over.
        self.shared = shared
        # The headers that tell of the end of its model.
        self.notices: Sequence[tuple[str, str]] = ()
        # Keeps the answer; None where nobody may come back for it.
        self.recorder: AnswerRecorder | None = None
        # A stream has begun: its status is told.
        self.begun = False
        # Nobody listens any more.
        self.client_gone = False
        # Pings while a stream is silent; None where nothing is streamed.
        self.keep_alive: KeepAlive | None = None

    def record(self, recorder: RecordingSink) -> None:
        """From now on all goes through it."""
        self.sink = self.recorder = recorder

    def start_keep_alive(self, ping: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Ping whenever nothing was heard for so long; the first attempt's ping is everybody's."""
        if self.keep_alive is None:
            self.keep_alive = KeepAlive(ping, every_s)

    async def begin(self, head: Head) -> None:
        """Begin the stream, unless a silence did."""
        if not self.begun:
            self.begun = True
            await self.sink.begin(head)

    async def write(self, raw: bytes, *, last: bool) -> None:
        """Write more of the stream."""
        if last:
            self.stop_keep_alive()
        await self.sink.write(raw, last=last)

    async def cut(self) -> None:
        """End what has begun in the middle."""
        self.stop_keep_alive()
        await self.sink.cut()

    async def refuse(self, error: ErrorAnswer) -> None:
        """Answer with an error, be it inside a stream that has begun."""
        self.stop_keep_alive()
        await self.sink.refuse(error)

    def stop_keep_alive(self) -> None:
        """No more pings."""
        if self.keep_alive is not None:
            self.keep_alive.stop()
            # It holds whoever pings, who holds this.
            self.keep_alive = None


class KeepAlive:
    """Pings after every `every_s` of silence, so that nobody on the way closes a silent stream.
    `heard_at` is moved by whoever writes (loop time).

    A ping before the first content commits the status and nothing else: another channel may still
    answer, and a failure is then told inside the stream."""

    __slots__ = ("_every_s", "_loop", "_ping", "_task", "_timer", "heard_at")

    def __init__(self, ping: Callable[[], Awaitable[None]], every_s: float) -> None:
        self._ping = ping
        self._every_s = every_s
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Future[None] | None = None
        self.heard_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(every_s, self._look)

    def stop(self) -> None:
        """No more pings."""
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
