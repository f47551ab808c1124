"""I7: what is learnt of an attempt after its hold was resolved."""

import pytest

from accounts.models import Key
from tests import cast
from tests.usage.rows import admit, credit
from usage.models import LateTruth
from usage.models.late_truth import TruthSource
from usage.records import late_usage


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
def test_the_provider_knows_better_unless_it_knows_nothing(
    key: Key, late: dict[str, int], looked_up: dict[str, int], posted: dict[str, int]
) -> None:
    attempt = admit(key)
    for source, meters in ((TruthSource.LATE, late), (TruthSource.LOOK_UP, looked_up)):
        LateTruth.objects.create(
            organisation_id=attempt.organisation_id, attempt_id=attempt.id, source=source,
            meters=meters,
        )  # fmt: skip
    assert [dict(one.meters) for one in late_usage.list_unposted(10)] == [posted, posted]
