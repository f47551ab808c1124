"""A settlement that comes alone moves and writes what one of many does (I6, I10, I13, I23)."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import msgspec
import pytest
from django.db import Error, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organisation
from billing.balances.balances import add_opening_credit
from billing.holds import resolve_holds
from billing.holds.resolve_holds import HoldResolved
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.hold_rules import RESOLVED_BY
from billing.ledger.ledger import execute
from billing.models import Account, BudgetWindow, Hold, IncludedUnits, RateSecond
from lib import clock
from lib.id_types import AttemptId, CostVersionId, OrganisationId, PriceVersionId
from lib.ids import new_id
from relay.database.database import Statement
from tests.relay.ledger.test_admission import attempt
from usage.records import sql
from usage.records.sql import Ending, RecordWritten

pytestmark = pytest.mark.django_db

_CREDIT: Final = 2**60
_SUBJECT: Final = new_id()
_TABLES: Final = (
    "billing_account", "billing_hold", "billing_posting", "usage_usagerecord",
    "billing_budgetwindow", "billing_includedunits", "billing_ratesecond",
)  # fmt: skip


@pytest.fixture
def organisation_id() -> OrganisationId:
    """That of an organisation with money and all accounts."""
    organisation = Organisation.objects.create(name="acme", slug="acme")
    add_opening_credit(organisation, _CREDIT)
    execute(open_accounts([organisation.id], [*WALLET_KINDS, "included:units"]))
    return OrganisationId(organisation.id)


class _Held(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, and what it is held in: windows of budgets, seconds of a limit, included units."""

    amount_nano: int = 600
    state: str = "open"
    posted: bool = False
    included_nano: int | None = None
    own_nano: int | None = None
    windows: int = 0
    tokens: int | None = None
    units: Sequence[int] = ()


def _hold(organisation_id: OrganisationId, held: _Held) -> sql.AttemptOpened:
    """Place a hold as the admission leaves it, with its attempt."""
    opened = msgspec.structs.replace(
        attempt(),
        organisation_id=organisation_id,
        id=AttemptId(new_id()),
        hold_nano=held.amount_nano + (held.included_nano or 0),
        price_version_id=PriceVersionId(7),
        cost_version_id=CostVersionId(8),
    )
    now = clock.now().replace(microsecond=0)
    in_windows = (held.own_nano or 0) + opened.hold_nano
    windows = [
        BudgetWindow.objects.create(
            session_id=new_id(), starts_at=now, ends_at=now + dt.timedelta(days=1),
            cap_nano=2**62, held_nano=in_windows,
        )
        for _ in range(held.windows)
    ]  # fmt: skip
    quotas = [
        IncludedUnits.objects.create(
            organisation_id=organisation_id, subscription_id=new_id(), month=now.date(),
            position=place, meter="request", patterns=[], included=100, held=held_units,
            ends_at=now + dt.timedelta(days=1),
        )
        for place, held_units in enumerate(held.units)
    ]  # fmt: skip
    if held.tokens is not None:
        RateSecond.objects.create(
            subject_id=_SUBJECT, second=int(now.timestamp()), tokens=held.tokens + 2**41, requests=1
        )
    Hold.objects.create(
        id=opened.id, organisation_id=organisation_id, amount_nano=held.amount_nano,
        state=held.state, opened_at=now, expires_at=now + dt.timedelta(hours=1),
        resolved_at=None if held.state == "open" else now, posted=held.posted,
        included_nano=held.included_nano, own_nano=held.own_nano, tokens=held.tokens,
        window_ids=[one.id for one in windows] or None,
        rated_ids=None if held.tokens is None else [_SUBJECT],
        quota_ids=[one.id for one in quotas] or None,
        quota_units=list(held.units) or None,
    )  # fmt: skip
    of_wallet = Account.objects.filter(organisation_id=organisation_id)
    of_wallet.filter(kind="customer:held").update(balance_nano=held.amount_nano)
    execute(sql.open_attempts([opened]))
    return opened


def _outcome(organisation_id: OrganisationId, statements: Sequence[Statement]) -> Any:
    """What the statements return, and every row that they leave, or the code of their error; then
    all of it is undone."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                execute(lock_accounts([organisation_id]))
                returned = [list(_run(text, parameters)) for text, parameters in statements]
        except Error as error:
            return getattr(error.__cause__, "sqlstate", error)
        # Not the instant of the statement, and the next number of a sequence.
        kept = "SELECT to_jsonb(t) - 'created_at' - 'entry_id' FROM"
        rows = {table: [*_run(f"{kept} {table} t ORDER BY 1")] for table in _TABLES}
        transaction.set_rollback(True)
    return {"returned": returned, **rows}


def _run(text: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """As the relay's connection encodes them."""
    sent = {
        name: value.encode(errors="replace").decode() if isinstance(value, str) else value
        for name, value in (parameters or {}).items()
    }
    with connection.cursor() as cursor:
        cursor.execute(text, sent or None)
        for row in cursor.fetchall() if cursor.description else []:
            yield [json.loads(one) if isinstance(one, str) else one for one in row]


def _settle(organisation_id: OrganisationId, held: _Held, ended: HoldResolved, how: Ending) -> Any:
    """The outcome, which is the same in both forms."""
    with transaction.atomic():
        opened = _hold(organisation_id, held)
        hold = msgspec.structs.replace(
            ended, attempt_id=opened.id, posting_id=new_id(), organisation_id=organisation_id
        )
        record = RecordWritten(organisation_id=organisation_id, attempt_id=opened.id, ending=how)
        alone = _outcome(organisation_id, [resolve_holds._alone(hold), sql._alone(record)])
        in_arrays = _outcome(
            organisation_id, [resolve_holds._in_arrays([hold]), sql._in_arrays([record])]
        )
        assert alone == in_arrays
        transaction.set_rollback(True)
    return alone


def _ended(state: str = "settled", charge_nano: int = 400, **over: Any) -> HoldResolved:
    id = new_id()
    return HoldResolved(
        attempt_id=AttemptId(id), posting_id=id, organisation_id=OrganisationId(id), state=state,
        charge_nano=charge_nano, **over,
    )  # fmt: skip


_ENDING: Final = Ending(final=True, status=200, charge_nano=400)


@pytest.mark.parametrize("state", RESOLVED_BY)
def test_each_end_moves_the_same_in_both_forms(organisation_id: OrganisationId, state: str) -> None:
    """I13: a charge above the hold as well, and one of 0."""
    for charge_nano, cost_nano, posted in product((0, 1, 600, 601), (0, 7, -7), (False, True)):
        if state != "settled" and charge_nano:
            continue
        outcome = _settle(
            organisation_id,
            _Held(posted=posted),
            _ended(state, charge_nano, cost_nano=cost_nano),
            _ENDING,
        )
        ((_, charged_nano, excess_nano),) = outcome["returned"][0]
        assert (charged_nano, excess_nano) == (min(charge_nano, 600), max(charge_nano - 600, 0))
        assert [one["kind"] for (one,) in outcome["billing_posting"]] == [
            "opening",
            RESOLVED_BY[state],
        ]
        assert len(outcome["usage_usagerecord"]) == 1


@pytest.mark.parametrize("state", ["settled", "kept", "voided"])
def test_no_resolved_hold_is_resolved_in_either_form(
    organisation_id: OrganisationId, state: str
) -> None:
    """I6; the record of its attempt is written, unless there is one (I10)."""
    outcome = _settle(organisation_id, _Held(state=state), _ended(), _ENDING)
    assert outcome["returned"][0] == []
    assert [one["kind"] for (one,) in outcome["billing_posting"]] == ["opening"]
    assert len(outcome["usage_usagerecord"]) == 1


def test_all_that_is_held_is_released_in_both_forms(organisation_id: OrganisationId) -> None:
    """I23: windows of budgets, tokens of a minute, included units, what an own key costs."""
    held = _Held(included_nano=90, own_nano=70, windows=2, tokens=50, units=(3, 4))
    ended = _ended(included_nano=80, own_nano=60, tokens=20, units=(2, 9))
    outcome = _settle(organisation_id, held, ended, _ENDING)
    windows = [(one["held_nano"], one["spent_nano"]) for (one,) in outcome["billing_budgetwindow"]]
    assert windows == [(0, 460)] * 2
    units = sorted((one["held"], one["used"]) for (one,) in outcome["billing_includedunits"])
    assert units == [(0, 2), (0, 4)]
    assert [one["tokens"] for (one,) in outcome["billing_ratesecond"]] == [2**41 + 20]
    balances = {one["kind"]: one["balance_nano"] for (one,) in outcome["billing_account"]}
    assert (balances["customer:held"], balances["revenue"]) == (0, 400)
    assert balances["included:units"] == -80


def test_missing_attempt_has_no_record_in_either_form(organisation_id: OrganisationId) -> None:
    id = AttemptId(new_id())
    record = RecordWritten(organisation_id=organisation_id, attempt_id=id, ending=_ENDING)
    for statement in (sql._alone(record), sql._in_arrays([record])):
        assert _outcome(organisation_id, [statement])["usage_usagerecord"] == []


_NANO: Final = st.integers(0, 2**40) | st.sampled_from([0, 1, 599, 600, 601])
_UNITS: Final = st.lists(st.integers(0, 9), max_size=3)
_TEXTS: Final = st.text(max_size=9) | st.sampled_from(
    ['a "b" \\', "{,}", "null", "", "a\0b\ud83d", "'; --", "\n\t", "\\x00", "%s %(id)s"]
)
_WORDS: Final = st.text("ab{}\"\\' \0é", min_size=1, max_size=3)
_JSON: Final = st.sampled_from(
    ["{}", '{"in_text": 3}', '{"a": "\\"b\\" \\\\ , {}"}', "[null, 1.50]", '"\ud83d"']
)
_UNSTORABLE: Final = st.sampled_from(['"\\u0000"', "{"])
_HELD: Final = st.builds(
    _Held,
    amount_nano=_NANO,
    state=st.sampled_from(["open", "open", "open", "kept"]),
    posted=st.booleans(),
    included_nano=st.none() | _NANO,
    own_nano=st.none() | _NANO,
    windows=st.integers(0, 2),
    tokens=st.none() | _NANO,
    units=_UNITS,
)
_ENDED: Final = st.builds(
    _ended,
    st.sampled_from([*RESOLVED_BY]),
    _NANO,
    tokens=_NANO,
    cost_nano=st.integers(-(2**40), 2**40),
    included_nano=_NANO,
    units=_UNITS.map(tuple),
    own_nano=_NANO,
)
_ENDINGS: Final = st.builds(
    Ending,
    final=st.just(True),
    status=st.integers(0, 2**15 - 1),
    kind=st.none() | _TEXTS,
    message=_TEXTS,
    finish_reason=_TEXTS,
    meters=_JSON,
    charge_nano=_NANO,
    basis=st.sampled_from(["measured", "drained", "estimated", "held", "none"]),
    ttft_ms=st.none() | st.integers(0, 2**31 - 1),
    total_ms=st.none() | st.integers(0, 2**31 - 1),
    raw_usage=st.none() | _JSON,
    flags=st.lists(_WORDS, max_size=3).map(tuple),
    cost_nano=st.none() | st.integers(-(2**40), 2**40),
    price_version_id=st.none() | st.integers(1, 2**40).map(PriceVersionId),
    cost_version_id=st.none() | st.integers(1, 2**40).map(CostVersionId),
    upstream_request_id=_TEXTS,
    dropped=st.none() | st.lists(_WORDS, max_size=3).map(",".join),
    saved_nano=_NANO,
    pricing=st.none() | _JSON | _UNSTORABLE,
    own_nano=st.none() | _NANO,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_HELD, _ENDED, _ENDINGS)
def test_both_forms_do_the_same_with_any_values(
    organisation_id: OrganisationId, held: _Held, ended: HoldResolved, how: Ending
) -> None:
    """What one of them cannot store the other cannot either, by the same error."""
    _settle(organisation_id, held, ended, how)


def test_only_one_is_written_by_the_short_form() -> None:
    hold, id = _ended(), AttemptId(new_id())
    record = RecordWritten(organisation_id=OrganisationId(id), attempt_id=id, ending=_ENDING)
    assert resolve_holds.resolve_holds([hold]) == resolve_holds._alone(hold)
    assert resolve_holds.resolve_holds([hold, hold]) == resolve_holds._in_arrays([hold, hold])
    assert sql.write_records([record]) == sql._alone(record)
    assert sql.write_records([record, record]) == sql._in_arrays([record, record])
