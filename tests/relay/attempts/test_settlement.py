"""Which settlements of a batch came after their hold was resolved by another (I6, I7)."""

from lib.id_types import AttemptId, OrganisationId
from lib.ids import new_id
from relay.attempts.settlement import Settlement, late
from usage.records.sql import Ending


def settlement(basis: str) -> Settlement:
    return Settlement(
        organisation_id=OrganisationId(new_id()),
        attempt_id=AttemptId(new_id()),
        state="settled",
        ending=Ending(final=True, status=200, meters="{}", charge_nano=5, basis=basis),
    )


def test_what_resolved_no_hold_came_late() -> None:
    """Where something was counted: a row of the result is the attempt whose hold it resolved."""
    first, second, uncounted = settlement("measured"), settlement("drained"), settlement("none")
    batch = [first, second, uncounted]
    rows = [(str(first.attempt_id), str(second.attempt_id))]
    (item,) = late(batch, rows)
    assert (item.organisation_id, item.attempt_id) == (second.organisation_id, second.attempt_id)
    assert item.ending is second.ending
    assert [one.attempt_id for one in late(batch, [])] == [first.attempt_id, second.attempt_id]
