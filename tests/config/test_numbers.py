"""Every number by which the code decides about money, authority and secrets, written down twice.

Tests of a limit name its constant, so that they hold for any value of it. Here it stands in
figures: whoever changes one changes what people were told, and a slip of the finger is seen. A
number that is new to the code belongs into this table.
"""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from tests.mutants.targets import target_files

ROOT: Final = Path(__file__).parents[2]
# By module: each number by its name.
NUMBERS: Final[dict[str, dict[str, str]]] = {
    "accounts.secrets.key_format": {
        "RANDOM_BYTES": "32",
        "_RANDOM_LENGTH": "32",
        "_CHECKSUM_LENGTH": "6",
        "_SHOWN_FIRST": "12",
        "_SHOWN_LAST": "4",
    },
    "accounts.guards.recent_sign_in": {
        "RECENT_SIGN_IN": "0:15:00",
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
        "INVITATION_DAYS": "7",
        "INVITATION_DAYS_MAX": "30",
        "ADDRESSES_MAX": "50",
        "MESSAGE_MAX": "500",
    },
    "accounts.members.pseudonym": {
        "_WORD_MIN": "3",
    },
    "accounts.limits.data_policy": {
        "RETENTION_HOURS": "24",
        "RETENTION_HOURS_MAX": "24",
        "CLIENT_ADDRESS_DAYS_MAX": "365",
        "REGION_MAX": "40",
        "REGIONS_MAX": "20",
    },
    "accounts.limits.end_users": {
        "END_USER_LENGTH": "256",
    },
    "accounts.names.labels": {
        "LABEL_LENGTH": "100",
    },
    "accounts.custom_roles.custom_roles": {
        "_NAME_MAX": "60",
    },
    "accounts.roles.rules": {
        "_WIDTH": "{None: 0, 'own': 1, 'teams': 2, 'all': 3}",
    },
    "accounts.sessions.devices": {
        "PRODUCT_MAX": "60",
    },
    "accounts.sessions.rules": {
        "IDLE": "12:00:00",
        "IDLE_OPERATOR": "1:00:00",
        "ABSOLUTE": "7 days, 0:00:00",
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
    "accounts.sign_in.rules": {
        "PASSWORD_LENGTH_MIN": "10",
        "SIGN_IN_LINK": "0:30:00",
        "PASSWORD_RESET_LINK": "0:30:00",
    },
    "accounts.sign_up.first_run": {
        "SET_UP_LINK": "1 day, 0:00:00",
    },
    "accounts.throttle.throttle": {
        "_PER_NETWORK": (
            "{'sign_in': 30, 'sign_up': 20, 'ask_reset': 20, 'reset': 20, 'change_password': 20, "
            "'second_factor': 30, 'passkey': 30, 'confirm': 20, 'device': 20, 'device_begin': 30, "
            "'device_poll': 300}"
        ),
        "KNOWN_FOR": "180 days, 0:00:00",
    },
    "accounts.names.email_domains": {
        "_LENGTH_MAX": "253",
    },
    "accounts.sign_up.listed_domains": {
        "DOMAINS_MAX": "100",
    },
    "accounts.single_sign_on.oidc": {
        "_BYTES_MAX": "1048576",
        "_LEEWAY_S": "30",
    },
    "accounts.single_sign_on.rules": {
        "RULES_MAX": "50",
        "DOMAINS_MAX": "20",
        "SUBJECT_MAX": "191",
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
    "billing.holds.sweep_holds": {
        "LEASE_S": "10",
        "SILENCE_S": "5",
    },
    "billing.idempotency": {
        "KEPT": "1 day, 0:00:00",
        "KEY_LENGTH_MAX": "255",
    },
    "billing.invoices.invoices": {
        "REASON_MAX": "500",
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
    "billing.ledger.movements": {
        "_SLACK": "1:00:00",
    },
    "billing.ledger.spending": {
        "_SLACK": "1:00:00",
    },
    "billing.ledger.statement": {
        "_BEGIN": "2000-01-01",
        "_SETTLED_AFTER": "0:10:00",
        "_SLACK": "1:00:00",
    },
    "billing.limits.budget_increases": {
        "INCREASE_DAYS_MAX": "366",
        "INCREASE_REASON_MAX": "500",
    },
    "billing.limits.budget_rules": {
        "_ANCHORS": (
            "{'hour': range(0, 60), 'day': range(0, 24), 'week': range(0, 7), "
            "'month': range(1, 32), 'total': range(0, 1), 'session': range(0, 1)}"
        ),
        "FOREVER": (
            "Span(start_at=datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"
            ", end_at=datetime.datetime(9999, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))"
        ),
        "UNBOUNDED_NANO": "4611686018427387904",
        "BUDGET_MAX_NANO": "1000000000000000000",
        "ALERT_PERCENTS": "(50, 80, 100)",
        "ALERTS_MAX": "10",
        "SUBJECT_LENGTH": "200",
        "END_USERS_MAX": "1000",
        "_HOUR": "1:00:00",
        "_DAY": "1 day, 0:00:00",
        "_WEEK": "7 days, 0:00:00",
    },
    "billing.limits.budgets": {
        "END_USERS_KEPT": "90 days, 0:00:00",
        "_SECOND": "0:00:01",
    },
    "billing.limits.policy_budgets": {
        "GIVEN_MAX": "100",
    },
    "billing.limits.charge_rule": {
        "DRAIN_SECONDS": "120",
        "DRAIN_SECONDS_MAX": "600",
    },
    "billing.limits.enforcement": {
        "_CLOCKS_APART": "1 day, 0:00:00",
        "_LEASE_LIFE": "3 days, 0:00:00",
    },
    "billing.periods.period_starts": {
        "_SECOND": "0:00:01",
    },
    "billing.prices.catalogue.catalogue": {
        "UNDATED": "1970-01-01 00:00:00+00:00",
        "_PER_MILLION": "1000000000",
        "_PER_THOUSAND_OF_ONE": "1000000000000",
        "_PER_HOUR": "2500000000/9",
        "_PER_SESSION_HOUR": "50000/3",
    },
    "billing.prices.catalogue.additions": {
        "_PLACED_SINCE": "(4, 6)",
    },
    "billing.prices.conditions": {
        "SECONDS_PER_DAY": "86400",
    },
    "billing.prices.meters": {
        "_SCALE_DIGITS": "{'per_million': 9, 'per_one': 15, 'per_billion': 6}",
        "_WRITTEN_DIGITS": "15",
    },
    "billing.prices.multipliers": {
        "MULTIPLIERS_MAX": "50",
    },
    "billing.prices.own_key_fee": {
        "FEE_MAX_NANO": "1000000000000000",
        "_MILLION": "1000000",
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
    "billing.prices.second_person": {
        "TOGETHER": "1 day, 0:00:00",
    },
    "billing.prices.upstream_prices": {
        "MODELS_MAX": "20000",
        "_NANO_PER_MILLION": "1000000000000000",
    },
    "billing.safeguards.rules": {
        "DEFAULTS": "{'credit_limit': 100000000000, 'audit_retention': 0}",
        "DAYS_MAX": "36500",
        "LIMIT_NANO_MAX": "1000000000000000000",
        "TOGETHER": "1 day, 0:00:00",
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
    "billing.topups.automatic": {
        "AUTOMATIC_A_DAY": "5",
    },
    "billing.topups.processors.stripe": {
        "_TOLERANCE_S": "300",
    },
    "billing.topups.rules": {
        "NANO_PER_MINOR": "10000000",
        "TOP_UP_MIN_NANO": "5000000000",
        "TOP_UP_MAX_NANO": "10000000000000",
    },
    "billing.wallets.pace": {
        "DAYS": "7",
        "_FAR_DAYS": "365",
    },
    "dialects.endpoints.auth_tokens": {
        "OPENS_S": "60",
        "ENDS_S": "1800",
        "ENDS_S_MAX": "72000",
        "USES_DEFAULT": "1",
        "USES_MAX": "2147483647",
        "_PATHS_MAX": "60",
    },
    "dialects.endpoints.client_secrets": {
        "SECONDS_MIN": "10",
        "SECONDS_MAX": "7200",
        "SECONDS_DEFAULT": "600",
    },
    "gateway.breaker.breaker": {
        "RETRY_AFTER_S_MAX": "120.0",
        "SAMPLE_MIN": "20",
        "CONNECTS_MAX": "5",
        "GOOD_TO_CLOSE": "3",
        "LONGEST_FACTOR": "6",
        "PANIC_PERCENT": "5",
        "_SLOTS": "10",
    },
    "gateway.breaker.retry_budget": {
        "_BUDGET_FLOOR": "3",
        "_BUDGET_SHARE": "10",
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
    "gateway.own_keys.fallback_prices": {
        "MODELS_MAX": "50",
    },
    "gateway.own_keys.offers": {
        "TITLE_MAX": "120",
        "ORGANISATIONS_MAX": "1000",
    },
    "gateway.own_keys.own_keys": {
        "NAME_MAX": "120",
    },
    "gateway.channels.passthrough.passthrough": {
        "_WORDS": "(3, 6)",
    },
    "gateway.channels.passthrough.rules": {
        "RULES_MAX": "100",
        "PATH_MAX": "160",
        "POINTER_MAX": "200",
        "AMOUNT_NANO_MAX": "1000000000000",
        "MICROS": "1000000",
        "_SEGMENTS_MAX": "60",
    },
    "lib.network.egress": {
        "HTTPS_PORT": "443",
        "_WRITTEN_BYTES": "16384",
    },
    "lib.network.fetching": {
        "_REDIRECTS_MAX": "3",
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
        "_PUT_OFF_LEAST": "0:00:02",
        "_PUT_OFF_MOST": "0:01:00",
        "KEPT_DAYS": "30",
        "_UNSENT_SHOWN": "7 days, 0:00:00",
        "_SLACK": "0:05:00",
    },
    "playground.chats.sharing": {
        "DAYS": "{'1': 1, '7': 7, '30': 30, '': None}",
        "_TOKEN_BYTES": "24",
    },
    "relay.answers.abandoned": {
        "_TOKENS_MAX": "1000000000",
    },
    "relay.ledger.admission": {
        "_TRIES_MAX": "4",
    },
    "relay.attempts.rules": {
        "ATTEMPTS_MAX": "3",
    },
    "relay.credentials.client_secrets": {
        "CONTENT_BYTES_MAX": "5000",
    },
    "relay.credentials.sealed_texts": {
        "_NONCE": "12",
        "_TAG": "16",
    },
    "relay.realtime.live.connection_time": {
        "SLACK_MS": "10000",
    },
    "relay.realtime.live.stretches": {
        "FULL_STRETCH": "StretchBound(ms=60000)",
        "LEAD_MS": "5000",
        "MARGIN_MS": "2000",
    },
    "relay.credentials.end_users": {
        "_TOKEN_LENGTH_MAX": "4096",
        "_CLOCKS_APART_S": "30",
    },
    "relay.credentials.keys": {
        "_JUDGED_MAX": "1000",
        "_JUDGED_LENGTH_MAX": "200",
        "_CACHED_MAX": "20000",
    },
    "relay.downstream.limit_answers": {
        "_WINDOW_MS": "60000",
        "_THRESHOLDS": "(95, 75)",
    },
    "relay.health.channel_health": {
        "_BUDGETS_MAX": "4096",
    },
    "relay.health.operator_alerts": {
        "_KNOWN_MAX": "4096",
        "_UNPRICED_AN_HOUR": "20",
    },
    "relay.holds.place_hold": {
        "_ADMISSION_TRIES": "4",
        "_SCARCE": "16",
        "_SKIPPED_MAX": "16",
        "NOTHING_TAKEN": "Taken(units=(), nano=0)",
    },
    "relay.counting.estimates": {
        "BYTES_PER_ESTIMATED_TOKEN": "4",
        "_READ_BYTES_MAX": "1048576",
    },
    "relay.hold_sizes.rules": {
        "OUTPUT_CAP_MIN": "16",
        "THINKING_TOKENS": "32000",
        "UNSEEN_TOKENS": "200000",
        "UNCAPPED_TIMES": "4",
    },
    "relay.ledger.journal": {
        "_SLOT_BYTES": "2048",
        "_SLOTS": "4096",
    },
    "relay.ledger.batching": {
        "BATCH_MAX": "256",
        "SHARED_BATCH_MAX": "32",
        "_MANY": "64",
        "_FEW": "4",
        "_CHECKS_TO_MARK": "2",
        "_CHECKS_TO_WRITE": "4",
    },
    "relay.ledger.spool": {
        "_HEAD_BYTES": "9",
    },
    "relay.ledger.writer": {
        "_TURNS": "16",
        "_TURNS_ALONE": "4",
    },
    "relay.media_tasks.media_tasks": {
        "_FIRST": "00000000-0000-0000-0000-000000000000",
        "_LAST": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    },
    "relay.realtime.holds": {
        "_ROOM_TOKENS": "1024",
    },
    "relay.endpoints.passthrough.answer_value": {
        "ANSWER_BYTES_MAX": "1048576",
        "_DIGITS_MAX": "40",
        "_MICRO_DIGITS": "6",
    },
    "relay.endpoints.passthrough.attempt": {
        "_OF_THE_CHANNEL": "[401, 402, 403, 407, 408, 429]",
        "_WITHOUT_BODY": "[204, 304]",
    },
    "relay.endpoints.passthrough.incoming_body": {
        "BODY_BYTES_MAX": "1073741824",
    },
    "relay.endpoints.passthrough.operation": {
        "_PORTS": "{'http': 80, 'https': 443}",
    },
    "relay.endpoints.passthrough.secret_mask": {
        "SECRET_CHARACTERS_MIN": "8",
    },
    "relay.requests.sessions": {
        "NAME_LENGTH": "128",
        "_TEXT_MAX": "65536",
    },
    "usage.books.charge_check": {
        "_ROWS": "5000",
        "_FIRST": "00000000-0000-0000-0000-000000000000",
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
        "PROJECTS_MAX": "500",
        "_ADMITTED_BEFORE": "31 days, 0:00:00",
        "_ROWS": "2000",
    },
    "usage.late_usage.late_usage": {
        "_PATIENT_TRIES": "40",
        "_TRIES_MAX": "54",
    },
    "usage.filters.visibility": {
        "NIL": "00000000-0000-0000-0000-000000000000",
    },
    "usage.reviews.reviews": {
        "COUNT_MAX": "99",
        "KINDS_MAX": "50",
        "KIND_BATCH": "1000",
    },
    "usage.rollups.rollups": {
        "MINUTES_KEPT": "1:00:00",
    },
}


def numbers_in(file: str) -> Iterator[str]:
    """The names of a file's constants that are made of whole numbers, and of tables of such."""
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.AnnAssign):
            target: ast.expr = node.target
            value = node.value
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        else:
            continue
        if isinstance(target, ast.Name) and isinstance(
            value, ast.Constant | ast.BinOp | ast.UnaryOp | ast.Tuple | ast.Call | ast.Dict
        ):
            if isinstance(value, ast.Dict):
                value = ast.Tuple(value.values)
            parts = [part.value for part in ast.walk(value) if isinstance(part, ast.Constant)]
            if any(type(part) is int for part in parts) and str not in map(type, parts):
                yield target.id


# The defaults of fields and parameters that are neither 0 nor False, by their place.
DEFAULTS: Final = {
    "accounts/guards/api_auth.py:ApiAuth.__init__.confined": "True",
    "accounts/sign_in/sign_in.py:AccountAdapter.save_user.commit": "True",
    "billing/credits/codes.py:create_batch.max_uses": "1",
    "billing/ledger/statement.py:Line.count": "1",
    "billing/limits/budgets.py:restore_budget.enabled": "True",
    "billing/limits/enforcement.py:HoldRequest.counted": "True",
    "gateway/breaker/breaker.py:BreakerRule.enabled": "True",
    "gateway/media_tasks/media_tasks.py:Poll.asked": "True",
    "relay/attempts/next_attempts.py:NextAttempt.avoid": "-1",
    "relay/health/channel_health.py:Health.begin.avoid": "-1",
    "relay/health/channel_health.py:Health.begin.only": "-1",
    "relay/hold_sizes/estimate.py:Step.uses": "1",
    "usage/books/invariants.py:Span.quarters": "True",
    "usage/books/invariants.py:broken_invariants.rows_max": "5",
}


def defaults_in(node: ast.AST, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.expr]]:
    """The name and the default of each field and parameter that has one."""
    for child in ast.iter_child_nodes(node):
        inner = names
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = (*names, child.name)
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            places = [*child.args.posonlyargs, *child.args.args]
            first = len(places) - len(child.args.defaults)
            pairs = [
                *zip(places[first:], child.args.defaults, strict=True),
                *zip(child.args.kwonlyargs, child.args.kw_defaults, strict=True),
            ]
            for place, value in pairs:
                if value is not None:
                    yield ".".join((*inner, place.arg)), value
        elif isinstance(node, ast.ClassDef) and isinstance(child, ast.AnnAssign) and child.value:
            yield ".".join((*names, ast.unparse(child.target))), child.value
        yield from defaults_in(child, inner)


def test_every_default_is_empty_or_listed_here() -> None:
    found = {
        f"{file}:{name}": ast.unparse(value)
        for file in target_files(ROOT)
        for name, value in defaults_in(ast.parse((ROOT / file).read_text()))
        if re.fullmatch(r"-?\d[\d_]*|True|False", ast.unparse(value))
    }
    assert {name: text for name, text in found.items() if text not in ("0", "False")} == DEFAULTS


def test_every_number_is_unchanged() -> None:
    found: dict[str, dict[str, str]] = {}
    for file in target_files(ROOT):
        module = file.removesuffix(".py").replace("/", ".")
        for name in numbers_in(file):
            value = getattr(import_module(module), name)
            if not isinstance(value, bytes):
                text = str(sorted(value) if isinstance(value, frozenset) else value)
                found.setdefault(module, {})[name] = text
    assert found == NUMBERS
