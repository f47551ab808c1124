"""In which order a busy process begins the requests that wait: organisations in turn, of each
organisation its keys in turn, of each key the oldest first (P35).

The event loop runs whatever is ready. If every request began as soon as it arrived, each step of a
request would wait behind the next step of all others, so the organisation that sends most would
set the pace for everybody. So only a few begin in each turn of the loop, and the rest wait here,
where waiting costs nothing. How many begin follows from how long the turns take.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

BEGUN_MAX: Final = 8
"""How many requests begin in one turn of the event loop at most."""
TURN_S_MAX: Final = 0.002
"""How much CPU a turn may take before fewer begin in the next one."""
TURNS_EACH: Final = 5
"""How many turns of the event loop follow each wait of a request, about: it takes ten, and waits
twice."""


class TurnQueue(Generic[T]):
    """Items that wait, each for a key of an organisation."""

    __slots__ = ("_organisations", "_size")

    def __init__(self) -> None:
        # In the order of their turns.
        self._organisations: OrderedDict[Hashable, OrderedDict[Hashable, deque[T]]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, organisation: Hashable, key: Hashable, item: T) -> None:
        """Add an item behind those of its key."""
        keys = self._organisations.setdefault(organisation, OrderedDict())
        keys.setdefault(key, deque()).append(item)
        self._size += 1

    def take(self) -> T:
        """Remove and return the next item. Raises KeyError if none waits."""
        organisation, keys = self._organisations.popitem(last=False)
        key, items = keys.popitem(last=False)
        item = items.popleft()
        if items:
            keys[key] = items
        if keys:
            self._organisations[organisation] = keys
        self._size -= 1
        return item

    def oldest(self) -> Iterator[T]:
        """The oldest item of each key."""
        return (items[0] for keys in self._organisations.values() for items in keys.values())


def order_by_turns(items: Iterable[tuple[Hashable, Hashable, T]]) -> list[T]:
    """Items, each given with its organisation and key, in the order of their turns."""
    queue = TurnQueue[T]()
    for organisation, key, item in items:
        queue.put(organisation, key, item)
    return [queue.take() for _ in range(len(queue))]


def next_allowance(allowance: int, turn_s: float) -> int:
    """How many requests may begin in the next turn, after one that took so much CPU: half as many
    where that was too much, one more where it was little."""
    if turn_s > TURN_S_MAX:
        return max(1, allowance // 2)
    if turn_s < TURN_S_MAX / 2:
        return min(BEGUN_MAX, allowance + 1)
    return allowance
