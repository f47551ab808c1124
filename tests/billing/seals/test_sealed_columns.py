"""P22 column by column: whatever of a row is edited is found, and each seal stands on the last."""

import datetime as dt
import threading
from typing import Any, Final

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.models import AuditEvent, Organisation
from billing.balances.balances import add_opening_credit
from billing.models import LedgerLine, Posting, Seal
from billing.seals import seals
from billing.seals.seals import Broken, broken_seals, seal_all
from lib import clock
from lib.ids import new_id
from tests.support.books import post_as_before
from tests.support.stage import scene
from tests.support.waiting_locks import await_waiting

pytestmark = pytest.mark.django_db

KEY: Final = b"key of the tests"
# What another value of a column is, by the kind of its field.
_ANOTHER: Final[dict[type[Any], str]] = {
    models.UUIDField: f"'{new_id()}'",
    # Of a posting: other accounts, and other amounts that sum to 0.
    ArrayField: "ARRAY(SELECT -3 * each FROM unnest({column}) each)",
    models.CharField: "'x'",
    models.JSONField: "'[1]'",
    models.BinaryField: "sha256('x')",
    models.SmallIntegerField: "9 - {column}",
    models.BigIntegerField: "coalesce({column}, 0) + 1000000",
    models.DateTimeField: "{column} + interval '1 us'",
}
# When a seal was made is said for people; it proves nothing.
_UNSEALED: Final = {(Seal, "made_at")}
COLUMNS: Final = [
    pytest.param(model, field, id=f"{model.__name__}.{field.column}")
    for model in (Posting, LedgerLine, AuditEvent, Seal)
    for field in model._meta.concrete_fields
    if (model, field.name) not in _UNSEALED
]


def run(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def broken() -> list[Broken]:
    with connection.cursor() as cursor:
        return broken_seals(cursor, KEY)


def happen(at: dt.datetime) -> None:
    """A posting and an event, at that time, and sealed."""
    organisation, _ = Organisation.objects.get_or_create(name="Acme", slug="acme")
    postings, events = (set(model.objects.values_list("id", flat=True)) for model in _KEPT)
    add_opening_credit(organisation, 5_000)
    # Another one with its lines in their own table.
    before = Organisation.objects.create(name="Before", slug=f"before-{len(postings)}")
    add_opening_credit(before, 5_000)
    post_as_before(before.id)
    audit.record(SYSTEM, organisation, "team.changed", organisation)
    # As somebody who may do everything: no trigger runs.
    run("SET LOCAL session_replication_role = replica")
    Posting.objects.exclude(id__in=postings).update(created_at=at)
    AuditEvent.objects.exclude(id__in=events).update(at=at)
    seal_all(KEY, at + dt.timedelta(seconds=30))


_KEPT: Final = (Posting, AuditEvent)


@scene
def history() -> None:
    now = clock.now()
    happen(now - dt.timedelta(minutes=5))
    Organisation.objects.filter(slug="acme").update(slug="former")
    happen(now - dt.timedelta(minutes=3))
    assert Seal.objects.filter(kind="trail").count() == 2
    assert broken() == []


def another(field: Any) -> str:
    kind: Any = field
    while isinstance(kind, models.ForeignKey):
        kind = kind.target_field
    for known, text in _ANOTHER.items():
        if isinstance(kind, known):
            return text.format(column=f'"{field.column}"')
    raise AssertionError(f"what another {field} is, is not known")


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("model", "field"), COLUMNS)
def test_an_edit_of_any_column_is_found(model: type[models.Model], field: Any) -> None:
    table, value = model._meta.db_table, another(field)
    # The oldest: nothing is known of it but what its seal, or the seal behind it, holds.
    oldest = model._default_manager.order_by("pk").values_list("pk", flat=True)[0]
    run("SET LOCAL session_replication_role = replica")
    run(f'UPDATE {table} SET "{field.column}" = {value} WHERE id = %s', oldest)
    assert broken() != []


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("kind", ["ledger", "trail"])
def test_a_seal_that_is_missing_leaves_a_gap_and_breaks_the_next(kind: str) -> None:
    first, second = Seal.objects.filter(kind=kind).order_by("id")
    first.delete()
    assert [(one.kind, one.seal_id) for one in broken()] == [(kind, second.id)] * 2
    assert {one.problem.split(" at ")[0] for one in broken()} == {"begins", "its code is not ours"}


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("kind", ["ledger", "trail"])
def test_recreated_seal_breaks_the_next(kind: str) -> None:
    """Who has the key for a moment must make every seal behind it again, too."""
    first, second = Seal.objects.filter(kind=kind).order_by("id")
    run("SET LOCAL session_replication_role = replica")
    run("UPDATE billing_posting SET actor = 'x' WHERE created_at < %s", first.to_at)
    run("UPDATE accounts_auditevent SET action = 'x' WHERE at < %s", first.to_at)
    with connection.cursor() as cursor:
        span = (kind, first.from_at, first.to_at)
        rows, digest = seals._digest(cursor, *span, seals._FORM)
    first.digest = digest
    first.code = seals._code(KEY, seals._FORM, b"", *span, rows, digest)
    first.save()
    assert [one for one in broken() if one.kind == kind] == [
        Broken(kind, second.id, "its code is not ours")
    ]


@pytest.mark.django_db(transaction=True)
def test_one_process_seals_and_another_finds_it_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would begin where the last seal ended."""
    organisation = Organisation.objects.create(name="Acme", slug="acme")
    add_opening_credit(organisation, 5_000)
    until = clock.now() + dt.timedelta(seconds=5)
    # Without the second that is left to transactions which are only about to begin, and without a
    # look at those that run: the other one does.
    monkeypatch.setattr(seals, "_HORIZON", "SELECT now(), now()")
    ended: list[object] = []

    def seal_too() -> None:
        try:
            ended.append(seal_all(KEY, until))
        except BaseException as error:
            ended.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=seal_too)
    with transaction.atomic():
        assert seal_all(KEY, until) == 2
        thread.start()
        await_waiting()
    thread.join()
    assert len(ended) == 1
    assert not isinstance(ended[0], BaseException), ended[0]
    assert broken() == []
