"""The installation's own settings: one row, whose defaults hold until somebody writes it."""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any, Final

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
)


def installation_settings() -> InstallationSetting:
    """The settings in force."""
    return InstallationSetting.objects.first() or InstallationSetting()


def egress_policy() -> EgressPolicy:
    """Which addresses may be reached for channels."""
    return EgressPolicy(installation_settings().egress_allow)


def egress_policy_users() -> EgressPolicy:
    """Which addresses may be reached that users name."""
    return EgressPolicy(installation_settings().egress_allow_users)


def current_values() -> dict[str, Any]:
    """The settings in force, as `save_settings` takes them."""
    settings = installation_settings()
    return {name: _plain(getattr(settings, name)) for name in NAMES}


def save_settings(
    actor: Actor,
    *,
    egress_allow: Sequence[str] | None = None,
    egress_allow_users: Sequence[str] | None = None,
    unpriced_models: str | None = None,
    public_models: bool | None = None,
    public_status: bool | None = None,
) -> InstallationSetting:
    """Set what is given and differs; each relay hears of it at the commit. Raises Refused for
    what is no network."""
    new_values = {
        "egress_allow": _networks("egress_allow", egress_allow),
        "egress_allow_users": _networks("egress_allow_users", egress_allow_users),
        "unpriced_models": unpriced_models,
        "public_models": public_models,
        "public_status": public_status,
    }
    with transaction.atomic():
        settings, _ = InstallationSetting.objects.select_for_update().get_or_create(id=1)
        before = {name: _plain(getattr(settings, name)) for name in NAMES}
        after = {
            name: value
            for name, value in new_values.items()
            if value is not None and value != before[name]
        }
        if not after:
            return settings
        for name, value in after.items():
            setattr(settings, name, value)
        settings.full_clean()
        settings.save()
        replaced = {name: before[name] for name in after}
        audit.record(actor, None, "settings.changed", settings, before=replaced, after=after)
        bump_epoch()
    return settings


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool) else list(value)


def _networks(field: str, texts: Sequence[str] | None) -> list[str] | None:
    if texts is None:
        return None
    try:
        return [str(ip_network(text)) for text in texts]
    except ValueError as error:
        text = gettext("%(reason)s. Write each network as CIDR, for example 10.0.0.0/8.")
        raise Refused(field, text % {"reason": error}) from error
