"""Approvals in words: their states, and what would change."""

from typing import Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing.approvals.approvals import KINDS, Line
from billing.models import Approval, ApprovalState
from lib.sentences import named_text
from lib.tables.table import Badge

APPROVAL_BADGES: Final = {
    ApprovalState.WAITING: Badge(_("Pending"), "warn", "clock"),
    ApprovalState.APPROVED: Badge(pgettext_lazy("state", "Approved"), "ok"),
    ApprovalState.REJECTED: Badge(_("Rejected"), "bad"),
    ApprovalState.WITHDRAWN: Badge(_("Withdrawn"), icon="ban"),
}


def lines_of(approval: Approval) -> list[Line]:
    """Return every change of an approval in the reader's language."""
    return [KINDS[approval.kind].show(change) for change in approval.changes]


def change_text(approval: Approval) -> str:
    """Return the changes in one line: `Credit limit: $100.00 → $500.00`."""
    return " · ".join(
        named_text(line.name, f"{line.before} → {line.after or '–'}" if line.before else line.after)
        for line in lines_of(approval)
    )
