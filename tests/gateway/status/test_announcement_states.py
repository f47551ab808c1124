"""What operators announce, from its plan to its end, and what the page of usage marks."""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from django.core.cache import cache

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.prices.conditions import PriceKey
from billing.prices.prices import set_price
from gateway.channels.channel_tests.rules import TakenOut
from gateway.channels.channels import create_channel, take_out
from gateway.models import Announcement, Channel
from gateway.status.announcements import (
    announcements_for,
    change_announcement,
    check_times,
    current_announcements,
    dismiss_announcement,
    end_announcement,
)
from gateway.status.model_status import model_statuses
from gateway.status.usage_marks import MARKS_MAX, marks_of
from gateway.status.views import _announcement_row
from lib import clock
from lib.refusal import Refused
from tests.gateway.status.test_status import channel, happened, tell
from tests.isolation.kinds.gateway import CHANNEL
from tests.support import cast
from tests.support.cast import Cast
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING

pytestmark = pytest.mark.django_db
__all__ = ["channel"]

HOUR, MICROSECOND = dt.timedelta(hours=1), dt.timedelta(microseconds=1)
RATES = {"meters": {"in_text": 150_000_000, "out_text": 600_000_000}}
DEARER = {"meters": {"in_text": 250_000_000, "out_text": 600_000_000}}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def fields_of(row: Announcement) -> dict[str, object]:
    return {name: getattr(row, name) for name in ("title", "text", "tone", "starts_at", "ends_at")}


def test_announcement_saved_without_a_change_stays_dismissed(people: Cast) -> None:
    """Only a new text concerns who has read the old one."""
    row = tell()
    dismiss_announcement(people.bob, row)
    change_announcement(SYSTEM, row, **fields_of(row))  # type: ignore[arg-type]
    assert announcements_for(people.bob) == []
    changed = AuditEvent.objects.filter(action="announcement.changed")
    assert not changed.exists()
    change_announcement(SYSTEM, row, **fields_of(row) | {"tone": "bad"})  # type: ignore[arg-type]
    assert [one.tone for one in announcements_for(people.bob)] == ["bad"]
    detail = changed.get().detail
    assert (detail["before"]["tone"], detail["after"]["tone"]) == ("warn", "bad")


def test_announcement_of_the_future_is_withdrawn_and_a_shown_one_ended(people: Cast) -> None:
    later, shown = tell(starts_at=clock.now() + HOUR), tell()
    over = tell(starts_at=clock.now() - 2 * HOUR, ends_at=clock.now() - HOUR)
    for row in (later, shown, over):
        end_announcement(SYSTEM, row)
    ended = AuditEvent.objects.exclude(action="announcement.published").order_by("id")
    events = [
        (event.action, event.object_id)
        for event in ended.filter(action__startswith="announcement.")
    ]
    assert events == [
        ("announcement.withdrawn", later.public_id),
        ("announcement.ended", shown.public_id),
    ]
    assert set(Announcement.objects.values_list("id", flat=True)) == {shown.id, over.id}


@pytest.mark.parametrize(
    ("late_us", "shown"),
    [(-1, []), (0, ["a"]), (HOUR / MICROSECOND - 1, ["a"]), (HOUR / MICROSECOND, [])],
)
def test_announcement_is_shown_from_its_start_until_before_its_end(
    people: Cast, monkeypatch: pytest.MonkeyPatch, late_us: float, shown: list[str]
) -> None:
    """To each person, and on the status page; operators read so in their list."""
    start = clock.now()
    tell(title="a", starts_at=start, ends_at=start + HOUR)
    at = start + late_us * MICROSECOND
    monkeypatch.setattr(clock, "now", lambda: at)
    assert [one.title for one in announcements_for(people.bob)] == shown
    assert [one.title for one in current_announcements()] == shown
    state = "Shown" if shown else "Scheduled" if late_us < 0 else "Ended"
    assert str(_announcement_row(Announcement.objects.get())["badge"].text) == state


@pytest.mark.parametrize(("lasts_us", "valid"), [(-1, False), (0, False), (1, True)])
def test_announcement_ends_after_its_start(lasts_us: int, valid: bool) -> None:
    start = clock.now()
    with nullcontext() if valid else pytest.raises(Refused, match="after the start"):
        check_times(start, start + lasts_us * MICROSECOND)


def test_announcement_with_a_planned_end_can_be_ended_early(people: Cast) -> None:
    """A shown one is gone at once, and one that is still to come never appears."""
    now = clock.now()
    shown = tell(title="shown", starts_at=now - HOUR, ends_at=now + HOUR)
    later = tell(title="later", starts_at=now + HOUR, ends_at=now + 2 * HOUR)
    assert [one.title for one in announcements_for(people.bob)] == ["shown"]
    for row in (shown, later):
        end_announcement(SYSTEM, row)
    assert announcements_for(people.bob) == []
    (ended,) = Announcement.objects.all()
    assert ended.id == shown.id
    assert ended.ends_at is not None
    assert now <= ended.ends_at <= clock.now()
    events = AuditEvent.objects.filter(action__in=("announcement.ended", "announcement.withdrawn"))
    assert [(one.action, one.object_id) for one in events.order_by("id")] == [
        ("announcement.ended", shown.public_id),
        ("announcement.withdrawn", later.public_id),
    ]


def test_operators_see_which_announcements_are_planned_shown_and_over(people: Cast) -> None:
    """The one that is over can no longer be ended."""
    now = clock.now()
    tell(title="planned", starts_at=now + HOUR)
    tell(title="shown", ends_at=now + HOUR)
    tell(title="past", starts_at=now - 2 * HOUR, ends_at=now - HOUR)
    html = cast.signed_in(people.dora).get("/admin/announcements").content.decode()
    rows = re.findall(r"<tr>.*?</tr>", html, re.S)[1:]
    badges = {
        word: re.findall(r"Scheduled|Shown|Ended", row)[:1]
        for word in ("planned", "shown", "past")
        for row in rows
        if f">{word}</a>" in row
    }
    assert badges == {"planned": ["Scheduled"], "shown": ["Shown"], "past": ["Ended"]}
    assert ["/end" in row for row in rows if ">past</a>" in row] == [False]
    assert sum("/end" in row for row in rows) == 2


@pytest.mark.parametrize(
    ("back", "place"),
    [("/o/acme/keys", "/o/acme/keys"), ("https://elsewhere.example/", "/"), ("//x.example", "/"),
     ("", "/")],
)  # fmt: skip
def test_dismissal_leads_back_to_a_page_of_the_installation(
    people: Cast, back: str, place: str
) -> None:
    path = f"/announcements/{tell().public_id}/dismiss"
    assert cast.signed_in(people.bob).post(path, {"next": back})["Location"] == place


def test_state_of_a_model_is_that_of_the_last_quarter_of_an_hour(channel: Channel) -> None:
    """What failed before has been overcome."""
    happened(channel, dt.timedelta(minutes=5), 20, 0)
    happened(channel, dt.timedelta(minutes=25), 20, 20)
    (status,) = [status for status in model_statuses() if status.model == "m-1"]
    assert status.state == "operational"


def test_disabled_channel_is_marked_as_turned_off(people: Cast) -> None:
    """A price at which it is bought is no news for customers."""
    now = clock.now()
    cost = PriceKey("brook", kind="cost")
    for at, rates in ((now - 30 * HOUR, RATES), (now - HOUR, DEARER)):
        set_price(SYSTEM, cost, at, rates, source="test")
    take_out(create_channel(SYSTEM, "east", CHANNEL), TakenOut("status", "503"))
    span = Span(now - 2 * HOUR, clock.now() + HOUR)
    dora = cast.actor(people.dora, people.acme)
    assert [mark.text for mark in marks_of(dora, span, EVERYTHING)] == ["east turned off"]


def test_marks_are_listed_newest_first_in_the_readers_zone(people: Cast) -> None:
    now = clock.now().replace(microsecond=0)
    first = now - 3 * HOUR
    tell(title="earlier", starts_at=first)
    tell(title="later", starts_at=now - HOUR)
    tell(title="to come", starts_at=now + HOUR)
    alice = cast.signed_in(people.alice)
    html = alice.get("/o/acme/usage/_f/marks?range=24h&tz=Asia/Tokyo").content.decode()
    assert re.findall(r"data-mark-text>([^<]+)<", html) == ["later", "earlier"]
    assert f'datetime="{(first + 9 * HOUR):%Y-%m-%dT%H:%M:%S}+09:00"' in html


def test_latest_marks_are_kept_where_there_are_too_many(people: Cast) -> None:
    now = clock.now()
    Announcement.objects.bulk_create(
        Announcement(title=str(n), text="", tone="info", starts_at=now - n * HOUR / 60)
        for n in range(MARKS_MAX + 2)
    )
    span = Span(now - 24 * HOUR, now + HOUR)
    marks = marks_of(cast.actor(people.alice, people.acme), span, EVERYTHING)
    assert (marks[0].text, marks[-1].text, len(marks)) == (str(MARKS_MAX - 1), "0", MARKS_MAX)
