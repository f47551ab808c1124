"""Usage by any two groupings: each cell opens the requests that sum to it (I16)."""

import csv
import datetime as dt
import html
import io
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import Key
from accounts.organisations import teams
from lib.ids import id_text
from lib.tables.keyset import Order
from tests.support import cast
from tests.usage.overview.test_api import get, management
from tests.usage.rows import CHANNEL, NOON, happen, refuse
from usage.breakdowns.explorer import explore
from usage.filters.filters import Scope, from_query
from usage.filters.groupings import GROUPINGS, UnknownGrouping, read_groupings
from usage.reports import too_many_records, used_rows
from usage.reports.too_many_records import TooManyRecords
from usage.requests.log import RequestSource
from usage.rollups.histograms import ERROR_PER_CENT
from usage.rollups.levels import read_freshness

pytestmark = pytest.mark.django_db

_BY_ID = [Order("id", descending=True)]
NOW = NOON + dt.timedelta(hours=2)
END_USERS = ("alice@chat", 'bob, "b"', "")
PROJECTS, CUSTOMERS = ("search", 'a "b", c', ""), ("c-1", "c-2", "")
TAGS: tuple[list[str] | None, ...] = (["beta"], ["beta", "eu"], [], None)
APPS = ("curl", "openai-python", "")
STATUSES = (200, 200, 200, 429, 499)


@pytest.fixture
def busy(people: cast.Cast, key: Key, sum_up: Callable[[], None]) -> random.Random:
    """A few hundred requests of every kind within two days, of three keys in two teams."""
    rng = random.Random(20)
    other = teams.create_team(people.acme, "Second", actor=SYSTEM)
    more, _ = cast.make_key(other, "other", user=people.alice)
    nobody, _ = cast.make_key(people.core, "nobody")
    for _ in range(150):
        owner = rng.choice((key, more, nobody))
        at = NOON - dt.timedelta(minutes=rng.randrange(0, 2800))
        fields: dict[str, Any] = {
            "project": rng.choice(PROJECTS),
            "customer": rng.choice(CUSTOMERS),
            "end_user": rng.choice(END_USERS),
            "tags": rng.choice(TAGS),
            "client_app": rng.choice(APPS),
            "model": rng.choice(("gpt-5", "claude")),
        }
        if rng.random() < 0.1:
            status, kind = rng.choice(((429, "rate_limited"), (400, "guard_refused")))
            refuse(owner, at, status=status, kind=kind, **fields)
            continue
        status = rng.choice(STATUSES)
        charge = rng.randrange(1, 10**9)
        channel = rng.choice((CHANNEL, UUID(int=8)))
        happen(owner, at, charge, status=status, channel_id=channel, **fields)
    sum_up()
    return rng


def test_every_cell_opens_rows_that_sum_to_it(people: cast.Cast, busy: random.Random) -> None:
    """100 random cells under random filters: their requests and charges, one by one."""
    actor = cast.actor(people.dora, people.acme)
    seen = 0
    while seen < 100:
        query = _some_filter(busy)
        asked = from_query(query, NOW, channels=True)
        by = busy.sample(GROUPINGS, busy.choice((1, 2)))
        explored = explore(actor, asked, by, read_freshness())
        cells = busy.sample(explored.cells, min(4, len(explored.cells)))
        for cell in cells:
            opened = {name: list(values) for name, values in query.items()}
            for axis, group in zip(by, cell.groups, strict=True):
                if group.value:
                    uuid = axis in ("key", "channel")
                    opened[axis] = [id_text(UUID(group.value)) if uuid else group.value]
                else:
                    opened.setdefault("without", []).append(axis)
            log = from_query(opened, NOW, channels=True, log=True)
            assert log.dropped == ()
            rows = RequestSource(actor, log.span, log.scope).fetch(
                _BY_ID, None, backwards=False, limit=1000
            )
            assert len(rows) == cell.totals.requests, (by, cell, opened)
            assert sum(row.charge_nano for row in rows) == cell.totals.charge_nano
            assert sum(row.unanswered and not row.rejected for row in rows) == cell.totals.errors
            seen += 1


def _some_filter(rng: random.Random) -> dict[str, list[str]]:
    fields = {
        "model": ["gpt-5"],
        "team": ["second"],
        "user": ["bob@example.org"],
        "project": ["search"],
        "customer": ["c-1", "c-2"],
        "end_user": ["alice@chat"],
        "tag": ["beta"],
        "app": ["curl"],
        "channel": [id_text(CHANNEL)],
        "without": ["project"],
    }
    names = rng.sample(list(fields), rng.choice((0, 0, 1, 2)))
    range_ = {"range": [rng.choice(("7d", "today", "24h"))]}
    return range_ | {name: fields[name] for name in names}


def test_sums_and_records_agree(
    people: cast.Cast, busy: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What both know they know alike; a filter that fits everything only changes who is asked."""
    actor = cast.actor(people.dora, people.acme)
    asked = from_query({"range": ["7d"]}, NOW, channels=True)
    for by in (["model"], ["team", "model"], ["user", "channel"], ["key", "day"]):
        from_sums = explore(actor, asked, by, read_freshness())
        monkeypatch.setattr(used_rows, "SUMMED", frozenset())
        assert explore(actor, asked, by, read_freshness()) == from_sums
        monkeypatch.undo()


def test_tags_overlap_and_the_total_does_not(people: cast.Cast, busy: random.Random) -> None:
    actor = cast.actor(people.dora, people.acme)
    asked = from_query({"range": ["7d"]}, NOW, channels=True)
    by_tag, by_model = (explore(actor, asked, [by], read_freshness()) for by in ("tag", "model"))
    assert {cell.groups[0].value for cell in by_tag.cells} == {"beta", "eu", ""}
    assert sum(cell.totals.requests for cell in by_tag.cells) > by_tag.total.requests
    assert by_tag.total == by_model.total


@pytest.mark.parametrize("by", [["tag"], ["tag", "model"], ["model", "tag"]])
def test_total_counts_a_request_with_two_tags_once(
    people: cast.Cast, key: Key, sum_up: Callable[[], None], by: list[str]
) -> None:
    happen(key, charge_nano=70, tags=["beta", "eu"])
    sum_up()
    asked = from_query({"range": ["7d"]}, NOW, channels=True)
    explored = explore(cast.actor(people.dora, people.acme), asked, by)
    assert [cell.totals.charge_nano for cell in explored.cells] == [70, 70]
    assert (explored.total.requests, explored.total.charge_nano) == (1, 70)


def test_number_of_records_read_is_limited(
    people: cast.Cast, busy: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(too_many_records, "RECORDS_MAX", 20)
    actor = cast.actor(people.dora, people.acme)
    asked = from_query({"range": ["7d"]}, NOW, channels=True)
    with pytest.raises(TooManyRecords):
        explore(actor, asked, ["project"], read_freshness())
    alice = cast.signed_in(people.alice)
    for path in ("usage?project=search&", "usage?group_by=app&", "usage/explore?group_by=tag&"):
        assert "choose a shorter period" in alice.get(f"/o/acme/{path}{DAYS}").content.decode()
    client = management(people)
    days = "from=2026-11-16&to=2026-11-18"
    refused = get(client, f"usage?{days}&group_by=project", 400)["error"]
    assert (refused["param"], "shorter period" in refused["message"]) == ("from", True)


def test_the_api_groups_by_two(people: cast.Cast, busy: random.Random) -> None:
    client = management(people)
    days = "from=2026-11-16&to=2026-11-18"
    response = get(client, f"usage?{days}&group_by=team,status&tag=beta")
    assert response["group_by"] == "team,status"
    assert {item["group"] for item in response["items"]} == {"core", "second"}
    assert {item["subgroup"] for item in response["items"]} <= {
        "ok", "error", "rejected", "stopped",
    }  # fmt: skip
    assert sum(item["requests"] for item in response["items"]) == response["total"]["requests"]
    listed = get(client, f"requests?{days}&tag=beta&team=second&limit=200")["items"]
    second = [item["requests"] for item in response["items"] if item["group"] == "second"]
    assert len(listed) == sum(second)


def test_an_unknown_grouping_is_refused_by_name() -> None:
    allowed = ("team", "model")
    assert read_groupings("team, model", allowed) == ("team", "model")
    for text in ("teams", "", "team,team", "team,model,team", "r.user_id;--", "x" * 10_000):
        with pytest.raises(UnknownGrouping, match="team, model"):
            read_groupings(text, allowed)


def test_a_developer_sees_their_own(people: cast.Cast, busy: random.Random) -> None:
    asked = from_query({"range": ["7d"]}, NOW, channels=False)
    bob = explore(cast.actor(people.bob, people.acme), asked, ["project", "user"], read_freshness())
    assert {cell.groups[1].value for cell in bob.cells} == {"bob@example.org"}


def page(client: Client, query: str, status: int = 200) -> str:
    response = client.get(f"/o/acme/usage/explore?{query}")
    assert response.status_code == status
    return response.content.decode()


DAYS = "range=custom&from=2026-11-16&to=2026-11-18"


def test_the_page_leads_to_the_rows(people: cast.Cast, busy: random.Random) -> None:
    alice = cast.signed_in(people.alice)
    text = page(alice, f"{DAYS}&group_by=project&then_by=status&customer=c-1")
    links = {html.unescape(link) for link in re.findall(r'href="(/o/acme/requests\?[^"]*)"', text)}
    assert any("project=search" in link and "status=error" in link for link in links)
    for link in links:
        assert "customer=c-1" in link
        assert "Ignored filters" not in alice.get(link).content.decode()


def test_the_page_exports_what_it_shows(people: cast.Cast, busy: random.Random) -> None:
    alice = cast.signed_in(people.alice)
    exported = alice.get(f"/o/acme/usage/explore?{DAYS}&group_by=team&then_by=model&export=csv")
    rows = list(csv.DictReader(io.StringIO(exported.getvalue().decode())))
    asked = from_query({"range": ["custom"], "from": ["2026-11-16"], "to": ["2026-11-18"]}, NOW,
                       channels=False)  # fmt: skip
    explored = explore(
        cast.actor(people.alice, people.acme), asked, ["team", "model"], read_freshness()
    )
    results = {(row["group"], row["subgroup"]): int(row["requests"]) for row in rows}
    assert results == {
        tuple(group.label for group in cell.groups): cell.totals.requests for cell in explored.cells
    }


def test_a_row_is_compared_with_the_period_before(people: cast.Cast, key: Key) -> None:
    for days, charge in ((0, 5 * 10**9), (3, 2 * 10**9)):
        happen(key, NOON - dt.timedelta(days=days), charge, project="search")
    path = "/o/acme/usage/explore?range=custom&from=2026-11-18&to=2026-11-18&group_by=project"
    exported = cast.signed_in(people.alice).get(f"{path}&export=csv&cols=group,cost,before,change")
    assert exported.getvalue().decode().splitlines()[1:] == ["search,5.00,0.00,5.00"]
    path = path.replace("to=2026-11-18", "to=2026-11-20")
    exported = cast.signed_in(people.alice).get(f"{path}&export=csv&cols=group,cost,before,change")
    assert exported.getvalue().decode().splitlines()[1:] == ["search,5.00,2.00,3.00"]


def test_times_are_those_of_answered_requests(
    people: cast.Cast, key: Key, sum_up: Callable[[], None]
) -> None:
    for n in range(1, 101):
        happen(key, ttft_ms=n, total_ms=1000 + n)
    happen(key, status=500, ttft_ms=9000, total_ms=9000)
    asked = from_query({"range": ["7d"]}, NOW, channels=True)
    actor = cast.actor(people.alice, people.acme)
    sum_up()
    answered = replace(asked, scope=Scope(status="ok"))
    from_records = explore(actor, answered, ["model"], read_freshness(), timed=True)
    from_sums = explore(actor, asked, ["model"], read_freshness(), timed=True)
    for (cell,) in (from_records.cells, from_sums.cells):
        assert cell.times is not None
        for got, exact in zip(cell.times.total or (), (1050, 1095, 1099), strict=True):
            assert abs(got - exact) <= exact * ERROR_PER_CENT / 100
        for got, exact in zip(cell.times.ttft or (), (50, 95, 99), strict=True):
            assert abs(got - exact) <= exact * ERROR_PER_CENT / 100
        # 100 tokens in a second each.
        assert cell.times.rate_tenths == 1000
    assert from_records.cells[0].times == from_sums.cells[0].times


def test_unsupported_grouping_on_a_page_is_reported(people: cast.Cast, busy: random.Random) -> None:
    alice = cast.signed_in(people.alice)
    assert "group_by=nothing (available: model, key, user, team" in page(alice, "group_by=nothing")
    assert "Ignored filters" not in page(alice, "group_by=team&then_by=")
    chart = alice.get("/o/acme/usage?group_by=tag").content.decode()
    assert (
        "group_by=tag (available: model, key, user, team, project, customer, end_user, app)"
        in chart
    )
