"""What changes in a provider's list of models: found, told once, accepted or ignored (W71)."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from billing.models import Price
from billing.prices.prices import set_price
from gateway.catalogue.api import _changes
from gateway.catalogue.model_changes import changes_of, check_models, decide, work_off_schedule
from gateway.channels.channels import change_channel, create_channel, remove_channel
from gateway.channels.model_lists import is_model_name
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel, ModelListing
from gateway.settings.installation import save_settings
from lib import clock
from lib.ids import id_text
from notify.deliveries import deliveries, sending
from outbox.models import Fact
from tests.billing.credits.test_operator_api import api_of
from tests.fakes.upstream import FakeUpstream
from tests.support import cast
from tests.support.cast import Cast
from tests.support.hostile import LONG, NUL, STORABLE

pytestmark = pytest.mark.django_db

KEY = "sk-fake-provider-key-of-a-list-77aa"
FIRST = ("fake", "old-2026-01-02", "plain")


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="listing", keys=(KEY,), fsync=False) as upstream:
        yield upstream


@pytest.fixture
def channel(people: Cast, fake: FakeUpstream) -> Iterator[Channel]:
    """One that serves all that its provider lists, and was checked once."""
    fake.config.models = FIRST
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    models = {"fake": "", "own": "old-2026-01-02", "plain": ""}
    channel = create_channel(
        SYSTEM,
        "main",
        {
            "provider": "openai_compatible",
            "base_url": fake.url,
            "keys": [KEY],
            "models": models,
            "weights": {"own": 3},
            "check_models_every_h": 24,
        },
    )
    assert work_off_schedule() == 1
    yield channel
    fake.reset()


def due(channel: Channel) -> None:
    Channel.objects.filter(id=channel.id).update(next_models_check_at=clock.now())


def ids(channel: Channel) -> list[str]:
    return [change.id for change in changes_of(channel)]


def events() -> list[dict[str, Any]]:
    audit_events = AuditEvent.objects.filter(action="channel.models_changed").order_by("id")
    return [event.detail for event in audit_events]


def test_schedule_finds_changes_and_reports_them_once(channel: Channel, fake: FakeUpstream) -> None:
    assert (ids(channel), events()) == ([], [])
    # Its time has not come.
    fake.config.models = ("fake", "new", "old-2026-03-04")
    assert work_off_schedule() == 0
    for _ in range(2):
        due(channel)
        assert work_off_schedule() == 1
        assert ids(channel) == ["added new", "renamed old-2026-01-02 old-2026-03-04", "gone plain"]
        (event,) = events()
        assert (event["added"], event["gone"], event["renamed_count"]) == (["new"], ["plain"], 1)
        assert Fact.objects.filter(kind="channel.models_changed").count() == 1
    # Something else is news, and told alone.
    fake.config.models = (*fake.config.models, "newer")
    due(channel)
    assert work_off_schedule() == 1
    assert events()[1]["added"] == ["newer"]
    assert events()[1]["gone_count"] == 0
    # Neither is told again.
    due(channel)
    assert work_off_schedule() == 1
    assert len(events()) == 2
    # Nothing is changed for requests by any of it.
    assert {route.model for route in channel.routes.all()} == {"fake", "own", "plain"}
    _letters_name_it(channel)


def _letters_name_it(channel: Channel) -> None:
    deliveries.spread_facts(100)
    for delivery_id in deliveries.lease_due(100):
        sending.send(delivery_id)
    assert [letter.to for letter in mail.outbox] == [["dora@example.org"]] * 2
    (letter,) = (letter for letter in mail.outbox if "old-2026-03-04" in letter.body)
    assert "New (1): new\n" in letter.body
    assert "No longer listed (1): plain\n" in letter.body
    assert "Probably renamed (1): old-2026-01-02 → old-2026-03-04\n" in letter.body
    assert f"/admin/channels/{id_text(channel.id)}/models/changes" in letter.body


def test_viewing_sends_no_email_then_or_later(
    channel: Channel, fake: FakeUpstream, people: Cast
) -> None:
    fake.config.models = (*FIRST, "new")
    check_models(cast.actor(people.dora), channel)
    due(channel)
    assert work_off_schedule() == 1
    assert len(events()) == 1
    assert not Fact.objects.filter(kind="channel.models_changed").exists()


def test_a_failed_reading_is_said_and_changes_nothing(channel: Channel, fake: FakeUpstream) -> None:
    fake.config.models = (*FIRST, "new")
    fake.config.keys = ("another",)
    assert check_models(SYSTEM, channel).fault == "key"
    fake.config.keys = (KEY,)
    listing = ModelListing.objects.get()
    assert (listing.fault, listing.listed, ids(channel)) == ("key", sorted(FIRST), [])
    shown = _changes(channel)
    assert listing.listed_at is not None
    assert listing.listed_at < listing.checked_at
    assert (shown.fault, shown.checked_at, shown.listed_at) == (
        "key", listing.checked_at, listing.listed_at,
    )  # fmt: skip
    check_models(SYSTEM, channel)
    assert (ModelListing.objects.get().fault, ids(channel)) == ("", ["added new"])


def test_redirecting_or_disabled_channels_list_nothing(
    channel: Channel, fake: FakeUpstream
) -> None:
    change_channel(SYSTEM, channel, {"enabled": False})
    due(channel)
    assert work_off_schedule() == 0
    change_channel(SYSTEM, channel, {"base_url": "http://127.0.0.1:9/v1"})
    assert not ModelListing.objects.exists()
    # Its address changes while the provider is asked: what it says is of no use.
    check_models(SYSTEM, Channel(id=channel.id, **_connection(fake)))
    assert not ModelListing.objects.exists()
    # So it is where the channel is gone.
    stale = Channel.objects.get(id=channel.id)
    remove_channel(SYSTEM, channel)
    check_models(SYSTEM, stale)


def _connection(fake: FakeUpstream) -> dict[str, Any]:
    return {"provider": "openai_compatible", "base_url": fake.url}


def test_changes_are_accepted_with_their_names_and_prices(
    channel: Channel, fake: FakeUpstream, people: Cast
) -> None:
    rates = {"meters": {"in_text": 10**9, "out_text": 2 * 10**9}}
    set_price(SYSTEM, "priced", clock.now() - dt.timedelta(days=1), rates, source="page")
    fake.config.models = ("fake", "maker/priced", "new", "old-2026-03-04")
    check_models(SYSTEM, channel)
    accepted = {
        "added maker/priced": " mine ",
        "added new": "",
        "gone plain": "",
        "renamed old-2026-01-02 old-2026-03-04": "",
    }
    assert set(ids(channel)) == accepted.keys()
    decide(cast.actor(people.dora), channel, accepted, [])
    channel.refresh_from_db()
    routes = {route.model: (route.upstream_model, route.weight) for route in channel.routes.all()}
    assert routes == {
        "fake": ("", None), "mine": ("maker/priced", None), "new": ("", None),
        "own": ("old-2026-03-04", 3),
    }  # fmt: skip
    assert Price.objects.filter(model="mine").exists()
    assert not Price.objects.filter(model="new").exists()
    assert ids(channel) == []
    check_models(SYSTEM, channel)
    assert ids(channel) == []
    event = AuditEvent.objects.get(action="channel.models_decided")
    assert (event.actor_user, len(event.detail["accepted"])) == (people.dora, 4)


def test_rejected_changes_change_nothing(channel: Channel, fake: FakeUpstream) -> None:
    fake.config.models = (*FIRST, "new")
    check_models(SYSTEM, channel)
    for accepted, dismissed in (
        ({"added new": "fake"}, []),
        ({"added new": "a b"}, []),
        ({"added new": "", "gone plain": ""}, []),
        ({}, ["added newer"]),
        *(({"added new": f"{text} {text}"}, []) for text in (*STORABLE, LONG)),
    ):
        with pytest.raises(ChannelRefused):
            decide(SYSTEM, channel, accepted, dismissed)
    assert ids(channel) == ["added new"]
    assert channel.routes.count() == 3


def test_unroutable_names_are_skipped(channel: Channel, fake: FakeUpstream) -> None:
    # Half a character, as JSON can have it, would be no text of the database.
    assert not is_model_name("\ud83e")
    names = (NUL, LONG, "two words", "%s{{x}}<b>", "🦊")
    fake.config.models = (*FIRST, *names)
    check_models(SYSTEM, channel)
    assert ids(channel) == ["added %s{{x}}<b>", "added 🦊"]


def test_ignored_change_is_not_reported_again(channel: Channel, fake: FakeUpstream) -> None:
    fake.config.models = ("fake", "new", "old-2026-03-04")
    check_models(SYSTEM, channel)
    decide(SYSTEM, channel, {}, ids(channel))
    check_models(SYSTEM, channel)
    assert (ids(channel), len(events())) == ([], 1)
    assert channel.routes.count() == 3


def test_page_shows_changes_and_applies_the_ticked_ones(
    channel: Channel, fake: FakeUpstream, people: Cast
) -> None:
    dora: Client = cast.signed_in(people.dora)
    path = f"/admin/channels/{id_text(channel.id)}/models"
    assert "The provider lists the same models as before." in text(dora, f"{path}/changes")
    fake.config.models = ("fake", "new", "old-2026-03-04", "plain")
    sent = dora.post(f"{path}/check")
    assert (sent.status_code, sent["location"]) == (303, f"{path}/changes")
    page_text = text(dora, f"{path}/changes")
    assert "Probably renamed" in page_text
    assert 'value="added new"' in page_text
    assert "2 changes at the provider" in text(dora, path.removesuffix("/models"))
    assert dora.post(f"{path}/decide").status_code == 422
    taken = {"id": ["added new"], "change": ["added new"], "public": ["shown"]}
    assert dora.post(f"{path}/decide", {**taken, "public": ["fake"]}).status_code == 422
    assert dora.post(f"{path}/decide", {**taken, "public": [NUL]}).status_code == 422
    assert dora.post(f"{path}/decide", taken).status_code == 303
    assert channel.routes.get(model="shown").upstream_model == "new"
    assert dora.post(f"{path}/decide", {"id": ids(channel), "dismiss": "1"}).status_code == 303
    assert ids(channel) == []
    # Twice: the second one is of a list that has changed.
    assert dora.post(f"{path}/decide", taken).status_code == 422


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_api_checks_shows_and_decides(
    channel: Channel, fake: FakeUpstream, people: Cast
) -> None:
    api = api_of(people, "dora")
    path = f"/api/v1/channels/{id_text(channel.id)}/model-changes"
    assert api.get(path).json()["changes"] == []
    fake.config.models = ("fake", "new", "old-2026-03-04", "plain")
    document = api.post(f"{path}/check").json()
    assert (document["complete"], document["fault"]) == (True, None)
    assert document["changes"] == [
        {"id": "added new", "kind": "added", "name": "new", "was": None, "serves": []},
        {
            "id": "renamed old-2026-01-02 old-2026-03-04",
            "kind": "renamed",
            "name": "old-2026-03-04",
            "was": "old-2026-01-02",
            "serves": ["own"],
        },
    ]
    body = {"accept": {"added new": "shown"}, "ignore": [document["changes"][1]["id"]]}
    wrong = api.post(path, {**body, "more": 1}, content_type="application/json")
    assert wrong.status_code == 400
    assert api.post(path, body, content_type="application/json").json()["changes"] == []
    again = api.post(path, body, content_type="application/json")
    assert (again.status_code, again.json()["error"]["param"]) == (422, "changes")
    assert channel.routes.get(model="shown").upstream_model == "new"
    hours = api.get(f"/api/v1/channels/{id_text(channel.id)}").json()["check_models_every_h"]
    assert hours == 24
