"""Changes of the playground's rules for everybody are in the log, before and after (W10)."""

import pytest

from accounts.models import AuditEvent
from playground.preferences import preferences
from tests.support.cast import Cast, actor

pytestmark = pytest.mark.django_db


def test_rules_are_logged_as_they_were_and_as_they_are(people: Cast) -> None:
    by = actor(people.alice, people.acme)
    for seconds in (60, 60, None):
        preferences.set_leaving_rule(by, seconds)
        assert preferences.leaving_seconds_max(people.acme) == seconds
    for model in ("alpha", "alpha", "beta"):
        preferences.choose_organisation_model(by, model)
    events = AuditEvent.objects.filter(action__startswith="playground.").order_by("id")
    changes = [
        (*event.detail["before"].values(), *event.detail["after"].values()) for event in events
    ]
    assert changes == [(None, 60), (60, None), ("", "alpha"), ("alpha", "beta")]
    assert {event.organisation for event in events} == {people.acme}
