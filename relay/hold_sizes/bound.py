"""What a request could cost, for pages that show it before the request is sent."""

from typing import NamedTuple


class Bound(NamedTuple):
    """What a request could cost, computed before it is sent: it would hold `hold_nano`.
    `output_cap` is the cap per choice to send upstream because of a low balance, None for no
    change. `output_tokens` are held per choice; `input_tokens` is an upper bound;
    `price_version_id` is None for a free model. `available_nano` is the available balance; if it
    does not suffice (`fits` False) the request would be refused. Included units pay `units_nano` of
    both. `expected_nano` is the expected charge, None if it was not computed or is unknown."""

    hold_nano: int
    output_cap: int | None
    input_tokens: int
    output_tokens: int
    price_version_id: int | None
    available_nano: int
    fits: bool
    expected_nano: int | None = None
    units_nano: int = 0
