"""Which files are mutated: those that decide about money, authority, isolation and secrets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

PATTERNS: Final = (
    # Who may do what, and how somebody becomes known.
    "accounts/access.py",
    "accounts/actors.py",
    "accounts/api_auth.py",
    "accounts/custom_roles.py",
    "accounts/departures.py",
    "accounts/entry_requirements.py",
    "accounts/guards.py",
    "accounts/invitations.py",
    "accounts/key_lookup.py",
    "accounts/keys.py",
    "accounts/limits.py",
    "accounts/member_access.py",
    "accounts/members.py",
    "accounts/oidc.py",
    "accounts/reader_access.py",
    "accounts/reauthentication.py",
    "accounts/rules/*.py",
    "accounts/second_factor.py",
    "accounts/session_store.py",
    "accounts/sessions.py",
    "accounts/sign_up.py",
    "accounts/sign_on_connections.py",
    "accounts/signin.py",
    "accounts/single_sign_on.py",
    "accounts/throttle.py",
    "accounts/view_as.py",
    "gateway/access.py",
    "billing/access.py",
    "usage/visibility.py",
    "relay/auth.py",
    "gateway/rules/content_links.py",
    "relay/revocation.py",
    "playground/payer_rules.py",
    "playground/sharing.py",
    "config/metrics_views.py",
    "lib/egress.py",
    "lib/vault.py",
    # Money: prices, holds, settlement, caps, payments, documents.
    "billing/automatic_topups.py",
    "billing/budgets.py",
    "billing/charge_rules.py",
    "billing/codes.py",
    "billing/credits.py",
    "billing/debts.py",
    "billing/exchange_rates.py",
    "billing/idempotency.py",
    "billing/invoice_payments.py",
    "billing/invoices.py",
    "billing/ledger.py",
    "billing/processors/*.py",
    "billing/promo.py",
    "billing/raises.py",
    "billing/rules/*.py",
    "billing/seals.py",
    "billing/sql/*.py",
    "billing/subscriptions.py",
    "billing/topups.py",
    "billing/unsettled_holds.py",
    "billing/usage_corrections.py",
    "billing/wallets.py",
    "gateway/media_tasks.py",
    "gateway/rules/breaker.py",
    "gateway/rules/fail_over.py",
    "gateway/rules/hold_bound.py",
    "gateway/rules/task_life.py",
    "relay/abandoned.py",
    "relay/admission.py",
    "relay/hold_estimate.py",
    "relay/hold_placing.py",
    "relay/limit_answers.py",
    "relay/media_tasks.py",
    "relay/next_attempts.py",
    "relay/realtime_holds.py",
    "relay/settlement.py",
    "relay/spend_caps.py",
    "usage/detached.py",
    "usage/invariants.py",
    "usage/invoice_lines.py",
    "usage/late_usage.py",
    "usage/month_close.py",
    "usage/reviews.py",
    "usage/rollups.py",
    # What leaves the house.
    "lib/csv_file.py",
    "lib/tables/exports.py",
    "notify/deliveries.py",
)


def target_files(root: Path) -> Iterator[str]:
    """The paths of all targets below `root`, without packages' empty `__init__`."""
    for pattern in PATTERNS:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"No file matches {pattern} of tests/mutants/targets.py.")
        for path in paths:
            if path.name != "__init__.py":
                yield path.relative_to(root).as_posix()
