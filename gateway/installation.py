"""The installation's own settings: one row, whose defaults hold until somebody writes it."""

from collections.abc import Sequence

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.epoch import bump_epoch
from gateway.models import InstallationSetting
from lib.egress import EgressPolicy


def installation_settings() -> InstallationSetting:
    """The settings in force."""
    return InstallationSetting.objects.first() or InstallationSetting()


def egress_policy() -> EgressPolicy:
    """Which addresses may be reached for channels."""
    return EgressPolicy(installation_settings().egress_allow)


def egress_policy_users() -> EgressPolicy:
    """Which addresses may be reached that users name."""
    return EgressPolicy(installation_settings().egress_allow_users)


def save_settings(
    actor: Actor,
    *,
    egress_allow: Sequence[str] | None = None,
    egress_allow_users: Sequence[str] | None = None,
    unpriced_models: str | None = None,
    public_models: bool | None = None,
    public_status: bool | None = None,
) -> InstallationSetting:
    """Set what is given; each relay hears of it at the commit."""
    with transaction.atomic():
        settings, _ = InstallationSetting.objects.select_for_update().get_or_create(id=1)
        given = {
            "egress_allow": egress_allow,
            "egress_allow_users": egress_allow_users,
            "unpriced_models": unpriced_models,
            "public_models": public_models,
            "public_status": public_status,
        }
        after = {
            name: value if isinstance(value, str | bool) else list(value)
            for name, value in given.items()
            if value is not None
        }
        before = {name: getattr(settings, name) for name in after}
        for name, value in after.items():
            setattr(settings, name, value)
        settings.full_clean()
        settings.save()
        audit.record(actor, None, "settings.changed", settings, before=before, after=after)
        bump_epoch()
    return settings
