"""Access to the database from coroutines: the work runs in a thread, which returns its connection
at the end.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `work` in a separate thread, which returns its connection to the pool at the end."""

    def done() -> T:
        try:
            return work(*args, **kwargs)
        finally:
            close_old_connections()

    return await sync_to_async(done, thread_sensitive=False)()
