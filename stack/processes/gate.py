"""Load the code of the web process, prepare the database if asked to, and serve.

    python -m stack.processes.gate DESCRIPTOR ARGUMENTS OF UVICORN …

The imports take as long as the start of the database and run at the same time. DESCRIPTOR is the
reading end of a pipe, whose other end is closed when the database runs. What it holds is the
preparation (stack/database/prepare.py) as JSON, the arguments of its `prepare`. It does that in
this process, because another one would need the same imports. A later web process finds the pipe
empty, and serves immediately.
"""

import gc
import json
import os
import sys
from importlib import import_module

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


def main(descriptor: int, arguments: list[str]) -> None:
    load()
    if asked := read_all(descriptor):
        from config.management.faults import faults_as_sentences
        from stack.database.prepare import prepare

        with faults_as_sentences():
            prepare(**json.loads(asked))
    import uvicorn

    uvicorn.main(arguments, prog_name="uvicorn")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
