"""The states of a hold and its moves, as the rule has them (I6, I14)."""

import re
from pathlib import Path
from typing import get_args

import pytest

from billing.ledger import hold_rules as hold_life
from billing.ledger.hold_rules import MOVES, RESOLVED_BY, UNRESOLVED, state_for
from billing.ledger.posting import PostingKind
from billing.models import HoldState as Stored

ROOT = Path(__file__).parents[3]


def test_every_state_has_its_moves_and_can_be_stored() -> None:
    assert set(MOVES) == set(get_args(hold_life.HoldState)) == set(Stored.values)
    assert {to for moves in MOVES.values() for to in moves} == set(MOVES)


def test_resolved_hold_stays_resolved_by_one_kind_of_posting() -> None:
    ends = {state for state, moves in MOVES.items() if not moves}
    assert ends == set(MOVES) - set(UNRESOLVED) == set(RESOLVED_BY)
    assert len(set(RESOLVED_BY.values())) == len(RESOLVED_BY)
    assert set(RESOLVED_BY.values()) <= set(get_args(PostingKind))


def test_a_kept_hold_is_resolved_only_by_way_of_a_decision() -> None:
    """I14."""
    assert MOVES["kept"] == ("open",)


@pytest.mark.parametrize(
    ("basis", "state"),
    [
        ("measured", "settled"),
        ("drained", "settled"),
        ("estimated", "settled"),
        ("absorbed", "settled"),
        ("free", "settled"),
        ("none", "voided"),
        ("held", "kept"),
    ],
)
def test_bill_basis_ends_a_hold(basis: str, state: str) -> None:
    """I6, I14."""
    assert state_for(basis) == state
    assert state in MOVES["open"]


def test_every_query_uses_the_same_states_for_held_money() -> None:
    texts = [
        path.read_text() for room in ("billing", "usage") for path in (ROOT / room).rglob("*.py")
    ]
    listed = re.findall(r"\bstate (?:NOT )?IN \(([^)]*'kept'[^)]*)\)", "".join(texts))
    assert set(listed) == {", ".join(f"'{state}'" for state in UNRESOLVED)}
