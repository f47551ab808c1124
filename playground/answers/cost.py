"""Estimates the cost of an answer in progress, until its charge is known."""

from billing.prices.pricing import CostLines, PriceVersion, price
from relay.counting.estimates import estimate_tokens


class Meter:
    """The running cost of one answer. `version` is None for a model without a price."""

    def __init__(self, version: PriceVersion | None, body_bytes: int) -> None:
        self._version = version
        self._input_tokens = estimate_tokens(body_bytes)

    def cost_nano(self, text_tokens: int, reasoning_tokens: int) -> int | None:
        """Return the cost up to now, or None without a price."""
        if self._version is None:
            return None
        quantities = {"in_text": self._input_tokens, "out_text": text_tokens,
                      "out_reasoning": reasoning_tokens}  # fmt: skip
        cost = price(quantities, self._version)
        return cost.total_nano if isinstance(cost, CostLines) else None
