"""The installation's settings: one row. Its defaults apply until it is written."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from gateway.models import InstallationSetting
from lib.network.egress import EgressPolicy
from lib.refusal import Refused

NAMES: Final = (
    "egress_allow",
    "egress_allow_users",
    "unpriced_models",
    "public_models",
    "public_status",
    "prefix_sessions",
    "task_result_days",
    "backup_every_hours",
    "backup_hour",
    "backup_folder",
    "backup_keep",
)
_VARIABLES: Final = {
    "task_result_days": "TASK_RESULT_DAYS",
    "backup_every_hours": "BACKUP_EVERY_HOURS",
}


def installation_settings() -> InstallationSetting:
    """Return the current settings."""
    return InstallationSetting.objects.first() or InstallationSetting()


def egress_policy() -> EgressPolicy:
    """Return which addresses channels may use."""
    return EgressPolicy(installation_settings().egress_allow)


def egress_policy_users() -> EgressPolicy:
    """Return which addresses may be fetched for users."""
    return EgressPolicy(installation_settings().egress_allow_users)


def task_result_days() -> int:
    """Return for how many days the result of a media task is served."""
    days: int | None = settings.TASK_RESULT_DAYS
    return installation_settings().task_result_days if days is None else days


def backup_every_hours() -> int:
    """Return the interval of expected backups; 0 expects none. If the environment sets it, another
    system creates them."""
    hours: int | None = settings.BACKUP_EVERY_HOURS
    return installation_settings().backup_every_hours if hours is None else hours


def is_backup_decided() -> bool:
    """Return whether an operator has set a schedule of backups, or said by the environment that
    another system makes them, or that none are wanted."""
    return settings.BACKUP_EVERY_HOURS is not None or backup_every_hours() > 0


def set_by_environment() -> dict[str, str]:
    """Return the variables that set one of the settings, by its name."""
    return {
        name: variable
        for name, variable in _VARIABLES.items()
        if getattr(settings, variable) is not None
    }


def current_values() -> dict[str, Any]:
    """Return the stored settings in the form that `save_settings` takes. The environment may
    override one."""
    row = installation_settings()
    return {name: _plain(getattr(row, name)) for name in NAMES}


def save_settings(
    actor: Actor,
    *,
    egress_allow: Sequence[str] | None = None,
    egress_allow_users: Sequence[str] | None = None,
    unpriced_models: str | None = None,
    public_models: bool | None = None,
    public_status: bool | None = None,
    prefix_sessions: bool | None = None,
    task_result_days: int | None = None,
    backup_every_hours: int | None = None,
    backup_hour: int | None = None,
    backup_folder: str | None = None,
    backup_keep: int | None = None,
) -> InstallationSetting:
    """Set the given fields that differ. Relays are notified at the commit. Raises Refused for an
    invalid network, and for a setting that the environment sets."""
    new_values = {
        "egress_allow": _networks("egress_allow", egress_allow),
        "egress_allow_users": _networks("egress_allow_users", egress_allow_users),
        "unpriced_models": unpriced_models,
        "public_models": public_models,
        "public_status": public_status,
        "prefix_sessions": prefix_sessions,
        "task_result_days": task_result_days,
        "backup_every_hours": backup_every_hours,
        "backup_hour": backup_hour,
        "backup_folder": backup_folder,
        "backup_keep": backup_keep,
    }
    with transaction.atomic():
        row, _ = InstallationSetting.objects.select_for_update().get_or_create(id=1)
        before = {name: _plain(getattr(row, name)) for name in NAMES}
        after = {
            name: value
            for name, value in new_values.items()
            if value is not None and value != before[name]
        }
        if not after:
            return row
        for name in after.keys() & set_by_environment().keys():
            text = gettext("Set by %(variable)s in the environment.")
            raise Refused(name, text % {"variable": _VARIABLES[name]})
        for name, value in after.items():
            setattr(row, name, value)
        row.full_clean()
        row.save()
        replaced = {name: before[name] for name in after}
        audit.record(actor, None, "settings.changed", row, before=replaced, after=after)
        bump_epoch()
    return row


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value


def _networks(field: str, texts: Sequence[str] | None) -> list[str] | None:
    if texts is None:
        return None
    try:
        return [str(ip_network(text)) for text in texts]
    except ValueError as error:
        text = gettext("%(reason)s. Write each network as CIDR, for example 10.0.0.0/8.")
        raise Refused(field, text % {"reason": error}) from error
