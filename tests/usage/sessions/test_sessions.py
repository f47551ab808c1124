"""Sessions as a list, as a page with its turns, and over the API: of records alone."""

import csv
import datetime as dt
import html
import io
import json
import re
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Key, KeyKind
from lib import clock
from lib.ids import id_text, new_id
from lib.tables.keyset import Order
from tests.support import cast
from tests.support.markup import squeezed
from tests.usage.rows import NOON, admit, happen, refuse
from usage.filters.visibility import Period
from usage.sessions.limits import SessionLimit
from usage.sessions.sessions import (
    AGENTS_MAX,
    SessionRow,
    SessionSource,
    _in_tree_order,
    read_session,
)
from usage.sessions.views import _agent, _cells, state_badge

SESSIONS = "/o/acme/sessions"
_ORDER = (Order("last_at", descending=True), Order("id"))


@pytest.fixture(autouse=True)
def _at_noon_of_the_20th(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=2))


HOUR = dt.timedelta(hours=1)


def page_of(client: Client, path: str = "", status: int = 200) -> str:
    response = client.get(f"{SESSIONS}{path}")
    assert response.status_code == status
    return squeezed(html.unescape(response.content.decode()))


def turn(key: Key, session: UUID, seconds: int, charge_nano: int = 1_000_000, **over: Any) -> Any:
    named = {"name": "Fix the parser", "source": "x-weir-session", **over.pop("named", {})}
    values = {"client_app": "claude-code", "session_id": session, "session": named, **over}
    return happen(key, NOON + dt.timedelta(seconds=seconds), charge_nano, **values)


def api(people: cast.Cast) -> Client:
    _, text = cast.make_key(people.core, "owner", user=people.alice, kind=KeyKind.MANAGEMENT)
    return cast.with_key(text)


def listed_ids(page: str) -> list[str]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(rf'href="{SESSIONS}/([0-9A-Z]{{26}})', body)


def test_a_session_is_the_sum_of_its_turns(people: cast.Cast, key: Key) -> None:
    session, other = new_id(), new_id()
    meters = {"in_text": 1_000, "in_cache_read": 3_000, "out_text": 200}
    turn(key, session, 0, meters=meters, model="gpt-5")
    turn(key, session, 60, meters=meters, model="claude-opus-4-6", named={"agent": "a-1"})
    turn(key, session, 90, 0, status=502, kind="upstream_error", meters={})
    turn(key, other, 30, named={"name": "Other"})
    happen(key)
    alice = cast.signed_in(people.alice)
    page = page_of(alice)
    assert listed_ids(page) == [id_text(session), id_text(other)]
    for text in ("Fix the parser", "claude-code", "8,000", ">75<", "$0.002"):
        assert text in page, (text, page[page.index("<tbody>") : page.index("</tbody>")])
    listed = api(people).get("/api/v1/sessions").json()
    assert listed["next"] is None
    row, _ = listed["items"]
    assert {name: row[name] for name in ("turns", "failed", "sub_agents", "running", "charge")} == {
        "turns": 3, "failed": 1, "sub_agents": 1, "running": False, "charge": "0.002",
    }  # fmt: skip
    assert row["meters"] == {name: 2 * units for name, units in meters.items()}
    assert (row["name"], row["source"], row["app"]) == (
        "Fix the parser", "x-weir-session", "claude-code",
    )  # fmt: skip
    assert row["models"] == ["claude-opus-4-6", "gpt-5"]
    assert row["user"] == people.bob.email


def test_own_key_fee_and_price_are_separate(people: cast.Cast, key: Key) -> None:
    session, other = new_id(), new_id()
    turn(key, session, 0, 5_000, own_nano=2_000_000)
    turn(key, session, 60, 5_000, own_nano=3_000_000, named={"agent": "a-1"})
    turn(key, session, 90, 1_000_000)
    turn(key, other, 30)
    client = api(people)
    with_own, without = (
        client.get(f"/api/v1/sessions/{id_text(id)}").json() for id in (session, other)
    )
    assert (with_own["charge"], with_own["paid_to_provider"]) == ("0.00101", "0.005")
    assert [(one["charge"], one["paid_to_provider"]) for one in with_own["agents"]] == [
        ("0.001005", "0.002"), ("0.000005", "0.003"),
    ]  # fmt: skip
    assert without["paid_to_provider"] is None
    alice = cast.signed_in(people.alice)
    listed = page_of(alice, "?cols=name,cost,own")
    for text in ("Paid to your provider", "$0.00101", "$0.005"):
        assert text in listed
    stats = [
        page_of(alice, f"/{id_text(id)}").partition('class="stats"')[2].partition("<dl")[0]
        for id in (session, other)
    ]
    assert ["Paid to your provider" in one for one in stats] == [True, False]
    assert "$0.005" in stats[0]


def test_single_uncontinued_response_is_not_listed(people: cast.Cast, key: Key) -> None:
    """Its own page shows it; with a second turn both are one session."""
    alone, series = new_id(), new_id()
    opens = {"name": "", "source": "first_response"}
    turn(key, alone, 0, named=opens)
    turn(key, series, 10, named=opens)
    turn(key, series, 20, named={"name": "", "source": "previous_response_id"})
    alice = cast.signed_in(people.alice)
    assert listed_ids(page_of(alice)) == [id_text(series)]
    (row,) = api(people).get("/api/v1/sessions").json()["items"]
    assert row["turns"] == 2
    assert "previous_response_id" in page_of(alice, f"/{id_text(alone)}")


def test_the_list_is_sorted_filtered_paged_and_exported(people: cast.Cast, key: Key) -> None:
    ids = [new_id() for _ in range(60)]
    for n, id in enumerate(ids):
        turn(key, id, n, (n * 7 % 60) * 1_000_000, model=f"m-{n % 2}", named={"name": f"s{n}"})
    alice = cast.signed_in(people.alice)
    first = page_of(alice, "?rows=25")
    assert listed_ids(first) == [id_text(id) for id in ids[:-26:-1]]
    # The total is that of all pages: 0 to 59 thousandths of a dollar, of the filter's half 900.
    assert "· $1.77" in squeezed(first)
    assert "· $0.90" in squeezed(page_of(alice, "?model=m-1"))
    after = re.search(r'href="\?([^"]*after=[^"]*)"', first)
    assert after is not None
    assert listed_ids(page_of(alice, f"?{after[1]}")) == [id_text(id) for id in ids[-26:-51:-1]]
    by_cost = sorted(range(60), key=lambda n: -(n * 7 % 60))
    assert listed_ids(page_of(alice, "?sort=-cost")) == [id_text(ids[n]) for n in by_cost[:50]]
    assert len(listed_ids(page_of(alice, "?model=m-1&rows=100"))) == 30
    assert listed_ids(page_of(alice, "?range=custom&from=2026-01-01&to=2026-01-02")) == []
    answer = alice.get(f"{SESSIONS}?cols=name,cost&export=csv&sort=-cost")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[0] for row in rows[1:]] == [f"s{n}" for n in by_cost]
    client, cursor, found = api(people), "", list[str]()
    while cursor is not None:
        listed = client.get(f"/api/v1/sessions?limit=23{cursor and '&cursor=' + cursor}").json()
        found += [row["name"] for row in listed["items"]]
        cursor = listed["next"]
    assert found == [f"s{n}" for n in reversed(range(60))]
    assert client.get("/api/v1/sessions?cursor=x").status_code == 422
    by_name = client.get("/api/v1/sessions?name=s7").json()["items"]
    assert [row["name"] for row in by_name] == ["s7"]
    assert client.get("/api/v1/sessions?name=S7").json()["items"] == []


def test_the_page_shows_turns_agents_and_receipts(people: cast.Cast, key: Key) -> None:
    session = new_id()
    agents = [{}, {"agent": "child"}, {"agent": "grandchild", "parent": "child"}]
    turns = [turn(key, session, n, named=named) for n, named in enumerate([*agents, {}])]
    alice = cast.signed_in(people.alice)
    page = page_of(alice, f"/{id_text(session)}")
    receipts = re.findall(r'href="/o/acme/requests/([0-9A-Z]{26})"', page)
    assert receipts == [id_text(one.request_id) for one in turns]
    assert "Main agent" in page
    assert re.findall(r"└\s*</span>\s*(\w+)", page) == ["child", "grandchild"]
    assert "<code>x-weir-session</code>" in page
    detail = api(people).get(f"/api/v1/sessions/{id_text(session)}").json()
    assert [(one["name"], one["depth"], one["turns"]) for one in detail["agents"]] == [
        (None, 0, 2), ("child", 1, 1), ("grandchild", 2, 1),
    ]  # fmt: skip
    receipt = squeezed(alice.get(f"/o/acme/requests/{receipts[0]}").content.decode())
    assert f'href="{SESSIONS}/{id_text(session)}"' in receipt
    log = re.search(r'href="(/o/acme/requests\?[^"]*session=[^"]*)"', page)
    assert log is not None
    assert alice.get(log[1]).content.decode().count("/o/acme/requests/") >= len(turns)


def test_session_is_running_failed_or_resting(people: cast.Cast, key: Key) -> None:
    session = new_id()
    turn(key, session, 0)
    alice, path = cast.signed_in(people.alice), f"/{id_text(session)}"
    assert "Idle" in page_of(alice, path)
    refuse(key, NOON + dt.timedelta(seconds=5), session_id=session, status=402, kind="budget")
    assert "402" in page_of(alice, path)
    admit(key, NOON + dt.timedelta(seconds=6), session_id=session)
    assert "Running" in page_of(alice, path)


def test_sessions_of_others_are_hidden(people: cast.Cast, key: Key) -> None:
    session = new_id()
    turn(key, session, 0)
    path = f"/{id_text(session)}"
    assert id_text(session) in page_of(cast.signed_in(people.bob), path)
    assert page_of(cast.signed_in(people.charlie), path, 404)
    alice = cast.signed_in(people.alice)
    for path in ("/nonsense", f"/{id_text(new_id())}"):
        assert page_of(alice, path, 404)


def test_hostile_names_are_text(people: cast.Cast, key: Key) -> None:
    session = new_id()
    turn(key, session, 0, named={"name": "<script>alert(1)</script>", "agent": "<b>x</b>"})
    for path in (SESSIONS, f"{SESSIONS}/{id_text(session)}"):
        content = cast.signed_in(people.alice).get(path).content.decode()
        assert "<script>alert(1)" not in content
        assert "<b>x" not in content
        assert "&lt;script&gt;alert(1)" in content


def test_agents_that_name_each_other_as_parents_end() -> None:
    rows = {
        name: (parent, 1, 5, None, "{}")
        for name, parent in (("a", "b"), ("b", "a"), ("c", "unknown"), ("d", "d"), ("e", ""))
    }
    agents = _in_tree_order(rows)
    assert [(one.name, one.depth) for one in agents] == [
        ("", 0), ("e", 1), ("a", 1), ("b", 2), ("c", 1), ("d", 1),
    ]  # fmt: skip
    chain = {str(n): (str(n - 1) if n else "", 1, 0, None, "{}") for n in range(AGENTS_MAX)}
    assert _in_tree_order(chain)[-1].depth == AGENTS_MAX


def test_a_page_of_many_records_goes_by_the_index(people: cast.Cast, key: Key) -> None:
    """100,000 records in 2,000 sessions: the page reads each session by the index of sessions."""
    template = turn(key, new_id(), 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(column_name), ',') FROM information_schema.columns"
            " WHERE table_name = 'usage_usagerecord'"
            " AND column_name NOT IN ('id', 'request_id', 'session_id', 'xid')"
        )
        columns = cursor.fetchone()[0]
        # Ids of the month of the template, in their order.
        cursor.execute(
            f"INSERT INTO usage_usagerecord (id, request_id, session_id, {columns})"
            " SELECT one.id, one.id, md5((n %% 2000)::text)::uuid, "
            + ", ".join(f"r.{name}" for name in columns.split(","))
            + " FROM usage_usagerecord r, generate_series(1, 100000) n, LATERAL (SELECT"
            " (substr(r.id::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid AS id) one"
            " WHERE r.id = %s",
            [template.id],
        )
        cursor.execute("ANALYZE usage_usagerecord")
    actor = cast.actor(people.alice, people.acme)
    source = SessionSource(actor, Period())
    with CaptureQueriesContext(connection) as captured:
        rows = source.fetch(_ORDER, None, backwards=False, limit=51)
    assert len(rows) == 51
    assert sum(row.turns for row in rows) >= 51 * 49
    (query,) = captured.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query['sql']}")
        ((plan,),) = cursor.fetchall()
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'record_by_session'::regclass"
        )
        indexes = [name for (name,) in cursor.fetchall()]
    text = json.dumps(plan)
    assert any(f'"{name}"' in text for name in indexes)


def test_running_shows_beside_requests_without_a_session(people: cast.Cast, key: Key) -> None:
    """Running requests that belong to no session are NULL among the running sessions."""
    running, idle = new_id(), new_id()
    for session in (running, idle):
        turn(key, session, 0)
        turn(key, session, 60)
    admit(key, NOON + dt.timedelta(seconds=90))
    admit(key, NOON + dt.timedelta(seconds=90), session_id=running)
    happen(key, NOON + dt.timedelta(seconds=95), basis="held", flags=["quarantine"])
    refuse(key, NOON + dt.timedelta(seconds=99))
    client = api(people)
    listed = client.get("/api/v1/sessions").json()["items"]
    assert {row["id"]: row["running"] for row in listed} == {
        id_text(running): True, id_text(idle): False,
    }  # fmt: skip
    for session, runs in ((running, True), (idle, False)):
        one = client.get(f"/api/v1/sessions/{id_text(session)}").json()
        assert one["running"] is runs
        page = page_of(cast.signed_in(people.alice), f"/{id_text(session)}")
        assert ("Running" in page) is runs
    assert page_of(cast.signed_in(people.alice)).count("Running") == 1


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"ended_at": NOON, "running": True, "status": 502}, "Ended"),
        ({"running": True, "status": 502}, "Running"),
        ({"status": 502, "kind": "upstream_error"}, "502 "),
        ({"status": 403, "kind": "guard_refused"}, "403 "),
        ({"status": 499}, "Idle"), ({"status": 200}, "Idle"),
    ],
)  # fmt: skip
def test_state_of_a_session_is_its_end_or_what_it_does(over: Any, text: str) -> None:
    row: Any = SimpleNamespace(**{"ended_at": None, "running": False, "kind": None, **over})
    assert str(state_badge(row).text).startswith(text)


def test_row_of_a_session_has_its_tightest_limit() -> None:
    session, key = new_id(), new_id()
    row = SessionRow(
        session, NOON + 2 * HOUR, 3, 5, NOON, "", "header", "", key, None, None, ("m", "n"), 2, 1,
        200, None, {"in_text": 40, "in_cache_read": 10, "out_text": 7}, False, None, None,
    )  # fmt: skip
    limits = [SessionLimit(None, "", nano, 1, 2) for nano in (11, 17)]
    cells = _cells("/sessions", row, limits)
    id = id_text(session)
    wanted = {
        "href": f"/sessions/{id}", "name": id, "sid": id, "last_at": NOON + 2 * HOUR,
        "started": NOON, "limit": 11, "left": 8, "turns": 3, "agents": 2, "failed": 1,
        "total": 7_200_000, "charge_nano": 5, "models": "m, n", "ended": False, "cached": 20,
        "tokens_in": 50, "tokens_out": 7,
    }  # fmt: skip
    assert {name: cells[name] for name in wanted} == wanted
    bare = _cells("/sessions", row, ())
    assert (bare["limit"], bare["left"]) == (None, None)


def test_sub_agent_is_indented_below_the_one_above_it() -> None:
    agents: list[Any] = [SimpleNamespace(depth=depth, tokens=None) for depth in range(4)]
    assert [_agent(one)["indent"] for one in agents] == [
        "", "└ ", "\u2003└ ", "\u2003\u2003└ ",
    ]  # fmt: skip


@pytest.mark.parametrize(("statuses", "badge"), [((200, 502), "502 "), ((502, 200), ">Idle<")])
def test_status_of_a_session_is_that_of_its_last_turn(
    people: cast.Cast, key: Key, statuses: tuple[int, int], badge: str
) -> None:
    session = new_id()
    for seconds, status in enumerate(statuses):
        turn(key, session, seconds, status=status, kind="" if status == 200 else "upstream_error")
    alice = cast.signed_in(people.alice)
    (other,) = {"502 ", ">Idle<"} - {badge}
    listed = page_of(alice).partition("<tbody>")[2].partition("</tbody>")[0]
    head = page_of(alice, f"/{id_text(session)}").partition('class="stats"')[0]
    for text in (listed, head):
        assert badge in text
        assert other not in text


def test_session_shows_its_last_failure_and_no_empty_model(people: cast.Cast, key: Key) -> None:
    session = new_id()
    failures = ((502, "upstream_error", "gpt-5"), (429, "rate_limited", ""))
    for seconds, (status, kind, model) in enumerate(failures):
        turn(key, session, seconds, status=status, kind=kind, model=model)
    row = read_session(cast.actor(people.alice, people.acme), session)
    assert (row.status, row.kind, row.models) == (429, "rate_limited", ["gpt-5"])
