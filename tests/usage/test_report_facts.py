"""W30 to W44, W74: what reports compare, count and lead to, where two periods, groups or figures
could be taken for each other."""

import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from accounts.access.actors import SYSTEM
from accounts.models import Key, Role, User
from accounts.organisations import projects, teams
from billing.ledger.statement import USAGE, Line
from billing.ledger.statement_months import MonthStatement
from billing.models import BudgetWindow, EndedSession
from billing.periods.period_starts import Span
from lib import clock
from lib.ids import id_text, new_id
from tests.support import cast
from tests.support.lists import file_of
from tests.usage.rows import NOON, happen
from usage.breakdowns.explorer import explore
from usage.limits import budget_simulation
from usage.models import DetachedMonth, SavedView
from usage.overview import explore_views
from usage.reports import largest_groups
from usage.reports.reports import Group, Totals
from usage.saved_views import scheduled_reports
from usage.saved_views.report_times import Due
from usage.statements import files

pytestmark = pytest.mark.django_db

USD = 10**9
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> dt.datetime:
    """The time: Wednesday, November 18, 2026, at 13:00 UTC, which is 22:00 in Tokyo."""
    at = NOON + HOUR
    monkeypatch.setattr(clock, "now", lambda: at)
    return at


def html_of(user: User, path: str) -> str:
    answer = cast.signed_in(user).get(path)
    assert answer.status_code == 200, answer.status_code
    return unescape(answer.content.decode())


def text_of(user: User, path: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html_of(user, path)).split())


def _figure(html: str, label: str) -> tuple[str, str]:
    """What a card shows of a figure, and where it leads."""
    card = html.partition(f'stat-label">{label}</div>')[2].partition('class="stat-label"')[0]
    href = re.search(r'href="([^"]+)"', card)
    return " ".join(re.sub(r"<[^>]+>", " ", card).split())[:60], href[1] if href else ""


# Usage -------------------------------------------------------------------------------------------


def test_cards_of_usage_compare_each_figure_with_its_own(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None]
) -> None:
    """Last week two requests for $4 without a failure; this week four for $6, of which one failed
    and half of the input came from a cache."""
    meters = {"in_text": 300, "in_cache_read": 300, "out_text": 400}
    for _ in range(2):
        happen(key, today - 9 * DAY, 2 * USD, hold_nano=2 * USD, meters=meters)
    for n in range(4):
        status = {"status": 502, "kind": "upstream_error"} if n == 3 else {}
        happen(key, today - DAY, 3 * USD // 2, hold_nano=2 * USD, meters=meters, **status)
    sum_up()
    html = html_of(people.alice, "/o/acme/usage?range=7d")
    cost, requests, errors = (_figure(html, one) for one in ("Cost", "Requests", "Errors"))
    assert "50.0%" in cost[0]
    assert "100%" in requests[0]
    assert "25.0 pt" in errors[0]
    assert (
        'data-tone="bad"' in html.partition('stat-label">Errors</div>')[2].partition("25.0 pt")[0]
    )
    assert parse_qs(urlsplit(errors[1]).query)["status"] == ["error"]
    assert "status" not in parse_qs(urlsplit(requests[1]).query)
    keys = text_of(people.alice, "/o/acme/usage?range=7d&tab=keys")
    assert "50.0% of input tokens from cache" in keys


def test_empty_range_leads_to_the_latest_day_in_its_zone(
    people: cast.Cast, key: Key, today: dt.datetime
) -> None:
    happen(key, dt.datetime(2026, 10, 3, 20, 0, tzinfo=dt.UTC))
    for zone, day in (("UTC", "2026-10-03"), ("Asia/Tokyo", "2026-10-04")):
        html = html_of(people.alice, f"/o/acme/usage?range=7d&tz={zone}")
        assert f"from={day}&to={day}" in html, zone


def test_address_of_usage_keeps_the_tab(people: cast.Cast, key: Key, today: dt.datetime) -> None:
    answer = cast.signed_in(people.alice).get(
        "/o/acme/usage?range=7d&tab=keys&model=", headers={"hx-request": "true"}
    )
    assert parse_qs(urlsplit(answer["HX-Push-Url"]).query) == {"range": ["7d"], "tab": ["keys"]}


def test_rejected_requests_lead_to_those_that_guards_rejected(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None]
) -> None:
    happen(key, today - DAY, 0, status=400, kind="guard_refused", flags=["guard:x"])
    sum_up()
    html = html_of(people.alice, "/o/acme/usage?range=7d&tab=errors")
    links = [parse_qs(urlsplit(one).query) for one in re.findall(r'href="([^"]+)"', html)]
    assert any(one.get("guards") == ["rejected"] for one in links)


def test_bars_above_the_log_are_of_its_zone_and_count_failures(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None]
) -> None:
    happen(key, today - DAY, status=502, kind="upstream_error")
    happen(key, today - DAY)
    sum_up()
    html = html_of(people.alice, "/o/acme/requests?range=7d&tz=Asia/Tokyo")
    assert {one[-6:] for one in re.findall(r'data-from="([^"]+)"', html)} == {"+09:00"}
    assert "2 requests, 1 failed" in html
    # A request opens in the zone of its log.
    assert re.search(r'href="/o/acme/requests/\w+\?tz=Asia/Tokyo"', html)


def test_explorer_says_that_tags_overlap_and_that_groups_are_left_out(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    happen(key, today - DAY, tags=["a", "b"])
    sum_up()
    page = "/o/acme/usage/explore?range=7d&group_by="
    apart, together = text_of(people.alice, f"{page}model"), text_of(people.alice, f"{page}tag")
    assert len(together) > len(apart)
    several = "several tags"
    assert (several in together, several in apart) == (True, False)
    monkeypatch.setattr(
        explore_views, "explore", lambda *a, **k: replace(explore(*a, **k), more=True)
    )
    monkeypatch.setattr(explore_views, "CELLS_MAX", 4_321)
    assert "4,321" in text_of(people.alice, f"{page}model")


def test_file_of_costs_names_the_months_that_it_lacks(
    people: cast.Cast, today: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = [DetachedMonth(month=dt.date(2026, 9, 1))]
    monkeypatch.setattr(explore_views, "focus_lacks", lambda _: lacking)
    answer = cast.signed_in(people.alice).get("/o/acme/usage/focus.csv?range=7d")
    assert 'filename="focus-2026-11-18-without-2026-09.csv"' in answer["Content-Disposition"]


def test_times_and_what_changed_compare_the_last_period(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None]
) -> None:
    """Durations of a second and two; first tokens of 200 and 400 ms; a cost of $4 and $6 of two
    models."""
    for n in range(4):
        times = {"ttft_ms": 200, "total_ms": 1000}
        happen(key, today - 9 * DAY, USD, hold_nano=USD, model=f"m-{n % 2}", **times)
    for n in range(4):
        times = {"ttft_ms": 400, "total_ms": 2000 + 8000 * (n == 3)}
        charge = 3 * USD // 2
        happen(key, today - DAY, charge, hold_nano=charge, model=f"m-{n % 2}", **times)
    sum_up()
    panel = text_of(people.alice, "/o/acme/usage/_f/times?range=7d")
    ttft = panel.partition("TTFT p50")[2][:60]
    assert re.match(r" (39|40)\d ms \+(19|20)\d ms", ttft), ttft
    html = html_of(people.alice, "/o/acme/usage/_f/times?range=7d")
    days = [parse_qs(urlsplit(one).query) for one in re.findall(r'href="([^"]+)"', html)]
    days = [one for one in days if "from" in one and "to" in one]
    assert len({one["from"][0] for one in days}) >= 7
    changes = text_of(people.alice, "/o/acme/usage/_f/changes?range=7d")
    assert "Cost went from $4.00 to $6.00." in changes
    assert re.search(r"m-\d \+\$1\.00 · m-\d \+\$1\.00", changes)
    # Of the slowest, not of half of them.
    assert re.search(r"Duration p95 [\d.]+ m?s → (9|10)\.\d+ s", changes)


# Sessions ----------------------------------------------------------------------------------------


def test_session_tells_its_days_limits_and_end_apart(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None]
) -> None:
    session = new_id()
    for at in (today - 3 * DAY, today - HOUR):
        happen(key, at, USD, hold_nano=USD, session_id=session, ended_at=at + HOUR / 2)
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="organisation", subject="", amount_nano=50 * USD,
        period="session",
    )  # fmt: skip
    for of, cap, spent, held in ((budget, 50, 3, 2), (None, 20, 5, 1)):
        BudgetWindow.objects.create(
            budget=of, session_id=session, starts_at=today - 3 * DAY, ends_at=today + DAY,
            cap_nano=cap * USD, spent_nano=spent * USD, held_nano=held * USD,
        )  # fmt: skip
    alice, id = cast.signed_in(people.alice), id_text(session)
    shown = alice.get(f"/api/v1/sessions/{id}").json()
    assert (shown["started_at"], shown["last_at"]) == (
        clock.rfc3339(today - 3 * DAY), clock.rfc3339(today - HOUR / 2),
    )  # fmt: skip
    # The tightest first.
    assert shown["limits"] == [
        {"budget": None, "limit": "20.00", "spent": "5.00", "held": "1.00", "left": "14.00"},
        {
            "budget": str(budget.id), "limit": "50.00", "spent": "3.00", "held": "2.00",
            "left": "45.00",
        },
    ]  # fmt: skip
    assert (shown["limit"], shown["left"], shown["ended_at"]) == ("20.00", "14.00", None)
    html = html_of(people.alice, f"/o/acme/sessions/{id}")
    assert "<code>x-weir-session-budget" in html or "<code>X-Weir" in html
    assert f"from={today - 3 * DAY:%Y-%m-%d}&to={today:%Y-%m-%d}&session={id}" in html
    ended = alice.post(f"/o/acme/sessions/{id}/end", follow=True)
    assert f'action="/o/acme/sessions/{id}/reopen"' in ended.content.decode()
    assert EndedSession.objects.get().session_id == session
    [row] = file_of(alice, "/o/acme/sessions?export=csv&cols=state")
    assert row["state"] == "Ended"


# Teams -------------------------------------------------------------------------------------------


def test_team_counts_what_lives_in_it(people: cast.Cast, key: Key) -> None:
    """Not revoked or disabled keys, archived projects, deactivated people, leads of other teams."""
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    revoked, _ = cast.make_key(people.core, "revoked")
    disabled, _ = cast.make_key(people.core, "disabled")
    Key.objects.filter(id=revoked.id).update(revoked_at=clock.now())
    Key.objects.filter(id=disabled.id).update(disabled=True)
    project = projects.create_project(people.core, "Bots", actor=SYSTEM)
    Key.objects.filter(id__in=[key.id, revoked.id]).update(project=project)
    gone = projects.create_project(people.core, "Gone", actor=SYSTEM)
    projects.archive_project(gone, actor=SYSTEM)
    left = cast.member(people.acme, "left", Role.DEVELOPER)
    User.objects.filter(id=left.id).update(is_active=False)
    lead = people.acme.memberships.get(user=people.bob)
    lead.leads = [second.id]
    lead.save(update_fields=["leads"])
    alice = cast.signed_in(people.alice)
    [core, other] = file_of(alice, "/o/acme/teams?export=csv&cols=name,members,keys,projects")
    assert core == {"name": "core", "members": "2", "keys": "1", "projects": "1"}
    assert other == {"name": "Second", "members": "2", "keys": "0", "projects": "0"}
    shown = text_of(people.alice, "/o/acme/teams/core")
    # Also the disabled one can be used again.
    assert "Keys 2 Members" in shown
    assert "Bots bots 1" in shown
    assert "Lead" not in shown.partition("Members")[2].partition("Projects")[0].replace(
        "Make lead", ""
    ).replace("End lead", "")
    assert "Bob Lead" in text_of(people.alice, "/o/acme/teams/second")


# Margin ------------------------------------------------------------------------------------------


def test_margin_is_of_the_days_that_were_asked_for(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None]
) -> None:
    for days, charge in ((40, 1), (10, 2), (1, 4)):
        at = today - days * DAY
        happen(key, at, charge * USD, hold_nano=charge * USD, cost_nano=charge * USD // 2)
    sum_up()
    dora = cast.signed_in(people.dora)
    first, last = f"{today - 12 * DAY:%Y-%m-%d}", f"{today - 8 * DAY:%Y-%m-%d}"
    only = dora.get(f"/api/v1/margin?from={first}&to={last}").json()["total"]
    assert (only["revenue"], only["cost"], only["margin"]) == ("2.00", "1.00", "1.00")
    assert dora.get(f"/api/v1/margin?from={first}").json()["total"]["revenue"] == "6.00"
    [row] = file_of(dora, f"/admin/margin?since={first}&until={last}&export=csv")
    assert row["revenue_usd"] == "2.00"
    [row] = file_of(dora, f"/admin/margin?since={today - 50 * DAY:%Y-%m-%d}&export=csv")
    assert row["revenue_usd"] == "7.00"


# Reports by email --------------------------------------------------------------------------------


def test_report_compares_with_the_period_before(
    people: cast.Cast, key: Key, today: dt.datetime, sum_up: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for days, charge, model in ((10, 8, "a"), (3, 2, "a"), (2, 4, "b")):
        happen(key, today - days * DAY, charge * USD, hold_nano=charge * USD, model=model)
    sum_up()
    view = SavedView(organisation=people.acme, page="explore", query="group_by=model", name="M")
    due = Due(today, (today - 7 * DAY).date(), (today - DAY).date())
    actor = cast.actor(people.alice, people.acme)
    body = scheduled_reports.report_of(actor, view, due, ZoneInfo("UTC"))
    assert body == {
        "group": "Model", "more": False, "total": "6.00", "requests": "2", "before": "8.00",
        "rows": [
            {"group": "b", "cost": "4.00", "requests": "1"},
            {"group": "a", "cost": "2.00", "requests": "1"},
        ],
    }  # fmt: skip
    monkeypatch.setattr(scheduled_reports, "ROWS_SHOWN", 1)
    few = scheduled_reports.report_of(actor, view, due, ZoneInfo("UTC"))
    assert (few["more"], [row["group"] for row in few["rows"]]) == (True, ["b"])


# Statements --------------------------------------------------------------------------------------


def _statement() -> MonthStatement:
    """A month of Tokyo with a correction and a day's usage, newest first."""
    zone = ZoneInfo("Asia/Tokyo")
    start = dt.datetime(2026, 2, 28, 15, tzinfo=dt.UTC)
    usage = Line(start + 5 * DAY, USAGE, -3 * USD, 6 * USD, 7)
    cause = {"reason": "Outage", "document": "DOC-7"}
    fixed = Line(start + 2 * DAY, "adjust", 4 * USD, 9 * USD, 1, new_id(), "otto@x.org", cause)
    return MonthStatement(
        dt.date(2026, 3, 1), zone, Span(start, start + 31 * DAY), 5 * USD, 6 * USD, [usage, fixed]
    )


def test_csv_of_a_statement_runs_from_its_opening_to_its_closing_balance() -> None:
    head, *rows = files.csv_rows(_statement())
    texts = [dict(zip(head, row, strict=True)) for row in rows]
    assert [(one["time"], one["type"], one["balance"]) for one in texts] == [
        ("2026-02-28T15:00:00Z", "opening_balance", "5.00"),
        ("2026-03-02T15:00:00Z", "adjust", "9.00"),
        ("2026-03-05T15:00:00Z", "usage", "6.00"),
        ("2026-03-31T15:00:00Z", "closing_balance", "6.00"),
    ]
    assert [one["charges"] for one in texts] == ["", "", 7, ""]
    assert [one["amount"] for one in texts] == ["", "4.00", "-3.00", ""]
    assert (texts[1]["reason"], texts[1]["document"], texts[1]["by"]) == (
        "Outage", "DOC-7", "otto@x.org",
    )  # fmt: skip


def test_workbook_of_a_statement_has_each_figure_in_its_column() -> None:
    group: Any = SimpleNamespace(label="m", totals=Totals(11, 3, 5 * USD))
    book = openpyxl.load_workbook(io.BytesIO(files.workbook(_statement(), {"model": [group]})))
    _, usage, ledger = book.worksheets
    assert [cell.value for cell in usage[2]] == ["m", 11, 3, 5]
    lines = list(ledger.iter_rows(min_row=2, values_only=True))
    assert [str(line[0]) for line in lines] == ["2026-03-02 15:00:00", "2026-03-05 15:00:00"]
    assert [line[2:5] for line in lines] == [(None, 4, 9), (7, -3, 6)]
    assert lines[0][5:8] == ("Outage", "DOC-7", "otto@x.org")


def test_statement_and_its_files_are_of_the_asked_month(people: cast.Cast, key: Key) -> None:
    period = f"{clock.now():%Y-%m}"
    alice = cast.signed_in(people.alice)
    for form in ("csv", "xlsx"):
        answer = alice.get(f"/o/acme/billing/statements/{period}.{form}")
        assert f'filename="statement-{period}.{form}"' in answer["Content-Disposition"]
        assert answer["Cache-Control"] == "private, no-store"
    charges = alice.get(f"/api/v1/statements/{period}").json()["items"]
    # The opening credit is no charge.
    assert [item["charges"] for item in charges] == [None]


def test_others_are_what_the_largest_groups_leave_of_the_whole(
    people: cast.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They add up to the whole, which may be more than all groups that were asked for."""
    groups = [Group(name, name, Totals(n, n + 2, 100 * n)) for n, name in enumerate("abc", 1)]
    monkeypatch.setattr(largest_groups, "usage_by", lambda *_, **__: groups)
    monkeypatch.setattr(largest_groups, "usage_totals", lambda *_, **__: Totals(50, 60, 7_000))
    last = Span(NOON, NOON + dt.timedelta(days=1))
    *shown, others = largest_groups.largest_groups(cast.actor(people.alice), last, "model", 2)
    assert shown == groups[:2]
    assert (others.id, others.totals) == ("", Totals(47, 53, 6_700))
    assert largest_groups.largest_groups(cast.actor(people.alice), last, "model", 3) == groups
