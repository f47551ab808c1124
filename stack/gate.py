"""Load the code of the web process, and serve once the database is prepared.

    python -m stack.gate DESCRIPTOR ARGUMENTS OF UVICORN …

The imports take as long as the preparation and run at the same time. DESCRIPTOR is the reading end
of a pipe. Its other end is closed when the tables and the static files are ready.
"""

import gc
import os
import sys
from importlib import import_module

# Most modules that config.asgi imports. config.asgi itself reads the static files' folder too
# early.
_MODULES = ("relay.asgi", "config.urls")


def main(descriptor: int, arguments: list[str]) -> None:
    import django
    import uvicorn

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Imported objects stay in memory; without garbage collection the imports take a quarter less
    # time.
    gc.disable()
    django.setup()
    for name in _MODULES:
        import_module(name)
    gc.enable()
    os.read(descriptor, 1)
    uvicorn.main(arguments, prog_name="uvicorn")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
