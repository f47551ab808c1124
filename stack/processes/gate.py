"""Load the code of the web process, prepare the database if asked to, and serve.

    python -m stack.processes.gate DESCRIPTOR ARGUMENTS OF UVICORN …

The imports take as long as the start of the database and run at the same time. DESCRIPTOR is the
reading end of a pipe, whose other end is closed when the database runs. What it holds is an Order
as JSON. A later web process finds the pipe empty, and serves immediately.

A fork of this process prepares the database, because another process would need the same imports,
and this one would keep what only migrations and the demo's file need.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, TypedDict

from stack.processes import leash
from stack.processes.spare import fork_spare, has_threads


class Order(TypedDict):
    """What the first web process does before it serves: fork the worker to be, with this descriptor
    (stack/processes/spare.py), and call `prepare` of stack/database/prepare.py."""

    spare: int | None
    preparation: dict[str, Any]


# Most modules that config.asgi imports. config.asgi itself reads the static files' folder too
# early.
_MODULES = ("relay.asgi", "config.urls")


def load() -> None:
    """Import the code. Imported objects stay in memory: without garbage collection the imports
    take a quarter less time, and no later collection traverses them."""
    import django
    import uvicorn  # noqa: F401

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    gc.disable()
    django.setup()
    for name in _MODULES:
        import_module(name)
    gc.freeze()
    gc.enable()


def read_all(descriptor: int) -> bytes:
    """Wait until the other end of the pipe is closed, and return what was written to it."""
    with open(descriptor, "rb", closefd=False) as pipe:
        return pipe.read()


def prepare(preparation: dict[str, Any]) -> None:
    from config.management.faults import faults_as_sentences
    from stack.database import prepare

    with faults_as_sentences():
        prepare.prepare(**preparation)


def run_in_fork(work: Callable[[], None]) -> None:
    """Do `work` in a copy of this process. Exits like the copy if that fails."""
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        leash.follow(parent, signal.SIGKILL)
        work()
        sys.exit()
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        os.kill(parent, -code)
    if code:
        sys.exit(code)


def main(descriptor: int, arguments: list[str]) -> None:
    load()
    if asked := read_all(descriptor):
        order: Order = json.loads(asked)
        if order["spare"] is not None:
            fork_spare(order["spare"])
        work = partial(prepare, order["preparation"])
        # Libraries of other systems may refuse to work after a fork.
        run_in_fork(work) if sys.platform == "linux" and not has_threads() else work()
    import uvicorn

    uvicorn.main(arguments, prog_name="uvicorn")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
