"""The order in which a busy process begins waiting requests: organisations in turn, the keys of
each organisation in turn, the oldest request of each key first (P35).

The event loop runs whatever is ready. If every request began on arrival, each step of a request
would wait behind the next step of all others, and the organisation that sends most would set the
pace for everybody. Therefore only a few begin in each turn of the loop; the rest wait here, at no
cost. The duration of the turns determines how many begin. A few whose key has none waiting begin
without a wait, so that the queue costs nothing to those who send little.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BEGUN_MAX: Final = 8
"""The maximum number of requests that begin in one turn of the event loop."""
AHEAD_MAX: Final = 4
"""The maximum number of requests of an organisation that begin ahead of waiting ones in a turn."""
TURN_S_MAX: Final = 0.002
"""The CPU time of a turn above which fewer requests begin in the next one."""
FEW_SHARE: Final = 0.25
"""The share of the mean of all organisations up to which an organisation has few requests."""
TURNS_EACH: Final = 5
"""The approximate number of loop turns for each wait of a request: a request takes about ten turns,
and waits twice.
"""


class TurnQueue(Generic[T]):
    """Waiting items, `size` in all, each for a key of an organisation."""

    __slots__ = ("_organisations", "size")

    def __init__(self) -> None:
        # In the order of their turns.
        self._organisations: OrderedDict[Hashable, OrderedDict[Hashable, deque[T]]] = OrderedDict()
        self.size = 0

    def put(self, organisation: Hashable, key: Hashable, item: T) -> None:
        """Add an item behind the others of its key."""
        keys = self._organisations.setdefault(organisation, OrderedDict())
        keys.setdefault(key, deque()).append(item)
        self.size += 1

    def has(self, organisation: Hashable, key: Hashable) -> bool:
        """Return whether an item of this key waits."""
        return key in self._organisations.get(organisation, ())

    def take(self) -> T:
        """Remove and return the next item. Raises KeyError if the queue is empty."""
        organisation, keys = self._organisations.popitem(last=False)
        key, items = keys.popitem(last=False)
        item = items.popleft()
        if items:
            keys[key] = items
        if keys:
            self._organisations[organisation] = keys
        self.size -= 1
        return item

    def oldest(self) -> Iterator[T]:
        """Yield the oldest item of each key."""
        return (items[0] for keys in self._organisations.values() for items in keys.values())


def order_by_turns(items: Iterable[tuple[Hashable, Hashable, T]]) -> list[T]:
    """Return the items in the order of their turns. Each is given with its organisation and key."""
    queue = TurnQueue[T]()
    for organisation, key, item in items:
        queue.put(organisation, key, item)
    return [queue.take() for _ in range(queue.size)]


def next_allowance(allowance: int, turn_s: float) -> int:
    """Return how many requests may begin in the next turn: half as many if the last turn took too
    much CPU time, one more if it took little."""
    if turn_s > TURN_S_MAX:
        return max(1, allowance // 2)
    if turn_s < TURN_S_MAX / 2:
        return min(BEGUN_MAX, allowance + 1)
    return allowance


def find_few(under_way: Mapping[int, int]) -> frozenset[int]:
    """Return the organisations with few running requests beside the others. Together they have at
    most that share of all."""
    if len(under_way) < 2:
        return frozenset()
    most = FEW_SHARE * sum(under_way.values()) / len(under_way)
    return frozenset([id for id, count in under_way.items() if count <= most])
