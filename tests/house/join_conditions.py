"""The joins that may give several rows, and the conditions of joins beyond a key, each with what it
keeps out. `tests/house/test_joins.py` reads all statements and compares."""

from collections.abc import Mapping
from typing import Final

_LINES: Final = "a posting has a line for each account"
_CURRENCY: Final = "the third column of the key is the currency, of which there is one"

SEVERAL: Final[Mapping[str, str]] = {
    "accounts/keys/sql.py: accounts_membership ON belongs.user_id = person.id": (
        "a person has one in each organisation; WHERE names it"
    ),
    "billing/holds/resolve_holds.py: billing_ledgerentry ON entry.posting_id = posting.id": _LINES,
    "billing/ledger/accounts.py: billing_account ON available.organisation_id = organisation_id": (
        "WHERE names its kind"
    ),
    "billing/ledger/movements.py: billing_ledgerentry ON entry.posting_id = posting.id": _LINES,
    "billing/ledger/spending.py: billing_ledgerentry ON entry.posting_id = posting.id": _LINES,
    "billing/ledger/sql.py: billing_account"
    " ON account.organisation_id = organisation_id AND account.kind = kind": _CURRENCY,
    "billing/ledger/sql.py: billing_ledgerentry ON entry.posting_id = posting.id": _LINES,
    "billing/ledger/statement.py: billing_ledgerentry ON entry.posting_id = posting.id": _LINES,
    "billing/limits/budget_windows.py: billing_budgetwindow ON stands.budget_id = budget.id"
    " AND stands.starts_at <= now() AND stands.ends_at > now()": (
        "windows of a budget do not overlap"
    ),
    "billing/limits/budgets.py: billing_budgetwindow ON one.budget_id = budget.id": (
        "a window of each end user"
    ),
    "billing/limits/enforcement.py: billing_budgetwindow"
    " ON stands.session_id = known.session_id AND stands.budget_id IS NULL": (
        "a session has one cap of its own"
    ),
    "playground/answers/events.py: playground_runevent ON e.run_id = r.id AND e.seq > %(seq)s": (
        "all events after that one"
    ),
    "playground/chats/history.py: usage_usagerecord"
    " ON u.organisation_id = playground_conversation.organisation_id"
    " AND u.request_id = n.request_id": "all attempts of a request",
    "playground/erasure/erasure_steps.py: usage_attempt ON a.id = h.id": (
        "the id alone is unique (UUIDv7)"
    ),
    "relay/catalogue/snapshot_sql.py: billing_priceversion ON v.price_id = p.id": (
        "all versions of a price"
    ),
    "usage/books/invariants.py: billing_account"
    " ON fees.organisation_id = c.organisation_id AND fees.kind = 'subscription:fees'": _CURRENCY,
    "usage/books/invariants.py: billing_account"
    " ON issued.organisation_id = c.organisation_id AND issued.kind = 'included:issued'": _CURRENCY,
    "usage/books/invariants.py: usage_dayrollup"
    " ON r.organisation_id = o.id AND r.bucket_at >= due.from_at AND r.bucket_at < due.to_at": (
        "all days of a month"
    ),
    "usage/books/walk.py: billing_checkedsum ON summed.walk = stored.name": "all sums of a walk",
    "usage/limits/budget_simulation.py: billing_ledgerentry ON e.posting_id = p.id": _LINES,
    "usage/months/detaching.py: billing_account"
    " ON a.organisation_id = r.organisation_id AND a.kind = 'revenue'": _CURRENCY,
    "usage/months/detaching.py: billing_ledgerentry ON e.posting_id = p.id": _LINES,
    "usage/months/invoice_lines.py: billing_ledgerentry ON entry.posting_id = posting.id": _LINES,
    "usage/records/sql.py: usage_detachedmonth"
    " ON t.attempt_id >= away.first_id AND t.attempt_id < away.end_id": "months do not overlap",
    "usage/sessions/windows.py: billing_hold ON hold.organisation_id = session.organisation_id"
    " AND (hold.state = 'open' OR hold.state = 'kept')": "all that an organisation holds now",
}
"""The joins that name no key of their table, and why that is right."""

_OF_ATTEMPTS: Final = "the second reads only the months in which the attempts are"

FURTHER: Final[Mapping[str, tuple[str, *tuple[str, ...]]]] = {
    "billing/holds/resolve_holds.py: billing_hold": (
        f"of holds in another state nothing is resolved again; {_OF_ATTEMPTS}",
        "hold.state = %(state)s::text",
        "hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid",
    ),
    "billing/holds/sweep_holds.py: no billing_hold": (
        "holds of other processes, and those that have ended, keep none",
        "hold.state = 'open'", "hold.process_id = process.id",
    ),
    "billing/ledger/statement.py: billing_account": (
        "accounts that are no part of a wallet", "account.kind IN {accounts}",
    ),
    "billing/limits/budget_alerts.py: no billing_budgetalert": (
        "another budget, window, limit, kind or share is reported besides",
        "told.budget_id = reached.id", "told.starts_at = reached.starts_at",
        "told.limit_nano = reached.limit_nano", "told.kind = reached.kind",
        "told.percent IS NOT DISTINCT FROM reached.percent",
    ),
    "billing/limits/budget_windows.py: billing_hold": (
        _OF_ATTEMPTS, "hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid",
    ),
    "billing/limits/budget_windows.py: billing_includedunits": (
        "units whose month is over", "quota.ends_at > now()",
    ),
    "billing/limits/enforcement.py: billing_budget": (
        "budgets that were switched off", "budget.enabled",
    ),
    "billing/limits/enforcement.py: standing_key": (
        "keys of another organisation (P12); for one request, and for many",
        "key.id = request.key_id", "key.organisation_id = request.organisation_id",
        "key.id = request.key_id", "key.organisation_id = request.organisation_id",
    ),
    "content/log/sql.py: no accounts_membership": (
        "members of other organisations, and other people",
        "member.organisation_id = %(organisation)s::uuid",
        "member.user_id = nullif(%(user)s, '')::bigint",
    ),
    "content/policies/sql.py: no content_policyassignment": (
        "other policies, and those of other teams and keys",
        "assigned.policy_id = policy.id",
        "( assigned.scope = 'organisation' OR assigned.scope = 'team'"
        " AND assigned.subject = key.team_id::text OR assigned.scope = 'key'"
        " AND assigned.subject = key.id::text)",
    ),
    "gateway/health/traffic.py: gateway_channel": (
        "totals of models, whose id names no channel", "total.family = 'attempts'",
    ),
    "lib/database/open_transactions.py: no pg_prepared_xacts": (
        "transactions of this database count, though another one has the number",
        "transaction = begun::xid", "database <> current_database()",
    ),
    "lib/database/open_transactions.py: no pg_stat_activity": (
        "as above", "backend_xid = begun::xid", "datname <> current_database()",
    ),
    "playground/erasure/address_search.py: no pg_trigger": (
        "other tables, and other triggers", "g.tgrelid = c.oid", "g.tgname = 'written_once'",
    ),
    "relay/answers/idempotency.py: no gateway_mediatask": (
        "tasks of another organisation or request",
        "m.organisation_id = a.organisation_id", "m.request_id = a.request_id",
    ),
    "relay/answers/idempotency.py: no usage_usagerecord": (
        "another organisation or request, and what was free, may be repeated",
        "r.organisation_id = a.organisation_id", "r.request_id = a.request_id",
        "(r.charge_nano > 0 OR r.own_nano > 0)",
    ),
    "relay/catalogue/snapshot_sql.py: no django_migrations": (
        "another application has migrations of the same name",
        "done.app = wanted.app", "done.name = wanted.name",
    ),
    "relay/catalogue/snapshot_sql.py: no gateway_channelkey": (
        "keys of other channels, and those that are disabled",
        "k.channel_id = c.id", "k.disabled_at IS NULL",
    ),
    "relay/catalogue/snapshot_sql.py: no gateway_ownkeyoffer_organisations": (
        "offers to other organisations, and of other channels",
        "one.ownkeyoffer_id = offer.channel_id", "one.organisation_id = own.organisation_id",
    ),
    "relay/credentials/keys.py: accounts_formersecret": (
        "former secrets of another key", "former.key_id = key.id",
    ),
    "relay/credentials/keys.py: no billing_account": (
        "other organisations, other accounts, and those without a credit line",
        "account.organisation_id = key.organisation_id", "account.kind = 'customer:available'",
        "account.overdraft_nano > 0",
    ),
    "relay/credentials/revocation.py: accounts_formersecret": (
        "former secrets of another key", "former.key_id = key.id",
    ),
    "usage/limits/budget_simulation.py: billing_account": (
        "lines of other accounts than what is earned", "a.kind = 'revenue'",
    ),
    "usage/limits/budget_simulation.py: no usage_detachedmonth": (
        "months before the period, and corrections of months that are in the database",
        "away.from_at >= %(since)s",
        "corrected.attempt_id >= away.first_id", "corrected.attempt_id < away.end_id",
    ),
    "usage/limits/budget_simulation.py: usage_usagerecord": (
        "records before the period, and those of other subjects",
        "r.id >= %(first_id)s", "r.admitted_at >= %(since)s", "{part}",
    ),
    "usage/months/close.py: no usage_usagerecord": (
        "other organisations, other months, and what is decided on",
        "r.organisation_id = %(organisation)s", "'quarantine' = ANY (r.flags)",
        "r.id >= %(first_id)s", "r.id < %(until_id)s",
        "NOT EXISTS (SELECT FROM usage_review v WHERE v.attempt_id = r.id)",
    ),
    "usage/months/detaching.py: billing_account": (
        "lines of other accounts than what is earned", "a.kind = 'revenue'",
    ),
    "usage/months/detaching.py: no pg_trigger": (
        "other tables, and other triggers", "tgrelid = part.oid", "tgname = %(closed)s",
    ),
    "usage/months/detaching.py: no usage_usagerecord": (
        "other organisations, requests and months, and attempts before the last",
        "known.organisation_id = came.organisation_id", "known.request_id = came.request_id",
        "known.final", "known.id >= %(first)s", "known.id < %(end)s",
    ),
    "usage/months/invoice_lines.py: billing_account": (
        "lines of other accounts than that of each part of an invoice",
        "account.kind = 'revenue'", "account.kind = 'subscription:fees'",
    ),
    "usage/records/sql.py: billing_hold": (
        f"holds that have not expired; {_OF_ATTEMPTS}",
        "hold.state = 'expired'",
        "hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid",
        "hold.id BETWEEN %(first)s::uuid AND %(last)s::uuid",
    ),
    "usage/records/sql.py: no billing_posting": (
        "other attempts, and other postings of them",
        "p.attempt_id = t.attempt_id", "p.kind = 'expire'",
    ),
    "usage/records/sql.py: no usage_usagerecord": (
        "other organisations and requests, and attempts before the last",
        "r.organisation_id = t.organisation_id", "r.request_id = t.request_id", "r.final",
    ),
    "usage/records/sql.py: usage_usagerecord": (
        "records that are not under review, and those without unknown members",
        "'quarantine' = ANY (r.flags)", "r.pricing->'unknown' IS NOT NULL",
    ),
    "usage/requests/receipts.py: billing_account": (
        "lines of other accounts than what is earned", "a.kind = 'revenue'",
    ),
    "usage/rollups/rollups.py: no usage_detachedmonth": (
        "months before and after", "admitted_at >= m.from_at", "admitted_at < m.to_at",
    ),
    "usage/sessions/windows.py: usage_attempt": (
        "attempts of other sessions", "attempt.session_id = session.session_id",
    ),
}  # fmt: skip
"""What the conditions beyond the key keep out, by file and table, and these conditions. With `no`
the table is that of a subquery with EXISTS; of a table that the statement makes itself, and of a
subquery, all conditions stand here, if there are several."""
