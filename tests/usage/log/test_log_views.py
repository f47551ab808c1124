"""The log of requests as a list: sorted by an index, filtered, exported (W32)."""

import csv
import datetime as dt
import html
import io
import re
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import IntegrityError
from django.test import Client

from accounts.keys.keys import playground_key
from accounts.models import Key, KeyKind
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.lists import rows_of
from tests.support.markup import squeezed
from tests.usage.rows import NOON, admit, end, happen, refuse
from usage.models import UsageRecord

LOG = "/o/acme/requests"


@pytest.fixture(autouse=True)
def _at_noon_of_the_20th(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON + dt.timedelta(days=2))


def text_of(client: Client, query: str = "") -> str:
    response = client.get(f"{LOG}{query}")
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def listed_ids(page: str) -> list[str]:
    """The ids of the requests on a page, in their order."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(rf'href="{LOG}/([0-9A-Z]{{26}})', body)


def file_of(client: Client, query: str) -> list[list[str]]:
    answer = client.get(f"{LOG}{query}")
    assert answer["Content-Type"].startswith("text/csv")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def charges(key: Key) -> dict[str, int]:
    """What 60 requests were charged, many of them the same."""
    values = {}
    for n in range(60):
        record = happen(key, NOON + dt.timedelta(seconds=n), (n % 7) * 100_000 + 1)
        values[id_text(record.request_id)] = record.charge_nano
    return values


@pytest.mark.parametrize("sort", ["-cost", pytest.param("cost", marks=pytest.mark.slow)])
def test_every_request_once_by_cost(people: cast.Cast, charges: dict[str, int], sort: str) -> None:
    alice = cast.signed_in(people.alice)
    page = text_of(alice, f"?sort={sort}&rows=25")
    assert f'aria-sort="{"descending" if sort[0] == "-" else "ascending"}"' in page
    seen = listed_ids(page)
    while link := re.search(r'rel="next"\s+href="([^"]+)"', page):
        page = text_of(alice, link[1])
        seen += listed_ids(page)
    ordered = [charges[id] for id in seen]
    assert ordered == sorted(ordered, reverse=sort[0] == "-")
    assert len(seen) == 60
    assert set(seen) == set(charges)
    back: list[str] = []
    while link := re.search(r'rel="prev"\s+href="([^"]+)"', page):
        page = text_of(alice, link[1])
        back = listed_ids(page) + back
    assert back == seen[:50]


@pytest.mark.parametrize("path", [LOG, "/o/acme/usage"])
def test_another_filter_keeps_every_value(people: cast.Cast, key: Key, path: str) -> None:
    """The form sends all values of a filter that has several, each once."""
    query = "model=one&model=two&without=project&without=customer&team=core"
    page = cast.signed_in(people.alice).get(f"{path}?{query}").content.decode()
    form = page.partition('class="filters"')[2].partition("</form>")[0]
    sent = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form)
    for name, options in re.findall(r'<select[^>]*name="(\w+)"[^>]*>(.*?)</select>', form, re.S):
        sent += [(name, value) for value in re.findall(r'value="([^"]*)"\s+selected', options)]
    for name, values in parse_qs(query).items():
        assert sorted(value for one, value in sent if one == name) == sorted(values)


def test_the_last_page_and_the_first(people: cast.Cast, charges: dict[str, int]) -> None:
    alice = cast.signed_in(people.alice)
    last = text_of(alice, "?before=end&rows=25")
    assert listed_ids(last) == list(charges)[:25][::-1]
    assert "60 rows" in last
    assert 'rel="next"' not in last
    assert re.search(r'aria-label="First page"\s+title="First page"\s+href="\?rows=25"', last)


def failed_over(key: Key, charge_nano: int) -> UsageRecord:
    """A request whose second channel answered."""
    first = admit(key, NOON)
    end(first, 0, final=False, status=503, meters={}, basis="none")
    return happen(key, NOON, charge_nano, request_id=first.request_id, n=2)


def test_request_is_sorted_by_its_displayed_cost(people: cast.Cast, key: Key) -> None:
    cheap, dear = happen(key, NOON, 10**6), happen(key, NOON, 3 * 10**6)
    between = failed_over(key, 2 * 10**6)
    alice = cast.signed_in(people.alice)
    ids = [id_text(record.request_id) for record in (dear, between, cheap)]
    assert listed_ids(text_of(alice, "?sort=-cost")) == ids
    rows = file_of(alice, "?sort=-cost&cols=cost,attempts&export=csv")[1:]
    assert rows == [["0.003", "1"], ["0.002", "2"], ["0.001", "1"]]
    assert set(listed_ids(text_of(alice, "?min_cost=0.002"))) == set(ids[:2])


@pytest.mark.django_db
def test_only_the_last_attempt_is_charged(key: Key) -> None:
    with pytest.raises(IntegrityError, match="only_the_end_is_charged"):
        end(admit(key, NOON), 1, final=False)


def test_the_smallest_cost_and_the_status(people: cast.Cast, key: Key) -> None:
    cheap, dear = happen(key, charge_nano=1_000_000), happen(key, charge_nano=2 * 10**9)
    refuse(key)
    admit(key)
    alice = cast.signed_in(people.alice)
    page = text_of(alice, "?min_cost=$0.50")
    assert listed_ids(page) == [id_text(dear.request_id)]
    assert "Remove filter: Minimum cost" in page
    assert "Clear all" in page
    both = {id_text(record.request_id) for record in (cheap, dear)}
    assert set(listed_ids(text_of(alice, "?min_cost=0.001&status=ok"))) == both
    for wrong in ("-1", "x", "1e3", "9" * 40):
        assert f"min_cost={wrong}" in text_of(alice, f"?min_cost={wrong}")


def test_requests_are_filtered_by_their_cause(people: cast.Cast, key: Key) -> None:
    happen(key)
    slow = happen(key, status=504, kind="timeout", charge_nano=0)
    alice = cast.signed_in(people.alice)
    assert '<option value="timeout">No answer within the time limit</option>' in squeezed(
        text_of(alice, "")
    )
    assert listed_ids(text_of(alice, "?cause=timeout")) == [id_text(slow.request_id)]


def test_the_responses_of_a_realtime_session(people: cast.Cast, key: Key) -> None:
    """The page of one leads to its session and so to all; so do the file and the API, and none of
    them to another's."""
    session, other = new_id(), new_id()
    later, last = NOON + dt.timedelta(seconds=1), NOON + dt.timedelta(seconds=2)
    records = [happen(key, session_id=session), happen(key, later, session_id=session)]
    running = admit(key, last, session_id=session)
    plain = happen(key)
    happen(key, session_id=other)
    alice = cast.signed_in(people.alice)
    page = html.unescape(alice.get(f"{LOG}/{id_text(records[0].request_id)}").content.decode())
    assert id_text(session) in page
    own = re.search(rf'href="(/o/acme/sessions/{id_text(session)})"', page)
    assert own is not None
    whole = html.unescape(alice.get(own[1]).content.decode())
    link = re.search(rf'href="{LOG}(\?[^"]*session={id_text(session)})"', whole)
    assert link is not None
    ids = [id_text(id) for id in (running.request_id, *(one.request_id for one in records[::-1]))]
    log = text_of(alice, link[1])
    assert listed_ids(log) == ids
    assert "Remove filter: Session ID" in log
    rows = file_of(alice, f"{link[1]}&cols=id,session&export=csv")
    assert rows == [["id", "session"], *([id, id_text(session)] for id in ids[1:])]
    unmarked = alice.get(f"{LOG}/{id_text(plain.request_id)}").content.decode()
    assert "session=" not in unmarked
    _, text = cast.make_key(people.core, "owner", user=people.alice, kind=KeyKind.MANAGEMENT)
    api = cast.with_key(text)
    items = api.get(f"/api/v1/requests?session={id_text(session)}").json()["items"]
    assert [(item["id"], item["session"]) for item in items] == [
        (id, id_text(session)) for id in ids[1:]
    ]
    assert api.get("/api/v1/requests?session=x").status_code == 422
    others = cast.signed_in(people.charlie).get(f"/o/stranger/requests{link[1]}")
    assert listed_ids(others.content.decode()) == []


@pytest.mark.parametrize(
    ("range_name", "days"),
    [("today", 0), ("yesterday", 1), ("7d", 6), ("mtd", 19), ("last-month", 25)],
)
def test_periods_in_one_step(people: cast.Cast, key: Key, range_name: str, days: int) -> None:
    record = happen(key, NOON + dt.timedelta(days=2 - days))
    for other in (1, 40):
        happen(key, record.admitted_at - dt.timedelta(days=other + 30))
    page = text_of(cast.signed_in(people.alice), f"?range={range_name}")
    assert listed_ids(page) == [id_text(record.request_id)]


def test_export_contains_the_filtered_rows(people: cast.Cast, key: Key) -> None:
    happen(key, charge_nano=4_589_800, model="=cmd()")
    dear = happen(key, charge_nano=2 * 10**9, model="gpt-5")
    happen(key, NOON - dt.timedelta(days=100), charge_nano=5 * 10**9)
    alice = cast.signed_in(people.alice)
    link = re.search(r'href="(\?[^"]*export=csv[^"]*)"', text_of(alice, "?sort=cost&tz=Asia/Tokyo"))
    assert link is not None
    rows = file_of(alice, link[1])
    heads = "time,status,model,key,person,ttft_ms,total_ms,tokens_in,tokens_out,cost_usd"
    assert ",".join(rows[0]) == heads
    assert [row[-1] for row in rows[1:]] == ["0.0045898", "2.00"]
    assert rows[1][2] == "'=cmd()"
    assert rows[2][0] == "2026-11-18T21:00:00.000+09:00"
    some = file_of(alice, "?cols=id,cost&export=csv&min_cost=1")
    assert some == [["id", "cost_usd"], [id_text(dear.request_id), "2.00"]]
    assert file_of(cast.signed_in(people.bob), "?cols=person,id&export=csv")[0] == ["id"]


def test_hostile_cursors_are_the_first_page(people: cast.Cast, charges: dict[str, int]) -> None:
    alice = cast.signed_in(people.alice)
    first = listed_ids(text_of(alice, "?sort=-cost"))
    other = re.search(r"after=([^&\"]+)", text_of(alice, "?rows=25"))
    assert other is not None
    queries: list[dict[str, Any]] = [
        {"sort": "-cost", "after": cursor}
        for cursor in ("x", "", "'; DROP TABLE", "W10:abc", other[1], "\x00", "9" * 4000)
    ]
    for query in queries:
        answer = alice.get(LOG, query)
        assert listed_ids(html.unescape(answer.content.decode())) == first


def test_the_playground_key_has_a_name_in_each_language(people: cast.Cast) -> None:
    """Its stored name is English."""
    record = refuse(playground_key(people.acme))
    client = cast.signed_in(people.alice)
    for language, name in (("en", "Playground"), ("zh-hans", "操练场")):
        client.cookies["language"] = language
        assert rows_of(client, f"{LOG}?cols=model,key") == [f"{record.model} {name}"]
