"""Which changes of settings can be undone, and by whom."""

from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from accounts.sign_up import sign_up
from gateway.settings.history import SHOWN_MAX, setting_changes
from gateway.settings.installation import (
    backup_every_hours,
    current_values,
    is_backup_decided,
    save_settings,
    set_by_environment,
)
from lib.refusal import Refused
from tests.support.cast import Cast, actor

pytestmark = pytest.mark.django_db


def test_change_of_two_settings_is_in_force_while_both_are(people: Cast) -> None:
    save_settings(SYSTEM, public_models=True, task_result_days=30)
    save_settings(SYSTEM, task_result_days=31)
    dora = actor(people.dora)
    assert [change.in_force for change in setting_changes(dora)] == [True, False]
    save_settings(SYSTEM, task_result_days=30)
    assert [change.in_force for change in setting_changes(dora)] == [True, False, True]


def test_last_changes_of_settings_and_of_sign_up_are_listed_newest_first(people: Cast) -> None:
    sign_up.save_sign_up(SYSTEM, mode="off")
    save_settings(SYSTEM, task_result_days=9)
    first = AuditEvent.objects.get(action="settings.changed")
    for days in range(SHOWN_MAX):
        detail = {"before": {"task_result_days": 9}, "after": {"task_result_days": days + 10}}
        same = {"object_type": first.object_type, "object_id": first.object_id}
        AuditEvent.objects.create(action=first.action, detail=detail, **same)
    changes = setting_changes(actor(people.dora))
    assert len(changes) == SHOWN_MAX
    assert {change.shown.event.action for change in changes} == {"settings.changed"}
    assert changes[0].shown.event.detail["after"] == {"task_result_days": SHOWN_MAX + 9}
    sign_up.save_sign_up(SYSTEM, mode="invite")
    assert setting_changes(actor(people.dora))[0].shown.event.action == "sign_up.changed"


@pytest.mark.parametrize(
    ("stored", "environment", "hours", "decided"),
    [(0, None, 0, False), (24, None, 24, True), (24, 6, 6, True), (24, 0, 0, True)],
)
def test_environment_decides_on_backups_before_the_page(
    settings: Any, stored: int, environment: int | None, hours: int, decided: bool
) -> None:
    settings.BACKUP_EVERY_HOURS = None
    save_settings(SYSTEM, backup_every_hours=stored)
    settings.BACKUP_EVERY_HOURS = environment
    assert (backup_every_hours(), is_backup_decided()) == (hours, decided)
    assert ("backup_every_hours" in set_by_environment()) is (environment is not None)
    assert current_values()["backup_every_hours"] == stored
    if environment is not None:
        with pytest.raises(Refused) as refused:
            save_settings(SYSTEM, backup_every_hours=168)
        assert refused.value.field == "backup_every_hours"
