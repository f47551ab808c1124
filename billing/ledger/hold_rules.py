"""The life of a hold, as data: its states, the transitions, and the posting of each end.

A hold is placed open, in the transaction that admits its attempt. One posting resolves it exactly
once (I6): settled at its charge, voided if nothing was charged, or expired if its process died. If
the charge is unknown, the hold is kept and its money stays held until an operator decides (I14).
The decision reopens and resolves the hold in one transaction.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

HoldState = Literal["open", "kept", "settled", "voided", "expired"]

MOVES: Final[Mapping[HoldState, tuple[HoldState, ...]]] = MappingProxyType(
    {
        "open": ("kept", "settled", "voided", "expired"),
        "kept": ("open",),
        "settled": (),
        "voided": (),
        "expired": (),
    }
)
"""The states that a hold can move to from each state. An invalid move changes nothing."""

UNRESOLVED: Final[tuple[HoldState, ...]] = ("open", "kept")
"""The states in which the money is held."""

RESOLVED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {"settled": "settle", "voided": "void", "expired": "expire"}
)
"""The kind of the posting that ends a hold, and the first part of its idempotency id."""

_STATES_BY_BASIS: Final[Mapping[str, HoldState]] = MappingProxyType(
    {"held": "kept", "none": "voided"}
)


def state_for(basis: str) -> HoldState:
    """Return the new state of a hold, by the basis of its attempt's bill: kept if the charge is
    unknown (I14), voided if nothing is owed, else settled."""
    return _STATES_BY_BASIS.get(basis, "settled")
