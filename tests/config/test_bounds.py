"""Every bound of whole rooms, at one below, at, and one above.

The bounds are found in the code: a comparison with a constant that is called a maximum, a minimum
or a length. One that is added belongs into the table here, in numbers, or beside it with the test
that has it.
"""

import ast
import datetime as dt
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import patch
from uuid import UUID

import pytest

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.limits.data_policy import is_region
from accounts.limits.end_users import is_end_user
from accounts.limits.rules import check_limits
from accounts.members import invitations
from accounts.members.invitations import Offer
from accounts.members.pseudonym import Traces, replace_person
from accounts.models import Role
from accounts.names.email_domains import is_domain
from accounts.names.labels import is_label
from accounts.sign_up import sign_up
from accounts.single_sign_on.rules import is_subject
from billing import idempotency
from billing.credits import code_format, codes
from billing.currency.conversion import read_rate
from billing.currency.money import (
    NANO_PER_USD,
    format_markup,
    format_scaled,
    parse_markup,
    parse_multiplier,
    parse_usd,
)
from billing.idempotency import Answer
from billing.limits import budget_increases, budgets, charge_rule
from billing.models import Budget
from billing.prices import price_list
from billing.prices.catalogue import catalogue
from billing.prices.own_key_fee import OwnKeyFee
from billing.prices.pricing import CostLines, PriceVersion, price, total_of
from billing.safeguards import rules as safeguard_rules
from billing.topups import topups
from billing.wallets.pace import pace_of
from dialects.endpoints import client_secrets
from dialects.errors.errors import RequestFault
from dialects.json.body import read_body
from gateway.breaker.breaker import Breaker, BreakerRule
from gateway.channels.channels import create_channel
from gateway.channels.passthrough import passthrough
from gateway.channels.passthrough.rules import is_pattern, is_pointer, normalise_path
from gateway.own_keys import fallback_prices, offers
from gateway.providers import PROVIDERS
from lib import clock
from relay.counting.estimates import input_tokens_min
from relay.endpoints.passthrough.answer_value import MISSING, UNREADABLE, ValueReader, read_value
from relay.endpoints.passthrough.secret_mask import SecretMask
from relay.health.channel_health import Health
from relay.health.operator_alerts import Alert, Alerts
from relay.ledger import admission
from relay.ledger.admission import AdmissionRequest, Verdict
from relay.requests import sessions
from tests.config import bounds as of_accounts_to_lib
from tests.content import bounds as of_content
from tests.gateway import bounds as of_gateway
from tests.gateway import bounds_of_channels as of_channels
from tests.mutants.targets import target_files
from tests.playground import bounds as of_playground
from tests.support.bounds import Bound
from tests.support.cast import Cast, actor, make_key
from tests.usage import bounds as of_usage
from usage.limits import budget_simulation

ROOT: Final = Path(__file__).parents[2]
# A token is a nano.
NANO_EACH: Final = PriceVersion.from_stored({"meters": {"in_text": 1_000_000}})
_NAME: Final = re.compile(r"_?([A-Z0-9]+_)*(MAX|MIN|LENGTH|FAR_DAYS)(_NANO)?$")


# Of the others the relay has a table of its own, and what decides about money is in this one.
WHOLE: Final = (
    "playground", "gateway", "content", "usage", "accounts", "billing", "notify", "config", "lib",
)  # fmt: skip


def bounds_in(file: str) -> Iterator[str]:
    """`file:function:constant` of each comparison with a bound."""
    tree = ast.parse((ROOT / file).read_text())
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Compare):
                for side in (node.left, *node.comparators):
                    name = ast.unparse(side).rpartition(".")[2]
                    if _NAME.match(name):
                        yield f"{file}:{function.name}:{name}"


@cache
def found() -> list[str]:
    rooms = (path for room in WHOLE for path in (ROOT / room).rglob("*.py"))
    files = {*target_files(ROOT), *(str(path.relative_to(ROOT)) for path in rooms)}
    return sorted({bound for file in files for bound in bounds_in(file)})


# The bounds --------------------------------------------------------------------------------------


def invite(people: Cast, *, days: int = 7, addresses: int = 1) -> None:
    emails = [f"new{n}@example.org" for n in range(addresses)]
    invitations.invite(
        people.acme, emails, Offer(Role.VIEWER, days=days), actor=actor(people.alice, people.acme)
    )


def rotate(people: Cast, hours: int) -> None:
    key, _ = make_key(people.core, user=people.bob)
    keys.rotate_key(actor(people.alice, people.acme), key, hours)


def list_domains(people: Cast, count: int) -> None:
    rows = [
        {"domain": f"d{n}.example.org", "organisation": people.acme.slug, "role": "viewer"}
        for n in range(count)
    ]
    sign_up.save_sign_up(SYSTEM, domains=rows)


def ask_once(people: Cast, length: int) -> None:
    request = ("POST", "/", b"")
    idempotency.run_once(
        actor(people.alice, people.acme), "k" * length, request, lambda: Answer(200, {})
    )


def is_far(days: int) -> bool:
    """Whether a balance that lasts so many days is told without a date."""
    return pace_of(days, 1, 1, clock.now().date()).state == "later"


def limit_budget(people: Cast, amount_nano: int) -> Budget:
    return budget_simulation.create_budget(
        SYSTEM, people.acme, scope="organisation", subject="", amount_nano=amount_nano, period="day"
    )


def ask_for_more(people: Cast, amount_nano: int) -> None:
    budget_increases.ask_for_more(
        actor(people.alice, people.acme), limit_budget(people, 1), amount_nano=amount_nano,
        until=clock.now() + dt.timedelta(days=1), reason="a launch",
    )  # fmt: skip


def try_codes(people: Cast, count: int) -> None:
    for _ in range(count):
        with suppress(codes.CodeRefused):
            codes.try_code(actor(people.alice, people.acme), people.acme, "wrong", "10.0.0.1")


def stays_closed(failures: int, *, connect: bool) -> bool:
    breaker = Breaker(BreakerRule())
    for _ in range(failures):
        breaker.bad(1.0, 1.0, connect=connect)
    return breaker.closed


def is_asked_again(tries: int) -> bool:
    request = AdmissionRequest(cast(Any, None), 60, None, tries=tries)
    again = admission.ask_again(request, Verdict("no_wallet", 0), ())
    return again is not None and again.tries == tries + 1


def replaces_name(length: int) -> bool:
    name = "n" * length
    traces = Traces("erased@example.invalid", ("someone@example.org",), (name,))
    return bool(replace_person(f"by {name} now", traces, about=True) != f"by {name} now")


def offer_to(people: Cast, count: int) -> None:
    fields: Any = {"provider": "openai", "models": {"gpt-5": ""}}
    offers.set_offer(
        SYSTEM, create_channel(SYSTEM, "east", fields), title="", everyone=False,
        organisations=[people.acme] * count, fee=OwnKeyFee(),
    )  # fmt: skip


def shows_prices(people: Cast, count: int) -> bool:
    entries = [
        SimpleNamespace(condition="", model=f"m{n}", main={}, rates=()) for n in range(count)
    ]
    channel = SimpleNamespace(routes=SimpleNamespace(all=lambda: [SimpleNamespace(model="*")]))
    book = SimpleNamespace(entries=entries)
    with patch.object(fallback_prices, "price_book", lambda *_: book):
        shown = fallback_prices.fallback_prices(
            actor(people.alice, people.acme), cast(Any, channel)
        )
    return len(shown) == count


def pass_paths(count: int) -> None:
    rules = [{"methods": ["GET"], "path": f"/{n}"} for n in range(count)]
    passthrough.check_rules(PROVIDERS["openai"], rules)


def reads_answer(length: int) -> bool:
    """Whether the number in a JSON answer of so many bytes is read."""
    reader = ValueReader("/a", 10**9, "application/json")
    reader.feed(b'{"a": 1' + b" " * (length - 8) + b"}")
    return reader.end() not in (MISSING, UNREADABLE)


def keeps_budget(count: int) -> bool:
    """Whether the first model's retry budget is known after so many models."""
    health = Health()
    first = health.budget("m0")
    for n in range(1, count):
        health.budget(f"m{n}")
    return health.budget("m0") is first


def knows_alert(count: int) -> bool:
    """Whether the first alert is not told again after so many."""
    alerts = Alerts()
    for n in [*range(count), 0]:
        alerts.report(Alert(str(n), "east", "out"))
    return len(alerts.take()) == count


def reads_session(metadata: bool, length: int) -> bool:
    """Whether a body names a session by a member of so many bytes."""
    if metadata:
        text = '{"session_id": "s"%s}' % (" " * (length - 19))
        raw = f'{{"metadata": {text}}}'
    else:
        text = '"%s"' % ("s" * (length - 2))
        raw = f'{{"session_id": {text}}}'
    assert len(text) == length
    return sessions.read_session_members(UUID(int=1), read_body(raw.encode())) is not None


BOUNDS: Final[dict[str, Bound]] = {
    "dialects/endpoints/client_secrets.py:_read_seconds:SECONDS_MAX": Bound(
        lambda _, n: client_secrets.read_request(b'{"expires_after": {"seconds": %d}}' % n),
        10,
        7200,
    ),
    "billing/safeguards/rules.py:is_valid:credit_limit": Bound(
        lambda _, n: safeguard_rules.is_valid("credit_limit", n), 0, 10**18
    ),
    "billing/safeguards/rules.py:is_valid:audit_retention": Bound(
        lambda _, n: safeguard_rules.is_valid("audit_retention", n), 0, 36_500
    ),
    "gateway/own_keys/fallback_prices.py:fallback_prices:MODELS_MAX": Bound(shows_prices, None, 50),
    "gateway/own_keys/offers.py:_check_fee:FEE_MAX_NANO": Bound(
        lambda _, n: offers._check_fee(OwnKeyFee(million_nano=n)), 0, 10**15
    ),
    "gateway/own_keys/offers.py:set_offer:ORGANISATIONS_MAX": Bound(offer_to, None, 1_000),
    "gateway/channels/passthrough/passthrough.py:_check_amount:AMOUNT_NANO_MAX": Bound(
        lambda _, n: passthrough._check_amount(format_scaled(n, 9)), 0, 10**12
    ),
    "gateway/channels/passthrough/passthrough.py:check_rules:RULES_MAX": Bound(
        lambda _, n: pass_paths(n), None, 100
    ),
    "gateway/channels/passthrough/rules.py:is_pattern:PATH_MAX": Bound(
        lambda _, n: is_pattern("/" * (n > 0) + "p" * (n - 1)), 1, 160
    ),
    "gateway/channels/passthrough/rules.py:is_pointer:POINTER_MAX": Bound(
        lambda _, n: is_pointer("/" * (n > 0) + "p" * (n - 1)), 1, 200
    ),
    "gateway/channels/passthrough/rules.py:normalise_path:_SEGMENTS_MAX": Bound(
        lambda _, n: normalise_path("/p" * n), 1, 60
    ),
    "relay/health/channel_health.py:budget:_BUDGETS_MAX": Bound(
        lambda _, n: keeps_budget(n), None, 4096
    ),
    "relay/health/operator_alerts.py:report:_KNOWN_MAX": Bound(
        lambda _, n: knows_alert(n), None, 4096
    ),
    "relay/endpoints/passthrough/answer_value.py:_read_number:_DIGITS_MAX": Bound(
        lambda _, n: read_value(b'{"a": 0.%b1}' % (b"0" * (n - 3)), "/a", 1) != UNREADABLE, None, 40
    ),
    "relay/endpoints/passthrough/answer_value.py:feed:ANSWER_BYTES_MAX": Bound(
        lambda _, n: reads_answer(n), None, 2**20
    ),
    "relay/endpoints/passthrough/secret_mask.py:__init__:SECRET_CHARACTERS_MIN": Bound(
        lambda _, n: SecretMask(["s" * n]).feed(b"s" * n) == b"*" * n, 8, None
    ),
    "relay/requests/sessions.py:_clean:NAME_LENGTH": Bound(
        lambda _, n: sessions._clean("n" * n) == "n" * n, None, 128
    ),
    "relay/requests/sessions.py:_read_metadata:_TEXT_MAX": Bound(
        lambda _, n: reads_session(True, n), None, 2**16
    ),
    "relay/requests/sessions.py:_text_of:_TEXT_MAX": Bound(
        lambda _, n: reads_session(False, n), None, 2**16
    ),
    "accounts/members/invitations.py:_check_days:INVITATION_DAYS_MAX": Bound(
        lambda people, n: invite(people, days=n), 1, 30
    ),
    "accounts/members/invitations.py:_addresses:ADDRESSES_MAX": Bound(
        lambda people, n: invite(people, addresses=n), None, 50
    ),
    "accounts/keys/keys.py:rotate_key:GRACE_HOURS_MAX": Bound(rotate, 0, 168),
    "accounts/limits/data_policy.py:is_region:REGION_MAX": Bound(
        lambda _, n: is_region("e" * n), 1, 40
    ),
    "accounts/single_sign_on/rules.py:is_subject:SUBJECT_MAX": Bound(
        lambda _, n: is_subject("s" * n), 1, 191
    ),
    "accounts/names/email_domains.py:is_domain:_LENGTH_MAX": Bound(
        lambda _, n: is_domain(("d" * 50 + ".") * 4 + "e" * (n - 204)), None, 253
    ),
    "accounts/limits/end_users.py:is_end_user:END_USER_LENGTH": Bound(
        lambda _, n: is_end_user("u" * n), 1, 256
    ),
    "accounts/names/labels.py:is_label:LABEL_LENGTH": Bound(lambda _, n: is_label("l" * n), 1, 100),
    "accounts/limits/rules.py:check_limits:LIMIT_MAX": Bound(
        lambda _, n: check_limits({"rpm": n}), 1, 2_147_483_647
    ),
    "accounts/limits/rules.py:check_limits:SECONDS_MAX": Bound(
        lambda _, n: check_limits({"cache_seconds": n}), 60, 604_800
    ),
    "accounts/limits/rules.py:_list_values:LISTED_MAX": Bound(
        lambda _, n: check_limits({"tags": ["t"] * n}), None, 100
    ),
    "accounts/members/pseudonym.py:_replace_name:_WORD_MIN": Bound(
        lambda _, n: replaces_name(n), 3, None
    ),
    "accounts/sign_up/listed_domains.py:validate_domains:DOMAINS_MAX": Bound(
        list_domains, None, 100
    ),
    "billing/limits/budgets.py:_check_amount:BUDGET_MAX_NANO": Bound(limit_budget, 0, 10**18),
    "billing/limits/budgets.py:find_subject:SUBJECT_LENGTH": Bound(
        lambda people, n: budgets.find_subject(actor(people.alice, people.acme), "model", "m" * n),
        1,
        200,
    ),
    "billing/limits/budgets.py:check_terms:ALERTS_MAX": Bound(
        lambda _, n: budgets.check_terms({"alert_percents": [50] * n}), None, 10
    ),
    "billing/limits/budgets.py:check_terms:percent": Bound(
        lambda _, n: budgets.check_terms({"alert_percents": [n]}), 1, 100
    ),
    "billing/credits/codes.py:_begin_try:TRIES_MAX": Bound(try_codes, None, 5),
    "billing/credits/codes.py:create_batch:CODES_MAX": Bound(
        lambda _, n: codes.create_batch(SYSTEM, "batch", 1, n), 1, 100_000
    ),
    "billing/credits/codes.py:create_batch:max_uses": Bound(
        lambda _, n: codes.create_batch(SYSTEM, "batch", 1, 1, max_uses=n), 1, None
    ),
    "billing/credits/codes.py:create_batch:value": Bound(
        lambda _, n: codes.create_batch(SYSTEM, "batch", n, 1), 1, None
    ),
    "billing/idempotency.py:run_once:KEY_LENGTH_MAX": Bound(ask_once, 1, 255),
    "billing/limits/budget_increases.py:ask_for_more:BUDGET_MAX_NANO": Bound(
        ask_for_more, 1, 10**18
    ),
    "billing/prices/catalogue/catalogue.py:_exact:INT64_MAX": Bound(
        lambda _, n: catalogue._exact("a", Decimal(n), Fraction(1)), 0, 2**63 - 1
    ),
    "billing/limits/charge_rule.py:build_charge_rule:DRAIN_SECONDS_MAX": Bound(
        lambda _, n: charge_rule.build_charge_rule("drain", n), 1, 600
    ),
    "billing/credits/code_format.py:read:_HEXADECIMAL_LENGTH": Bound(
        lambda _, n: code_format.read("0" * n) is not None, 32, 32
    ),
    "billing/currency/conversion.py:read_rate:RATE_MAX": Bound(
        lambda _, n: read_rate(str(n)), 1, 1_000_000_000
    ),
    "billing/currency/money.py:parse_markup:_MULTIPLIER_PPM_MAX": Bound(
        lambda _, n: parse_markup(format_markup(n)), 0, 1_000_000_000
    ),
    "billing/currency/money.py:parse_multiplier:_MULTIPLIER_PPM_MAX": Bound(
        lambda _, n: parse_multiplier(format_scaled(n, 6)), 0, 1_000_000_000
    ),
    "billing/currency/money.py:parse_scaled:INT64_MAX": Bound(
        lambda _, n: parse_usd(format_scaled(n, 9)), -(2**63), 2**63 - 1
    ),
    "billing/wallets/pace.py:pace_of:_FAR_DAYS": Bound(lambda _, n: not is_far(n), None, 365),
    "billing/prices/price_list.py:_nano:INT64_MAX": Bound(
        lambda _, n: price_list._nano("a", Decimal(n).scaleb(-15)), 0, 2**63 - 1
    ),
    "billing/prices/price_list.py:_uplifted:INT64_MAX": Bound(
        lambda _, n: price_list._uplifted({"in_text": 2 * n}, {price_list._UPLIFT: Decimal("0.5")}),
        None,
        2**63 - 1,
    ),
    "billing/prices/pricing.py:_round:INT64_MAX": Bound(
        lambda _, n: isinstance(price({"in_text": n}, NANO_EACH), CostLines), 0, 2**63 - 1
    ),
    "billing/prices/pricing.py:total_of:INT64_MAX": Bound(
        lambda _, n: isinstance(total_of({"in_text": n}, NANO_EACH), int), 0, 2**63 - 1
    ),
    "billing/topups/topups.py:check_amount:TOP_UP_MAX_NANO": Bound(
        lambda _, n: topups.check_amount(n * NANO_PER_USD // 100), 5_00, 10_000_00
    ),
    "gateway/breaker/breaker.py:_too_many:SAMPLE_MIN": Bound(
        lambda _, n: stays_closed(n, connect=False), None, 19
    ),
    "gateway/breaker/breaker.py:bad:CONNECTS_MAX": Bound(
        lambda _, n: stays_closed(n, connect=True), None, 4
    ),
    "relay/counting/estimates.py:input_tokens_min:_READ_BYTES_MAX": Bound(
        lambda _, n: input_tokens_min(b'"' + b"w" * (n - 2) + b'"') == 1, None, 2**20
    ),
    "relay/ledger/admission.py:ask_again:_TRIES_MAX": Bound(
        lambda _, n: is_asked_again(n), None, 3
    ),
}
# Bounds that need more around them, and the test that goes up to them.
ELSEWHERE: Final = {
    # So few are one batch whichever bound holds: it is not asked for.
    "relay/ledger/batching.py:take:SHARED_BATCH_MAX": "tests/relay/ledger/test_ledger_parts.py",
    # Beyond it, all that is known is forgotten and asked anew: nobody sees it.
    "relay/credentials/keys.py:_load:_CACHED_MAX": "tests/relay/credentials/test_auth.py",
    "relay/credentials/keys.py:_forbidden_by:_JUDGED_MAX": (
        "tests/relay/credentials/test_principal.py"
    ),
    "relay/credentials/keys.py:_forbidden_by:_JUDGED_LENGTH_MAX": (
        "tests/relay/credentials/test_principal.py"
    ),
    "dialects/endpoints/auth_tokens.py:_read_mask:_PATHS_MAX": (
        "tests/dialects/endpoints/test_auth_tokens.py"
    ),
    "dialects/endpoints/auth_tokens.py:_read_uses:USES_MAX": (
        "tests/dialects/endpoints/test_auth_tokens.py"
    ),
    "relay/credentials/end_users.py:_read_signed:_TOKEN_LENGTH_MAX": (
        "tests/relay/credentials/test_end_users.py"
    ),
    "billing/limits/budgets.py:set_own_amount:END_USERS_MAX": (
        "tests/usage/limits/test_end_users.py"
    ),
    "billing/limits/policy_budgets.py:give_budgets:GIVEN_MAX": (
        "tests/usage/policies/test_policy_budgets.py"
    ),
    "relay/credentials/client_secrets.py:seal:CONTENT_BYTES_MAX": (
        "tests/relay/credentials/test_client_secrets.py"
    ),
    "billing/prices/upstream_prices.py:read_upstream_prices:MODELS_MAX": (
        "tests/billing/prices/test_upstream_prices.py"
    ),
    "relay/endpoints/passthrough/incoming_body.py:pieces:BODY_BYTES_MAX": (
        "tests/relay/endpoints/passthrough/test_incoming_body.py"
    ),
    "relay/attempts/next_attempts.py:_change_to_fallback:ATTEMPTS_MAX": (
        "tests/relay/routing/test_model_fallbacks.py"
    ),
}
# Two ends of one bound.
_SAME: Final = {
    "INT64_MIN": "INT64_MAX", "SECONDS_MIN": "SECONDS_MAX", "TOP_UP_MIN_NANO": "TOP_UP_MAX_NANO"
}  # fmt: skip


REFUSALS: Final = (
    ValueError, RequestFault, codes.TooManyTries, catalogue._NotExact, price_list._Left,
    *of_gateway.REFUSALS,
)  # fmt: skip


OF_ROOMS: Final = (
    of_accounts_to_lib, of_channels, of_content, of_gateway, of_playground, of_usage
)  # fmt: skip
for _rows in OF_ROOMS:
    assert not BOUNDS.keys() & _rows.BOUNDS.keys()
    BOUNDS.update(_rows.BOUNDS)
    ELSEWHERE.update(_rows.ELSEWHERE | _rows.UNSEEN)


def one_of(name: str) -> str:
    place, _, constant = name.rpartition(":")
    return f"{place}:{_SAME.get(constant, constant)}"


def test_every_limit_in_the_code_is_reached() -> None:
    known = BOUNDS.keys() | ELSEWHERE.keys()
    assert [name for name in found() if one_of(name) not in known] == []


def test_no_limit_in_the_table_is_stale() -> None:
    named = {name for name in BOUNDS.keys() | ELSEWHERE.keys() if _NAME.match(name.split(":")[2])}
    assert named - {one_of(name) for name in found()} == set()


SIDES: Final = [
    (name, number, taken)
    for name, bound in BOUNDS.items()
    for end, step in ((bound.least, -1), (bound.most, 1))
    if end is not None
    for number, taken in ((end, True), (end + step, False))
]


@pytest.mark.parametrize(("name", "number", "taken"), SIDES)
def test_limit_is_accepted_and_nothing_beyond_it(
    people: Cast, name: str, number: int, taken: bool
) -> None:
    try:
        answer: Any = BOUNDS[name].takes(people, number)
    except REFUSALS:
        answer = False
    assert (answer is not False) == taken
