"""P22: the oldest part of the trail is cut off, and the rest still proves itself."""

import datetime as dt
from io import StringIO
from typing import Any, Final

import psycopg.errors
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.models import AuditCheck, AuditEvent, Organisation
from accounts.secrets.key_ring import seal_key
from billing.models import Seal, SealCut
from billing.seals.audit_retention import TrailBroken, check_trail, cut_trail, cut_trail_before
from billing.seals.seals import Broken, broken_part, broken_seals, seal_all
from lib import clock
from tests.support.stage import scene

pytestmark = pytest.mark.django_db
KEY: Final = b"key of the tests"
MINUTES: Final = 6
# What somebody may do who has the database alone, after a cut.
_TAMPERINGS: Final = (
    "UPDATE billing_sealcut SET until = until + interval '61 s'",
    "UPDATE billing_sealcut SET until = until - interval '61 s'",
    "UPDATE billing_sealcut SET code = sha256('x')",
    "UPDATE billing_sealcut SET signature = sha256('x')",
    "UPDATE billing_sealcut SET kind = 'ledger'",
    "DELETE FROM billing_sealcut",
    "UPDATE accounts_auditevent SET at = now() - interval '1 day' WHERE id = '{event}'",
    "UPDATE accounts_auditevent SET address = '10.0.0.1' WHERE id = '{event}'",
    "DELETE FROM accounts_auditevent WHERE id = '{event}'",
    "DELETE FROM billing_seal WHERE id = {seal}",
)


def run(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def broken(key: bytes = KEY) -> list[Broken]:
    with connection.cursor() as cursor:
        return broken_seals(cursor, key)


@scene
def began() -> dt.datetime:
    """An event in each of the last minutes, sealed minute by minute, the last one not yet."""
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    began = clock.now() - dt.timedelta(minutes=MINUTES)
    for minute in range(MINUTES):
        audit.record(SYSTEM, organisation, "team.changed", organisation, n=minute)
        with guards_off():
            at = began + dt.timedelta(minutes=minute, seconds=30)
            AuditEvent.objects.filter(detail={"n": minute}).update(at=at)
        if minute < MINUTES - 1:
            seal_all(KEY, began + dt.timedelta(minutes=minute + 1))
    assert broken() == []
    return began


class guards_off:
    """As somebody who may do everything: no trigger runs."""

    def __enter__(self) -> None:
        run("SET LOCAL session_replication_role = replica")

    def __exit__(self, *_: object) -> None:
        run("SET LOCAL session_replication_role = origin")


def test_a_cut_takes_whole_seals_and_the_rest_holds(began: dt.datetime) -> None:
    assert cut_trail_before(KEY, began + dt.timedelta(minutes=3, seconds=20)) == 3
    left = AuditEvent.objects.order_by("at").values_list("detail__n", flat=True)
    assert list(left)[:3] == [3, 4, 5]
    assert Seal.objects.filter(kind="trail").count() == MINUTES - 1 - 3
    assert SealCut.objects.get().until == began + dt.timedelta(minutes=3)
    assert broken() == []
    event = AuditEvent.objects.get(action="audit.cut")
    assert event.detail["events"] == 3
    # It goes on: sealed again, cut again, to the last seal.
    assert cut_trail_before(KEY, clock.now() + dt.timedelta(hours=1)) == 2
    assert not Seal.objects.filter(kind="trail").exists()
    assert broken() == []
    assert seal_all(KEY)
    assert broken() == []
    assert Seal.objects.filter(kind="trail").get().from_at == SealCut.objects.get().until


def test_an_event_that_is_older_than_the_cut_is_named(began: dt.datetime) -> None:
    """Somebody writes an event into the time that was cut off, which no seal covers."""
    edge = began + dt.timedelta(minutes=3)
    cut_trail_before(KEY, edge)
    audit.record(
        SYSTEM, Organisation.objects.get(), "team.changed", Organisation.objects.get(), n=9
    )
    at = edge - dt.timedelta(seconds=1)
    with guards_off():
        AuditEvent.objects.filter(detail={"n": 9}).update(at=at)
    problem = f"a row of {at.isoformat()} stands before the cut at {edge.isoformat()}"
    assert broken() == [Broken("trail", 0, problem)]


def test_an_edit_in_the_last_seal_before_the_edge_is_kept(began: dt.datetime) -> None:
    edge, events = began + dt.timedelta(minutes=3), AuditEvent.objects.count()
    with guards_off():
        AuditEvent.objects.filter(detail={"n": 2}).update(address="10.0.0.1")
    with pytest.raises(TrailBroken):
        cut_trail_before(KEY, edge)
    assert AuditEvent.objects.count() == events


def broken_by_parts() -> list[Broken]:
    """What is broken in the trail, looked through seal by seal."""
    results, after_id = list[Broken](), 0
    with connection.cursor() as cursor:
        for _ in range(2 * MINUTES):
            found, next_id = broken_part(cursor, KEY, "trail", after_id, 1)
            results += found
            if next_id is None:
                return results
            after_id = next_id
    raise AssertionError("the walk does not end")


def test_a_walk_in_parts_looks_at_each_seal_once(began: dt.datetime) -> None:
    assert broken_by_parts() == []
    with guards_off():
        AuditEvent.objects.filter(detail={"n": 2}).update(address="10.0.0.1")
    assert broken_by_parts() == [one for one in broken() if one.kind == "trail"]


def test_walk_from_a_missing_seal_starts_with_the_first(began: dt.datetime) -> None:
    with guards_off():
        run("DELETE FROM billing_seal WHERE kind <> 'trail'")
        run("UPDATE billing_seal SET id = 1 WHERE id = (SELECT min(id) FROM billing_seal)")
        AuditEvent.objects.filter(detail={"n": 0}).update(address="10.0.0.1")
    with connection.cursor() as cursor:
        found, next_id = broken_part(cursor, KEY, "trail", 10**9, 1)
    assert ([one.seal_id for one in found], next_id) == ([1], 1)


@pytest.mark.parametrize("text", _TAMPERINGS)
def test_every_tampering_with_the_rest_is_found(began: dt.datetime, text: str) -> None:
    cut_trail_before(KEY, began + dt.timedelta(minutes=3))
    event = AuditEvent.objects.order_by("at").first()
    seal = Seal.objects.filter(kind="trail").earliest("id")
    assert event is not None
    with guards_off():
        run(text.format(event=event.id, seal=seal.id).replace("%", "%%"))
    assert {one.kind for one in broken()} & {"trail", "ledger"}


def test_foreign_cut_is_found(began: dt.datetime) -> None:
    """Who has the database alone can cut, as its triggers let them, but cannot sign it."""
    until = began + dt.timedelta(minutes=3)
    last = Seal.objects.get(kind="trail", to_at=until)
    SealCut.objects.create(kind="trail", until=until, code=last.code, signature=b"x")
    run("SELECT weir_drop_cut_trail()")
    assert [one.problem for one in broken()] == [f"the cut at {until.isoformat()} is not ours"]


def test_edited_data_is_not_cut(began: dt.datetime) -> None:
    with guards_off():
        run("UPDATE accounts_auditevent SET action = 'x' WHERE detail = '{\"n\": 1}'")
    with pytest.raises(TrailBroken, match="1 rows of"):
        cut_trail_before(KEY, began + dt.timedelta(minutes=3))
    assert AuditEvent.objects.filter(detail__n__lt=3).count() == 3
    assert not SealCut.objects.exists()


def test_deletion_needs_a_cut_and_ends_at_it(began: dt.datetime) -> None:
    cut_trail_before(KEY, began + dt.timedelta(minutes=3))
    for text in (
        "DELETE FROM accounts_auditevent",
        "DELETE FROM billing_seal",
        "UPDATE accounts_auditevent SET action = 'x'",
    ):
        with pytest.raises(DatabaseError) as refused, transaction.atomic():
            run(text)
        assert isinstance(
            refused.value.__cause__,
            psycopg.errors.RestrictViolation | psycopg.errors.InsufficientPrivilege,
        )


def test_job_cuts_after_the_configured_days(began: dt.datetime, settings: LazySettings) -> None:
    assert cut_trail(KEY) == 0
    settings.AUDIT_RETENTION_DAYS = 1
    assert cut_trail(KEY) == 0
    monthly = clock.now() - dt.timedelta(days=30)
    with guards_off():
        run("DELETE FROM billing_seal WHERE kind = 'trail'")
        AuditEvent.objects.filter(detail__n__lt=2).update(at=monthly)
    seal_all(KEY, monthly + dt.timedelta(hours=1))
    seal_all(KEY, clock.now() - dt.timedelta(seconds=2))
    assert cut_trail(KEY) == 2
    assert broken() == []


@pytest.mark.usefixtures("began")
def test_chain_state_on_the_page_survives_the_cut() -> None:
    check_trail(KEY)
    check = AuditCheck.objects.get()
    assert (check.until, check.problem) == (
        Seal.objects.filter(kind="trail").latest("id").to_at,
        "",
    )
    with guards_off():
        run("UPDATE accounts_auditevent SET action = 'x' WHERE detail = '{\"n\": 1}'")
    with pytest.raises(TrailBroken):
        check_trail(KEY)
    assert "1 rows of" in AuditCheck.objects.get().problem


def test_verify_proves_the_rest() -> None:
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    audit.record(SYSTEM, organisation, "team.changed", organisation)
    with guards_off():
        AuditEvent.objects.update(at=clock.now() - dt.timedelta(minutes=1))
    seal_all(seal_key())
    assert cut_trail_before(seal_key(), clock.now()) == 1
    out = StringIO()
    call_command("verify", tamper_check=True, stdout=out)
    assert "nothing was tampered with" in out.getvalue()
