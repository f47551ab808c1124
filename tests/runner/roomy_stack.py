"""Memory for the frames of deep calls.

CPython keeps the frames of Python functions in chunks of 16 KB, which some 80 calls fill. A call
that needs another chunk maps it, and unmaps it when it returns. A loop at the end of a chunk does
so at each of its calls, which takes a hundred times as long as an empty call. pytest, Django's
client and its templates are hundreds of calls deep, and cross the end of a chunk many times: this
was a fifth of the CPU time of walking over all pages.
"""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import pytest
from _pytest import main

_P = ParamSpec("_P")
_T = TypeVar("_T")

# A frame that is larger than a chunk gets a larger one: of a power of two, here of 1 MiB. This
# frame is one half of it, of which nothing is touched; those of the calls behind it have the other.
_SLOTS: Final = 65_000


def call(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call the function, so that what it calls shares one chunk, thousands of calls deep."""
    return function(*args, **kwargs)


call.__code__ = call.__code__.replace(co_stacksize=_SLOTS)


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run the tests as pytest does, where no workers do (tests/runner/workers.py)."""
    return call(main.pytest_runtestloop, session)
