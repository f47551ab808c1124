"""The fee for an organisation's own key."""

import pytest

from billing.prices.meters import Bound
from billing.prices.own_key_fee import OwnKeyFee


@pytest.mark.parametrize(
    ("fee", "meters", "nano"),
    [
        (OwnKeyFee(), {"in_text": 10}, 0),
        (OwnKeyFee(request_nano=7), {"in_text": 10}, 7),
        (OwnKeyFee(request_nano=7), {}, 0),
        (OwnKeyFee(million_nano=500_000), {"in_text": 3, "out_text": 4}, 4),
        (OwnKeyFee(million_nano=500_000), {"in_text": 1, "requests": 1, "images": 9}, 0),
        (OwnKeyFee(million_nano=3_000_000), {"in_cache_read": 2, "out_reasoning": 5}, 21),
    ],
)
def test_fee(fee: OwnKeyFee, meters: dict[str, int], nano: int) -> None:
    assert fee.nano_of(meters) == nano
    assert OwnKeyFee.from_stored(fee.stored()) == fee


def test_maximum_uses_the_path_with_the_most_tokens() -> None:
    ways = [
        [Bound(("in_text", "in_cache_read"), 100), Bound(("out_text",), 20)],
        [Bound(("characters",), 9_000), Bound(("in_text",), 50)],
    ]
    assert OwnKeyFee(million_nano=1_000_000).nano_max(ways) == 120
    assert OwnKeyFee(request_nano=5).nano_max(ways) == 5
    assert OwnKeyFee(request_nano=5).nano_max([]) == 5
