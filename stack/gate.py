"""Load the code of the web process, and serve once the database is prepared.

    python -m stack.gate DESCRIPTOR ARGUMENTS OF UVICORN …

Its imports take as long as the preparation, beside which they happen. DESCRIPTOR is the reading end
of a pipe, whose other end is closed when the tables and the static files are there.
"""

import gc
import os
import sys
from importlib import import_module

# Most of what config.asgi imports. That itself reads the folder of static files.
_MODULES = ("relay.asgi", "config.urls")


def main(descriptor: int, arguments: list[str]) -> None:
    import django
    import uvicorn

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # What is imported stays, so that looking for garbage meanwhile is a quarter of the time lost.
    gc.disable()
    django.setup()
    for name in _MODULES:
        import_module(name)
    gc.enable()
    os.read(descriptor, 1)
    uvicorn.main(arguments, prog_name="uvicorn")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
