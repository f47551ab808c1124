"""How much more of an answer is read on whose client has left."""

import pytest

from billing.prices.pricing import PriceVersion
from relay.attempts.abandoned import drain_limit
from relay.counting.usage_meter import Bill
from relay.holds.rules import BYTES_PER_ESTIMATED_TOKEN

# 3 nano for a token of output.
VERSION = PriceVersion.from_stored({"meters": {"out_text": 3_000_000}})


@pytest.mark.parametrize(
    ("cost_nano", "tokens"), [(0, 0), (2, 0), (3, 1), (5, 1), (6, 2), (300, 100)]
)
def test_so_much_more_text_is_read_as_the_cost_covers(cost_nano: int, tokens: int) -> None:
    bill = Bill({"out_text": 10}, 30, "estimated", (), None)
    limit = drain_limit(bill, VERSION, cost_nano, 70)
    assert limit.most_nano == 30 + cost_nano
    assert limit.text_bytes_max == 70 + tokens * BYTES_PER_ESTIMATED_TOKEN


def test_an_answer_without_text_is_read_as_far_as_its_cost_covers() -> None:
    """Its bill has no meter of output yet."""
    limit = drain_limit(Bill({}, 0, "estimated", (), None), VERSION, 3, 0)
    assert limit.text_bytes_max == BYTES_PER_ESTIMATED_TOKEN
