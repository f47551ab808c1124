"""Which grant pays for spending: promotional credit before cash, the oldest expiry first (I20).

Between two changes of an organisation's grants, only the sum of the spending matters, not its
order. So spending may be counted in batches, as long as it is counted before a grant is added. An
expired grant still pays for requests that were admitted before it expired. So spending comes in
steps: step `i` is the spending of requests that were admitted after the first `i` of the expired
grants had expired.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID


class Left(NamedTuple):
    """The remaining amount of one grant. `step` is the number of expiries up to and including the
    grant's own, or None for a grant that has not expired, which pays in every step."""

    grant_id: UUID
    remaining_nano: int
    step: int | None


def consume(grants: Sequence[Left], spent_nano: Mapping[int, int]) -> dict[UUID, int]:
    """Return how much of each grant is used for the spending of all steps; unused grants are left
    out. `grants` are in the order of expiry, those without an expiry last. A grant with step `i`
    pays for the steps below `i`. Refunds (a negative sum) change no grant."""
    left = {grant.grant_id: grant.remaining_nano for grant in grants}
    for step in sorted(spent_nano):
        to_pay = spent_nano[step]
        for grant in grants:
            if grant.step is not None and step >= grant.step:
                continue
            used = max(min(left[grant.grant_id], to_pay), 0)
            left[grant.grant_id] -= used
            to_pay -= used
    used_nano = {grant.grant_id: grant.remaining_nano - left[grant.grant_id] for grant in grants}
    return {grant_id: nano for grant_id, nano in used_nano.items() if nano}


class Payers(NamedTuple):
    """The parts of a charge that included usage, promotional credit and the balance paid."""

    included_nano: int
    promo_nano: int
    balance_nano: int


def payers(charge_nano: int, before_nano: int, included_nano: int, promo_nano: int) -> Payers:
    """Return who paid one of several charges that were counted together.

    Grants pay a sum (see above). In the order of the ledger, included usage pays the first charges
    and promotional credit the next. `before_nano` is the sum charged before this charge. So the
    parts add up exactly, and no charge is paid twice.
    """
    begin = max(before_nano, 0)
    end = begin + max(charge_nano, 0)
    included = max(min(end, included_nano) - begin, 0)
    promo = max(min(end, included_nano + promo_nano) - max(begin, included_nano), 0)
    return Payers(included, promo, charge_nano - included - promo)


def lapse(remaining_nano: int, protected_nano: int, available_nano: int) -> int:
    """Return how much of an expired grant to take back now. `protected_nano`, which running
    requests admitted before the expiry may still use, stays until they end. An amount that is not
    available now is taken back later."""
    return max(min(remaining_nano - protected_nano, available_nano), 0)
