"""Types and scope keys of an ASGI application."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STOPPING: Final = "weir.stopping"
"""The scope key of a function `() -> bool` that returns whether the process is about to stop."""

Fields = Sequence[tuple[bytes, bytes]]
Respond = Callable[[Scope, int, Fields, bytes], bool]
"""Writes a whole response to the request of a scope: status, headers, body. Returns False if it has
written nothing, and the response must be sent as messages.
"""

RESPOND: Final = "weir.respond"
"""The scope key of the server's `Respond` function, if it has one."""

WritePiece = Callable[[Scope, bytes], bool]
"""Writes a piece of the response that was begun to the request of a scope. Returns False if it has
written nothing, and the piece must be sent as a message.
"""

WRITE_PIECE: Final = "weir.write_piece"
"""The scope key of the server's `WritePiece` function, if it has one."""

HEED: Final = "weir.heed"
"""The scope key of the server's `Heed` function, if it has one."""
