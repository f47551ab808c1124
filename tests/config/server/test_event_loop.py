"""P20: a busy process takes in all who wait at its door, not one in each turn of its loop."""

import asyncio
import socket
from contextlib import ExitStack
from typing import cast

import pytest

from config.server.event_loop import ACCEPTED_AT_ONCE, EventLoop

CLIENTS = 300


class Echo(asyncio.Protocol):
    """Says back what it hears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def connected(port: int, stack: ExitStack) -> list[socket.socket]:
    clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
    for client in clients:
        stack.enter_context(client)
        client.sendall(b"here")
        client.settimeout(10)
    return clients


def test_all_waiting_connections_are_accepted_within_a_few_turns() -> None:
    items: list[Echo] = []

    def add_echo() -> Echo:
        items.append(Echo())
        return items[-1]

    async def turns_until_all_are_in() -> int:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(add_echo, "127.0.0.1", 0, backlog=CLIENTS)
        port = server.sockets[0].getsockname()[1]
        with ExitStack() as stack:
            # The kernel has them all before the loop turns.
            clients = connected(port, stack)
            turns = 0
            while len(items) < CLIENTS:
                turns += 1
                await asyncio.sleep(0)
            answers = await asyncio.to_thread(lambda: [client.recv(9) for client in clients])
            assert set(answers) == {b"here"}
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            pass
        return turns

    with asyncio.Runner(loop_factory=EventLoop) as runner:
        assert runner.run(turns_until_all_are_in()) <= 4 * CLIENTS // ACCEPTED_AT_ONCE
