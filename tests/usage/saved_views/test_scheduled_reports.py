"""Reports by mail: each once for each receiver and period, of what that receiver may see."""

import datetime as dt
import threading
from collections.abc import Callable
from itertools import product
from typing import Any, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from django.conf import LazySettings
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import AuditEvent, CustomRole, Key, Membership, Role
from accounts.organisations import organisations
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from notify.deliveries.deliveries import spread_facts
from notify.models import Delivery
from outbox.models import Fact
from tests.support import cast
from tests.usage.rows import NOON, happen
from usage.breakdowns import explorer
from usage.filter_bar.filter_bar import GROUPS_SHOWN
from usage.filters import filters
from usage.filters.filters import Range
from usage.models import ReportReceiver, ReportSchedule, SavedView
from usage.saved_views import saved_views, scheduled_reports
from usage.saved_views.report_times import Every, next_due

UTC = ZoneInfo("UTC")


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> list[dt.datetime]:
    """The time; it begins on Wednesday, November 18, 2026, at noon."""
    at = [NOON + dt.timedelta(hours=1)]
    monkeypatch.setattr(clock, "now", lambda: at[-1])
    return at


@pytest.fixture
def view(people: cast.Cast) -> SavedView:
    alice = cast.actor(people.alice, people.acme)
    return saved_views.save_view(alice, "explore", "Models", "group_by=model", shared=False)


def schedule(people: cast.Cast, view: SavedView, *to: Any, **over: Any) -> ReportSchedule:
    asked: dict[str, Any] = {
        "every": "week",
        "hour": 8,
        "zone": UTC,
        "people": [user.id for user in to],
    } | over
    return scheduled_reports.set_schedule(cast.actor(people.alice, people.acme), view, **asked)


def letters() -> list[Fact]:
    return list(Fact.objects.filter(kind="report.due").order_by("id"))


def test_week_is_reported_once_to_each_with_their_view(
    people: cast.Cast, key: Key, view: SavedView, times: list[dt.datetime],
    sum_up: Callable[[], None],
) -> None:  # fmt: skip
    others, _ = cast.make_key(people.core, "other", user=people.alice)
    happen(key, NOON, 2 * 10**9, model="gpt-5")
    happen(others, NOON, 3 * 10**9, model="qwen")
    happen(key, NOON - dt.timedelta(days=7), 10**9)
    sum_up()
    schedule(people, view, people.alice, people.bob)
    assert scheduled_reports.send_due() == 0
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    assert scheduled_reports.send_due() == 1
    assert scheduled_reports.send_due() == 0
    alices, bobs = letters()
    assert (alices.people, bobs.people) == ([people.alice.id], [people.bob.id])
    assert (alices.body["total"], alices.body["before"]) == ("5.00", "1.00")
    assert [row["group"] for row in alices.body["rows"]] == ["qwen", "gpt-5"]
    assert [row["group"] for row in bobs.body["rows"]] == ["gpt-5"]
    assert (bobs.body["first_on"], bobs.body["last_on"]) == ("2026-11-16", "2026-11-22")
    text = render_to_string("notify/letters/report_due.txt", alices.body)
    assert "- qwen: 3.00 USD, 1 requests" in text
    page_text = cast.signed_in(people.alice).get(alices.body["page"]).content.decode()
    assert "$5.00" in page_text
    spread_facts(100)
    assert Delivery.objects.filter(fact__kind="report.due", user=people.alice).count() == 1
    assert not Delivery.objects.filter(fact__kind="report.due", endpoint__isnull=False).exists()


@pytest.mark.parametrize("range_name", ["", *get_args(Range)])
@pytest.mark.parametrize("zone", ["", "UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_report_is_of_its_own_days_whatever_the_view_was_saved_with(
    range_name: str, zone: str
) -> None:
    """The days and their zone are those of the schedule, on the page that the email links too; all
    else is the view's."""
    query = {"group_by": "key", "model": "gpt-5", "sort": "-cost"}
    query |= {"range": range_name, "from": "2026-01-02", "to": "2026-03-04"} if range_name else {}
    query |= {"tz": zone} if zone else {}
    view = SavedView(page="explore", query=urlencode(query))
    for due_zone, every in product((UTC, ZoneInfo("Asia/Kolkata")), get_args(Every)):
        due = next_due(every, 8, due_zone, NOON)
        asked = scheduled_reports._query_of(view, due, due_zone)
        usage_filter = filters.from_query(asked, due.at, channels=False, explored=True)
        assert (usage_filter.zone, usage_filter.group_by) == (due_zone, "key")
        assert usage_filter.scope.models == ("gpt-5",)
        (start_at, end_at) = usage_filter.spans[0].start_at, usage_filter.spans[-1].end_at
        last = end_at.astimezone(due_zone).date() - dt.timedelta(days=1)
        assert (start_at.astimezone(due_zone).date(), last) == (due.first_on, due.last_on)


def test_missed_report_is_sent_once(
    people: cast.Cast, view: SavedView, times: list[dt.datetime]
) -> None:
    created = schedule(people, view, people.alice)
    times.append(dt.datetime(2027, 1, 20, tzinfo=dt.UTC))
    assert scheduled_reports.send_due() == 1
    (letter,) = letters()
    assert letter.body["last_on"] == "2027-01-17"
    created.refresh_from_db()
    assert created.due_at == dt.datetime(2027, 1, 25, 8, tzinfo=dt.UTC)


def test_dying_worker_sent_nothing(
    people: cast.Cast, view: SavedView, times: list[dt.datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(people, view, people.alice, people.bob)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))

    class Killed(BaseException):
        pass

    write, written = scheduled_reports._write_letter, []

    def dying(*arguments: Any) -> None:
        write(*arguments)
        written.append(1)
        if len(written) == 1:
            raise Killed

    monkeypatch.setattr(scheduled_reports, "_write_letter", dying)
    with pytest.raises(Killed):
        scheduled_reports.send_due()
    assert not letters()
    assert scheduled_reports.send_due() == 1
    assert len(letters()) == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_it_once(
    people: cast.Cast, view: SavedView, times: list[dt.datetime]
) -> None:
    schedule(people, view, people.alice)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    both, sent = threading.Barrier(2), []

    def work() -> None:
        both.wait()
        sent.append(scheduled_reports.send_due())
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(sent) == len(letters()) == 1


def test_former_receiver_is_removed_and_the_author_told(
    people: cast.Cast, view: SavedView, times: list[dt.datetime]
) -> None:
    """A former member who comes back gets no report again by themselves."""
    created = schedule(people, view, people.alice, people.bob)
    members.remove_member(people.acme, people.bob.email, actor=SYSTEM)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    assert scheduled_reports.send_due() == 1
    report, told = letters()
    assert (report.people, told.people) == ([people.alice.id], [people.alice.id])
    assert "total" in report.body
    assert told.body["count"] == 1
    assert [one.user_id for one in created.receivers.all()] == [people.alice.id]


def test_report_without_receivers_ends_and_the_author_is_told(
    people: cast.Cast, view: SavedView, times: list[dt.datetime]
) -> None:
    schedule(people, view, people.bob)
    members.remove_member(people.acme, people.bob.email, actor=SYSTEM)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    assert scheduled_reports.send_due() == 1
    (told,) = letters()
    assert (told.people, told.body["ended"]) == ([people.alice.id], "receivers")
    assert not ReportSchedule.objects.exists()


def _leave(people: cast.Cast) -> None:
    cast.member(people.acme, "olga", Role.OWNER)
    members.remove_member(people.acme, people.alice.email, actor=SYSTEM)


def _deactivate(people: cast.Cast) -> None:
    people.alice.is_active = False
    people.alice.save(update_fields=["is_active"])


def _see_own_usage(people: cast.Cast) -> None:
    Membership.objects.filter(user=people.alice).update(role=Role.DEVELOPER)


def _see_no_usage(people: cast.Cast) -> None:
    role = CustomRole.objects.create(organisation=people.acme, name="Few", permissions=[])
    Membership.objects.filter(user=people.alice).update(role=Role.CUSTOM, custom_role=role)


@pytest.mark.parametrize("lose", [_leave, _deactivate, _see_own_usage, _see_no_usage])
def test_report_ends_with_the_right_of_its_author(
    people: cast.Cast,
    view: SavedView,
    times: list[dt.datetime],
    lose: Callable[[cast.Cast], None],
) -> None:
    """Whoever got it, and still sees usage, is told, and so is the author, if they can be. An
    author who sees their own usage alone goes on getting it."""
    schedule(people, view, people.alice, people.bob)
    lose(people)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    assert scheduled_reports.send_due() == 1
    reports = [letter.people for letter in letters() if "total" in letter.body]
    told = {
        letter.people[0]: letter.body.get("ended", "")
        for letter in letters()
        if "total" not in letter.body
    }
    sees_own = lose is _see_own_usage
    assert reports == ([[people.alice.id]] if sees_own else [])
    assert told == {people.bob.id: "author", people.alice.id: "" if sees_own else "own"}
    assert ReportSchedule.objects.exists() is sees_own
    spread_facts(100)
    active = {people.bob.id} | ({people.alice.id} if lose is not _deactivate else set())
    told_ids = Delivery.objects.filter(user__isnull=False).values_list("user", flat=True)
    assert {*told_ids} == active
    removed = AuditEvent.objects.get(action="report.receivers_removed")
    assert removed.detail["receivers"] == (1 if sees_own else 2)
    assert removed.actor_user is None
    assert AuditEvent.objects.filter(action="report.ended").exists() is not sees_own
    times.append(dt.datetime(2026, 11, 30, 8, tzinfo=dt.UTC))
    before = len(letters())
    assert scheduled_reports.send_due() == int(sees_own)
    assert len(letters()) == before + int(sees_own)


def test_report_of_an_archived_organisation_is_due_and_not_sent(
    people: cast.Cast, view: SavedView, times: list[dt.datetime]
) -> None:
    schedule(people, view, people.alice)
    organisations.archive_organisation(people.acme, actor=SYSTEM)
    before = len(letters())
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    assert (scheduled_reports.send_due(), len(letters())) == (1, before)
    assert ReportSchedule.objects.get().due_at == dt.datetime(2026, 11, 30, 8, tzinfo=dt.UTC)


def test_failing_report_blocks_no_other(
    people: cast.Cast, view: SavedView, times: list[dt.datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database gives up on one view: whoever gets it is told so, and others get theirs."""
    alice = cast.actor(people.alice, people.acme)
    other = saved_views.save_view(alice, "explore", "Keys", "group_by=key", shared=False)
    schedule(people, view, people.alice)
    schedule(people, other, people.alice)

    def explored(actor: Any, usage_filter: Any, by: Any, **over: Any) -> Any:
        if by == ["model"]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        return explorer.explore(actor, usage_filter, by, **over)

    monkeypatch.setattr(scheduled_reports, "explore", explored)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    assert scheduled_reports.send_due() == 2
    assert [letter.body.get("failed", False) for letter in letters()] == [True, False]


@pytest.mark.parametrize(
    "changed", [{"every": "month"}, {"hour": 9}, {"zone": ZoneInfo("Asia/Kolkata")}]
)
def test_a_change_of_one_setting_is_saved(
    people: cast.Cast, view: SavedView, changed: dict[str, Any]
) -> None:
    schedule(people, view, people.bob)
    schedule(people, view, people.bob, **changed)
    saved = ReportSchedule.objects.get()
    settings: dict[str, Any] = {"every": "week", "hour": 8, "zone": UTC} | changed
    assert (saved.every, saved.hour, ZoneInfo(saved.zone)) == tuple(settings.values())
    assert saved.due_at == next_due(**settings, after=clock.now()).at


def test_permitted_recipients(people: cast.Cast, view: SavedView) -> None:
    for to in ([], [people.charlie], [people.dora]):
        with pytest.raises(Refused):
            schedule(people, view, *to)
    bob = cast.actor(people.bob, people.acme)
    own = saved_views.save_view(bob, "usage", "Own", "", shared=False)
    with pytest.raises(Refused):
        scheduled_reports.set_schedule(bob, own, "week", 8, UTC, [people.alice.id])
    log = saved_views.save_view(bob, "requests", "Log", "", shared=False)
    with pytest.raises(Refused, match="of usage"):
        scheduled_reports.set_schedule(bob, log, "week", 8, UTC, [people.bob.id])


def test_report_is_set_by_dialog_and_left_by_an_email_link(
    people: cast.Cast, view: SavedView, times: list[dt.datetime]
) -> None:
    alice = cast.signed_in(people.alice)
    page = f"/o/acme/views/{id_text(view.id)}/report"
    assert people.bob.email in alice.get(page).content.decode()
    form = {"every": "month", "hour": "9", "zone": "Asia/Kolkata", "people": [people.bob.id]}
    assert alice.post(page, form | {"hour": "24"}).status_code == 422
    assert alice.post(page, form).status_code == 303
    assert cast.signed_in(people.bob).post(page, form).status_code == 404
    report_schedule = ReportSchedule.objects.get()
    assert report_schedule.due_at == dt.datetime(2026, 12, 1, 3, 30, tzinfo=dt.UTC)
    assert "2026" in alice.get("/o/acme/views").content.decode()
    link = f"/reports/{scheduled_reports.leaving_token(report_schedule.receivers.get())}/leave"
    stranger = Client()
    assert people.bob.email in stranger.get(link).content.decode()
    assert ReportReceiver.objects.exists(), "a look changes nothing"
    assert "no longer" in stranger.post(link).content.decode()
    assert not ReportReceiver.objects.exists()
    assert "no longer" in stranger.get(link).content.decode()
    assert stranger.get("/reports/none/leave").status_code == 200
    assert alice.post(f"{page}/end").status_code == 303
    assert not ReportSchedule.objects.exists()
    done = AuditEvent.objects.filter(action__startswith="report.").order_by("id")
    assert [one.action for one in done] == ["report.scheduled", "report.left", "report.ended"]


@pytest.mark.parametrize("default", ["en", "zh-hans"])
@pytest.mark.parametrize("chosen", ["en", "zh-hans", ""])
def test_report_is_in_its_readers_language(
    people: cast.Cast, view: SavedView, times: list[dt.datetime], settings: LazySettings,
    chosen: str, default: str,
) -> None:  # fmt: skip
    """Or in that of the installation, whichever the worker has."""
    settings.LANGUAGE_CODE, people.alice.language = default, chosen
    people.alice.save(update_fields=["language"])
    schedule(people, view, people.alice)
    times.append(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC))
    for working in ("zh-hans", "en"):
        with translation.override(working):
            scheduled_reports.send_due()
    (letter,) = letters()
    with translation.override(chosen or default):
        assert letter.body["group"] == str(GROUPS_SHOWN["model"])
