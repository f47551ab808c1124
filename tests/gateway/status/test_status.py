"""The status page (W90) and announcements (W84): who sees them, what they say, and that each person
closes them for themselves."""

import datetime as dt
from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, User
from billing.prices.prices import set_price
from gateway.channels.channels import change_channel, create_channel
from gateway.health.histogram_bounds import FIRST_TOKEN_MS
from gateway.models import Announcement, Channel, ChannelReport, TrafficBucket
from gateway.settings.installation import save_settings
from gateway.status.announcements import (
    SHOWN_MAX,
    announcements_for,
    dismiss_announcement,
    publish_announcement,
)
from gateway.status.model_status import model_statuses
from lib import clock
from lib.ids import new_id
from tests.support import cast
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SECRET_NAME = "east-of-the-provider"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def channel(people: Cast) -> Channel:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    set_price(SYSTEM, "m-1", START, {"meters": {"in_text": 10**9}}, source="file")
    return create_channel(
        SYSTEM,
        SECRET_NAME,
        {
            "provider": "openai_compatible",
            "base_url": "http://127.0.0.1:9/v1",
            "keys": ["sk-none-0123456789"],
            "models": {"m-1": "", "m-unpriced": ""},
        },
    )


def happened(channel: Channel, ago: dt.timedelta, requests: int, failed: int) -> None:
    TrafficBucket.objects.create(
        bucket_at=clock.now() - ago,
        channel_id=channel.id,
        model="m-1",
        attempts=requests,
        failed=failed,
        requests=requests,
        failed_requests=failed,
        output_tokens=0,
        writing_ms=0,
        first_tokens=[0] * len(FIRST_TOKEN_MS),
    )


def page(client: Client, path: str = "/status") -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_strangers_see_the_status_where_it_is_public(channel: Channel) -> None:
    assert Client().get("/status").status_code == 302
    save_settings(SYSTEM, public_status=True)
    html = page(Client())
    assert "m-1" in html
    assert "No model has been used yet" in html
    assert "Operational" not in html, "nothing shows yet that it answers"
    happened(channel, dt.timedelta(hours=30), 1, 0)
    cache.clear()
    html = page(Client())
    assert "All models in use are operational" in html
    assert SECRET_NAME not in html, "who serves a model is the operator's business"
    assert "m-unpriced" not in html, "what nobody may call has no status"


def test_every_signed_in_person_sees_the_status(people: Cast, channel: Channel) -> None:
    channel.last_test = {"ok": True}
    channel.save()
    for person in (people.alice, people.bob, people.charlie, people.dora):
        assert "Operational" in page(cast.signed_in(person))


def test_its_states_are_those_of_requests_and_channels(people: Cast, channel: Channel) -> None:
    client = cast.signed_in(people.bob)
    happened(channel, dt.timedelta(minutes=3), 20, 2)
    assert "Some models are degraded" in page(client)
    cache.clear()
    body = {"status": ["open", 9, "upstream_unreachable"], "keys": []}
    ChannelReport.objects.create(
        process_id=new_id(), reported_at=clock.now(), epoch=1, channels={str(channel.id): body}
    )
    html = page(client)
    assert "Some models are down" in html
    assert "upstream" not in html


def test_its_strips_are_the_last_day_and_week(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)
    hour = now - now.replace(minute=0, second=0, microsecond=0)
    happened(channel, hour / 2, 10, 0)
    happened(channel, dt.timedelta(hours=5), 10, 9)
    happened(channel, dt.timedelta(hours=100), 10, 1)
    happened(channel, dt.timedelta(hours=200), 10, 10)
    (status,) = [status for status in model_statuses() if status.model == "m-1"]
    assert (status.day.attempts, status.day.answered) == (20, 11)
    assert (status.week.attempts, status.week.answered) == (30, 20)
    assert len(status.day.hours) == len(status.week.hours) == 24
    assert status.day.hours[-1].attempts == 10
    change_channel(SYSTEM, channel, {"enabled": False})
    assert model_statuses() == []


# ---- announcements


def tell(**over: object) -> Announcement:
    fields = {
        "title": "Maintenance",
        "text": "On Sunday.",
        "tone": "warn",
        "starts_at": clock.now(),
        "ends_at": None,
    }
    return publish_announcement(SYSTEM, **{**fields, **over})  # type: ignore[arg-type]


def test_announcement_stays_on_all_pages_until_closed(people: Cast) -> None:
    message = tell()
    alice, bob = cast.signed_in(people.alice), cast.signed_in(people.bob)
    for client in (alice, bob):
        assert "On Sunday." in page(client, "/o/acme/keys")
    response = bob.post(f"/announcements/{message.public_id}/dismiss", {"next": "/o/acme/keys"})
    assert (response.status_code, response["Location"]) == (303, "/o/acme/keys")
    assert "On Sunday." not in page(bob, "/o/acme/keys")
    assert "On Sunday." in page(alice, "/o/acme/keys")
    assert "On Sunday." in page(bob), "the status page goes on saying it"


def test_announcement_is_shown_only_in_its_time(people: Cast) -> None:
    now = clock.now()
    tell(title="later", starts_at=now + dt.timedelta(hours=1))
    tell(title="over", starts_at=now - dt.timedelta(hours=2), ends_at=now - dt.timedelta(hours=1))
    tell(title="now", ends_at=now + dt.timedelta(hours=1))
    assert [announcement.title for announcement in announcements_for(people.bob)] == ["now"]


def test_the_latest_are_shown_of_those_that_a_person_has_not_dismissed(people: Cast) -> None:
    """An older one that goes on takes the place of a dismissed one, for this person alone."""
    now = clock.now()
    told = [tell(title=str(n), starts_at=now - dt.timedelta(hours=n)) for n in range(SHOWN_MAX + 2)]

    def shown_to(user: User) -> list[str]:
        return [announcement.title for announcement in announcements_for(user)]

    every = [str(n) for n in range(SHOWN_MAX + 2)]
    for n, announcement in enumerate(told):
        assert shown_to(people.bob) == every[n : n + SHOWN_MAX]
        dismiss_announcement(people.bob, announcement)
    assert shown_to(people.bob) == []
    assert shown_to(people.alice) == every[:SHOWN_MAX]


def test_an_operator_publishes_changes_and_ends_it(people: Cast) -> None:
    dora = cast.signed_in(people.dora)
    sent = {"title": "Incident", "text": "We look into it.", "tone": "bad"}
    assert dora.post("/admin/announcements/new", sent).status_code == 303
    announcement = Announcement.objects.get()
    assert announcement.made_by == people.dora
    cast.signed_in(people.bob).post(f"/announcements/{announcement.public_id}/dismiss")
    assert announcements_for(people.bob) == []
    path = f"/admin/announcements/{announcement.public_id}"
    starts_at = announcement.starts_at.strftime("%Y-%m-%dT%H:%M")
    changed = sent | {"text": "Solved.", "starts_at": starts_at}
    assert dora.post(path, changed).status_code == 303
    assert [again.text for again in announcements_for(people.bob)] == ["Solved."]
    assert "Shown" in page(dora, "/admin/announcements")
    assert dora.post(f"{path}/end").status_code == 303
    assert announcements_for(people.bob) == []
    assert "Ended" in page(dora, "/admin/announcements")
    actions = AuditEvent.objects.filter(action__startswith="announcement.").order_by("id")
    assert [event.action for event in actions] == [
        "announcement.published",
        "announcement.changed",
        "announcement.ended",
    ]


def test_an_end_before_the_start_is_refused(people: Cast) -> None:
    dora = cast.signed_in(people.dora)
    sent = {
        "title": "x",
        "tone": "info",
        "starts_at": "2026-05-02T10:00",
        "ends_at": "2026-05-02T09:00",
    }
    response = dora.post("/admin/announcements/new", sent)
    assert response.status_code == 422
    assert "Enter a time after the start." in response.content.decode()
    assert not Announcement.objects.exists()


def test_only_operators_announce(people: Cast) -> None:
    alice = cast.signed_in(people.alice)
    message = tell()
    sent = {"title": "x", "tone": "info"}
    for path in ("new", message.public_id, f"{message.public_id}/end"):
        assert alice.post(f"/admin/announcements/{path}", sent).status_code == 404
    assert alice.get("/admin/announcements").status_code == 404
    assert Client().post(f"/announcements/{message.public_id}/dismiss").status_code == 302


def test_the_setting_is_made_on_the_page(people: Cast) -> None:
    dora = cast.signed_in(people.dora)
    form = {"unpriced_models": "reject", "task_result_days": "30"}
    dora.post("/admin/settings/save", form | {"public_status": "on"})
    assert page(Client())
    dora.post("/admin/settings/save", form)
    assert Client().get("/status").status_code == 302
