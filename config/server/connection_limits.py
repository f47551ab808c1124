"""How many connections a web process has at most, and how many open files it needs for them."""

import resource
from functools import cache
from typing import Final

_CONNECTIONS_MAX: Final = 8192
# Files that are not connections: those of the database, the broker, libraries, the spool and the
# log.
_FILES_ASIDE: Final = 128


@cache
def connections_max() -> int:
    """Return the maximum number of connections of this process. A stream needs a second one, to its
    upstream."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, min(_CONNECTIONS_MAX, (soft - _FILES_ASIDE) // 2))


def open_files() -> None:
    """Raise this process's limit of open files as far as permitted. Shells often start it with
    1,000."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _CONNECTIONS_MAX + _FILES_ASIDE
    soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft > resource.getrlimit(resource.RLIMIT_NOFILE)[0]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
