"""Change a row's own fields: lock, audit, and notify relays. Used for every noun."""

import datetime as dt
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import Model, QuerySet
from django.shortcuts import get_object_or_404

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation

Row = TypeVar("Row", bound=Model)


def change_row(row: Row, action: str, actor: Actor, **values: Any) -> Row:
    """Set fields of a row and record the change. Return the row.

    Fields that already have the value are left out, and so is an instant that is already set. If
    nothing is left, nothing is written.
    """
    with transaction.atomic():
        manager = type(row)._default_manager
        # Other rows may refer to this one meanwhile: its key does not change.
        rows: QuerySet[Any] = manager.select_for_update(of=("self",), no_key=True)
        locked: Any = rows.get(pk=row.pk)
        before = {name: getattr(locked, name) for name in values}
        changed = {
            name: value for name, value in values.items() if not _is_equal(before[name], value)
        }
        if not changed:
            return locked  # type: ignore[no-any-return]
        for name, value in changed.items():
            setattr(locked, name, value)
        locked.save(update_fields=list(changed))
        audit.record(
            actor,
            locked if isinstance(locked, Organisation) else locked.organisation,
            action,
            locked,
            before={name: _json_value(before[name]) for name in changed},
            after={name: _json_value(value) for name, value in changed.items()},
        )
        bump_epoch()
    return locked  # type: ignore[no-any-return]


def lock_row(row: Row) -> Row:
    """Return the row as it is now, locked until the transaction ends: for a change that keeps what
    its caller leaves out. Raises Http404 if it was deleted in the meantime."""
    rows: QuerySet[Any] = type(row)._default_manager.select_for_update(of=("self",), no_key=True)
    locked: Row = get_object_or_404(rows, pk=row.pk)
    return locked


def read_again(row: Row) -> Row:
    """Return the row as it is now: for a write that decides by it and changes nothing of it. Raises
    Http404 if it was deleted in the meantime."""
    # The class of the person behind `request.user`, too.
    return get_object_or_404(row.__class__, pk=row.pk)


def _is_equal(before: object, value: object) -> bool:
    return before == value or (isinstance(before, dt.datetime) and isinstance(value, dt.datetime))


def _json_value(value: object) -> object:
    if isinstance(value, Model):
        return str(value)
    return value.isoformat() if isinstance(value, dt.datetime) else value
