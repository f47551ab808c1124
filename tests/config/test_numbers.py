"""Every number by which the code decides about money, authority and secrets, written down twice.

Tests of a limit name its constant, so that they hold for any value of it. Here it stands in
figures: whoever changes one changes what people were told, and a slip of the finger is seen. A
number that is new to the code belongs into this table.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.mutants.targets import target_files

ROOT: Final = Path(__file__).parents[2]
# By module: each number by its name.
NUMBERS: Final[dict[str, dict[str, str]]] = {
    "accounts.keys.key_format": {
        "RANDOM_BYTES": "32",
        "_RANDOM_LENGTH": "32",
        "_CHECKSUM_LENGTH": "6",
        "_SHOWN_FIRST": "12",
        "_SHOWN_LAST": "4",
    },
    "accounts.keys.keys": {
        "GRACE_HOURS": "24",
        "GRACE_HOURS_MAX": "168",
    },
    "accounts.limits.rules": {
        "LIMIT_MAX": "2147483647",
        "LISTED_MAX": "100",
    },
    "accounts.members.invitations": {
        "ADDRESSES_MAX": "50",
        "MESSAGE_MAX": "500",
    },
    "accounts.members.pseudonym": {
        "_WORD_MIN": "3",
    },
    "accounts.organisations.content_retention": {
        "RETENTION_HOURS": "24",
        "RETENTION_HOURS_MAX": "24",
        "CLIENT_ADDRESS_DAYS_MAX": "365",
    },
    "accounts.organisations.data_policy": {
        "REGION_MAX": "40",
        "REGIONS_MAX": "20",
    },
    "accounts.organisations.labels": {
        "LABEL_LENGTH": "100",
        "TAGS_MAX": "20",
    },
    "accounts.roles.custom_roles": {
        "_NAME_MAX": "60",
    },
    "accounts.sessions.devices": {
        "PRODUCT_MAX": "60",
    },
    "accounts.sessions.rules": {
        "IDLE": "12:00:00",
        "IDLE_OPERATOR": "1:00:00",
        "ABSOLUTE": "7 days, 0:00:00",
        "RECENT_SIGN_IN": "0:15:00",
    },
    "accounts.sessions.sessions": {
        "_SEEN_EACH": "0:01:00",
    },
    "accounts.sessions.store": {
        "_HEX_DIGITS": "40",
    },
    "accounts.sessions.view_as": {
        "VIEW_MAX": "1:00:00",
    },
    "accounts.sign_in.link_lifetimes": {
        "SIGN_IN": "0:30:00",
        "PASSWORD_RESET": "0:30:00",
        "SET_UP": "1 day, 0:00:00",
        "INVITATION_DAYS": "7",
        "INVITATION_DAYS_MAX": "30",
    },
    "accounts.sign_in.passwords": {
        "LENGTH_MIN": "10",
    },
    "accounts.sign_in.throttle": {
        "KNOWN_FOR": "180 days, 0:00:00",
    },
    "accounts.sign_up.email_domains": {
        "_LENGTH_MAX": "253",
    },
    "accounts.sign_up.sign_up": {
        "DOMAINS_MAX": "100",
    },
    "accounts.single_sign_on.oidc": {
        "_BYTES_MAX": "1048576",
        "_LEEWAY_S": "30",
    },
    "accounts.single_sign_on.single_sign_on": {
        "RULES_MAX": "50",
        "DOMAINS_MAX": "20",
    },
    "billing.credits.code_format": {
        "RANDOM_BYTES": "28",
        "_HEXADECIMAL_LENGTH": "32",
        "_GROUP": "4",
    },
    "billing.credits.codes": {
        "CODES_MAX": "100000",
        "TRIES_MAX": "5",
        "TRIES_WITHIN": "0:10:00",
    },
    "billing.credits.credits": {
        "TOGETHER": "1 day, 0:00:00",
    },
    "billing.currency.conversion": {
        "NANO_DIGITS": "9",
        "RATE_DIGITS": "10",
        "RATE_MAX": "1000000000",
        "_RATE_STEP": "1E-10",
    },
    "billing.currency.display": {
        "TOTAL_PLACES": "2",
        "PLACES_MAX": "9",
        "_USD_EXPONENT": "-9",
        "_CHARGE_DIGITS": "4",
        "_SMALLEST_DIGITS": "2",
        "_CHARGE_DIGITS_MAX": "5",
    },
    "billing.currency.exchange_rates": {
        "SOURCE_MAX": "120",
    },
    "billing.currency.money": {
        "NANO_PER_USD": "1000000000",
        "INT64_MAX": "9223372036854775807",
        "INT64_MIN": "-9223372036854775808",
        "_FRACTION_DIGITS": "9",
        "_MULTIPLIER_DIGITS": "6",
        "_MULTIPLIER_PPM_MAX": "1000000000",
        "_PPM": "1000000",
        "_MARKUP_DIGITS": "4",
    },
    "billing.holds.unsettled_holds": {
        "_SILENCE_S": "5",
    },
    "billing.idempotency": {
        "KEPT": "1 day, 0:00:00",
        "KEY_LENGTH_MAX": "255",
    },
    "billing.invoices.invoices": {
        "REASON_MAX": "500",
        "_SLACK": "1:00:00",
    },
    "billing.invoices.payments": {
        "REFERENCE_MAX": "120",
    },
    "billing.invoices.rules": {
        "PPM": "1000000",
        "MINOR_NANO": "10000000",
        "_LINE_DENOMINATOR": "1000000000000",
        "PAYMENT_DAYS": "14",
    },
    "billing.ledger.spending": {
        "_SLACK": "1:00:00",
    },
    "billing.ledger.statement": {
        "_SETTLED_AFTER": "0:10:00",
        "_SLACK": "1:00:00",
    },
    "billing.limits.budget_rules": {
        "FOREVER": (
            "Span(start_at=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"
            ", end_at=datetime.datetime(9999, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))"
        ),
        "UNBOUNDED_NANO": "4611686018427387904",
        "BUDGET_MAX_NANO": "1000000000000000000",
        "ALERT_PERCENTS": "(50, 80, 100)",
        "ALERTS_MAX": "10",
        "SUBJECT_LENGTH": "200",
        "INCREASE_DAYS_MAX": "366",
        "INCREASE_REASON_MAX": "500",
        "_HOUR": "1:00:00",
        "_DAY": "1 day, 0:00:00",
        "_WEEK": "7 days, 0:00:00",
    },
    "billing.limits.budgets": {
        "_SECOND": "0:00:01",
    },
    "billing.limits.charge_rule": {
        "DRAIN_SECONDS": "120",
        "DRAIN_SECONDS_MAX": "600",
    },
    "billing.limits.enforcement": {
        "_CLOCKS_APART": "1 day, 0:00:00",
        "_LEASE_LIFE": "3 days, 0:00:00",
    },
    "billing.period_starts": {
        "_SECOND": "0:00:01",
    },
    "billing.prices.catalogue": {
        "UNDATED": "1970-01-01 00:00:00+00:00",
        "_PER_MILLION": "1000000000",
        "_PER_THOUSAND_OF_ONE": "1000000000000",
        "_PER_HOUR": "2500000000/9",
        "_PER_SESSION_HOUR": "50000/3",
    },
    "billing.prices.catalogue_additions": {
        "_PLACED_SINCE": "(4, 6)",
    },
    "billing.prices.conditions": {
        "SECONDS_PER_DAY": "86400",
    },
    "billing.prices.multipliers": {
        "MULTIPLIERS_MAX": "50",
    },
    "billing.prices.price_list": {
        "_NANO_PER_MILLION": "1000000000000000",
    },
    "billing.prices.pricing": {
        "UNITS_PER_RATE": "1000000",
        "PPM": "1000000",
    },
    "billing.prices.rate_changes": {
        "_PER_MILLE": "1000",
    },
    "billing.prices.upstream_prices": {
        "MODELS_MAX": "20000",
        "_NANO_PER_MILLION": "1000000000000000",
    },
    "billing.seals.seals": {
        "_SEALED_ROWS": "100000",
        "_READ_ROWS": "10000",
        "_PART_SEALS": "200",
        "_RUN_S": "40",
        "_QUIET": "1:00:00",
        "_FRESH": "3:00:00",
        "_UNSEALED": "0:10:00",
    },
    "billing.subscriptions.included_units": {
        "UNITS_MAX": "1000000000000000",
        "TERMS_MAX": "20",
        "MODELS_MAX": "20",
        "NOTHING_PAID": "Paid(nano=0, units={})",
    },
    "billing.subscriptions.rules": {
        "GRACE": "7 days, 0:00:00",
    },
    "billing.subscriptions.subscriptions": {
        "_DAY": "1 day, 0:00:00",
    },
    "billing.topups.processors.stripe": {
        "_TOLERANCE_S": "300",
    },
    "billing.topups.rules": {
        "NANO_PER_MINOR": "10000000",
        "TOP_UP_MIN_NANO": "5000000000",
        "TOP_UP_MAX_NANO": "10000000000000",
        "AUTOMATIC_A_DAY": "5",
    },
    "billing.wallets.pace": {
        "DAYS": "7",
        "_FAR_DAYS": "365",
    },
    "gateway.health.breaker": {
        "SAMPLE_MIN": "20",
        "CONNECTS_MAX": "5",
        "GOOD_TO_CLOSE": "3",
        "LONGEST_FACTOR": "6",
        "PANIC_PERCENT": "5",
        "_BUDGET_FLOOR": "3",
        "_BUDGET_SHARE": "10",
        "_SLOTS": "10",
    },
    "gateway.media_tasks.content_links": {
        "LINK_S": "86400",
        "_HOUR_S": "3600",
    },
    "gateway.media_tasks.media_tasks": {
        "_BATCH": "200",
        "_TAKEN_S": "60",
        "_BYTES_MAX": "262144",
        "_PIECE": "25",
        "_AT_ONCE": "16",
    },
    "gateway.media_tasks.rules": {
        "LIMIT_S": "86400",
        "HOLD_S": "90000",
        "_STEPS_MAX": "64",
    },
    "lib.network.egress": {
        "_REDIRECTS_MAX": "3",
        "HTTPS_PORT": "443",
    },
    "lib.tables.exports": {
        "_NANO": "1000000000",
        "_PIECE": "262144",
        "SHEET_ROWS": "1048575",
        "_CELL_LETTERS": "32767",
        "_DECIMALS": "15",
        "_EPOCH": "1970-01-01 00:00:00+00:00",
    },
    "lib.vault": {
        "_NONCE": "12",
        "_ID": "4",
        "_WRAPPED": "60",
        "_CONTENT_MIN": "28",
    },
    "notify.deliveries.deliveries": {
        "LEASE_S": "30",
        "KEPT_DAYS": "30",
        "_UNSENT_SHOWN": "7 days, 0:00:00",
        "_SLACK": "0:05:00",
    },
    "playground.chats.sharing": {
        "_TOKEN_BYTES": "24",
    },
    "relay.attempts.abandoned": {
        "_TOKENS_MAX": "1000000000",
    },
    "relay.attempts.admission": {
        "_TRIES_MAX": "4",
    },
    "relay.attempts.rules": {
        "ATTEMPTS_MAX": "3",
    },
    "relay.credentials.client_secrets": {
        "CONTENT_BYTES_MAX": "5000",
        "_NONCE": "12",
        "_TAG": "16",
        "_TEXT_MAX": "6706",
    },
    "relay.credentials.keys": {
        "_CACHED_MAX": "20000",
    },
    "relay.front.limit_answers": {
        "_WINDOW_MS": "60000",
    },
    "relay.holds.estimate": {
        "_UNCAPPED_TIMES": "4",
    },
    "relay.holds.place_hold": {
        "_ADMISSION_TRIES": "4",
        "_SCARCE": "16",
        "_SKIPPED_MAX": "16",
        "NOTHING_TAKEN": "Taken(units=(), nano=0)",
    },
    "relay.holds.rules": {
        "OUTPUT_CAP_MIN": "16",
        "BYTES_PER_ESTIMATED_TOKEN": "4",
        "_READ_BYTES_MAX": "1048576",
    },
    "relay.ledger.batch": {
        "LEASE_S": "10",
    },
    "relay.ledger.journal": {
        "_SLOT_BYTES": "2048",
        "_SLOTS": "4096",
    },
    "relay.ledger.queue": {
        "BATCH_MAX": "256",
        "_MANY": "64",
        "_FEW": "4",
    },
    "relay.ledger.spool": {
        "_HEAD_BYTES": "9",
    },
    "relay.ledger.writer": {
        "_TURNS": "16",
        "_TURNS_ALONE": "4",
    },
    "relay.media.media_tasks": {
        "_FIRST": "00000000-0000-0000-0000-000000000000",
        "_LAST": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    },
    "relay.media.realtime.holds": {
        "_ROOM_TOKENS": "1024",
    },
    "usage.books.invariants": {
        "_QUARTER": "0:15:00",
        "_EPOCH": "1970-01-01 00:00:00+00:00",
        "_LAST_ID": "340282366920938463463374607431768211455",
    },
    "usage.months.close": {
        "_WAITS": "62 days, 0:00:00",
    },
    "usage.months.detaching": {
        "RESTS": "31 days, 0:00:00",
        "_INSTANT": "0:00:00.000001",
        "_REST_S": "1",
        "_TRIES": "60",
    },
    "usage.months.invoice_lines": {
        "_ADMITTED_BEFORE": "31 days, 0:00:00",
        "_ROWS": "2000",
    },
    "usage.records.late_usage": {
        "_PATIENT_TRIES": "40",
        "_TRIES_MAX": "54",
    },
    "usage.reports.visibility": {
        "NIL": "00000000-0000-0000-0000-000000000000",
    },
    "usage.reviews.reviews": {
        "COUNT_MAX": "99",
        "KINDS_MAX": "50",
        "KIND_BATCH": "1000",
    },
}


def numbers_in(file: str) -> Iterator[str]:
    """The names of a file's constants that are made of whole numbers."""
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
            value = node.value
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(
            value, ast.Constant | ast.BinOp | ast.UnaryOp | ast.Tuple | ast.Call
        ):
            parts = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant)]
            if any(type(part) is int for part in parts) and str not in map(type, parts):
                yield target.id


def test_every_number_is_what_it_was() -> None:
    found: dict[str, dict[str, str]] = {}
    for file in target_files(ROOT):
        module = file.removesuffix(".py").replace("/", ".")
        for name in numbers_in(file):
            value = getattr(import_module(module), name)
            if not isinstance(value, bytes):
                found.setdefault(module, {})[name] = str(value)
    assert found == NUMBERS
