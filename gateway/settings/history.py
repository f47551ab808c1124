"""The history of the installation's settings, with undo.

A change of settings is an event of the audit trail, which has the actor, the time, and each value
before and after. Undoing it is another change. It is possible only while the values of the change
are still in force, so that no later change is lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit.changes import lock_row
from accounts.audit_log import log as audit_log
from accounts.audit_log.log import Change, EventDisplay
from accounts.models import AuditEvent, SignUpSetting
from accounts.roles.rules import Action
from accounts.sign_up import sign_up
from gateway.models import InstallationSetting
from gateway.settings.installation import current_values, save_settings
from lib.ids import id_text
from lib.refusal import Refused

# Each kind of change, and the action that is required to undo one.
_PERMISSIONS: Final[Mapping[str, Action]] = {
    "settings.changed": "channels.write",
    "sign_up.changed": "organisations.write",
}
# The row that each change locks.
_LOCKED: Final[Mapping[str, type[InstallationSetting] | type[SignUpSetting]]] = {
    "settings.changed": InstallationSetting,
    "sign_up.changed": SignUpSetting,
}
SHOWN_MAX: Final = 50


class SettingChange(NamedTuple):
    """One change of settings, and whether all of its values are still in force."""

    shown: EventDisplay
    in_force: bool

    @property
    def id(self) -> str:
        return id_text(self.shown.event.pk)

    @property
    def changes(self) -> Sequence[Change]:
        return [change for change in self.shown.changes if change.before != change.after]


def setting_changes(actor: Actor) -> list[SettingChange]:
    """Return the last changes, newest first."""
    events = list(_events(actor).order_by("-id")[:SHOWN_MAX])
    current = {action: _current(action) for action in _PERMISSIONS}
    return [
        SettingChange(entry, _is_in_force(entry.event, current[entry.event.action]))
        for entry in audit_log.describe_events(events)
    ]


def access_setting_change(actor: Actor, id: str) -> AuditEvent:
    """Return one change by the text of its id. Raises Http404."""
    return audit_log.access_event(_events(actor), id)


def undo_setting_change(actor: Actor, event: AuditEvent) -> None:
    """Restore the values that a change replaced, as a new change. Raises Refused, AccessDenied."""
    access.require(actor, _PERMISSIONS[event.action])
    with transaction.atomic():
        lock_row(_LOCKED[event.action](id=1))
        if not _is_in_force(event, _current(event.action)):
            text = gettext("These settings were changed again since. Undo the later change first.")
            raise Refused("id", text)
        before = event.detail["before"]
        if event.action == "sign_up.changed":
            sign_up.save_sign_up(actor, **before)
        else:
            save_settings(actor, **before)


def _events(actor: Actor) -> Any:
    access.require(actor, "channels.write")
    return audit_log.all_events(actor).filter(action__in=_PERMISSIONS)


def _current(action: str) -> Mapping[str, Any]:
    return sign_up.describe_settings() if action == "sign_up.changed" else current_values()


def _is_in_force(event: AuditEvent, current: Mapping[str, Any]) -> bool:
    after, before = event.detail.get("after"), event.detail.get("before")
    if not isinstance(after, dict) or not isinstance(before, dict):
        return False
    # A setting that this version does not have cannot be restored.
    return before.keys() <= current.keys() and all(
        name in current and current[name] == value for name, value in after.items()
    )
