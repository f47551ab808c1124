"""The fee for a request that uses its organisation's own key at the provider: nothing, an amount
for each request, or an amount for each million tokens. The provider's price is not part of it: the
organisation pays that itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from billing.currency.money import round_half_even
from billing.prices.meters import TOKEN_METERS, Way

FEE_MAX_NANO: Final = 10**15
"""A million USD: more for a request, or a million tokens, is a mistake."""
_MILLION: Final = 10**6


class OwnKeyFee(msgspec.Struct, frozen=True):
    """The fee, in nano: for each request, and for each million tokens of input and output."""

    request_nano: int = 0
    million_nano: int = 0

    @classmethod
    def from_stored(cls, stored: Any) -> "OwnKeyFee":
        """Return the fee of an attempt's row; `stored` is JSON, as text or decoded."""
        if isinstance(stored, str):
            return msgspec.json.decode(stored, type=cls)
        return msgspec.convert(stored, type=cls)

    def stored(self) -> str:
        """Return the fee as JSON text for an attempt's row."""
        return msgspec.json.encode(self).decode()

    def nano_of(self, meters: Mapping[str, int]) -> int:
        """Return the fee for what an attempt used; 0 if it used nothing."""
        if not meters:
            return 0
        return self._nano(sum(n for name, n in meters.items() if name in TOKEN_METERS))

    def nano_max(self, ways: Sequence[Way]) -> int:
        """Return the highest fee for a request that may be billed in any of these ways."""
        return self._nano(max(map(_tokens_max, ways), default=0))

    def _nano(self, tokens: int) -> int:
        return self.request_nano + round_half_even(self.million_nano * tokens, _MILLION)


def _tokens_max(way: Way) -> int:
    return sum(bound.most for bound in way if not TOKEN_METERS.isdisjoint(bound.meters))
