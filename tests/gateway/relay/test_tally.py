"""What an attempt comes to where the upstream's count is no use (F25, F27, I14)."""

import pytest

from billing.rules.pricing import PriceVersion
from gateway.codecs.usage import Quantities
from gateway.relay.price_list import Price
from gateway.relay.tally import Seen, count

PRICE = Price(7, 0.0, None, PriceVersion({"in_text": 1_000_000_000, "out_text": 3_000_000_000}))
HOLD = 10**9


def told(meters: dict[str, int], *flags: str) -> Seen:
    return Seen(40, Quantities(meters, flags), b"{}", text_bytes=80)


def test_a_meter_without_a_price_is_never_free() -> None:
    """I14: our own count is charged, and the row is flagged for review."""
    bill = count(told({"in_text": 5, "out_audio": 9}), PRICE, HOLD, "measured")
    assert (bill.basis, bill.charge_nano) == ("estimated", 10 * 1000 + 20 * 3000)
    assert bill.flags == ("unpriced_meter", "quarantine")


def test_where_not_even_our_own_count_has_a_price_the_hold_is_kept() -> None:
    """I14."""
    price = Price(7, 0.0, None, PriceVersion({"images": 10**15}))
    bill = count(told({"out_text": 1}), price, HOLD, "measured")
    assert (bill.charge_nano, bill.flags) == (HOLD, ("unpriced_meter", "quarantine"))


@pytest.mark.parametrize(
    ("flags", "basis", "reviewed"),
    [
        ((), "measured", False),
        (("usage_missing",), "estimated", False),
        (("usage_huge",), "estimated", True),
        (("usage_cached_above_input", "usage_negative"), "estimated", True),
    ],
)
def test_who_counts(flags: tuple[str, ...], basis: str, reviewed: bool) -> None:
    """F25, F27; explicit zero is a count (F28)."""
    bill = count(told({"in_text": 0, "out_text": 0}, *flags), PRICE, HOLD, "measured")
    assert bill.basis == basis
    assert ("quarantine" in bill.flags) == reviewed
    assert bill.charge_nano == (0 if basis == "measured" else 10 * 1000 + 20 * 3000)
