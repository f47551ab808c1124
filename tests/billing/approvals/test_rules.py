"""Who may decide on a change that waits for a second person."""

import datetime as dt
from typing import Any

import pytest

from billing.approvals.rules import EXPIRES_AFTER, Change, Waiting, objection

ASKED_AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
CHANGES = [Change(name="amount", before=None, after="500.00")]
OTHERS = [Change(name="amount", before="1.00", after="500.00")]


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, None),
        ({"person": None}, "no_person"),
        ({"person": None, "approve": False, "reason": "r"}, "no_person"),
        ({"person": 1}, "own"),
        ({"person": 1, "changes": ()}, "own"),
        ({"person": 1, "approve": False}, None),
        ({"now": ASKED_AT + EXPIRES_AFTER}, None),
        ({"now": ASKED_AT + EXPIRES_AFTER + dt.timedelta(seconds=1)}, "expired"),
        ({"now": ASKED_AT + 2 * EXPIRES_AFTER, "approve": False, "reason": "r"}, None),
        ({"changes": OTHERS}, "changed"),
        ({"changes": ()}, "changed"),
        ({"changes": OTHERS, "approve": False, "reason": "r"}, None),
        ({"approve": False}, "no_reason"),
    ],
)
def test_who_may_decide_which_way(over: dict[str, Any], expected: str | None) -> None:
    given: dict[str, Any] = {
        "person": 2, "approve": True, "reason": "", "changes": CHANGES, "now": ASKED_AT, **over,
    }  # fmt: skip
    assert objection(Waiting(1, ASKED_AT, CHANGES), **given) == expected
