"""The types of an ASGI application."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STOPPING: Final = "weir.stopping"
"""The key in a scope of a function that tells whether the process is about to stop: `() ->
bool`.
"""

Fields = Sequence[tuple[bytes, bytes]]
Respond = Callable[[Scope, int, Fields, bytes], bool]
"""Writes a whole response to the request of a scope: status, headers, body. Returns False if it has
written nothing, and the response must be sent as messages.
"""

RESPOND: Final = "weir.respond"
"""The key in a scope of its `Respond`, if its server has one."""


HEED: Final = "weir.heed"
"""The key in a scope of its `Heed`, if its server has one."""
