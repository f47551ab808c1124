"""The limits of a session: budgets for each session that apply to it, and its client's own cost
limit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from billing.models import BudgetWindow
from lib.database.database_time import database_now
from lib.database.tenancy import use_tenant


@dataclass(frozen=True)
class SessionLimit:
    """A limit of one session, and how much of it is used. The client's own limit has `budget_id`
    None and `scope` ""."""

    budget_id: int | None
    scope: str
    limit_nano: int
    spent_nano: int
    held_nano: int

    @property
    def left_nano(self) -> int:
        """The amount that can still be held, never below 0."""
        return max(0, self.limit_nano - self.spent_nano - self.held_nano)


def read_limits(session_ids: Collection[UUID]) -> Mapping[UUID, Sequence[SessionLimit]]:
    """Return the limits of these sessions, the tightest first. The caller has checked access to the
    sessions."""
    now = database_now()
    windows = BudgetWindow.objects.filter(session_id__in=session_ids).select_related("budget")
    limits: dict[UUID, list[SessionLimit]] = {}
    # A window without a budget has no tenant.
    with use_tenant(None):
        read = list(windows.order_by("id"))
    for window in read:
        budget = window.budget
        if window.session_id is None or (budget is not None and not budget.enabled):
            continue
        limit = SessionLimit(
            budget_id=window.budget_id,
            scope="" if budget is None else budget.scope,
            limit_nano=window.cap_nano if budget is None else budget.limit_nano(now),
            spent_nano=window.spent_nano,
            held_nano=window.held_nano,
        )
        limits.setdefault(window.session_id, []).append(limit)
    return {id: sorted(rows, key=lambda limit: limit.left_nano) for id, rows in limits.items()}
