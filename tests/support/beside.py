"""A process of Django's beside a hub, in its database, for what a test makes or does there.

It is forked as the hub is, and stays: starting an interpreter takes longer than what is asked of
it.
"""

import contextlib
import io
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, ParamSpec, TypeVar

from tests.runner import forks

P = ParamSpec("P")
R = TypeVar("R")


class Beside:
    """Calls functions of modules, with what can be pickled; `environment` is the hub's."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._pipe, theirs = forks.context.Pipe()
        self._process = forks.context.Process(
            target=_answer, args=(theirs, dict(environment)), daemon=True
        )
        self._process.start()
        theirs.close()

    def call(self, function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """What it returns there. AssertionError: it raised something, which is told."""
        self._pipe.send((function, args, options))
        done, result = self._pipe.recv()
        assert done, result
        returned: R = result
        return returned

    def close(self) -> None:
        self._pipe.close()
        self._process.join()


def manage(*words: str) -> str:
    """What `manage.py` prints with these words; to be called beside a hub."""
    from config.management import command_line

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        command_line.run(["manage.py", *words])
    return printed.getvalue()


def _answer(pipe: "Connection[Any, Any]", environment: dict[str, str]) -> None:
    forks.enter(environment)
    import django

    django.setup()
    while True:
        try:
            function, args, options = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, function(*args, **options)
        except BaseException:
            answer = False, traceback.format_exc()
        pipe.send(answer)
