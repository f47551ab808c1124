"""The trail: who changed what, committed together with the change or not at all."""

import uuid

from django.db.models import Model

from accounts.access import Actor
from accounts.models import AuditEvent, Organisation
from lib.ids import id_text
from lib.tenancy import current_tenant, within


def record(
    actor: Actor, organisation: Organisation | None, action: str, obj: Model, **detail: object
) -> None:
    """Append one event in the caller's transaction.

    `action` is a noun and a past verb (`key.revoked`); `detail` is JSON and holds no secret.
    """
    # An event of the installation is written as such, also from within an organisation.
    with within(current_tenant() if organisation else None):
        AuditEvent.objects.create(
            actor_user=actor.user,
            actor_key=actor.key.id if actor.key else None,
            organisation=organisation,
            action=action,
            object_type=obj._meta.model_name or "",
            object_id=_id_of(obj),
            detail=detail,
        )


def _id_of(obj: Model) -> str:
    return id_text(obj.pk) if isinstance(obj.pk, uuid.UUID) else str(obj.pk)
