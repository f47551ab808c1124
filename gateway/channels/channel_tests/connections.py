"""The test of a realtime or Live connection: opens its WebSocket, asks for one turn, and awaits the
usage."""

from collections.abc import Sequence
from typing import Any, Final

from dialects.codec import Codec
from dialects.usage.usage import Quantities
from gateway.channels.channel_tests.staged_calls import (
    CALL_S_MAX,
    CallFailed,
    StagedCall,
    fault_of_answer,
    first_text,
)
from gateway.channels.channel_tests.turns import (
    GeminiLiveTurn,
    LiveTurn,
    RealtimeTurn,
    Turn,
)
from gateway.channels.timeouts import Timeouts
from gateway.providers.codecs import codec_for
from gateway.providers.provider import Address, BadAddress
from lib.network.egress import Answer, EgressFailed
from lib.network.web_socket import SocketClosed, WebSocket, handshake_headers, is_accepted

CONNECTION_VARIANTS: Final = frozenset({"realtime", "live"})
_MESSAGE_BYTES_MAX: Final = 4 << 20
# How long the usage may come after the end of its turn.
_USAGE_S: Final = 5.0


def hold_turn(staged: StagedCall, variant: str, model: str, upstream_model: str) -> Quantities:
    """Hold one turn, and return its usage. Raises CallFailed."""
    provider = staged.provider()
    try:
        address = staged.target.address(provider)
        turn = _turn_of(variant, address, upstream_model)
        url = address.url(turn.operation, upstream_model)
        headers = staged.target.headers(provider, turn.dialect, model=model)
    except BadAddress as error:
        raise CallFailed("configuration", str(error)) from error
    headers |= handshake_headers()
    with staged.send("GET", url, headers) as answer:
        _check_open(answer, headers, codec_for(provider, turn.dialect))
        return _Open(staged, answer, turn).run()


def _turn_of(variant: str, address: Address, model: str) -> Turn:
    if variant == "live":
        return LiveTurn(model)
    # Google's models speak over its Live API what others speak over OpenAI's Realtime API.
    if "realtime" not in address.urls and "bidi_generate_content" in address.urls:
        return GeminiLiveTurn(model)
    return RealtimeTurn(model)


def _check_open(answer: Answer, headers: dict[str, str], codec: Codec[Any]) -> None:
    status = answer.status_code
    if is_accepted(headers, answer):
        return
    if status in (101, 200):
        raise CallFailed("not_stream", "no WebSocket", status=status)
    body = first_text(answer.iter_raw())
    raise CallFailed(fault_of_answer(answer, body, codec), status=status, body=body)


class _Open:
    """A connection that is open."""

    def __init__(self, staged: StagedCall, answer: Answer, turn: Turn) -> None:
        self._staged = staged
        self._turn = turn
        self._wait_s = min(Timeouts.of(staged.target.timeouts).first_content, CALL_S_MAX)
        self._socket = WebSocket(answer, until=staged.deadline, bytes_max=_MESSAGE_BYTES_MAX)

    def run(self) -> Quantities:
        turn = self._turn
        try:
            self._send(turn.opening())
            while not turn.over or turn.used is None:
                messages = turn.feed(self._receive())
                # Before the socket is written to, which the provider may have closed meanwhile.
                self._note_progress()
                self._send(messages)
            self._socket.close()
        except SocketClosed as closed:
            raise turn.failure_of_close(closed.code, closed.reason) from closed
        except ValueError as error:
            raise CallFailed("broken", str(error)) from error
        return turn.used

    def _send(self, messages: Sequence[bytes]) -> None:
        for message in messages:
            self._socket.send(message)

    def _receive(self) -> bytes:
        """Return the next message; the usage has less time than the answer."""
        if not self._turn.over:
            return self._socket.receive(self._wait_s)
        try:
            return self._socket.receive(_USAGE_S)
        except EgressFailed as error:
            raise CallFailed("no_usage", str(error)) from error

    def _note_progress(self) -> None:
        if self._turn.accepted:
            self._staged.reach("accept")
        if self._turn.answered:
            self._staged.reach("answer")
        elif self._turn.over:
            raise CallFailed("broken", "the turn ended without an answer")
