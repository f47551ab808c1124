"""Processes that do one thing at the same instant, for what only a database can decide.

A job is a function `module:name` that takes one JSON value and returns one. Each process runs its
jobs in threads; `race` starts every job of a round at once and gives all results.

    with racers(4) as run:
        results = run("tests.billing.test_codes:redeem_job", [[code, slug], …])
"""

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from django.db import connection

Run = Callable[[str, Sequence[Any]], list[Any]]


@contextmanager
def racers(processes: int) -> Iterator[Run]:
    names = connection.settings_dict
    url = os.environ["DATABASE_URL"]
    environment = {**os.environ, "DATABASE_URL": url, "RACING_DATABASE": str(names["NAME"])}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.billing.racing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(processes)
    ]

    def run(job: str, arguments: Sequence[Any]) -> list[Any]:
        for n, process in enumerate(started):
            assert process.stdin is not None
            process.stdin.write(json.dumps([job, list(arguments[n::processes])]) + "\n")
            process.stdin.flush()
        results = []
        for process in started:
            assert process.stdout is not None
            results += json.loads(process.stdout.readline())
        return results

    try:
        yield run
    finally:
        for process in started:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.wait(timeout=20)
            process.stdout.close()


def _serve() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django
    from django.conf import settings

    database = cast(dict[str, Any], settings.DATABASES["default"])
    database["NAME"] = os.environ["RACING_DATABASE"]
    database["OPTIONS"]["pool"] = {"min_size": 0, "max_size": 16, "timeout": 60}
    django.setup()
    for line in sys.stdin:
        job, arguments = json.loads(line)
        module, name = job.split(":")
        act = getattr(importlib.import_module(module), name)
        results: list[Any] = [None] * len(arguments)
        gate = threading.Barrier(len(arguments))
        threads = [
            threading.Thread(target=_one, args=(act, argument, results, at, gate))
            for at, argument in enumerate(arguments)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(json.dumps(results), flush=True)  # noqa: T201


def _one(act: Any, argument: Any, results: list[Any], at: int, gate: threading.Barrier) -> None:
    gate.wait()
    try:
        results[at] = act(argument)
    finally:
        connection.close()


if __name__ == "__main__":
    _serve()
