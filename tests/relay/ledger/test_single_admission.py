"""A request that comes alone is decided, and written, as one of many is (I5, I12, P11)."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from django.db import connection, transaction

from accounts.models import Key, Organisation, Team
from billing.balances.balances import add_opening_credit
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.ledger import execute
from billing.models import Account, EndedSession
from lib import clock
from lib.id_types import AttemptId, CostVersionId, KeyId, OrganisationId, PriceVersionId
from lib.ids import new_id
from relay.database.database import Statement
from relay.ledger import admission
from relay.ledger.admission import AdmissionRequest, Guarded
from tests.relay.ledger.test_admission import attempt

pytestmark = pytest.mark.django_db

_CREDIT: Final = 1_000
_AMOUNTS: Final = (0, 600, 1_000, 1_001, 1_400, 1_401)


@pytest.fixture
def key() -> Key:
    """That of an organisation with money and accounts."""
    key = _key_of("acme")
    add_opening_credit(key.organisation, _CREDIT)
    execute(open_accounts([key.organisation_id], WALLET_KINDS))
    return key


def _key_of(slug: str) -> Key:
    organisation = Organisation.objects.create(name=slug, slug=slug)
    team = Team.objects.create(organisation=organisation, name="core", slug="core")
    return Key.objects.create(
        organisation=organisation, team=team, name=slug, digest=organisation.id.bytes, prefix="",
        last4="",
    )  # fmt: skip


def asked(key: Key, amount_nano: int, **over: Any) -> AdmissionRequest:
    fields = {"organisation_id": OrganisationId(key.organisation_id), "key_id": KeyId(key.id)}
    opened = msgspec.structs.replace(attempt(), hold_nano=amount_nano, **fields)
    guards = over.pop("guards", 0)
    return AdmissionRequest(msgspec.structs.replace(opened, **over), 60, None, guards)


def outcome(statements: Sequence[Statement], request: AdmissionRequest) -> Mapping[str, Any]:
    """The verdict, and every row that is written; then all of it is undone."""
    opened = request.attempt
    with transaction.atomic():
        execute(lock_accounts([opened.organisation_id]))
        rows, *_ = [_run(text, parameters) for text, parameters in statements]
        holds, attempts = _rows("billing_hold", opened.id), _rows("usage_attempt", opened.id)
        assert [one.pop("admitted_at") for one in attempts] == [
            one.pop("opened_at") for one in holds
        ]
        accounts = Account.objects.filter(organisation_id=opened.organisation_id).order_by("id")
        balances = list(accounts.values_list("kind", "balance_nano"))
        result = {"rows": rows, "holds": holds, "attempts": attempts, "balances": balances}
        transaction.set_rollback(True)
    return result


def _rows(table: str, id: UUID) -> list[dict[str, Any]]:
    query = f"SELECT to_jsonb(t) FROM {table} t WHERE id = %(id)s"
    return [json.loads(row) if isinstance(row, str) else row for (row,) in _run(query, {"id": id})]


def _run(text: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return cursor.fetchall() if cursor.description else []


def decide(request: AdmissionRequest) -> str:
    """The word of the verdict, the same in both forms, as is whatever is written."""
    with transaction.atomic():
        alone = outcome(admission._alone(request), request)
        assert alone == outcome(admission._in_arrays([request]), request)
    word: str = alone["rows"][0][0]
    assert len(alone["holds"]) == len(alone["attempts"]) == (word == "admitted")
    return word


@pytest.mark.parametrize("debt_nano", [0, 400])
@pytest.mark.parametrize("line_nano", [0, 400])
def test_the_wallet_decides_in_both_forms(key: Key, line_nano: int, debt_nano: int) -> None:
    """I4, I12: credit line and debt are one against the other."""
    account = Account.objects.filter(organisation=key.organisation, kind="customer:available")
    account.update(overdraft_nano=line_nano)
    if debt_nano:
        Account.objects.create(
            organisation=key.organisation, kind="customer:debt", balance_nano=-debt_nano
        )
    free_nano = _CREDIT + line_nano - debt_nano
    for amount_nano in _AMOUNTS:
        word = "admitted" if amount_nano <= free_nano else "insufficient"
        assert decide(asked(key, amount_nano)) == word


def _disable(key: Key) -> None:
    Key.objects.filter(id=key.id).update(disabled=True)


def _expire(key: Key) -> None:
    Key.objects.filter(id=key.id).update(expires_at=clock.now() - dt.timedelta(seconds=1))


def _revoke(key: Key) -> None:
    Key.objects.filter(id=key.id).update(revoked_at=clock.now())


def _suspend(key: Key) -> None:
    Organisation.objects.filter(id=key.organisation_id).update(suspended_at=clock.now())


def _archive(key: Key) -> None:
    Team.objects.filter(id=key.team_id).update(archived_at=clock.now())


def _give_away(key: Key) -> None:
    other = _key_of("other")
    Key.objects.filter(id=key.id).update(organisation=other.organisation, team=other.team)


@pytest.mark.parametrize("end", [_disable, _expire, _revoke, _suspend, _archive, _give_away])
def test_no_ended_key_is_admitted_in_either_form(key: Key, end: Callable[[Key], None]) -> None:
    end(key)
    assert decide(asked(key, 1)) == "key_gone"
    assert decide(asked(key, _CREDIT + 1)) == "key_gone"


@pytest.mark.parametrize("missing", WALLET_KINDS)
def test_missing_account_is_noticed_in_both_forms(key: Key, missing: str) -> None:
    fresh = _key_of("fresh")
    assert decide(asked(fresh, 0)) == "no_wallet"
    execute(open_accounts([fresh.organisation_id], set(WALLET_KINDS) - {missing}))
    assert decide(asked(fresh, 0)) == "no_wallet"
    execute(open_accounts([fresh.organisation_id], [missing]))
    assert decide(asked(fresh, 0)) == "admitted"


def test_reasons_have_the_same_order_in_both_forms(key: Key) -> None:
    """Whichever of them meet: key, accounts, session, budgets, money."""
    ended, running = new_id(), new_id()
    EndedSession.objects.create(session_id=ended, organisation=key.organisation)
    Account.objects.filter(organisation=key.organisation).update(guards=3)
    words = set()
    for valid, session, guards, amount_nano in product(
        (True, False), (None, running, ended), (3, 2), (1_000, 1_001)
    ):
        Key.objects.filter(id=key.id).update(disabled=not valid)
        words.add(decide(asked(key, amount_nano, session_id=session, guards=guards)))
    assert words == {"admitted", "key_gone", "session_ended", "stale", "insufficient"}


def test_each_field_of_an_attempt_is_written_alike(key: Key) -> None:
    """With text that would have to be quoted in an array, and what no column can store."""
    request = asked(
        key, 5, multiplier_ppm=900_000, price_version_id=PriceVersionId(7), asked_model='a "b" \\',
        cost_version_id=CostVersionId(11), input_estimate=13, skipped='[{"channel": "\\"o\\""}]',
        why="weight", channel_key="k3y4", channel_key_id=new_id(), project="{,}", tags='{"a": "b"}',
        customer="null", client_app="", end_user="a\0b\ud83d", session_id=new_id(), stream=True,
        session='{"name": "s"}', own_fee='{"request_nano": 59}', id=AttemptId(new_id()),
    )  # fmt: skip
    encoded = [
        (text, {name: _as_sent(value) for name, value in parameters.items()})
        for text, parameters in (*admission._alone(request), *admission._in_arrays([request]))
    ]
    (alone, *in_arrays) = encoded
    assert outcome([alone], request) == outcome(in_arrays, request)


def _as_sent(value: object) -> object:
    """As the relay's connection encodes it."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def test_request_with_limits_is_not_admitted_by_the_short_form(key: Key) -> None:
    """P2: alone or not, every gate is asked."""
    plain = asked(key, 5)
    limited = msgspec.structs.replace(plain, guarded=Guarded((), 1))
    assert admission.statements([limited]) == admission._in_arrays([limited])
    assert admission.statements([plain]) == admission._alone(plain)
    assert admission.statements([plain, plain]) == admission._in_arrays([plain, plain])
