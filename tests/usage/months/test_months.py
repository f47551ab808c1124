"""A month leaves the database for a file and comes back, while a hub serves (I3, I10, I16, I23,
P22): in a database of its own, for months of the shared one are other tests'."""

import datetime as dt
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from lib.id_types import AttemptId, KeyId, ModelName, OrganisationId, RequestId, TeamId
from lib.ids import new_id
from tests.fakes.upstream import FakeUpstream
from tests.support.beside import Beside, manage
from tests.support.hostile import EVERYTHING
from tests.support.hub import Hub

Site = tuple[Hub, Beside]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A hub, and a process in its database where a month of three months ago is closed."""
    from tests.runner.databases import own_database

    with own_database("months") as dsn:
        hub = Hub(dsn)
        beside = Beside({**os.environ, "DATABASE_URL": dsn})
        try:
            hub.settings()
            hub.start()
            with closing(beside):
                beside.call(make_month)
                yield hub, beside
        finally:
            hub.kill()
            hub.close()


@pytest.fixture
def beside(site: Site) -> Beside:
    return site[1]


# ---- in the process beside the hub


def month() -> dt.date:
    from tests.support.invoicing import mid_month

    return mid_month(3).date().replace(day=1)


def make_month() -> None:
    """Requests of a month that is over and closed, of two organisations, one with a budget; all
    summed, checked and sealed. Just behind it is a request of the next month."""
    from accounts.secrets.key_ring import seal_key
    from billing.models import Budget, BudgetWindow, Hold
    from billing.seals import seals
    from config.system.secret_check import check_secrets
    from lib import clock
    from tests.support import cast
    from tests.support.invoicing import mid_month, post_at
    from tests.usage.rows import admit, credit, end, happen, price_version, refuse
    from usage.books import check as books_check
    from usage.books import walk as books_walk
    from usage.models import BooksCheck, LateTruth
    from usage.records.partitions import ensure_partitions

    check_secrets()
    at = mid_month(3)
    ensure_partitions(at.date())
    people = cast.assemble()
    key, _ = cast.make_key(people.core, user=people.bob)
    credit(key)
    version = price_version()
    ids = []
    for n in range(20):
        record = happen(
            key, at + n * dt.timedelta(hours=5), price_version_id=version.id, model=f"gpt-{n % 3}",
        )  # fmt: skip
        ids.append(record.id)
    happen(
        key,
        at,
        price_version_id=version.id,
        message=EVERYTHING,
        end_user=EVERYTHING[:200],
        tags=[EVERYTHING],
        session_id=new_id(),
        session={"name": EVERYTHING, "source": "x-weir-session", "agent": EVERYTHING},
    )
    happen(key, at, 0, basis="free", status=502, meters={})
    refuse(key, at, message="\\N\t\\.")
    # Its process was taken for dead.
    cut = admit(key, at, price_version_id=version.id)
    read = {"in_text": 200, "out_text": 100}
    end(cut, 90_000, state="expired", basis="estimated", flags=["crash_cut"], meters=read)
    ids.append(cut.id)
    budget = Budget.objects.create(
        organisation=people.acme, scope="organisation", subject="", amount_nano=10**12,
        period="total", anchor=0, timezone="UTC", action="block", enabled=True,
    )  # fmt: skip
    window = BudgetWindow.objects.create(
        budget=budget, starts_at=at, ends_at=at + dt.timedelta(days=9), cap_nano=10**12,
        spent_nano=20 * 210_000 + 90_000 - 7,
    )  # fmt: skip
    Hold.objects.filter(id__in=ids).update(window_ids=[window.id])
    # What its organisation pays its provider itself was less than at first; no posting says so.
    LateTruth.objects.create(
        organisation_id=people.acme.id, attempt_id=ids[0], source="late", meters=read,
        own_nano=0, own_change_nano=-7, posted_at=at + dt.timedelta(days=1),
    )  # fmt: skip
    post_at(at)
    happen(key, month_after_at(), price_version_id=version.id)
    close_invoices(people.acme, people)
    seals.seal_all(seal_key())
    rebuild_all()
    books_walk.begin(books_walk.NEW, clock.now())
    BooksCheck.objects.update_or_create(id=1, defaults={"rest_until": clock.now()})
    assert books_check.check_books() == {}


def month_after_at() -> dt.datetime:
    from usage.records.partitions import next_month

    day = next_month(month())
    return dt.datetime(day.year, day.month, 1, 0, 5, tzinfo=dt.UTC)


def close_invoices(organisation: Any, people: Any) -> None:
    from lib import clock
    from tests.support import cast
    from tests.support.invoicing import empty_invoice

    erik = cast.person("erik", operator=True)
    invoice = empty_invoice(organisation)
    first = dt.datetime.combine(month(), dt.time(), dt.UTC)
    type(invoice).objects.filter(id=invoice.id).update(
        month=month(), from_at=first, until_at=month_after_at(), state="closed",
        number="INV-2000-0001", proposed_by=people.dora, closed_by=erik, closed_at=clock.now(),
    )  # fmt: skip


def problems() -> list[str]:
    """Everything that `verify --tamper-check` finds in the books."""
    from django.db import connection

    from accounts.secrets.key_ring import seal_key
    from billing.models import SealKind
    from billing.seals.seals import broken_chain
    from usage.books.charge_check import wrong_charges
    from usage.books.invariants import broken_invariants
    from usage.books.walk import broken_in_all
    from usage.month_files.signatures import find_altered

    findings = broken_in_all()
    results = [f"{name}: {rows}" for name, rows in findings.broken.items()]
    results += [*findings.unfinished, *map(str, wrong_charges()), *find_altered(seal_key())]
    with connection.cursor() as cursor:
        results += [f"{name}: {rows}" for name, rows in broken_invariants(cursor).items()]
        for kind in SealKind.values:
            results += map(str, broken_chain(cursor, seal_key(), kind))
    return results


def read_sums() -> dict[str, Any]:
    """What must stay as it is without the rows: postings, sums of the month, budgets."""
    from django.db import connection

    first, end = month(), month_after_at()
    queries = {
        "postings": "SELECT md5(string_agg(p::text, '|' ORDER BY id)) FROM billing_posting p "
        "WHERE created_at >= %s AND created_at < %s",
        **{
            table: f"SELECT md5(string_agg(r::text, '|' ORDER BY r::text)) FROM {table} r "
            "WHERE bucket_at >= %s AND bucket_at < %s"
            for table in ("usage_rollup", "usage_hourrollup", "usage_dayrollup")
        },
    }
    results = {}
    with connection.cursor() as cursor:
        for name, query in queries.items():
            cursor.execute(query, [first, end])
            results[name] = cursor.fetchall()
            assert results[name] != [(None,)]
    return results


def rows_of_month() -> dict[str, Any]:
    """The month's rows, each by what is in it."""
    from django.db import connection

    from usage.records.partitions import PARTITIONED, ids_of

    results = {}
    with connection.cursor() as cursor:
        for table in PARTITIONED:
            cursor.execute(
                f"SELECT count(*), md5(string_agg(r::text, '|' ORDER BY r.id)) FROM {table} r "
                "WHERE id >= %s AND id < %s", ids_of(month()),
            )  # fmt: skip
            (results[table],) = cursor.fetchall()
    return results


def detach(file: Path) -> list[str]:
    """The reasons why it was refused."""
    from accounts.access.actors import SYSTEM
    from accounts.secrets.key_ring import seal_key
    from usage.months import detaching

    try:
        detaching.detach(SYSTEM, month(), file, seal_key())
    except detaching.MonthRefused as refused:
        return list(refused.reasons)
    return []


def attach(file: Path) -> None:
    from accounts.access.actors import SYSTEM
    from accounts.secrets.key_ring import seal_key
    from usage.months import detaching

    detaching.attach(SYSTEM, file, seal_key())


def events() -> list[str]:
    from accounts.models import AuditEvent

    audit_events = AuditEvent.objects.filter(action__startswith="month.").order_by("id")
    return list(audit_events.values_list("action", flat=True))


def die_at(step: str, act: Any, file: Path) -> None:
    """Die where that step begins, as by `kill -9`."""
    from usage.months import detaching

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(detaching, step, die)
    act(file)


def rebuild_all() -> None:
    """Until the month is summed to its end, see run_until."""
    from tests.runner import databases
    from usage.months.detaching import obstacles
    from usage.rollups.rollups import rebuild

    databases.run_until(rebuild, lambda: not any("rollups" in why for why in obstacles(month())))


def run(text: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(text)


# ---- the tests


@contextmanager
def traffic(hub: Hub, fake: FakeUpstream) -> Iterator[list[int]]:
    """Requests one after the other, two at a time, for as long as the block lasts, which begins
    when one has ended; the statuses of those that have ended."""
    tenant, model, served, over = hub.tenant(), hub.model(fake), Event(), Event()
    statuses: list[int] = []

    def go_on() -> None:
        while not over.is_set():
            body = {"model": model, "messages": [{"role": "user", "content": "#tokens=3"}]}
            statuses.append(hub.post(tenant, body).status)
            served.set()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(go_on) for _ in range(2)]
        try:
            assert served.wait(20)
            yield statuses
        finally:
            over.set()
    for one in both:
        one.result()
    hub.settled(tenant)


def test_month_is_detached_and_attached_under_traffic(site: Site, tmp_path: Path) -> None:
    """I3, I10, I16, I23, P22: nothing is refused or lost meanwhile; balances, seals and sums hold
    with the month and without it."""
    hub, beside = site
    file = tmp_path / "month.zip"
    before, rows = beside.call(read_sums), beside.call(rows_of_month)
    assert rows["usage_usagerecord"][0] == 24
    with FakeUpstream(name="a", fsync=False) as fake, traffic(hub, fake) as statuses:
        assert beside.call(detach, file) == []
        served = len(statuses)
        assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
        assert beside.call(problems) == []
        # Also where all sums are made anew, as after a restore (P16).
        beside.call(rebuild_all)
        assert beside.call(read_sums) == before
        assert f"{month():%Y-%m}: in month.zip: 70 rows" in beside.call(manage, "month", "list")
        beside.call(attach, file)
        assert beside.call(problems) == []
    assert set(statuses) == {200}
    assert len(statuses) > served
    assert beside.call(rows_of_month) == rows
    beside.call(rebuild_all)
    assert beside.call(read_sums) == before
    hub.assert_books_balance()
    assert beside.call(events) == ["month.detached", "month.attached"]


def test_pages_state_missing_months(beside: Beside, tmp_path: Path) -> None:
    """I16, W32, W33: figures stay as they were; wherever a request of the month would be, a page,
    the API and a file say that it is in a file."""
    figures, ids = beside.call(figures_of_month), beside.call(requests_of_month)
    assert beside.call(detach, tmp_path / "month.zip") == []
    try:
        assert beside.call(figures_of_month) == figures
        beside.call(assert_told, ids)
    finally:
        beside.call(attach, tmp_path / "month.zip")
    assert beside.call(missing_months) == []


def figures_of_month() -> Any:
    from zoneinfo import ZoneInfo

    from accounts.models import Organisation, User
    from billing.limits.budget_rules import FOREVER
    from billing.models import Budget
    from tests.support import cast
    from usage.filters.filters import between
    from usage.limits.budget_simulation import look_back
    from usage.overview.overview import overview
    from usage.rollups.levels import read_freshness

    acme = Organisation.objects.get(slug="acme")
    actor = cast.actor(User.objects.get(email="alice@example.org"), acme)
    first, end = dt.datetime.combine(month(), dt.time(), dt.UTC), month_after_at()
    end = end.replace(minute=0)
    seen = [
        overview(
            actor, between(first, end, ZoneInfo(zone), end, grain="day"), read_freshness(), keys=9
        )
        for zone in ("UTC", "Europe/Berlin")
    ]
    assert sum(bucket.requests for bucket in seen[0].buckets) > 20
    budget = Budget.objects.get(organisation=acme, period="total")
    spent_nano = look_back(budget, FOREVER.start_at).spent_nano
    assert spent_nano > 20 * 210_000
    return seen, spent_nano


def requests_of_month() -> list[str]:
    from lib.ids import id_text
    from usage.models import UsageRecord
    from usage.records.partitions import ids_of

    first, end = ids_of(month())
    acme = UsageRecord.objects.filter(id__gte=first, id__lt=end, final=True)
    return [id_text(id) for id in acme.values_list("request_id", flat=True)[:2]]


def missing_months() -> list[str]:
    from usage.filters.visibility import Period
    from usage.months.detached import detached_within, names_of

    return names_of(detached_within(Period()))


def assert_told(ids: list[str]) -> None:
    from urllib.parse import urlencode

    from django.conf import settings

    from accounts.models import User
    from billing.invoices.document import month_word
    from tests.support import cast
    from usage.exports import exports
    from usage.models import Export
    from usage.months.detaching import month_states

    settings.ALLOWED_HOSTS = ["*"]
    # Pages are tested without collecting static files, as in this process.
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if not one.startswith("servestatic")]
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": plain}}
    client = cast.signed_in(User.objects.get(email="alice@example.org"))
    word, name = month_word(month()), f"{month():%Y-%m}"
    days = {"range": "custom", "from": f"{month()}", "to": f"{month() + dt.timedelta(days=27)}"}
    query, away = urlencode(days), f"The requests of {word} have been in a file since"
    for path, status in (
        (f"requests?{query}", 200),
        (f"requests?{query}&status=error", 200),
        (f"usage/explore?{query}&group_by=project", 200),
        (f"usage?{query}&tab=errors", 200),
        (f"requests/{ids[0]}", 404),
        (f"requests/{ids[0]}/receipt.json", 404),
    ):
        page = client.get(f"/o/acme/{path}")
        assert page.status_code == status, path
        message = away in page.content.decode()
        assert message, path
        assert "manage.py month attach" in page.content.decode()
    # Sums have it all; a time beside it too.
    assert away not in client.get(f"/o/acme/usage/explore?{query}").content.decode()
    assert away not in client.get("/o/acme/requests?range=7d").content.decode()
    assert client.get(f"/o/acme/requests/{ids[0][::-1]}").status_code == 404
    start = client.get(f"/o/acme/requests?{query}&export=csv", follow=True)
    assert away in start.content.decode()
    assert client.post(start.request["PATH_INFO"] + f"?{query}&export=csv").status_code == 303
    while exports.make_next():
        pass
    export = Export.objects.get()
    assert export.state == "done"
    assert exports.file_name(export).endswith(f"-without-{name}.csv")
    # A file made at once says it too; one that reads sums lacks nothing.
    dora = cast.signed_in(User.objects.get(email="dora@example.org"))
    api_days = f"from={days['from']}&to={days['to']}"
    for who, path, lacking in (
        (client, f"/o/acme/usage/explore?{query}&group_by=project&export=csv", True),
        (client, f"/o/acme/usage/explore?{query}&export=csv", False),
        (client, f"/o/acme/usage/focus.csv?{query}&project=search", True),
        (client, f"/o/acme/usage/focus.csv?{query}", False),
        (client, f"/api/v1/usage/focus?{api_days}&project=search", True),
        (client, f"/api/v1/usage/focus?{api_days}", False),
        (client, f"/o/acme/sessions?{query}&export=csv", True),
        (dora, f"/admin/margin?since={days['from']}&until={days['to']}&export=csv", True),
    ):
        file = who.get(path)
        named = file.headers.get("Content-Disposition", "")
        assert (file.status_code, f'-without-{name}.csv"' in named) == (200, lacking), path
    asked = {"from": days["from"], "to": days["to"]}
    listed = client.get("/api/v1/requests", asked).json()
    assert (listed["items"], listed["detached_months"]) == ([], [name])
    summed = client.get("/api/v1/usage", asked).json()
    assert (summed["detached_months"], summed["total"]["requests"] > 20) == ([], True)
    labelled = client.get("/api/v1/usage", {**asked, "group_by": "project"}).json()
    assert labelled["detached_months"] == [name]
    for path in (ids[0], f"{ids[0]}/receipt"):
        refused = client.get(f"/api/v1/requests/{path}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "month_detached")
        assert away in refused.json()["error"]["message"]
    # A list that is read anew, by a filter, says it once, and in what is read anew.
    anew = client.get(f"/o/acme/requests?{query}", headers={"HX-Request": "true"}).content.decode()
    assert anew.lstrip().startswith('<div id="results"')
    assert anew.count(away) == 1
    margin = dora.get("/admin/margin", {"since": days["from"], "until": days["to"]})
    assert away in margin.content.decode()
    assert dora.get("/api/v1/margin", asked).json()["detached_months"] == [name]
    assert dora.get("/api/v1/system").json()["detached_months"] == [name]
    (detached,) = [state.detached for state in month_states() if state.detached]
    health = cast.signed_in(User.objects.get(email="erik@example.org")).get(
        "/admin/health?open=months"
    )
    for text in (word, bytes(detached.file.digest).hex(), "In a file", "month.zip"):
        assert text in health.content.decode(), text


def test_altered_month_is_found_and_stays_detached(beside: Beside, tmp_path: Path) -> None:
    """P22: one byte of the file; what stands in the database in place of the rows."""
    file = tmp_path / "month.zip"
    rows = beside.call(rows_of_month)
    assert beside.call(detach, file) == []
    whole = file.read_bytes()
    for at in (40, len(whole) // 2, len(whole) - 1):
        altered = bytearray(whole)
        altered[at] ^= 1
        file.write_bytes(altered)
        with pytest.raises(AssertionError, match="MonthFileBroken"):
            beside.call(attach, file)
        with pytest.raises(AssertionError, match=r"SystemExit|CommandError"):
            beside.call(manage, "month", "check", str(file))
    file.write_bytes(whole)
    assert "as they were written" in beside.call(manage, "month", "check", str(file))
    assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
    beside.call(run, "UPDATE usage_monthfile SET bytes = bytes + 1")
    (result,) = beside.call(problems)
    assert "not what was signed" in result
    beside.call(run, "UPDATE usage_monthfile SET bytes = bytes - 1")
    beside.call(attach, file)
    assert beside.call(rows_of_month) == rows


@pytest.mark.parametrize(
    "step",
    [
        "write_month_file",
        "check_month_file",
        "_exclusively",
    ],
)
def test_kill_while_a_month_is_detached_loses_nothing(
    site: Site, tmp_path: Path, step: str
) -> None:
    """The next try writes the file anew; or the month is opened again."""
    hub, beside = site
    file = tmp_path / "month.zip"
    rows = beside.call(rows_of_month)
    killed(hub, step, detach, file)
    assert beside.call(rows_of_month) == rows
    assert "cut off" in beside.call(manage, "month", "list")
    if step == "_exclusively":
        assert "open again" in beside.call(manage, "month", "reopen", f"{month():%Y-%m}")
        assert "cut off" not in beside.call(manage, "month", "list")
        assert "nothing to undo" in beside.call(manage, "month", "reopen", f"{month():%Y-%m}")
    assert beside.call(detach, file) == []
    assert beside.call(problems) == []
    beside.call(attach, file)
    assert beside.call(rows_of_month) == rows
    assert beside.call(problems) == []


def test_a_kill_while_a_month_is_attached_duplicates_nothing(site: Site, tmp_path: Path) -> None:
    hub, beside = site
    file = tmp_path / "month.zip"
    rows = beside.call(rows_of_month)
    assert beside.call(detach, file) == []
    killed(hub, "_exclusively", attach, file)
    assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
    assert beside.call(problems) == []
    beside.call(attach, file)
    assert beside.call(rows_of_month) == rows
    with pytest.raises(AssertionError, match="it is in the database"):
        beside.call(attach, file)
    assert beside.call(problems) == []


def killed(hub: Hub, step: str, act: Any, file: Path) -> None:
    """Let a process of its own do it, and die there."""
    dying = Beside({**os.environ, "DATABASE_URL": hub.dsn})
    with closing(dying), pytest.raises(EOFError):
        dying.call(die_at, step, act, file)


def test_late_data_is_rejected(beside: Beside, tmp_path: Path) -> None:
    """A hold and an attempt with an error; a record of a request that was refused is left out. A
    price that is named in the file stays as it is (I11)."""
    file = tmp_path / "month.zip"
    # A version counts as charged by what was admitted since it was made.
    beside.call(
        run,
        "SET session_replication_role = replica;"
        "UPDATE billing_priceversion SET created_at = created_at - interval '300 days'"
        " WHERE source = 'test';SET session_replication_role = origin",
    )
    assert beside.call(detach, file) == []
    try:
        beside.call(come_late)
        assert {count for count, _ in beside.call(rows_of_month).values()} == {0}
    finally:
        beside.call(attach, file)


def come_late() -> None:
    from django.db import DatabaseError, connection, transaction

    from accounts.models import Key
    from billing.models import PriceVersion
    from tests.support.invoicing import mid_month
    from tests.usage.rows import admit
    from usage.models import ClientAddress
    from usage.months import detaching
    from usage.requests import client_addresses

    assert not detaching.reopen(month())
    key = Key.objects.get(user__isnull=False)
    with pytest.raises(DatabaseError, match="kept in a file"), transaction.atomic():
        admit(key, mid_month(3))
    refusal = refuse_late(key)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_laterecord RETURNING row::text")
        ((row,),) = cursor.fetchall()
    assert str(refusal.request_id) in row
    assert "192.0.2.9" not in row
    assert ClientAddress.objects.get().record_id == refusal.request_id
    assert client_addresses.drop_old() == 1
    with pytest.raises(DatabaseError, match="was charged"), transaction.atomic():
        PriceVersion.objects.filter(price__model="gpt-5").update(rates={})


def refuse_late(key: Any) -> Any:
    """Write a refusal of the month as the relay does, which asks nothing back. From where a request
    came is kept where an hourly job forgets it, and never in what waits for months."""
    from billing.ledger import ledger
    from relay.ledger import settlement
    from tests.support.invoicing import mid_month
    from tests.usage.rows import id_at
    from usage.records.sql import Ending, Refusal

    refusal = Refusal(
        organisation_id=OrganisationId(key.organisation_id),
        request_id=RequestId(id_at(mid_month(3))),
        team_id=TeamId(key.team_id),
        key_id=KeyId(key.id),
        user_id=None,
        model=ModelName("gpt-5"),
        dialect="openai",
        operation="chat",
        stream=False,
        source="api",
        ending=Ending(final=True, status=429, kind="rate_limited", address="192.0.2.9"),
    )
    execute: Any = ledger.execute
    for statement in settlement.statements([refusal]):
        execute(statement)
    return refusal


def test_data_arriving_during_detachment_is_kept_if_the_month_stays(beside: Beside) -> None:
    """I10: a month whose detaching was cut off has every record again."""
    beside.call(come_while_it_leaves)


def come_while_it_leaves() -> None:
    """Undone at its end, since other tests count what is in the month."""
    from django.db import transaction

    from accounts.models import Key
    from usage.models import LateRecord, UsageRecord
    from usage.months import detaching

    with transaction.atomic():
        detaching._close(month())
        refusal = refuse_late(Key.objects.get(user__isnull=False))
        records = UsageRecord.objects.filter(request_id=refusal.request_id)
        assert (records.count(), LateRecord.objects.count()) == (0, 1)
        assert detaching.reopen(month())
        assert (records.count(), LateRecord.objects.count()) == (1, 0)
        assert not detaching.reopen(month())
        transaction.set_rollback(True)


def test_change_after_the_checks_keeps_a_month(beside: Beside) -> None:
    """I7, I16: asked again under the locks, when nothing more can come."""
    beside.call(change_after_the_checks)


def change_after_the_checks() -> None:
    from django.db import connection, transaction

    from accounts.access.actors import SYSTEM
    from lib import clock
    from usage.models import DetachedMonth, LateTruth, MonthFile
    from usage.months import detaching

    corrected = LateTruth.objects.get(posted_at__isnull=False)
    leaving = (DetachedMonth(month=month()), MonthFile())
    with transaction.atomic(), connection.cursor() as cursor:
        LateTruth.objects.create(
            organisation_id=corrected.organisation_id, attempt_id=corrected.attempt_id,
            source="look_up", meters={"in_text": 1},
        )  # fmt: skip
        for checked_to, reason in (
            (corrected.posted_at, "was corrected just now"),
            (clock.now(), "is not posted yet"),
        ):
            assert checked_to is not None
            with pytest.raises(detaching.MonthRefused, match=reason):
                detaching._take_out(cursor, SYSTEM, detaching._Leaving(*leaving, checked_to))
        transaction.set_rollback(True)


def test_a_month_stays_until_it_is_in_each_sink(beside: Beside) -> None:
    beside.call(lag_behind)


def lag_behind() -> None:
    from usage.months import detaching
    from usage.sinks.usage_sink import Backlog

    ends = detaching._read_contents(month()).ended_at
    for complete_to, reasons in (
        (None, ["Not all of it is in Copy yet."]),
        (ends - dt.timedelta(microseconds=1), ["Not all of it is in Copy yet."]),
        (ends, []),
    ):
        backlog = Backlog(0, complete_to, "")
        sink = SimpleNamespace(title="Copy", backlog=lambda backlog=backlog: backlog)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(detaching, "used_sinks", lambda sink=sink: [sink])
            assert detaching.obstacles(month()) == reasons


@pytest.mark.parametrize(
    ("edit", "undo", "reason"),
    [
        (
            "UPDATE billing_invoice SET until_at = until_at - interval '20 days'",
            "UPDATE billing_invoice SET until_at = until_at + interval '20 days'",
            "are not closed: acme.",
        ),
        (
            "UPDATE billing_bookswalk SET to_at = to_at - interval '200 days' WHERE name = 'new'",
            "UPDATE billing_bookswalk SET to_at = to_at + interval '200 days' WHERE name = 'new'",
            "has not been checked",
        ),
        (
            "UPDATE billing_seal SET to_at = to_at - interval '200 days' WHERE kind = 'ledger'",
            "UPDATE billing_seal SET to_at = to_at + interval '200 days' WHERE kind = 'ledger'",
            "ledger is not sealed to",
        ),
        (
            "UPDATE usage_rollupwatermark SET xid = 3",
            "UPDATE usage_rollupwatermark SET xid = pg_current_xact_id()::text::bigint",
            "rollups are not complete",
        ),
    ],
)
def test_unfinished_month_stays(
    beside: Beside, tmp_path: Path, edit: str, undo: str, reason: str
) -> None:
    guards_off = "SET session_replication_role = replica;"
    beside.call(run, f"{guards_off}{edit};SET session_replication_role = origin")
    try:
        (text,) = beside.call(detach, tmp_path / "month.zip")
    finally:
        beside.call(run, f"{guards_off}{undo};SET session_replication_role = origin")
    assert reason in text
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_not_overwritten(beside: Beside, tmp_path: Path) -> None:
    file = tmp_path / "month.zip"
    file.write_text("somebody's")
    (text,) = beside.call(detach, file)
    assert "is there already" in text
    assert file.read_text() == "somebody's"
    assert "cut off" not in beside.call(manage, "month", "list")


def test_late_ending_of_a_detached_month_waits_for_it(beside: Beside, tmp_path: Path) -> None:
    """I7, I10: the ending of a process that was taken for dead, and a refusal, both replayed from a
    spool. Nobody pays by guess; both are in the books when the month is back, though the refusal
    was written before records had some of their columns."""
    assert beside.call(detach, tmp_path / "month.zip") == []
    try:
        for _ in range(2):
            beside.call(end_late)
        assert beside.call(waiting) == (2, 90_000)
        assert beside.call(problems) == []
        beside.call(run, "UPDATE usage_laterecord SET row = row - 'saved_nano' - 'client_app'")
    finally:
        beside.call(attach, tmp_path / "month.zip")
    assert beside.call(waiting) == (0, 210_000)
    assert beside.call(rows_of_month)["usage_usagerecord"][0] == 25
    assert beside.call(problems) == []


def end_late() -> None:
    """As a process does it that comes back after months; an ending that had been written comes
    again too, and changes nothing."""
    from django.db import connection, transaction

    from billing.ledger import ledger
    from billing.models import Posting
    from relay.ledger import settlement
    from tests.support.invoicing import mid_month
    from tests.usage.rows import id_at
    from usage.models import LateRecord
    from usage.records.sql import Ending

    meters = '{"in_text": 1000, "out_text": 100}'
    ending = Ending(final=True, status=200, meters=meters, charge_nano=210_000, basis="measured")
    first, end = ids()
    postings = Posting.objects.filter(attempt_id__gte=first, attempt_id__lt=end)
    items = [
        settlement.Settlement(
            organisation_id=OrganisationId(posting.organisation_id),
            attempt_id=AttemptId(cast(UUID, posting.attempt_id)),
            state="settled",
            ending=ending,
        )
        for posting in [postings.get(kind="expire"), postings.filter(kind="settle").latest("id")]
    ]
    execute: Any = ledger.execute
    with transaction.atomic():
        execute(settlement.lock([items[0].organisation_id]))
        rows = [execute(statement) for statement in settlement.statements(items)]
        late = settlement.late(items, rows[0])
        for statement in settlement.statements(late):
            execute(statement)
        if LateRecord.objects.exists():
            return
        id, at = str(id_at(mid_month(3))), mid_month(3).isoformat()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO usage_usagerecord SELECT (jsonb_populate_record(r, jsonb_build_object("
                "'id', %s::text, 'request_id', %s::text, 'charge_nano', 0, 'hold_nano', 0,"
                "'basis', 'none', 'price_version_id', null, 'cost_nano', null, 'status', 429,"
                "'meters', '{}'::jsonb, 'admitted_at', %s::text, 'ended_at', %s::text))).* "
                "FROM usage_usagerecord r LIMIT 1", [id, id, at, at],
            )  # fmt: skip


def ids() -> tuple[Any, Any]:
    from usage.records.partitions import ids_of

    return ids_of(month())


def waiting() -> tuple[int, int]:
    """What waits for the month, and what the customer has paid of what was cut."""
    from billing.holds.usage_corrections import read_borne_cost
    from billing.models import Posting
    from gateway.provider_accounts.reconciliation.usage_reconciliation import reconcile
    from usage.months import detaching
    from usage.rollups.rollups import roll_up

    reconcile()
    roll_up()
    first, end = ids()
    cut = Posting.objects.get(kind="expire", attempt_id__gte=first, attempt_id__lt=end)
    paid_nano = read_borne_cost(cast(UUID, cut.attempt_id)).customer_nano
    return detaching.late_counts().get(month(), 0), paid_nano
