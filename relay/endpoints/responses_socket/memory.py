"""The responses that one connection remembers, so that its next request can continue them even with
`store: false`. Nothing is stored, and the memory ends with the connection."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from relay.endpoints.responses_socket.lane import Steer
from relay.upstream.turn_socket import Continued

# The limit for all lanes of a connection.
MIB_MAX: Final = 64
_BYTES_MAX: Final = MIB_MAX * 1024 * 1024


class Remembered(NamedTuple):
    """The newest response of a lane. `conversation`: everything up to its end, None if it is
    stored; `steers`: user messages that the next request has to read first. `is_whole`: the
    conversation has all that the provider's model would read again. `session` is the id and the
    name of its session. `left_out`: the content log may keep no request with the conversation."""

    id: str
    conversation: Sequence[msgspec.Raw] | None
    steers: Sequence[Steer] = ()
    is_whole: bool = True
    session: tuple[str, str] | None = None
    left_out: bool = False

    def continued_by(self, items: int) -> Continued | None:
        """Return what a request with this many further items continues, for a provider that has
        read the conversation; None if the provider must read the conversation again."""
        if self.conversation is None or not self.is_whole:
            return None
        before = len(self.conversation)
        return Continued(self.id, before, before + items)


class Waiting(NamedTuple):
    """Steering that waits for a response of this lane to be continued."""

    lane: str | None
    steer: Steer


class Memory:
    """The newest response of each lane, and the steering that waits for it. If all together are too
    large, the oldest are forgotten. Whoever makes it forget a response gets the steering that
    waited for that."""

    def __init__(self, bytes_max: int = _BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._by_lane: OrderedDict[str | None, Remembered] = OrderedDict()
        self._sizes: dict[str | None, int] = {}

    def remember(self, lane: str | None, response: Remembered) -> Sequence[Waiting]:
        """Remember the newest response of a lane that has none, and forget the oldest that find no
        room, at worst this one."""
        self._by_lane[lane] = response
        self._sizes[lane] = _size(response)
        evicted: list[Waiting] = []
        while sum(self._sizes.values()) > self._bytes_max:
            # A stored response for which nothing waits takes no room.
            oldest = next(lane for lane in self._by_lane if self._sizes[lane])
            evicted += self.forget_lane(oldest)
        return evicted

    def find(self, id: str | None) -> Remembered | None:
        """Return a response by its id."""
        return next((one for one in self._by_lane.values() if one.id == id), None)

    def take_steers(self, response: Remembered) -> Sequence[Steer]:
        """Return the steering that waits for a response to be continued; it waits no more."""
        for lane, one in self._by_lane.items():
            if one is response:
                self._by_lane[lane] = one._replace(steers=())
                self._sizes[lane] = _size(self._by_lane[lane])
        return response.steers

    def forget(self, id: str | None) -> Sequence[Waiting]:
        """Forget a response, because a request that continued it has failed."""
        lanes = [lane for lane, one in self._by_lane.items() if one.id == id]
        return [waiting for lane in lanes for waiting in self.forget_lane(lane)]

    def forget_all(self) -> Sequence[Waiting]:
        return [waiting for lane in list(self._by_lane) for waiting in self.forget_lane(lane)]

    def forget_lane(self, lane: str | None) -> Sequence[Waiting]:
        """Forget the response of a lane, because the lane goes on with another."""
        self._sizes.pop(lane, None)
        response = self._by_lane.pop(lane, None)
        return [] if response is None else [Waiting(lane, steer) for steer in response.steers]


def _size(response: Remembered) -> int:
    """Return how many bytes are kept for a response."""
    items = sum(len(bytes(item)) for item in response.conversation or ())
    return items + sum(len(bytes(steer.event.input)) for steer in response.steers)
