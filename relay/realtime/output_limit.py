"""Limit the length of a realtime connection's responses when the balance does not cover the model's
maximum. The limit is sent to the provider."""

from typing import Literal

from dialects.realtime import realtime
from dialects.realtime.realtime import SessionSettings
from relay.requests.invocation import Invocation
from relay.upstream.websocket import UpstreamSocket


class OutputLimit:
    """The limit of one connection, in addition to the one that its client sets."""

    __slots__ = ("_limit", "_name", "_socket", "_wished")

    def __init__(self, invocation: Invocation, socket: UpstreamSocket) -> None:
        beta = any(name.lower() == b"openai-beta" for name, _ in invocation.headers)
        self._name = realtime.BETA_LIMIT if beta else realtime.GA_LIMIT
        self._socket = socket
        self._limit: int | None = None
        self._wished: int | Literal["inf"] = "inf"

    async def set(self, tokens: int | None) -> None:
        """Limit the responses from now on; None restores the model's maximum. Raises SocketLost."""
        if tokens == self._limit:
            return
        self._limit = tokens
        limit = self._wished
        if tokens is not None and (limit == "inf" or limit > tokens):
            limit = tokens
        await self._socket.send(realtime.limit_session(self._name, limit))

    def fit_settings(self, settings: SessionSettings, raw: bytes) -> bytes:
        """Return a client's settings, with the output limit applied."""
        self._wished = settings.output_max or self._wished
        return self._fit(raw, "session")

    def fit_response(self, raw: bytes) -> bytes:
        """Return a client's request for a response, with the output limit applied."""
        return self._fit(raw, "response")

    def _fit(self, raw: bytes, member: str) -> bytes:
        if self._limit is None:
            return raw
        return realtime.limit_tokens(raw, member, self._name, self._limit, self._wished)
