"""I7: what is learnt of an attempt after its hold was resolved."""

import pytest

from accounts.models import Key
from billing.holds import usage_corrections
from gateway.provider_accounts.reconciliation import usage_reconciliation
from tests.support import cast
from tests.usage.rows import admit, credit, happen, price_version
from usage.late_usage import late_usage
from usage.models import LateTruth
from usage.models.late_truth import TruthSource


@pytest.fixture
def key(people: cast.Cast) -> Key:
    key, _ = cast.make_key(people.core)
    credit(key)
    return key


@pytest.mark.parametrize(
    ("late", "looked_up", "posted"),
    [
        ({"in_text": 1}, {"in_text": 9}, {"in_text": 9}),
        # The provider was asked before the request had reached it.
        ({"in_text": 1}, {}, {"in_text": 1}),
        ({}, {"in_text": 9}, {"in_text": 9}),
        ({}, {}, {}),
    ],
)
def test_providers_count_wins_unless_it_has_none(
    key: Key, late: dict[str, int], looked_up: dict[str, int], posted: dict[str, int]
) -> None:
    attempt = admit(key)
    for source, meters in ((TruthSource.LATE, late), (TruthSource.LOOK_UP, looked_up)):
        LateTruth.objects.create(
            organisation_id=attempt.organisation_id, attempt_id=attempt.id, source=source,
            meters=meters,
        )  # fmt: skip
    assert [dict(one.meters) for one in late_usage.list_unposted(10)] == [posted, posted]


def test_late_usage_is_corrected_once_whoever_asks_again(
    key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I8: what an organisation pays its provider itself is in no posting, so the mark refuses."""
    record = happen(key, own_nano=100)
    corrected: list[int] = []
    monkeypatch.setattr(
        usage_corrections, "correct",
        lambda *_, own_change_nano, **__: corrected.append(own_change_nano),
    )  # fmt: skip
    row = LateTruth.objects.create(
        organisation_id=record.organisation_id, attempt_id=record.id, source=TruthSource.LATE,
        meters={}, charge_nano=record.charge_nano, own_nano=150,
    )  # fmt: skip
    late = late_usage.LateUsage(
        attempt_id=record.id, organisation_id=record.organisation_id, source=TruthSource.LATE,
        meters={}, charge_nano=record.charge_nano, total_nano=record.charge_nano, cost_nano=0,
        own_nano=150,
    )  # fmt: skip
    usage_reconciliation._post_all([late])
    row.refresh_from_db()
    posted_at = row.posted_at
    # A second process read the row as unposted.
    monkeypatch.setattr(late_usage, "can_be_posted", lambda _: True)
    usage_reconciliation._post_all([late])
    row.refresh_from_db()
    assert (corrected, row.own_change_nano, row.posted_at) == ([50], 50, posted_at)


@pytest.mark.parametrize(
    ("charge_nano", "looked_up", "total_nano"),
    [
        (None, None, 150),
        (149, None, 150),
        (151, None, 151),
        (151, {}, 151),
        # What the provider counted counts, whatever the attempt's own process would have charged.
        (151, {"in_text": 2}, 300),
        (301, {"in_text": 2}, 300),
    ],
)
def test_late_ending_keeps_its_charge_unless_the_provider_knows_better(
    key: Key, charge_nano: int | None, looked_up: dict[str, int] | None, total_nano: int
) -> None:
    """An attempt may have ended at a dearer price version than it began with."""
    attempt = admit(key, price_version_id=price_version().id)
    told = [(TruthSource.LATE, {"in_text": 1}, charge_nano), (TruthSource.LOOK_UP, looked_up, None)]
    for source, meters, nano in told:
        LateTruth.objects.create(
            organisation_id=attempt.organisation_id, attempt_id=attempt.id, source=source,
            meters=meters, charge_nano=nano,
        )  # fmt: skip
    found = late_usage.list_unposted(10)
    assert len(found) == 1 + (looked_up is not None)
    assert {(one.charge_nano, one.total_nano) for one in found} == {(charge_nano, total_nano)}


@pytest.mark.parametrize(
    ("recorded", "late", "change"),
    [(None, 5, 5), (0, 5, 5), (7, 5, -2), (5, 5, 0), (5, 0, -5), (None, 0, 0), (None, None, None)],
)
def test_own_key_fee_is_corrected_by_its_records_difference(
    key: Key, recorded: int | None, late: int | None, change: int | None
) -> None:
    record = happen(key, charge_nano=0, own_nano=recorded)
    usage = late_usage.LateUsage(
        attempt_id=record.id, organisation_id=key.organisation_id, source=TruthSource.LATE,
        meters={}, charge_nano=0, total_nano=0, cost_nano=0, own_nano=late,
    )  # fmt: skip
    assert late_usage.own_change_of(usage) == change
