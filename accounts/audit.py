"""The trail: who changed what, committed together with the change or not at all."""

import uuid

from django.db.models import Model

from accounts.access import Actor
from accounts.models import AuditEvent, Organisation
from lib.ids import id_text


def record(
    actor: Actor, organisation: Organisation | None, action: str, obj: Model, **detail: object
) -> None:
    """Append one event in the caller's transaction.

    `action` is a noun and a past verb (`key.revoked`); `detail` is JSON and holds no secret.
    """
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
