from accounts.access.actors import SYSTEM
from accounts.audit.changes import change_row
from accounts.models import AuditEvent, Epoch
from lib import clock
from tests.support.cast import Cast


def test_only_what_changes_is_written_and_told(people: Cast) -> None:
    epoch = Epoch.objects.get().n
    now = clock.now()
    for _ in range(2):
        change_row(people.core, "team.archived", SYSTEM, archived_at=now, name="core")
    event = AuditEvent.objects.get(action="team.archived")
    assert event.detail == {
        "before": {"archived_at": None},
        "after": {"archived_at": now.isoformat()},
    }
    assert Epoch.objects.get().n == epoch + 1
