"""Every periodic task, in one table: name of the task, seconds between two runs."""

from typing import Any


def _every(seconds: float, task: str) -> dict[str, Any]:
    # A run that was not fetched before the next one is due is dropped: the next does its work too.
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


SCHEDULE = {
    "roll up usage": _every(2, "usage.tasks.roll_up"),
    "make partitions ahead": _every(3600, "usage.tasks.make_partitions"),
    "check the books": _every(60, "usage.tasks.check_books"),
    "seal the books": _every(60, "billing.tasks.seal_books"),
    "end expired promo": _every(5, "billing.tasks.end_expired_promo"),
    "count promo": _every(60, "billing.tasks.count_promo"),
    "watch balances": _every(10, "billing.tasks.watch_balances"),
    "watch budgets": _every(5, "billing.tasks.watch_budgets"),
    "repay debts": _every(5, "billing.tasks.repay_debts"),
    "close days of statements": _every(900, "billing.tasks.close_statement_days"),
    "forget tries and answers": _every(600, "billing.tasks.drop_old"),
    "tell what is in the outbox": _every(2, "notify.tasks.tell"),
    "forget what was told": _every(3600, "notify.tasks.drop_old"),
    "resolve expired holds": _every(5, "gateway.tasks.resolve_expired_holds"),
    "drop expired state": _every(60, "gateway.tasks.drop_expired_state"),
    "go on with price previews": _every(2, "gateway.tasks.go_on_with_previews"),
    "interrupt lost runs": _every(3, "playground.tasks.interrupt_lost_runs"),
    "drop deleted chats": _every(3600, "playground.tasks.drop_deleted_chats"),
    "drop temporary chats": _every(15, "playground.tasks.drop_temporary_chats"),
    "drop expired events": _every(60, "playground.tasks.drop_expired_events"),
}
