"""The history of the installation's settings, and its way back.

A change of settings is an event of the audit trail, which has who made it, when, and each value
before and after. To undo one is another change: it can be done while what it set is still in force,
so that nothing that came later is lost.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit import log as audit_log
from accounts.audit.log import Change, EventDisplay
from accounts.models import AuditEvent
from accounts.roles.rules import Action
from accounts.sign_up import sign_up
from gateway.settings.installation import current_values, save_settings
from lib.ids import id_text
from lib.refusal import Refused

# Each kind of change, and what may be done by who undoes one.
_PERMISSIONS: Final[Mapping[str, Action]] = {
    "settings.changed": "channels.write",
    "sign_up.changed": "organisations.write",
}
SHOWN_MAX: Final = 50


class SettingChange(NamedTuple):
    """One change, and whether all that it set is in force."""

    shown: EventDisplay
    in_force: bool

    @property
    def id(self) -> str:
        return id_text(self.shown.event.pk)

    @property
    def changes(self) -> Sequence[Change]:
        return [change for change in self.shown.changes if change.before != change.after]


def setting_changes(actor: Actor) -> list[SettingChange]:
    """The last changes, newest first."""
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
    """Set what a change replaced, as a change of its own. Raises Refused, AccessDenied."""
    access.require(actor, _PERMISSIONS[event.action])
    with transaction.atomic():
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
    # A setting that this version does not have cannot be brought back.
    return before.keys() <= current.keys() and all(
        name in current and current[name] == value for name, value in after.items()
    )
