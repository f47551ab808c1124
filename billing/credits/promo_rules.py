"""Which grant a spending comes out of: promo before cash, oldest expiry first (I20).

Between two changes of an organisation's grants only the sum of what was spent matters, not its
order, so that spending may be counted in batches as long as it is counted before any grant is
added. An expired grant still pays for requests that were admitted before it expired: they were
allowed by it. So spending comes in steps: step `i` is what was spent by requests that were admitted
after the first `i` of the expired grants had expired.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID


class Left(NamedTuple):
    """The remainder of one grant. `step` is the number of expiries before or at its own; None for a
    grant that has not expired, which is usable in every step."""

    grant_id: UUID
    remaining_nano: int
    step: int | None


def consume(grants: Sequence[Left], spent_nano: Mapping[int, int]) -> dict[UUID, int]:
    """Return how much of each grant the spending of each step uses; unused grants are left out.
    `grants` are in the order of expiry, those without one last. A grant with step `i` pays for
    steps below `i`. Refunds (a negative sum) are cash."""
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
    """How much of a charge was paid by included usage, promotional credit and the balance."""

    included_nano: int
    promo_nano: int
    balance_nano: int


def payers(charge_nano: int, before_nano: int, included_nano: int, promo_nano: int) -> Payers:
    """Return who paid one charge of those counted together. Grants pay a sum (see above). Of the
    single charges in the order of the ledger, the first are paid by included usage, the next by
    promotional credit. `before_nano` were charged before this one. So the parts add up exactly, and
    no charge is paid twice."""
    begin = max(before_nano, 0)
    end = begin + max(charge_nano, 0)
    included = max(min(end, included_nano) - begin, 0)
    promo = max(min(end, included_nano + promo_nano) - max(begin, included_nano), 0)
    return Payers(included, promo, charge_nano - included - promo)


def lapse(remaining_nano: int, protected_nano: int, available_nano: int) -> int:
    """Return how much of an expired grant is taken back now. What running requests admitted before
    the expiry may still use (`protected_nano`) stays until they end; what is not available now
    follows when it is."""
    return max(min(remaining_nano - protected_nano, available_nano), 0)
