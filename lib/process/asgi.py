"""The types of an ASGI application."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STOPPING: Final = "weir.stopping"
"""Where a scope has what tells whether the process is about to end: `() -> bool`."""

Fields = Sequence[tuple[bytes, bytes]]
Respond = Callable[[Scope, int, Fields, bytes], bool]
"""Writes a whole response to the request of a scope: status, header section, body. False where it
has written nothing, and the response is to be sent as messages."""

RESPOND: Final = "weir.respond"
"""Where a scope has its `Respond`, if its server has one."""


HEED: Final = "weir.heed"
"""Where a scope has its `Heed`, if its server has one."""
