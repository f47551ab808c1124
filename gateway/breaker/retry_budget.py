"""How many failed retries a channel may receive."""

from collections.abc import Collection
from typing import Final

from gateway.breaker.breaker import Window

BUDGET_S: Final = 10.0
_BUDGET_FLOOR: Final = 3
_BUDGET_SHARE: Final = 10


class RetryBudget:
    """The retry budget for one model (P21). Successful retries cost nothing, because moving to a
    working channel does not amplify an outage. Each channel may receive failed retries up to a
    tenth of the requests of the last ten seconds, plus three."""

    __slots__ = ("_failed", "_requests")

    def __init__(self) -> None:
        self._requests = Window(BUDGET_S)
        self._failed: dict[str, Window] = {}

    def request(self, now: float) -> None:
        """Record the start of a request."""
        self._requests.add(now, good=True)

    def failed(self, channel_id: str, now: float) -> None:
        """Record that a retry failed."""
        window = self._failed.setdefault(channel_id, Window(BUDGET_S))
        window.add(now, good=False)

    def spent(self, channel_ids: Collection[str], now: float) -> set[str]:
        """Return the channels that accept no further retry now."""
        requests, _ = self._requests.count(now)
        return {
            channel_id
            for channel_id in channel_ids
            if channel_id in self._failed
            and (self._failed[channel_id].count(now)[1] - _BUDGET_FLOOR) * _BUDGET_SHARE
            >= max(requests, 1)
        }
