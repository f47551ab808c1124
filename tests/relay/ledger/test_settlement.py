"""Which settlements of a batch came after their hold was resolved by another (I6, I7), which
budgets have refused a request, and what a settlement takes of them."""

import msgspec
import pytest

from billing.holds.resolve_holds import HoldResolved
from billing.limits.budget_windows import note_refused
from lib.id_types import AttemptId, KeyId, ModelName, OrganisationId, RequestId, TeamId
from lib.ids import new_id
from relay.ledger import settlement as settling
from relay.ledger.settlement import Settlement, late, statements
from usage.records.sql import Ending, Refusal


def settlement(basis: str) -> Settlement:
    return Settlement(
        organisation_id=OrganisationId(new_id()),
        attempt_id=AttemptId(new_id()),
        state="settled",
        ending=Ending(final=True, status=200, meters="{}", charge_nano=5, basis=basis),
    )


def test_late_usage_is_what_resolved_no_hold() -> None:
    """Where something was counted: a row of the result is the attempt whose hold it resolved."""
    first, second, uncounted = settlement("measured"), settlement("drained"), settlement("none")
    batch = [first, second, uncounted]
    rows = [(str(first.attempt_id), str(second.attempt_id))]
    (item,) = late(batch, rows)
    assert (item.organisation_id, item.attempt_id) == (second.organisation_id, second.attempt_id)
    assert item.ending is second.ending
    assert [one.attempt_id for one in late(batch, [])] == [first.attempt_id, second.attempt_id]


def refusal(window_id: int | None, *, after_attempts: bool = False) -> Refusal:
    return Refusal(
        organisation_id=OrganisationId(new_id()),
        request_id=RequestId(new_id()),
        team_id=TeamId(new_id()),
        key_id=KeyId(new_id()),
        user_id=None,
        model=ModelName("m"),
        dialect="openai",
        operation="chat_completions",
        stream=False,
        source="api",
        ending=Ending(final=True, status=402, kind="insufficient_balance"),
        window_id=window_id,
        after_attempts=after_attempts,
    )


@pytest.mark.parametrize("after_attempts", [False, True])
@pytest.mark.parametrize(
    ("windows", "told"), [((), []), ((None,), []), ((7,), [7]), ((7, None, 5, 7), [5, 7])]
)
def test_rejecting_budget_sends_its_alert(
    windows: tuple[int | None, ...], told: list[int], after_attempts: bool
) -> None:
    """Something of it may be left, and its alert of 100 % is due all the same."""
    batch = [refusal(window, after_attempts=after_attempts) for window in windows]
    text, _ = note_refused([])
    notes = [one for one in statements([settlement("none"), *batch]) if one[0] == text]
    assert notes == ([note_refused(told)] if told else [])


@pytest.mark.parametrize(("own_nano", "counted_nano"), [(None, 0), (0, 0), (7, 7)])
def test_budgets_count_what_the_organisation_paid_its_provider(
    monkeypatch: pytest.MonkeyPatch, own_nano: int | None, counted_nano: int
) -> None:
    """P2: of an attempt that cost it nothing, nothing."""
    resolved = list[HoldResolved]()
    monkeypatch.setattr(settling, "resolve_holds", resolved.extend)
    one = settlement("measured")
    ending = msgspec.structs.replace(one.ending, own_nano=own_nano)
    statements([msgspec.structs.replace(one, ending=ending)])
    assert [hold.own_nano for hold in resolved] == [counted_nano]
