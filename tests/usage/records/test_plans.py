"""What grows with the books: no page or job opens a month that its time excludes, neither by a plan
for the values at hand nor by one for any."""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from psycopg import sql as composing

from accounts.models import Key, User
from lib import clock
from lib.id_types import AttemptId, OrganisationId
from lib.ids import ID_SLACK, id_text
from tests.support import cast
from tests.usage.rows import CHANNEL, credit, happen
from usage.late_usage.late_usage import take_unsure
from usage.records import partitions, sql
from usage.records.records import versions_of
from usage.rollups.rollups import roll_up

pytestmark = pytest.mark.django_db(transaction=True)

MONTHS = 9
PER_REQUEST = re.compile(r"usage_(attempt|usagerecord)\b")
OF_A_MONTH = re.compile(r" on usage_(?:attempt|usagerecord)_(\d{4}_\d\d|other)")
OF_USAGE = re.compile(r"\busage_\w*(attempt|record|rollup)\b")
ON_DISK = re.compile(r"Disk|Batches: ([2-9]|\d\d)")
PARAMETER = re.compile(r"%\((\w+)\)s")
Asked = tuple[str, dict[str, Any]]


@pytest.fixture
def people(transactional_db: None) -> cast.Cast:
    """With months that each have a table."""
    partitions.ensure_partitions(since=clock.now().date() - dt.timedelta(days=31 * MONTHS))
    return cast.assemble()


@pytest.fixture
def key(people: cast.Cast) -> Key:
    """A key that was used just now."""
    created, _ = cast.make_key(people.core, user=people.bob)
    credit(created)
    happen(created, clock.now())
    roll_up()
    return created


@contextmanager
def noted() -> Iterator[list[Asked]]:
    """The statements of the block on attempts and records, with their parameters."""
    asked: list[Asked] = []

    def note(execute: Any, text: str, parameters: Any, many: bool, context: Any) -> Any:
        if PER_REQUEST.search(text) and isinstance(parameters, dict):
            asked.append((text, parameters))
        return execute(text, parameters, many, context)

    with connection.execute_wrapper(note):
        yield asked


def opened(asked: Asked) -> set[str]:
    """The months whose tables a statement would open, by either plan."""
    text, parameters = asked
    return _months_of(f"EXPLAIN {text}", parameters) | _opened_by_generic_plan(text, parameters)


def _opened_by_generic_plan(text: str, parameters: dict[str, Any]) -> set[str]:
    names = list(dict.fromkeys(PARAMETER.findall(text)))
    numbered = PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text).replace("%%", "%")
    values = composing.SQL(", ").join(composing.Literal(parameters[name]) for name in names)
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE planned AS {numbered}")
        try:
            run = composing.SQL(
                "EXPLAIN EXECUTE planned ({})" if names else "EXPLAIN EXECUTE planned"
            )
            return _months_of(run.format(values).as_string(cursor.connection))
        finally:
            cursor.execute("DEALLOCATE planned")
            cursor.execute("RESET plan_cache_mode")


def _months_of(text: str, parameters: Any = None) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        return set(OF_A_MONTH.findall("\n".join(line for (line,) in cursor.fetchall())))


def months(days: int) -> set[str]:
    """Those that the last days may lie in, with the slack between ids and times."""
    last = clock.now().date() + 2 * ID_SLACK
    first = last - dt.timedelta(days=days) - 5 * ID_SLACK
    return {f"{first + dt.timedelta(days=n):%Y_%m}" for n in range((last - first).days + 1)}


def test_pages_open_the_months_of_their_range(people: cast.Cast, key: Key) -> None:
    request_id = id_text(key.organisation_id)
    for user in (people.alice, people.bob):
        client = cast.signed_in(user)
        for path in (
            "usage?range=7d",
            "usage?range=7d&metric=tokens&group_by=key&tz=Asia/Kolkata",
            "requests?range=7d",
            "requests?range=7d&status=error&sort=-cost",
            "requests?range=7d&status=stopped",
            f"requests?range=7d&model=nothing&q={request_id}",
            "requests?range=7d&min_cost=5&user=bob@example.org",
        ):
            with noted() as asked:
                assert client.get(f"/o/acme/{path}").status_code == 200
            for statement in asked:
                # The oldest request of all is looked for in every month.
                if "ORDER BY r.id ASC LIMIT 1" not in statement[0]:
                    assert opened(statement) <= months(7), (path, statement)
            assert asked or path.startswith("usage")


def test_one_request_opens_its_month(people: cast.Cast, key: Key) -> None:
    record = happen(key, clock.now() - dt.timedelta(days=3))
    client = cast.signed_in(people.alice)
    with noted() as asked:
        answer = client.get(f"/o/acme/requests/{id_text(record.request_id)}")
    assert answer.status_code == 200
    assert asked
    for statement in asked:
        assert opened(statement) <= months(4), statement


def test_rollup_opens_the_months_of_new_records(key: Key) -> None:
    happen(key, clock.now())
    with noted() as asked:
        rolled = roll_up()
    assert rolled is not None
    assert rolled.buckets
    # What is new is told by its transaction: an index says so in each month.
    result, *others = asked
    assert "xid >=" in result[0]
    assert others
    for statement in others:
        assert opened(statement) <= months(1), statement


def test_jobs_and_the_relay_open_the_months_of_their_attempts(key: Key) -> None:
    record = happen(key, clock.now())
    with noted() as asked:
        versions_of([(record.organisation_id, record.id)])
        take_unsure([CHANNEL], 5)
    ending = sql.Ending(final=True, status=200)
    written = sql.RecordWritten(
        organisation_id=OrganisationId(record.organisation_id),
        attempt_id=AttemptId(record.id),
        ending=ending,
    )
    asked.append(sql.write_records([written]))
    assert len(asked) == 3
    for statement in asked:
        # Where a new record belongs, no plan tells.
        assert opened(statement) <= months(1), statement


@pytest.mark.slow
def test_nothing_is_sorted_on_disk(transactional_db: None) -> None:
    """Nor hashed there, whatever the zone and the grouping; hours are read by their key."""
    call_command("demo_data", rows=100_000)
    client = cast.signed_in(User.objects.get(email="owner-1@demo.example"))
    plans: list[str] = []

    def explain(execute: Any, text: str, parameters: Any, many: bool, context: Any) -> Any:
        if OF_USAGE.search(text) and text.lstrip().startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {text}", parameters)
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return execute(text, parameters, many, context)

    today = clock.now().date()
    days = f"range=custom&from={today - dt.timedelta(days=89)}&to={today}"
    for path in (
        "usage",
        f"usage?{days}",
        f"usage?{days}&tz=Asia/Kolkata&metric=tokens&group_by=key",
        f"usage?{days}&tz=Europe/Berlin&group_by=user&metric=errors",
        f"requests?{days}",
        f"requests?{days}&status=error&sort=-cost",
        "keys",
        "team",
    ):
        plans.clear()
        with connection.execute_wrapper(explain):
            assert client.get(f"/o/demo-1/{path}").status_code == 200
        assert plans, path
        for plan in plans:
            assert not ON_DISK.search(plan), (path, plan)
            assert "Seq Scan on usage_hourrollup" not in plan, (path, plan)
    # What only records know, and none of these has.
    for label in ("project", "customer", "end_user", "app"):
        plans.clear()
        with connection.execute_wrapper(explain):
            assert client.get(f"/o/demo-1/requests?{days}&{label}=nothing").status_code == 200
        listed = [plan for plan in plans if "usage_usagerecord" in plan]
        assert any(f"record_by_{label}" in plan for plan in listed), (label, listed)
