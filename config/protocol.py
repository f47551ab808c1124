"""How the web server speaks HTTP: uvicorn's protocol, with less that may wait for a slow reader."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# What a client has not taken stays in memory, for each of its streams (P9).
_UNSENT_BYTES_MAX: Final = 16 * 1024


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_UNSENT_BYTES_MAX)
