"""The audit trail: who changed what. An event is committed together with its change."""

import uuid
from typing import Any, Final

from django.db.models import Model

from accounts.access.actors import Actor
from accounts.audit.masking import mask
from accounts.audit.origin import CLIENT_MAX, ORIGIN
from accounts.models import AuditEvent, Organisation
from lib.database.tenancy import current_tenant, use_tenant
from lib.ids import id_text

REASON_MAX: Final = 500


def record(
    actor: Actor,
    organisation: Organisation | None,
    action: str,
    obj: Model,
    **detail: object,
) -> None:
    """Append an event in the caller's transaction.

    `action` is a noun and a past participle (`key.revoked`). `detail` is JSON; for a change it has
    `before` and `after` by field name. A `reason` in it is stored separately. It must not contain a
    secret; texts that look like one are masked anyway.
    """
    origin = ORIGIN.get()()
    reason = mask(str(detail.pop("reason", "")))[:REASON_MAX]
    # An event of the installation belongs to the installation, even if it was caused within an
    # organisation.
    with use_tenant(current_tenant() if organisation else None):
        AuditEvent.objects.create(
            actor_user=actor.user,
            actor_key=actor.key.id if actor.key else None,
            address=origin.address,
            client=mask(origin.client)[:CLIENT_MAX],
            # A key acts on its own behalf, even if the request also has a cookie.
            session="" if actor.key else origin.session,
            request_id=origin.request_id,
            reason=reason,
            organisation=organisation,
            action=action,
            object_type=obj._meta.model_name or "",
            object_id=_id_of(obj),
            detail=_mask_secrets(detail),
        )


def _mask_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _mask_secrets(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_secrets(inner) for inner in value]
    return value


def _id_of(obj: Model) -> str:
    # The id is the last part of a composite key: the first is the partition's.
    id = obj.pk[-1] if isinstance(obj.pk, tuple) else obj.pk
    return id_text(id) if isinstance(id, uuid.UUID) else str(id)
