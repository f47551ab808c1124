"""The attempt to open a session in Google's form: its first messages, without a provider."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from relay.realtime.attempt import ConnectionAttempt
from relay.realtime.gemini_live.attempt import LiveAttempt
from relay.upstream.failures import UpstreamFailed
from relay.upstream.websocket import SocketLost


class Socket:
    def __init__(self, first: Any) -> None:
        self.first, self.sent = first, list[Any]()
        self.closed = False

    async def send(self, raw: Any) -> None:
        self.sent.append(raw)

    async def receive(self) -> bytes:
        if isinstance(self.first, Exception):
            raise self.first
        return cast(bytes, self.first)

    def close(self) -> None:
        self.closed = True


def attempt(cap: int | None = None, own: int | None = None, handle: str = "") -> Any:
    def encode(model: str, output_max: int | None, handle: str | None) -> Any:
        return model, output_max, handle

    one = object.__new__(LiveAttempt)
    resumed = SimpleNamespace(handle=handle) if handle else None
    one._order = cast(Any, SimpleNamespace(
        setup=SimpleNamespace(output_max=own, encode=encode), resumed=resumed
    ))  # fmt: skip
    one._admitted = cast(Any, SimpleNamespace(
        upstream_model="there", hold=SimpleNamespace(size=SimpleNamespace(output_cap=cap))
    ))  # fmt: skip
    one._opening = b""
    return one


@pytest.fixture
def socket(monkeypatch: pytest.MonkeyPatch) -> Socket:
    one = Socket(json.dumps({"setupComplete": {}}).encode())

    async def open_(self: Any) -> Any:
        return one

    monkeypatch.setattr(ConnectionAttempt, "_open", open_)
    return one


@pytest.mark.parametrize(
    ("cap", "own", "most"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)]
)
async def test_session_is_set_up_with_the_lower_limit(
    socket: Socket, cap: int | None, own: int | None, most: int | None
) -> None:
    one = attempt(cap, own, "h")
    assert await one._open() is socket
    assert socket.sent == [("there", most, "h")]
    assert (one._opening, socket.closed) == (socket.first, False)
    assert attempt()._setup() == ("there", None, None)


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        (b"\xff", "F16"), (b'{"serverContent": {}}', "F15"), (b"no JSON", "F15"),
        (SocketLost(1006), "F14"),
    ],
)  # fmt: skip
async def test_session_that_is_not_set_up_is_a_fault(
    socket: Socket, first: Any, fault: str
) -> None:
    socket.first = first
    with pytest.raises(UpstreamFailed) as failed:
        await attempt()._open()
    assert (failed.value.fault, socket.closed) == (fault, True)
