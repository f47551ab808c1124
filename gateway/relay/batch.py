"""What arrives while a commit is in flight goes into the next one. There is no timer to wait for:
a fixed wait of 2 ms was measured to add latency and save nothing (decisions.md)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

BATCH_MAX = 256


class Batcher(Generic[Item, Answer]):
    """Gives items in batches to `commit`, one batch at a time.

    `commit` answers each item in its order, or raises for the whole batch. `abandoned` hears of
    answers whose waiter has gone meanwhile.
    """

    def __init__(
        self,
        commit: Callable[[list[Item]], Awaitable[list[Answer]]],
        abandoned: Callable[[Item, Answer], None],
    ) -> None:
        self._commit = commit
        self._abandoned = abandoned
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._worker: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> "asyncio.Future[Answer]":
        """Put an item into the next batch; the future carries its answer."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return future

    @property
    def busy(self) -> bool:
        return self._worker is not None

    async def join(self) -> None:
        """Wait until nothing is waiting any more."""
        while self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            try:
                answers = await self._commit([item for item, _ in batch])
            except Exception as error:
                # The waiters get the fault, whatever it is: it is theirs to answer.
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (item, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    self._abandoned(item, answer)
                else:
                    future.set_result(answer)
        self._worker = None
