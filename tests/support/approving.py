"""Decisions of a second person in tests."""

from typing import Any

from accounts.access.actors import Actor
from billing.approvals.approvals import Kind, decide, waiting
from billing.models import Approval


def waiting_approval(kind: Kind, row: Any) -> Approval:
    """Return what waits for a second person about a row."""
    found = waiting(kind, getattr(row, "outer_id", None) or str(row.pk))
    assert found is not None
    return found


def approve(actor: Actor, kind: Kind, row: Any) -> Approval:
    return decide(actor, waiting_approval(kind, row), approve=True)


def reject(actor: Actor, kind: Kind, row: Any) -> Approval:
    return decide(actor, waiting_approval(kind, row), approve=False, reason="No")
