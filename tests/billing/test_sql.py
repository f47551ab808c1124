"""Holds by the statements themselves: decided, resolved and swept, each exactly once."""

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from accounts.models import Key, Organisation, Team
from billing.balances.balances import add_opening_credit, balance
from billing.holds.resolve_holds import HoldResolved, keep_holds, reopen_hold, resolve_holds
from billing.holds.sweep_holds import Mark, mark_holds, renew_lease
from billing.holds.unsettled_holds import DueHold, Expired, due_holds, expire
from billing.ledger.accounts import WALLET_KINDS, lock_accounts, open_accounts
from billing.ledger.funding import dispute
from billing.ledger.hold_rules import MOVES, HoldState
from billing.ledger.ledger import execute, lock_wallet, post
from billing.ledger.posting import adjust_attempt
from billing.ledger.spending import charged_between, held_since_before
from billing.limits.enforcement import HoldRequest, place_holds
from billing.models import Hold, LedgerEntry, Posting, Process
from billing.subscriptions.included_units import Paid
from lib import clock
from lib.id_types import AttemptId, KeyId, OrganisationId
from lib.ids import first_id_at, new_id
from relay.downstream.limit_answers import UsedUp

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("form")]


@pytest.fixture
def organisation() -> Organisation:
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 1_000)
    execute(open_accounts([organisation.id], WALLET_KINDS))
    return organisation


@pytest.fixture
def key(organisation: Organisation) -> Key:
    team = Team.objects.create(organisation=organisation, name="core", slug="core")
    return Key.objects.create(
        organisation=organisation, team=team, name="k", digest=b"d" * 32, prefix="", last4=""
    )


NO_UNITS = Paid(0, {})


def asked(key: Key, amount_nano: int, attempt_id: uuid.UUID | None = None) -> HoldRequest:
    return HoldRequest(
        attempt_id=AttemptId(attempt_id or new_id()),
        organisation_id=OrganisationId(key.organisation_id),
        key_id=KeyId(key.id),
        amount_nano=amount_nano,
        ttl_seconds=60,
    )


def place(*batch: HoldRequest) -> list[tuple[Any, ...]]:
    with transaction.atomic():
        execute(lock_accounts(hold.organisation_id for hold in batch))
        return execute(place_holds(batch))


def resolve(hold: HoldRequest, state: str, charge_nano: int) -> list[tuple[Any, ...]]:
    with transaction.atomic():
        execute(lock_accounts([hold.organisation_id]))
        resolved = HoldResolved(
            attempt_id=hold.attempt_id,
            posting_id=new_id(),
            organisation_id=hold.organisation_id,
            state=state,
            charge_nano=charge_nano,
        )
        return execute(resolve_holds([resolved]))


def sums() -> dict[str, int]:
    """What the lines of each account come to; they must be what the wallet says."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.kind, sum(e.amount_nano)::bigint FROM billing_ledgerentry e "
            "JOIN billing_account a ON a.id = e.account_id GROUP BY a.kind"
        )
        return dict(cursor.fetchall())


def test_batch_refuses_only_what_does_not_fit(organisation: Organisation, key: Key) -> None:
    """I5: the small ones first, in the order of the verdicts that were asked."""
    verdicts = place(asked(key, 700), asked(key, 300), asked(key, 600), asked(key, 0))
    assert [word for word, *_ in verdicts] == ["insufficient", "admitted", "admitted", "admitted"]
    assert {available for _, available, _ in verdicts} == {100}
    assert balance(organisation) == (100, 900, 0)
    # The ledger hears of a hold when it ends.
    assert sums() == {"customer:available": 1_000, "equity:opening": -1_000}
    assert Hold.objects.filter(state="open").count() == 3


def test_missing_key_takes_no_money(organisation: Organisation, key: Key) -> None:
    key.disabled = True
    key.save()
    assert place(asked(key, 100)) == [("key_gone", 1_000, None)]
    assert balance(organisation) == (1_000, 0, 0)


def test_key_of_another_organisation_is_missing(organisation: Organisation, key: Key) -> None:
    other = Organisation.objects.create(name="Other", slug="other")
    add_opening_credit(other, 1_000)
    execute(open_accounts([other.id], WALLET_KINDS))
    foreign = msgspec.structs.replace(asked(key, 100), organisation_id=other.id)
    assert [word for word, *_ in place(foreign)] == ["key_gone"]


def test_rejection_in_debt_states_the_debt(organisation: Organisation, key: Key) -> None:
    """I12: the debt is not there to be held."""
    with transaction.atomic():
        post(dispute("manual", "du_1", 1_600, lock_wallet(organisation.id)))
    body = {"gate": "wallet", "owed": 600}
    assert place(asked(key, 1)) == [("insufficient", 0, body)]
    assert place(msgspec.structs.replace(asked(key, 1), guarded=True)) == [
        ("insufficient", 0, body)
    ]
    words = UsedUp(body, 10**9, 0, "").message
    assert "needed 1.00 USD, available 0.00 USD, debt 0.0000006 USD" in words


def test_organisation_without_accounts_is_distinguished(key: Key) -> None:
    fresh = Organisation.objects.create(name="Fresh", slug="fresh")
    team = Team.objects.create(organisation=fresh, name="core", slug="core")
    its_key = Key.objects.create(
        organisation=fresh, team=team, name="k", digest=b"e" * 32, prefix="", last4=""
    )
    assert place(asked(its_key, 0)) == [("no_wallet", 0, None)]


def test_settled_twice_is_settled_once(organisation: Organisation, key: Key) -> None:
    """I6."""
    hold = asked(key, 400)
    place(hold)
    assert resolve(hold, "settled", 150) == [(hold.attempt_id, 150, 0)]
    assert resolve(hold, "settled", 999) == []
    assert resolve(hold, "voided", 0) == []
    assert resolve(hold, "expired", 0) == []
    assert balance(organisation) == (850, 0, 0)
    assert sums() == {
        "customer:available": 850, "revenue": 150, "equity:opening": -1_000,
    }  # fmt: skip
    names = Posting.objects.values_list("kind", "attempt_id")
    assert set(names) == {("opening", None), ("settle", hold.attempt_id)}
    assert len(names) == 2


def test_charge_above_the_hold_is_cut_and_told(organisation: Organisation, key: Key) -> None:
    """I13."""
    hold = asked(key, 400)
    place(hold)
    assert resolve(hold, "settled", 500) == [(hold.attempt_id, 400, 100)]
    assert balance(organisation) == (600, 0, 0)


def _step(hold: HoldRequest, step: str) -> None:
    if step == "kept":
        execute(keep_holds([hold.attempt_id]))
    elif step == "open":
        execute(reopen_hold(hold.attempt_id))
    else:
        resolve(hold, step, 0)


@pytest.mark.parametrize("state", MOVES)
def test_hold_follows_its_life_cycle(
    organisation: Organisation, key: Key, state: HoldState
) -> None:
    """I6, I14: every statement that moves holds, told of a hold in every state."""
    for step in MOVES:
        hold = asked(key, 10)
        place(hold)
        _step(hold, state)
        _step(hold, step)
        wanted = step if step in MOVES[state] else state
        assert Hold.objects.get(id=hold.attempt_id).state == wanted, f"{state}, then {step}"


@pytest.mark.parametrize(("state", "word"), [("voided", "void"), ("expired", "expire")])
def test_release_gives_everything_back(
    organisation: Organisation, key: Key, state: str, word: str
) -> None:
    hold = asked(key, 400)
    place(hold)
    assert resolve(hold, state, 0) == [(hold.attempt_id, 0, 0)]
    assert balance(organisation) == (1_000, 0, 0)
    assert Posting.objects.filter(kind=word, attempt_id=hold.attempt_id).exists()


def test_every_posting_balances(organisation: Organisation, key: Key) -> None:
    """I1: whatever was posted, the free ones too."""
    free, paid = asked(key, 0), asked(key, 10)
    place(free, paid)
    resolve(free, "settled", 0)
    resolve(paid, "settled", 10)
    for posting in Posting.objects.all():
        amounts = LedgerEntry.objects.filter(posting=posting).values_list("amount_nano", flat=True)
        assert len(amounts) >= 2
        assert sum(amounts) == 0


def test_expired_holds_are_released_once(organisation: Organisation, key: Key) -> None:
    """I24."""
    due, later = asked(key, 400), asked(key, 300)
    place(msgspec.structs.replace(due, ttl_seconds=-1), later)
    (result,) = due_holds(10)
    assert (result.attempt_id, result.amount_nano, result.mark) == (due.attempt_id, 400, None)
    assert expire([Expired(result, 150, 150, 0, NO_UNITS, 0)]) == {due.attempt_id}
    assert due_holds(10) == []
    assert expire([Expired(result, 150, 150, 0, NO_UNITS, 0)]) == set()
    assert balance(organisation) == (550, 300, 0)


def test_long_dead_process_is_forgotten_once_it_holds_nothing(
    organisation: Organisation, key: Key
) -> None:
    held, holding, gone, late = asked(key, 400), new_id(), new_id(), new_id()
    place(held)
    Hold.objects.update(process_id=holding)
    for process in (holding, gone, late):
        execute(renew_lease(process, -1))
    due_holds(10)
    long_ago = clock.now() - dt.timedelta(hours=2)
    Process.objects.exclude(id=late).update(suspected_at=long_ago)
    (due,) = due_holds(10)
    assert set(Process.objects.values_list("id", flat=True)) >= {holding, late}
    assert not Process.objects.filter(id=gone).exists()
    expire([Expired(due, 0, 0, 0, NO_UNITS, 0)])
    due_holds(10)
    assert not Process.objects.filter(id=holding).exists()


def test_holds_of_a_long_silent_process_are_due(organisation: Organisation, key: Key) -> None:
    """A process that was only cut off from the database says in time that it lives."""
    held, process = asked(key, 400), new_id()
    place(held)
    Hold.objects.update(process_id=process)
    execute(mark_holds([Mark(held.attempt_id, '{"in_text":3,"out_text":64}')]))
    execute(renew_lease(process, -1))
    assert due_holds(10) == []
    Process.objects.filter(suspected_at__isnull=False).update(
        suspected_at=clock.now() - dt.timedelta(seconds=6)
    )
    (result,) = due_holds(10)
    assert result.mark == {"in_text": 3, "out_text": 64}
    execute(renew_lease(process, 10))
    assert due_holds(10) == []


@pytest.mark.django_db(transaction=True)
def test_holds_being_resolved_are_due_for_no_other_process(key: Key) -> None:
    """I24: the other waits for no lock; it gets what is left once the first is done."""
    first, second = asked(key, 400), asked(key, 300)
    place(*(msgspec.structs.replace(one, ttl_seconds=-1) for one in (first, second)))

    def due_elsewhere() -> list[DueHold]:
        try:
            with transaction.atomic():
                execute(("SET LOCAL lock_timeout = '10 s'", {}))
                return due_holds(10)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as elsewhere:
        with transaction.atomic():
            (due,) = due_holds(1)
            assert elsewhere.submit(due_elsewhere).result() == []
            expire([Expired(due, 0, 0, 0, NO_UNITS, 0)])
        (left,) = elsewhere.submit(due_elsewhere).result()
    assert {due.attempt_id, left.attempt_id} == {first.attempt_id, second.attempt_id}


def test_written_postings_cannot_be_edited(organisation: Organisation, key: Key) -> None:
    """I2."""
    place(asked(key, 100))
    for change in (
        "UPDATE billing_ledgerentry SET amount_nano = 0",
        "DELETE FROM billing_ledgerentry",
        "UPDATE billing_posting SET kind = 'x'",
        "DELETE FROM billing_posting",
    ):
        with (
            pytest.raises(Exception, match="written once"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(change)


@pytest.mark.parametrize(
    "table",
    [
        "billing_posting",
        "billing_ledgerline",
        "billing_seal",
        "accounts_auditevent",
        "usage_attempt",
        "usage_usagerecord",
        "usage_review",
    ],
)
def test_written_tables_cannot_be_emptied(table: str) -> None:
    """I2: of a database as it is migrated, by a superuser, with what refers to the table; and no
    month of it alone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
            [table],
        )
        for (one,) in [(table,), *cursor.fetchall()]:
            refused = pytest.raises(IntegrityError, match="written once: TRUNCATE is refused")
            with refused, transaction.atomic():
                cursor.execute(f"TRUNCATE {one} CASCADE")


@pytest.mark.parametrize(
    "table", ["billing_posting", "billing_ledgerline", "billing_seal", "accounts_auditevent"]
)
def test_not_even_the_owner_may_edit_written_rows(table: str) -> None:
    """I2: by grants as well as by the trigger, where the product is no superuser. Of the trail and
    its seals the oldest part can be cut off: the trigger lets only what a signed cut covers go."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE plain_owner NOLOGIN")
        cursor.execute("GRANT ALL ON SCHEMA public TO plain_owner")
        cursor.execute(f"ALTER TABLE {table} OWNER TO plain_owner")
        cursor.execute("SET LOCAL ROLE plain_owner")
        cursor.execute(f"SELECT count(*) FROM {table}")
        changes = [f"UPDATE {table} SET id = id", f"TRUNCATE {table}"]
        if table in ("billing_posting", "billing_ledgerline"):
            changes.append(f"DELETE FROM {table}")
        for change in changes:
            with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
                cursor.execute(change)


def test_debt_cannot_be_held(organisation: Organisation, key: Key) -> None:
    """I12: a debt blocks holds at once, whether or not it has been repaid yet; what is free goes
    on."""
    for debt_nano, words in ((400, ["admitted", "insufficient"]), (700, ["insufficient"] * 2)):
        posting = adjust_attempt(
            new_id(), organisation.id, "late", charge_nano=debt_nano, loss_nano=0, owed_nano=0,
            available_nano=0,
        )  # fmt: skip
        assert posting is not None
        post(posting)
        assert [verdict for verdict, *_ in place(asked(key, 500), asked(key, 600))] == words
    assert balance(organisation) == (500, 500, 1_100)
    assert place(asked(key, 0))[0][:2] == ("admitted", 0)


def test_held_money_is_found_without_a_full_scan(
    organisation: Organisation,
) -> None:
    text, parameters = held_since_before(organisation.id, clock.now().isoformat())
    # As where there are so many that reading them is the worst of all ways.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {text}", parameters)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    # In each month, by the months' own names of `open_holds` and `kept_holds`.
    assert "Seq Scan" not in plan
    assert plan.count("Bitmap Index Scan") == plan.count("_expires_at_idx") + plan.count(
        "_organisation_id_idx"
    )
    assert plan.count("_expires_at_idx") == plan.count("_organisation_id_idx") > 1


def test_charge_is_searched_from_an_hour_before_its_time() -> None:
    since, hour = clock.now(), dt.timedelta(hours=1)
    owner = uuid.uuid4()
    assert charged_between(owner, 1, 2, since)[1]["first"] == first_id_at(since - hour)
    assert charged_between(owner, 1, 2, None)[1]["first"] == uuid.UUID(int=0)


@pytest.mark.parametrize("loss_nano", [0, 1, 120])
def test_unpaid_part_of_a_swept_hold_is_booked_once(
    organisation: Organisation, key: Key, loss_nano: int
) -> None:
    """I13, I15: a loss is of the holds that this sweep resolved, and of no other."""
    swept, settled = asked(key, 400), asked(key, 300)
    place(*(msgspec.structs.replace(one, ttl_seconds=-1) for one in (swept, settled)))
    due = [Expired(hold, 150, 150 + loss_nano, loss_nano, NO_UNITS, 0) for hold in due_holds(10)]
    # Between the sweep's look and its write, one settles.
    resolve(settled, "settled", 90)
    assert expire(due) == {swept.attempt_id}
    booked = LedgerEntry.objects.filter(account__kind="platform:loss").count()
    assert booked == (1 if loss_nano else 0)
    assert expire(due) == set()
    assert expire([]) == set()
    entries = LedgerEntry.objects.filter(account__kind="platform:loss")
    assert [one.amount_nano for one in entries] == ([-loss_nano] if loss_nano else [])
    assert balance(organisation) == (1_000 - 150 - 90, 0, 0)
