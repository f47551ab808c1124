"""Processes that do one thing at the same instant, for what only a database can decide.

Each process runs its jobs in threads; `run` starts every job of a round at once and gives all
results.

    with racers(4) as run:
        results = run(redeem_job, [[code, slug], …])
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from django.db import connection

from tests.support.beside import Beside

Job = Callable[[Any], Any]
Run = Callable[[Job, Sequence[Any]], list[Any]]


@contextmanager
def racers(processes: int) -> Iterator[Run]:
    with ExitStack() as until:
        started = [until.enter_context(closing(Beside(os.environ))) for _ in range(processes)]
        pool = until.enter_context(ThreadPoolExecutor(processes))
        for process in started:
            process.call(enter_database, connection.settings_dict["NAME"])

        def run(job: Job, arguments: Sequence[Any]) -> list[Any]:
            parts = [list(arguments[n::processes]) for n in range(processes)]
            rounds = pool.map(lambda process, part: process.call(do, job, part), started, parts)
            return [result for results in rounds for result in results]

        yield run


def enter_database(name: str) -> None:
    """Of the test, in a process that runs jobs."""
    connection.settings_dict["NAME"] = name
    connection.settings_dict["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 16, "timeout": 60}


def do(job: Job, arguments: list[Any]) -> list[Any]:
    """In such a process: every job at once."""
    gate = threading.Barrier(len(arguments))

    def one(argument: Any) -> Any:
        gate.wait()
        try:
            return job(argument)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(one, arguments))
