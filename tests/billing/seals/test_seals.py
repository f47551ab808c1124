"""P22: history cannot be edited quietly."""

import datetime as dt
import hashlib
import hmac
import json
import os
import random
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.models import AuditEvent, Organisation
from accounts.secrets.key_ring import seal_key_of
from billing.balances.balances import add_opening_credit
from billing.ledger import posting
from billing.ledger.ledger import post
from billing.models import LedgerEntry, Posting, Seal
from billing.seals import seals
from billing.seals.seals import SealsBehind, broken_seals, read_sealed, seal_all
from lib import clock
from lib.ids import new_id
from outbox.models import Fact
from tests.support.books import post_as_before
from tests.support.hostile import EVERYTHING, LONG, STORABLE
from usage.books.check import check_books
from usage.models import BooksCheck

pytestmark = pytest.mark.django_db

KEY = b"key of the tests"
MINUTES = 12
# Edits, removals, insertions, another order, cut ends; and the same of the seals.
_EDITS = (
    "UPDATE billing_posting SET amounts_nano = "
    "ARRAY(SELECT 2 * nano FROM unnest(amounts_nano) nano) WHERE id = '{posting}'",
    "UPDATE billing_posting SET account_ids[1] = account_ids[1] + 1 WHERE id = '{posting}'",
    "INSERT INTO billing_ledgerline (posting_id, account_id, amount_nano) "
    "VALUES ('{posting}', 1, 1)",
    "UPDATE billing_posting SET attempt_id = '{fresh}' WHERE id = '{posting}'",
    "UPDATE billing_posting SET cause = jsonb_build_object('n', -1) WHERE id = '{posting}'",
    "UPDATE billing_posting SET actor = 'x' WHERE id = '{posting}'",
    "UPDATE billing_posting SET idempotency_id = 'x' WHERE id = '{posting}'",
    "UPDATE billing_posting SET created_at = created_at - interval '1 us' WHERE id = '{posting}'",
    "UPDATE accounts_auditevent SET action = 'x' WHERE id = '{event}'",
    "UPDATE accounts_auditevent SET detail = jsonb_build_object('n', -1) WHERE id = '{event}'",
    "UPDATE accounts_auditevent SET at = at + interval '1 s' WHERE id = '{event}'",
    "DELETE FROM billing_posting WHERE id = '{posting}'",
    "UPDATE billing_posting SET account_ids = NULL, amounts_nano = NULL WHERE id = '{posting}'",
    "DELETE FROM accounts_auditevent WHERE id = '{event}'",
    "DELETE FROM billing_posting WHERE created_at >= "
    "(SELECT created_at FROM billing_posting WHERE id = '{posting}')",
    "DELETE FROM accounts_auditevent WHERE at >= "
    "(SELECT at FROM accounts_auditevent WHERE id = '{event}')",
    "UPDATE billing_posting p SET created_at = o.created_at FROM billing_posting o "
    "WHERE p.id = '{posting}' AND o.id = '{other}'",
    "UPDATE accounts_auditevent SET id = '{fresh}' WHERE id = '{event}'",
    "INSERT INTO billing_posting (id, idempotency_id, kind, organisation_id, cause, actor, "
    "created_at) SELECT '{fresh}', 'y', kind, organisation_id, cause, actor, created_at "
    "FROM billing_posting WHERE id = '{posting}'",
    "DELETE FROM billing_seal WHERE id = {seal}",
    "UPDATE billing_seal SET to_at = to_at + interval '1 s' WHERE id = {seal}",
    "UPDATE billing_seal SET digest = sha256('x') WHERE id = {seal}",
)


def run(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def broken() -> list[Any]:
    with connection.cursor() as cursor:
        return list(broken_seals(cursor, KEY))


@pytest.fixture
def history() -> None:
    """Postings and events of the last minutes, sealed minute by minute."""
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 10**9)
    for number in range(4 * MINUTES):
        lines = (
            posting.Entry("customer:available", organisation.id, -(10 + number)),
            posting.Entry("revenue", organisation.id, 10 + number),
        )
        new_posting = posting.Posting(f"settle:{new_id()}", "settle", lines)
        post(new_posting, cause={"n": number}, actor="somebody")
        audit.record(SYSTEM, organisation, "team.changed", organisation, n=number)
    # As somebody who may do everything: no trigger runs.
    run("SET LOCAL session_replication_role = replica")
    for table, at in (("billing_posting", "created_at"), ("accounts_auditevent", "at")):
        run(f"UPDATE {table} SET {at} = now() - (1 + random() * %s) * interval '1 min'", MINUTES)
    for minute in range(MINUTES, -1, -1):
        seal_all(KEY, clock.now() - dt.timedelta(minutes=minute, seconds=2))
    assert Seal.objects.count() > MINUTES
    assert broken() == []


@pytest.mark.usefixtures("history")
def test_every_one_of_200_tamperings_is_found() -> None:
    dice = random.Random(7)
    postings = list(Posting.objects.order_by("id").values_list("id", flat=True))
    events = list(AuditEvent.objects.order_by("id").values_list("id", flat=True))
    # All but the newest of each kind: the end of a chain is found by its age.
    last = [Seal.objects.filter(kind=kind).latest("id").id for kind in ("ledger", "trail")]
    seals = list(Seal.objects.exclude(id__in=last).values_list("id", flat=True))
    missed = []
    for number in range(200):
        chosen, other = dice.sample(postings, 2)
        text = _EDITS[number % len(_EDITS)].format(
            posting=chosen, other=other, event=dice.choice(events), seal=dice.choice(seals),
            fresh=new_id(),
        )  # fmt: skip
        before = transaction.savepoint()
        run(text)
        if not broken():
            missed.append(text)
        transaction.savepoint_rollback(before)
    assert missed == []
    assert broken() == []


@pytest.mark.usefixtures("history")
def test_foreign_seals_are_found() -> None:
    """Who has the database alone cannot make our seals: their key is elsewhere."""
    Seal.objects.all().delete()
    run("DELETE FROM billing_posting WHERE actor = 'somebody'")
    seal_all(b"another key")
    assert {one.problem for one in broken()} == {"its code is not ours"}


@pytest.mark.usefixtures("history")
def test_truncated_end_is_found_by_its_age() -> None:
    until = Seal.objects.filter(kind="ledger").latest("id").to_at
    late = until + dt.timedelta(hours=4)
    with connection.cursor() as cursor:
        result = broken_seals(_At(cursor, late), KEY)
    assert [one.seal_id for one in result] == [0, 0]


class _At:
    """A cursor for which it is later."""

    def __init__(self, cursor: Any, now: dt.datetime) -> None:
        self._cursor = cursor
        self._now = now

    def execute(self, query: Any, params: Any = None) -> None:
        if query == "SELECT now()":
            self._cursor.execute("SELECT %s", [self._now])
        else:
            self._cursor.execute(query, params)

    def fetchall(self) -> list[Any]:
        rows: list[Any] = self._cursor.fetchall()
        return rows


def test_verify_names_what_is_wrong(settings: Any) -> None:
    settings.WEIR_KEK = "k"
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 5_000)
    seal_all(seal_key_of("k"))
    out = StringIO()
    call_command("verify", tamper_check=True, stdout=out)
    assert "nothing was tampered with" in out.getvalue()
    assert check_books() == {}
    run("SET LOCAL session_replication_role = replica")
    entry = LedgerEntry.objects.latest("id")
    run("ALTER TABLE billing_posting DROP CONSTRAINT posting_balanced")
    place = "array_position(account_ids, %s)"
    run(
        f"UPDATE billing_posting SET amounts_nano[{place}] = amounts_nano[{place}] + 1 "
        "WHERE id = %s", entry.account_id, entry.account_id, entry.posting_id,
    )  # fmt: skip
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("verify", stdout=out)
    assert ended.value.code == 1
    assert f"I1 every posting sums to 0: {entry.posting_id}: expected 0, found 1" in out.getvalue()
    assert f"I3 a cached balance is the sum of its lines: {entry.account_id}" in out.getvalue()
    BooksCheck.objects.update(rest_until=clock.now())
    broken_now = check_books()
    assert broken_now is not None
    assert "I1 every posting sums to 0" in BooksCheck.objects.get().broken
    # I25: a person is told, once an hour and not each minute, by one letter.
    BooksCheck.objects.update(rest_until=clock.now())
    check_books()
    fact = Fact.objects.get(kind="books.wrong")
    assert fact.body["count"] == sum(map(len, broken_now.values()))
    assert {one["invariant"] for one in fact.body["findings"]} == set(broken_now)


def record_text(text: str) -> AuditEvent:
    """An event of the trail that holds a text of somebody's."""
    organisation, _ = Organisation.objects.get_or_create(name="Acme", slug="acme")
    audit.record(SYSTEM, organisation, "key.created", organisation, name=text)
    return AuditEvent.objects.latest("id")


def unguarded() -> None:
    """From here on as somebody who may do everything: no trigger runs."""
    run("SET LOCAL session_replication_role = replica")


def backdate(event: AuditEvent, at: dt.datetime) -> None:
    run("UPDATE accounts_auditevent SET at = %s WHERE id = %s", at, event.id)


@pytest.mark.parametrize("text", [*STORABLE, EVERYTHING, LONG], ids=lambda text: ascii(text)[:20])
def test_no_text_ends_the_sealing_and_an_edit_of_it_is_found(text: str) -> None:
    event = record_text(text)
    unguarded()
    backdate(event, clock.now() - dt.timedelta(minutes=1))
    assert seal_all(KEY) == 2
    assert broken() == []
    for edited in {text + "x", text.replace("\\", "\\\\"), text.replace("\n", "\\n")} - {text}:
        detail = json.dumps({"name": edited})
        run("UPDATE accounts_auditevent SET detail = %s WHERE id = %s", detail, event.id)
        assert [one.kind for one in broken()] == ["trail"], edited


def sealed_by_older() -> None:
    """No older process makes a seal any more; these were made before."""
    run("ALTER TABLE billing_seal DROP CONSTRAINT sealed_whole")


def third_form(until: dt.datetime) -> None:
    """A seal over the ledger as it was made before postings held their own lines."""
    from_at = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*), sha256(convert_to(coalesce(string_agg(jsonb_build_array(
                id, idempotency_id, kind, organisation_id, cause, actor,
                extract(epoch FROM created_at), (
                    SELECT jsonb_agg(jsonb_build_array(e.id, e.account_id, e.amount_nano)
                                     ORDER BY e.id)
                    FROM billing_ledgerline e WHERE e.posting_id = p.id))::text,
                E'\n' ORDER BY created_at, id), ''), 'UTF8'))
            FROM billing_posting p WHERE created_at < %s""",
            [until],
        )
        rows, digest = cursor.fetchone()
    span = f"ledger|{from_at.isoformat()}|{until.astimezone(dt.UTC).isoformat()}"
    text = b"3|" + span.encode() + b"|%d|" % rows + bytes(digest)
    sealed_by_older()
    Seal.objects.create(
        kind="ledger", from_at=from_at, to_at=until, rows=rows, digest=digest,
        code=hmac.new(KEY, text, hashlib.sha256).digest(), form=3,
    )  # fmt: skip


# What somebody does to a posting that has its lines in a table of their own.
_EDITS_OF_BEFORE = (
    "UPDATE billing_ledgerline SET amount_nano = amount_nano + 1",
    "UPDATE billing_ledgerline SET posting_id = gen_random_uuid()",
    "DELETE FROM billing_ledgerline WHERE id = (SELECT min(id) FROM billing_ledgerline)",
    "DELETE FROM billing_posting",
    "UPDATE billing_posting SET actor = 'x'",
    "UPDATE billing_posting SET attempt_id = gen_random_uuid()",
    "UPDATE billing_posting SET entry_id = 1",
    "UPDATE billing_posting SET account_ids = '{1,2}', amounts_nano = '{1,-1}'",
    "UPDATE billing_posting SET idempotency_id = NULL, attempt_id = gen_random_uuid()",
)


@pytest.mark.parametrize("edited", _EDITS_OF_BEFORE)
def test_a_seal_of_the_third_form_holds_and_finds_an_edit(edited: str) -> None:
    now = clock.now()
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 5_000)
    post_as_before()
    unguarded()
    run("UPDATE billing_posting SET created_at = %s", now - dt.timedelta(minutes=2))
    third_form(now - dt.timedelta(minutes=1))
    seal_all(KEY)
    assert broken() == []
    run(edited)
    assert {one.kind for one in broken()} == {"ledger"}


def test_an_older_process_seals_nothing_in_its_form() -> None:
    """It knows nothing of the lines that postings hold: its seals would not cover them."""
    with pytest.raises(IntegrityError, match="sealed_whole"), transaction.atomic():
        Seal.objects.create(
            kind="ledger", from_at=clock.now(), to_at=clock.now(), rows=0, digest=b"", code=b"",
            form=3,
        )  # fmt: skip


def first_form(until: dt.datetime) -> None:
    """A seal over the trail as it was made first: the text was cast to bytes, and the code began
    with the code before."""
    from_at = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*), sha256(coalesce(string_agg(jsonb_build_array(
                id, extract(epoch FROM at), actor_user_id, actor_key, organisation_id, action,
                object_type, object_id, detail)::text, E'\\n' ORDER BY at, id), '')::bytea)
            FROM accounts_auditevent WHERE at < %s""",
            [until],
        )
        rows, digest = cursor.fetchone()
    span = f"trail|{from_at.isoformat()}|{until.astimezone(dt.UTC).isoformat()}"
    code = hmac.new(KEY, span.encode() + b"|%d|" % rows + bytes(digest), hashlib.sha256).digest()
    sealed_by_older()
    Seal.objects.create(
        kind="trail", from_at=from_at, to_at=until, rows=rows, digest=digest, code=code, form=2
    )


@pytest.mark.parametrize("text", ["ci", "C:\\new\\table", "\\\\", "你好 🦊"], ids=ascii)
def test_a_seal_of_the_first_form_holds_and_finds_an_edit(text: str) -> None:
    now = clock.now()
    event = record_text(text)
    unguarded()
    backdate(event, now - dt.timedelta(minutes=2))
    first_form(now - dt.timedelta(minutes=1))
    assert broken() == []
    # What the chain goes on with is of the form of today.
    backdate(record_text('say "hi"'), now - dt.timedelta(seconds=30))
    assert seal_all(KEY) == 2
    assert broken() == []
    for edited in (text + "x", text + '"', text + "\n", text.replace("\\n", "\n")):
        detail = json.dumps({"name": edited})
        run("UPDATE accounts_auditevent SET detail = %s WHERE id = %s", detail, event.id)
        wanted = [] if edited == text else ["trail"]
        assert [one.kind for one in broken()] == wanted, edited


@pytest.mark.parametrize("kind", ["ledger", "trail"])
def test_first_instant_of_a_span_is_in_it_and_the_last_in_the_next(kind: str) -> None:
    """A row at the very end of one span is at the very beginning of the next one."""
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 5_000)
    record_text("ci")
    edge = clock.now() - dt.timedelta(minutes=5)
    unguarded()
    run("UPDATE billing_posting SET created_at = %s", edge)
    run("UPDATE accounts_auditevent SET at = %s", edge)
    seal_all(KEY, edge)
    seal_all(KEY, edge + dt.timedelta(minutes=1))
    before, behind = Seal.objects.filter(kind=kind).order_by("id")
    assert (before.to_at, before.rows) == (edge, 0)
    assert (behind.from_at, behind.rows > 0) == (edge, True)
    assert broken() == []
    run("UPDATE billing_posting SET cause = '{}', actor = 'x'")
    run("UPDATE accounts_auditevent SET action = 'x'")
    assert [one.seal_id for one in broken() if one.kind == kind] == [behind.id]


@pytest.mark.django_db(transaction=True)
def test_open_transactions_are_sealed_after_their_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    # Without the second that is left to transactions which are only about to begin.
    at_once = seals._HORIZON.replace("interval '1 second'", "interval '0 second'")
    assert at_once != seals._HORIZON
    monkeypatch.setattr(seals, "_HORIZON", at_once)
    with psycopg.connect(
        os.environ["DATABASE_URL"], dbname=connection.settings_dict["NAME"]
    ) as other:
        other.execute(
            "INSERT INTO accounts_auditevent (id, organisation_id, action, object_type, object_id,"
            " detail) VALUES (%s, %s, 'a', 'b', 'c', '{}')",
            [new_id(), organisation.id],
        )
        seal_all(KEY)
        assert broken() == []
    seal_all(KEY)
    assert broken() == []
    assert sum(seal.rows for seal in Seal.objects.filter(kind="trail")) == 1


def test_verify_reports_unsealed_rows_and_the_job_fails(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever holds the sealing up, a transaction that never ends or a defect."""
    settings.WEIR_KEK = "k"
    event = record_text("ci")
    unguarded()
    run("UPDATE accounts_auditevent SET at = now() - interval '9 min'")
    monkeypatch.setattr("billing.seals.seals._seal", lambda *_: 0)
    assert seal_all(KEY) == 0
    backdate(event, clock.now() - dt.timedelta(minutes=11))
    with pytest.raises(SealsBehind, match="trail"):
        seal_all(KEY)
    for tamper_check in (False, True):
        out = StringIO()
        with pytest.raises(SystemExit):
            call_command("verify", tamper_check=tamper_check, stdout=out)
        assert "P22: trail, seal 0: rows since" in out.getvalue()


def test_backlog_is_sealed_in_bounded_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is: what was written in one instant by several seals would not be."""
    monkeypatch.setattr(seals, "_SEALED_ROWS", 3)
    now = clock.now()
    events = [record_text(f"number {n}") for n in range(10)]
    unguarded()
    for n, event in enumerate(events):
        backdate(event, now - dt.timedelta(hours=20 - n))
    seal_all(KEY)
    seal_rows = Seal.objects.filter(kind="trail").order_by("id")
    assert sum(seal.rows for seal in seal_rows) == 10
    assert max(seal.rows for seal in seal_rows) <= 3
    assert broken() == []
    edited = events[4]
    run("UPDATE accounts_auditevent SET action = 'x' WHERE id = %s", edited.id)
    at = now - dt.timedelta(hours=16)
    wanted = [seal.id for seal in seal_rows if seal.from_at <= at < seal.to_at]
    assert [one.seal_id for one in broken()] == wanted


def test_reading_in_parts_equals_reading_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seals of before, whose rows were read at once, hold."""
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    unguarded()
    for n in range(7):
        record_text(f"a \\ and\nb {n}")
        items = (
            posting.Entry("equity:opening", organisation.id, -n - 1),
            posting.Entry("customer:available", organisation.id, n + 1),
        )
        post(posting.Posting(f"opening:{n}", "opening", items))
    run("UPDATE accounts_auditevent SET at = now() - (random() * 1000 + 2) * interval '1 s'")
    run("UPDATE billing_posting SET created_at = now() - (random() * 1000 + 2) * interval '1 s'")
    seal_all(KEY)
    assert Seal.objects.count() == 2
    for rows in (1, 3):
        monkeypatch.setattr(seals, "_READ_ROWS", rows)
        assert broken() == []


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("kind", ["ledger", "trail"])
def test_only_a_valid_seal_may_vouch_for_an_erasure(kind: str) -> None:
    """P36: otherwise an erasure would make what somebody edited look as if it had been so."""
    seal = Seal.objects.filter(kind=kind, rows__gt=0).earliest("id")
    table, at = {
        "ledger": ("billing_posting", "created_at"), "trail": ("accounts_auditevent", "at"),
    }[kind]  # fmt: skip
    with connection.cursor() as cursor:
        assert read_sealed(cursor, KEY, seal) is not None
        assert read_sealed(cursor, b"the key of somebody else", seal) is None
        within = (seal.from_at, seal.to_at)
        before = transaction.savepoint()
        run(f"DELETE FROM {table} WHERE {at} >= %s AND {at} < %s", *within)
        assert read_sealed(cursor, KEY, seal) is None
        transaction.savepoint_rollback(before)
        assert read_sealed(cursor, KEY, seal) is not None
        seal.digest = b"x" * 32
        assert read_sealed(cursor, KEY, seal) is None
