import asyncio

from uvicorn.config import Config
from uvicorn.server import ServerState

from config.protocol import Protocol


class Transport(asyncio.Transport):
    high: int | None = None

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high


async def test_little_waits_for_a_slow_reader() -> None:
    """P9; what a stream holds in all is measured in tests/gateway/relay/test_memory.py."""

    async def nothing(scope: object, receive: object, send: object) -> None:
        """Nobody asks."""

    config = Config(nothing, loop="none", log_config=None)
    config.load()
    transport = Transport()
    Protocol(config, ServerState(), {}).connection_made(transport)
    assert transport.high == 16 * 1024
