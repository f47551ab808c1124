"""The description of the management API (OpenAPI) as a file, made before anybody asks for it.

    python -m config.api.description FOLDER

Making it loads every schema: seconds of processor time and 85 MiB, which a web process would never
give back. So it is made when the wheel or the image is built, and by `make run` at the first start
of new code; its file is named by a digest of the sources. A web process that finds no file of its
own sources makes one in a process of its own, which then ends.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Final

from django.conf import settings

from lib.extensions.installed import installed

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_ROOMS: Final = (
    "accounts", "billing", "config", "content", "dialects", "extensions", "gateway", "lib",
    "notify", "outbox", "playground", "reference", "relay", "usage",
)  # fmt: skip
# They turn classes into the description.
_LIBRARIES: Final = ("Django", "django-ninja", "pydantic")
_FILES: Final = "openapi-*.json"
_PREFIX: Final = "/api/v1/"
_MAKE_S: Final = 120
_making = Lock()


def description() -> bytes:
    """Return the description as JSON. Raises CalledProcessError or TimeoutExpired if it is not
    there and cannot be made."""
    with _making:
        return _read()


@cache
def _read() -> bytes:
    name = file_name()
    for folder in (_ROOT, _own_folder()):
        if (file := folder / name).exists():
            return file.read_bytes()
    return make()


def make() -> bytes:
    """Make the description in another process, keep its file if the data folder can be written, and
    return it."""
    command = [sys.executable, "-m", "config.api.description", str(_own_folder())]
    done = subprocess.run(  # noqa: S603
        command, cwd=_ROOT, stdout=subprocess.PIPE, timeout=_MAKE_S, check=True
    )
    return done.stdout


def write(folder: Path) -> bytes:
    """Describe the API, write it to a file in the folder instead of those of other sources, and
    return it. A folder that cannot be written gets none."""
    text = describe()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f".openapi.{os.getpid()}.part"
        part.write_bytes(text)
        for old in folder.glob(_FILES):
            old.unlink(missing_ok=True)
        part.rename(folder / file_name())
    except OSError as error:
        sys.stderr.write(f"The description of the API is not kept: {error}\n")
    return text


def describe() -> bytes:
    """Describe the API in this process."""
    from config.api.api import api

    return json.dumps(api.get_openapi_schema(path_prefix=_PREFIX), default=str).encode()


def file_name() -> str:
    """Return the name of the file that describes these sources."""
    digest = sha256(repr([(name, version(name)) for name in _LIBRARIES]).encode())
    digest.update(repr([(one.name, one.version, one.state) for one in installed()]).encode())
    for file in _sources():
        digest.update(f"{file.relative_to(_ROOT)}\0".encode())
        digest.update(file.read_bytes())
    return f"openapi-{digest.hexdigest()[:32]}.json"


def _sources() -> Iterator[Path]:
    for room in _ROOMS:
        yield from sorted((_ROOT / room).rglob("*.py"))


def _own_folder() -> Path:
    return settings.DATA_DIR / "run"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    sys.stdout.buffer.write(write(Path(sys.argv[1])))
