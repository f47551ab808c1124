"""Decisions of a second person in tests."""

from typing import Any
from uuid import UUID

from accounts.access.actors import Actor
from billing.approvals.approvals import decide, waiting
from billing.models import Approval
from lib.ids import id_text


def waiting_approval(kind: str, row: Any) -> Approval:
    """Return what waits for a second person about a row."""
    found = waiting(kind, id_text(row.pk) if isinstance(row.pk, UUID) else str(row.pk))
    assert found is not None
    return found


def approve(actor: Actor, kind: str, row: Any) -> Approval:
    return decide(actor, waiting_approval(kind, row), approve=True)


def reject(actor: Actor, kind: str, row: Any) -> Approval:
    return decide(actor, waiting_approval(kind, row), approve=False, reason="No")
