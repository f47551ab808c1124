"""What is counted together, and for how long one waits."""

import pytest

from accounts.throttle import try_counts
from accounts.throttle.throttle import Limit, limits_of_invitations

pytestmark = pytest.mark.django_db


def test_organisation_sends_at_most_a_hundred_invitations_an_hour() -> None:
    """Whoever they are for."""
    one, two = (limits_of_invitations(f"{name}@example.org", "acme") for name in "ab")
    assert set(one) & set(two) == {Limit("invitations of acme", 100, 3600)}


def test_wait_is_that_of_the_longest_limit() -> None:
    limits = (Limit("a", 0, 60), Limit("b", 0, 600), Limit("c", 5, 3_600))
    with pytest.raises(try_counts.TooManyTries) as refused:
        try_counts.count(limits)
    assert 590 <= refused.value.wait_s <= 600
