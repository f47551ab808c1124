"""The life of a hold, as data: its states, the moves between them, and the posting of each end.

A hold is placed open, in the transaction that admits its attempt. It is resolved exactly once (I6),
by one posting: settled at its charge, voided where nothing was charged, or expired where its
process died. Where no charge can be named it is kept, and its money stays held, until an operator
decides (I14): the decision opens it again and resolves it in one transaction.
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
"""To which states a hold can go from each; what is told again of a hold elsewhere moves nothing."""

UNRESOLVED: Final[tuple[HoldState, ...]] = ("open", "kept")
"""The states in which its money is held."""

RESOLVED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {"settled": "settle", "voided": "void", "expired": "expire"}
)
"""The kind of the posting that ends a hold, and the first part of its idempotency id."""

_STATES_BY_BASIS: Final[Mapping[str, HoldState]] = MappingProxyType(
    {"held": "kept", "none": "voided"}
)


def state_for(basis: str) -> HoldState:
    """The state that a bill puts the hold of its attempt into, by its basis: kept where no charge
    could be named (I14), voided where nothing is owed, else settled."""
    return _STATES_BY_BASIS.get(basis, "settled")
