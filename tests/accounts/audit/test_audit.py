import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import AuditEvent
from lib.ids import id_text
from tests.support.cast import Cast, make_key


def test_event_names_actor_action_and_object(people: Cast) -> None:
    key, _ = make_key(people.core, user=people.bob)
    audit.record(Actor(people.bob, key, people.acme, None, False), people.acme, "x.done", key, n=1)
    event = AuditEvent.objects.get(action="x.done")
    assert (event.actor_user_id, event.actor_key) == (people.bob.id, key.id)
    assert (event.object_type, event.object_id) == ("key", id_text(key.id))
    assert event.detail == {"n": 1}


def test_rolled_back_change_leaves_no_event(people: Cast) -> None:
    before = AuditEvent.objects.count()
    with transaction.atomic():
        audit.record(Actor(None, None, None, None, True), None, "x.done", people.bob)
        transaction.set_rollback(True)
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    "statement",
    ["UPDATE accounts_auditevent SET action = 'x'", "DELETE FROM accounts_auditevent"],
)
def test_the_trail_cannot_be_changed(people: Cast, statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
