"""Exports: the same as the page in every form, and once, whatever dies while a worker makes one."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import AuditEvent, Key, KeyKind, Role, User
from lib import clock
from lib.ids import id_text, new_id
from lib.refusal import Refused
from lib.tables import exports as table_exports
from lib.tables.exports import values_of
from lib.tables.pages import batches_of
from notify.deliveries.deliveries import spread_facts
from notify.models import Delivery
from outbox.models import Fact
from tests.support import cast, hostile
from tests.usage.rows import NOON, happen, refuse
from usage.exports import exports
from usage.exports import views as export_views
from usage.exports.api import ExportIn
from usage.exports.exports import FOCUS
from usage.filters import filters
from usage.filters.filters import Range
from usage.filters.queries import Wanted, scope_of, usage_filter_of
from usage.log import log_views
from usage.log.log_views import cells_of
from usage.models import Export, ExportPiece
from usage.requests.columns import REQUESTS, LogSource

LOG, PAGE = "/o/acme/requests", "/o/acme/exports"


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> list[dt.timedelta]:
    """How long after the 20th at noon it is; the last of them."""
    later = [dt.timedelta()]
    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=2) + later[-1])
    return later


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every list is a long one."""
    monkeypatch.setattr(log_views, "DIRECT_ROWS", 0)
    monkeypatch.setattr(export_views, "DIRECT_ROWS", 0)


@pytest.fixture
def requests(key: Key, sum_up: Callable[[], None]) -> list[str]:
    results = [happen(key, charge_nano=n + 1, model=f"model-{n}") for n in range(3)]
    sum_up()
    return [id_text(record.request_id) for record in reversed(results)]


def rows_in(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode(), newline="")))


def body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def start(people: cast.Cast, form: str = "csv", query: str = "cols=id,cost") -> Export:
    return exports.start_export(cast.actor(people.alice, people.acme), form, query, "en")


def file_of(people: cast.Cast, export: Export) -> bytes:
    export.refresh_from_db()
    return b"".join(exports.pieces(cast.actor(people.alice, people.acme), export))


@pytest.mark.parametrize("span", get_args(Range))
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Tokyo"])
@pytest.mark.parametrize("form", ["csv", FOCUS])
def test_what_was_asked_before_midnight_is_exported_after_it(
    people: cast.Cast, times: list[dt.timedelta], span: str, zone: str, form: str
) -> None:
    """Whenever the worker gets to it: the days, and the months, are those of the request."""
    midnight = dt.datetime(2026, 12, 1, tzinfo=ZoneInfo(zone)) - clock.now()
    times.append(midnight - dt.timedelta(minutes=1))
    begun, query = clock.now(), f"range={span}&tz={zone}"
    if span == "custom":
        query += "&from=2026-11-29&to=2026-11-30"
    actor = cast.actor(people.alice, people.acme)
    read = partial(
        filters.from_query, parse_qs(query), channels=False, log=form != FOCUS,
        explored=form == FOCUS,
    )  # fmt: skip
    export = start(people, form, query)
    times.append(midnight + dt.timedelta(days=2))
    assert exports.filter_of(actor, export).spans == read(begun).spans
    later = read(clock.now()).spans
    assert (later == read(begun).spans) == (span == "custom")
    assert f"{begun:%Y-%m-%d}" in exports.file_name(export)


# From and to; it is noon of the 20th.
PERIODS = {
    "ends now": ("2026-11-18T00:00Z", "2026-11-20T12:00Z"),
    "ends at midnight": ("2026-11-18T00:00Z", "2026-11-20T00:00Z"),
    "ends in the middle of a day": ("2026-11-18T06:00Z", "2026-11-19T18:00Z"),
    "is one day": ("2026-11-19T00:00Z", "2026-11-20T00:00Z"),
    "is an hour": ("2026-11-19T17:00Z", "2026-11-19T18:00Z"),
}
# Where each file is, the column to count, and whether its rows are of whole days.
FILES = {
    f"{LOG}?export=csv&cols=id": ("id", False),
    "/o/acme/usage/explore?export=csv&cols=requests": ("requests", False),
    "/o/acme/usage/focus.csv?": ("x_Requests", True),
}


@pytest.mark.parametrize("period", PERIODS)
def test_files_have_the_first_and_the_last_of_their_period(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], period: str
) -> None:
    """And nothing beside it, but of the same days where the rows are of whole ones."""
    start_at, end_at = map(dt.datetime.fromisoformat, PERIODS[period])
    moment, alice = dt.timedelta(seconds=1), cast.signed_in(people.alice)
    within = [start_at, end_at - moment]
    # Nothing has happened yet after now.
    beside = [start_at - moment, *([end_at] if end_at < clock.now() else [])]
    for at in within + beside:
        happen(key, at)
    sum_up()
    days = {at.date() for at in within}
    for path, (column, is_of_days) in FILES.items():
        answer = alice.get(f"{path}&range=custom&from={{}}&to={{}}".format(*PERIODS[period]))
        head, *rows = rows_in(body(answer))
        counted = [row[head.index(column)] for row in rows]
        found = len(rows) if column == "id" else sum(map(int, counted))
        assert found == 2 + sum(is_of_days and at.date() in days for at in beside), path


def test_file_contains_what_the_page_shows(people: cast.Cast, key: Key) -> None:
    labels: dict[str, Any] = {
        "project": "search", "customer": "=c", "tags": ["a", "ü"], "client_app": "curl",
        "end_user": "u-1", "prompt": "bot", "prompt_version": 3,
    }  # fmt: skip
    meters = {"in_text": 5, "in_cache_read": 3, "out_text": 2, "out_reasoning": 1, "images": 4}
    happen(key, charge_nano=4_589_800, meters=meters, session_id=new_id(), **labels)
    happen(key, status=499, basis="estimated", ttft_ms=None, channel_name="")
    refuse(key)
    actor = cast.actor(people.dora, people.acme)
    usage_filter = filters.from_query({}, clock.now(), channels=True, log=True)
    source = LogSource(actor, usage_filter.span, usage_filter.scope)
    for sort in ("-time", "cost"):
        names = ",".join(column.name for column in REQUESTS.columns)
        state = REQUESTS.read({"cols": [names], "sort": [sort]})
        rows = source.fetch(state.orders, None, backwards=False, limit=10)
        page = [cells_of(LOG, usage_filter, row) for row in rows]
        (batch,) = batches_of(state, source)
        assert len(page) == 3
        for column, values in zip(REQUESTS.columns, batch, strict=True):
            assert list(values) == values_of(column, page), column.name


@pytest.mark.usefixtures("long")
def test_long_list_is_exported_in_the_background(
    people: cast.Cast, requests: list[str], times: list[dt.timedelta]
) -> None:
    alice = cast.signed_in(people.alice)
    page = alice.get(LOG).content.decode()
    assert "/o/acme/exports/start?" in page
    asked = alice.get(f"{LOG}?cols=id,model&sort=-cost&export=csv", follow=True)
    assert "about 3" in asked.content.decode()
    begun = alice.post(asked.request["PATH_INFO"] + "?" + asked.request["QUERY_STRING"])
    assert (begun.status_code, begun["Location"]) == (303, PAGE)
    assert "Waiting for a worker" in alice.get(PAGE).content.decode()
    assert exports.make_next()
    assert not exports.make_next()

    (export,) = Export.objects.all()
    text = alice.get(PAGE).content.decode()
    assert "Ready" in text
    assert 'hx-trigger="every 2s"' not in text
    answer = alice.get(f"{PAGE}/{id_text(export.id)}/file")
    raw = body(answer)
    assert rows_in(raw) == [
        ["id", "model"],
        *([id, f"model-{n}"] for id, n in zip(requests, (2, 1, 0), strict=True)),
    ]
    assert int(answer["Content-Length"]) == len(raw) == export.size
    fact = Fact.objects.get(kind="export.ready")
    assert fact.people == [people.alice.id]
    assert fact.body["rows"] == 3
    assert AuditEvent.objects.filter(action="export.started").count() == 1
    # Nobody else's, and no longer than it is kept.
    assert cast.signed_in(people.bob).get(f"{PAGE}/{id_text(export.id)}/file").status_code == 404
    times.append(exports.KEPT)
    # No session lasts as long.
    assert "Expired" in cast.signed_in(people.alice).get(PAGE).content.decode()
    late = cast.signed_in(people.alice).get(f"{PAGE}/{id_text(export.id)}/file")
    assert late.status_code == 404
    exports.drop_old()
    assert not ExportPiece.objects.exists()
    times.append(dt.timedelta(days=40))
    exports.drop_old()
    assert not Export.objects.exists()


def test_operator_is_emailed_about_an_export_of_a_customers_log(people: cast.Cast) -> None:
    """As the page says: also one who is no member, and once if they are one."""
    exporters = [people.dora, cast.person("otto"), cast.person("gone")]
    for person in exporters[1:]:
        User.objects.filter(id=person.id).update(operator=True)
        person.refresh_from_db()
    members.set_member(people.acme, "otto@example.org", Role.DEVELOPER, actor=SYSTEM)
    for person in exporters:
        exports.start_export(cast.actor(person, people.acme), "csv", "cols=id", "en")
        assert exports.make_next()
    User.objects.filter(id=exporters[2].id).update(operator=False)
    assert spread_facts(100) == 3
    told = Delivery.objects.filter(fact__kind="export.ready").values_list("user__email", flat=True)
    assert sorted(told) == ["dora@example.org", "otto@example.org"]


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_worker_that_dies_leaves_no_second_file(
    people: cast.Cast, times: list[dt.timedelta], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    export = start(people, form)
    monkeypatch.setattr(exports, "_PIECE", 40)

    class Killed(BaseException):
        pass

    renew, calls = exports._renew, 0

    def dying(*args: Any, **changes: Any) -> None:
        nonlocal calls
        renew(*args, **changes)
        calls += 1
        if calls == 3:
            raise Killed

    monkeypatch.setattr(exports, "_renew", dying)
    with pytest.raises(Killed):
        exports.make_next()
    monkeypatch.setattr(exports, "_renew", renew)
    first = Export.objects.get()
    assert first.state == "running"
    assert not exports.make_next(), "the first worker may still be there"
    times.append(dt.timedelta(seconds=61))
    assert exports.make_next()
    raw = file_of(people, export)
    assert raw
    assert len(raw) == export.size
    assert set(ExportPiece.objects.values_list("take", flat=True)) == {2}
    # It was not dead after all: what it writes now is refused.
    with pytest.raises(exports._Lost):
        renew(first, 1)
    assert Fact.objects.filter(kind="export.ready").count() == 1


@pytest.mark.usefixtures("requests")
def test_workbook_keeps_its_lease_while_it_is_packed(
    people: cast.Cast, times: list[dt.timedelta], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Millions of rows are packed for longer than a minute: no other worker starts beside it."""
    export = start(people, "xlsx")
    monkeypatch.setattr(exports, "_PACKED_IN", dt.timedelta(seconds=100))
    taken = []

    def packed_long(path: Path) -> Iterator[bytes]:
        times.append(dt.timedelta(seconds=350))
        taken.append(exports._take())
        yield path.read_bytes()

    monkeypatch.setattr(table_exports, "_read_pieces", packed_long)
    assert exports.make_next()
    assert taken == [None]
    assert file_of(people, export).startswith(b"PK")
    assert export.takes == 1


@pytest.mark.usefixtures("requests")
def test_always_failing_export_is_given_up(people: cast.Cast, times: list[dt.timedelta]) -> None:
    export = start(people)
    for n in range(3):
        times.append(dt.timedelta(minutes=2 * n))
        assert exports._take() is not None
    times.append(dt.timedelta(minutes=9))
    assert not exports.make_next()
    export.refresh_from_db()
    assert (export.state, export.message) == ("failed", "Interrupted")
    assert "Failed" in cast.signed_in(people.alice).get(PAGE).content.decode()


@pytest.mark.usefixtures("requests")
def test_reader_who_lost_access_does_not_get_the_file(people: cast.Cast) -> None:
    member = cast.person("mia")
    members.set_member(people.acme, member.email, Role.ADMIN, actor=SYSTEM)
    wide = exports.start_export(cast.actor(member, people.acme), "csv", "cols=id", "en")
    later = exports.start_export(cast.actor(member, people.acme), "csv", "cols=id", "en")
    assert exports.make_next()
    members.set_member(people.acme, member.email, Role.DEVELOPER, actor=SYSTEM)
    refused = cast.signed_in(member).get(f"{PAGE}/{id_text(wide.id)}/file")
    assert refused.status_code == 403
    assert exports.make_next()
    assert rows_in(body(cast.signed_in(member).get(f"{PAGE}/{id_text(later.id)}/file"))) == [["id"]]
    gone = exports.start_export(cast.actor(member, people.acme), "csv", "cols=id", "en")
    members.remove_member(people.acme, member.email, actor=SYSTEM)
    assert exports.make_next()
    gone.refresh_from_db()
    assert (gone.state, gone.message) == ("failed", "AccessDenied")


def test_export_deleted_while_it_runs(people: cast.Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    export = start(people)
    taken = exports._take()
    exports.delete_export(cast.actor(people.alice, people.acme), export)
    monkeypatch.setattr(exports, "_take", lambda: taken)
    assert exports.make_next()
    assert not ExportPiece.objects.exists()
    assert AuditEvent.objects.filter(action="export.deleted").count() == 1


def test_exports_that_cannot_start(people: cast.Cast) -> None:
    for form, query in (("exe", ""), ("csv", "\0"), ("csv", "q=" + hostile.LONG)):
        with pytest.raises(Refused):
            start(people, form, query)
    for _ in range(exports.WAITING_MAX):
        start(people, query=f"model={hostile.EVERYTHING[:200]}".replace("\0", ""))
    with pytest.raises(Refused, match="in progress"):
        start(people)


def test_api_does_the_same(people: cast.Cast, requests: list[str]) -> None:
    _, text = cast.make_key(people.core, "ci", user=people.alice, kind=KeyKind.MANAGEMENT)
    client = cast.with_key(text)
    url = "/api/v1/exports"

    def post(**asked: Any) -> Any:
        return client.post(url, asked, content_type="application/json")

    assert post(format="exe").status_code == post(columns=["none"]).status_code == 422
    assert post(unknown=1).status_code == 400
    response = post(format="jsonl", columns=["id", "cost"], model=["model-1"])
    assert response.status_code == 201
    at = f"{url}/{response.json()['id']}"
    assert client.get(f"{at}/file").status_code == 409
    assert exports.make_next()
    state = client.get(at).json()
    assert (state["state"], state["rows"]) == ("done", 1)
    raw = body(client.get(f"{at}/file"))
    assert raw == b'{"id":"%s","cost_usd":"0.000000002"}\n' % requests[1].encode()
    assert client.get(url).json()["items"] == [state]
    assert client.delete(at).status_code == 204
    assert client.get(at).status_code == 404


@pytest.mark.parametrize("name", Wanted.model_fields)
def test_file_has_the_requests_that_the_api_was_asked_for(people: cast.Cast, name: str) -> None:
    """A value that the worker cannot read is refused: without it, the file had all requests."""
    person = cast.actor(people.alice, people.acme)
    accepted = 0
    for text in (
        *hostile.STORABLE,
        hostile.NUL,
        hostile.LONG,
        "ana",
        "Ana@Example.org",
        id_text(new_id()),
        "x" * 200,
    ):
        try:
            asked = ExportIn.model_validate({name: [text]})
        except ValidationError:
            continue
        query = usage_filter_of(asked).query(status=asked.status, sort=asked.sort)
        export = Export(form="csv", query=query, created_at=clock.now())
        assert exports.filter_of(person, export).scope == scope_of(asked), text
        accepted += 1
    assert accepted


def test_stored_pieces_have_the_least_size_and_every_byte_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exports, "_PIECE", 4)
    pieces = exports._join_pieces(iter([b"ab", b"cd", b"efg", b"hijklm", b"n"]))
    assert [*pieces] == [b"abcd", b"efghijklm", b"n"]
    assert [*exports._join_pieces(iter([b"abcd"]))] == [b"abcd"]


def test_file_is_in_the_language_of_whoever_asked(people: cast.Cast, key: Key) -> None:
    """The worker that makes it has no language."""
    happen(key, clock.now() - dt.timedelta(hours=1), 0, status=499)
    alice = cast.actor(people.alice, people.acme)
    for language, word in (("en", "Stopped"), ("zh-hans", "已停止")):
        export = exports.start_export(alice, "csv", "range=24h&cols=status", language)
        assert exports.make_next()
        assert word in file_of(people, export).decode(), language
