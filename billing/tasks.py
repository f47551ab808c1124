"""Periodic jobs of billing. Each may run twice, late, or in several processes concurrently."""

from celery import shared_task

from accounts.secrets.key_ring import seal_key
from billing import idempotency
from billing.credits import codes, promo
from billing.debts import debts
from billing.invoices import payments as invoice_payments
from billing.ledger import statement
from billing.limits import budget_alerts, budget_increases, budgets
from billing.seals import audit_retention, seals
from billing.subscriptions import subscriptions
from billing.topups import automatic as automatic_topups
from billing.wallets import low_balance

_BATCH = 500


@shared_task  # type: ignore[untyped-decorator]
def end_expired_promo() -> int:
    return promo.count_all_spending(expired_only=True)


@shared_task  # type: ignore[untyped-decorator]
def count_promo() -> int:
    return promo.count_all_spending(expired_only=False)


@shared_task  # type: ignore[untyped-decorator]
def renew_subscriptions() -> int:
    return subscriptions.renew_subscriptions()


@shared_task  # type: ignore[untyped-decorator]
def settle_invoices() -> int:
    return invoice_payments.settle_invoices()


@shared_task  # type: ignore[untyped-decorator]
def repay_debts() -> int:
    return debts.repay_debts(_BATCH)


@shared_task  # type: ignore[untyped-decorator]
def drop_old() -> None:
    codes.drop_old_tries()
    idempotency.drop_old_answers()
    budgets.drop_old_end_users()


@shared_task  # type: ignore[untyped-decorator]
def close_statement_days() -> int:
    return statement.close_days(31)


@shared_task  # type: ignore[untyped-decorator]
def watch_balances() -> None:
    low_balance.send_low_balance_alerts()
    automatic_topups.fill_balances()


@shared_task  # type: ignore[untyped-decorator]
def watch_budgets() -> None:
    budget_increases.end_raises()
    budget_increases.deny_overdue()
    budget_alerts.send_budget_alerts()


@shared_task  # type: ignore[untyped-decorator]
def seal_books() -> int:
    return seals.seal_all(seal_key())


@shared_task  # type: ignore[untyped-decorator]
def check_trail() -> None:
    audit_retention.check_trail(seal_key())


@shared_task  # type: ignore[untyped-decorator]
def cut_trail() -> int:
    return audit_retention.cut_trail(seal_key())
