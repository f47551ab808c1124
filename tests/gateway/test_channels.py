"""Writing channels: checks, secrets, audit, and the notification of the relays."""

from uuid import UUID

import pytest

from accounts.actors import SYSTEM
from accounts.models import AuditEvent, Epoch
from gateway.channels import (
    TIMEOUTS,
    ChannelFields,
    ChannelRefused,
    change_channel,
    create_channel,
    open_secret,
    remove_channel,
    secret_digest,
)
from gateway.models import Channel, ChannelKey, Route
from lib.vault import VaultError

pytestmark = pytest.mark.django_db

SECRET, OTHER = "sk-provider-0123456789-abcd", "sk-provider-9876543210-wxyz"


def make(**fields: object) -> Channel:
    written: ChannelFields = {
        "provider": "openai_compatible",
        "base_url": "http://127.0.0.1:9/v1",
        "keys": [SECRET],
        "models": {"m": "", "alias": "m", "gpt-*": ""},
    }
    written.update(fields)  # type: ignore[typeddict-item]
    return create_channel(SYSTEM, "main", written)


def secrets(channel: Channel) -> list[str]:
    return [open_secret(key) for key in channel.keys.all()]


def epoch() -> int:
    row = Epoch.objects.first()
    return row.n if row else 0


def test_a_channel_is_stored_with_defaults_routes_and_a_sealed_secret() -> None:
    channel = make()
    channel.refresh_from_db()
    assert (channel.priority, channel.weight, channel.retries) == (0, 1, 2)
    assert (channel.on_leave, channel.enabled, channel.timeouts) == ("cancel", True, TIMEOUTS)
    assert {route.model: route.upstream_model for route in channel.routes.all()} == {
        "m": "",
        "alias": "m",
        "gpt-*": "",
    }
    key = channel.keys.get()
    assert SECRET.encode() not in bytes(key.sealed)
    assert (key.last4, bytes(key.digest)) == ("abcd", secret_digest(SECRET))
    assert secrets(channel) == [SECRET]


def test_a_secret_that_was_moved_to_another_row_does_not_open() -> None:
    first, second = make(keys=(SECRET, OTHER)).keys.all()
    second.sealed = first.sealed
    with pytest.raises(VaultError):
        open_secret(second)


def test_every_write_is_audited_and_heard_without_the_secret() -> None:
    before = epoch()
    channel = make()
    change_channel(SYSTEM, channel, {"priority": 5, "keys": [OTHER]})
    remove_channel(SYSTEM, channel)
    assert epoch() == before + 3
    events = AuditEvent.objects.order_by("id")
    assert [event.action for event in events] == [
        "channel.created",
        "channel.changed",
        "channel.removed",
    ]
    assert all(SECRET not in str(event.detail) for event in events)
    assert all(OTHER not in str(event.detail) for event in events)
    assert not Route.objects.exists()
    assert not ChannelKey.objects.exists()


def test_a_change_leaves_what_it_does_not_name() -> None:
    channel = make(priority=3)
    changed = change_channel(SYSTEM, channel, {"weight": 7, "timeouts": {"idle": 5}})
    assert (changed.priority, changed.weight) == (3, 7)
    assert changed.timeouts == {**TIMEOUTS, "idle": 5}
    assert secrets(changed) == [SECRET]
    assert changed.routes.count() == 3


@pytest.mark.parametrize(
    "moved",
    [
        {"base_url": "http://127.0.0.1:10/v1"},
        {"base_url": "http://127.0.0.1:9/v2"},
        {"base_url": "https://127.0.0.1:9/v1"},
        {"provider": "openai"},
    ],
)
def test_a_new_address_drops_the_stored_secrets(moved: ChannelFields) -> None:
    assert secrets(change_channel(SYSTEM, make(), moved)) == []


def test_a_new_address_takes_secrets_of_the_same_write() -> None:
    moved: ChannelFields = {"base_url": "http://127.0.0.1:10/v1", "keys": [OTHER]}
    assert secrets(change_channel(SYSTEM, make(), moved)) == [OTHER]


def test_a_new_address_never_keeps_a_stored_secret() -> None:
    channel = make()
    moved: ChannelFields = {"base_url": "http://127.0.0.1:10/v1", "keys": list(channel.keys.all())}
    with pytest.raises(ChannelRefused) as refused:
        change_channel(SYSTEM, channel, moved)
    assert refused.value.field == "keys"
    channel.refresh_from_db()
    assert (channel.base_url, secrets(channel)) == ("http://127.0.0.1:9/v1", [SECRET])


def test_the_same_address_written_otherwise_keeps_the_secrets() -> None:
    changed = change_channel(SYSTEM, make(), {"base_url": "http://127.0.0.1:9/v1/"})
    assert secrets(changed) == [SECRET]


def test_stored_and_new_secrets_stand_in_the_order_given() -> None:
    channel = make()
    changed = change_channel(SYSTEM, channel, {"keys": [OTHER, *channel.keys.all()]})
    assert secrets(changed) == [OTHER, SECRET]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "127.0.0.1"}, "base_url"),
        ({"base_url": "ftp://127.0.0.1/v1"}, "base_url"),
        ({"base_url": "http://user:pass@127.0.0.1/v1"}, "base_url"),
        ({"base_url": "http://127.0.0.1/v1?key=1"}, "base_url"),
        ({"base_url": "http://127.0.0.1:99999/v1"}, "base_url"),
        ({"keys": ["with space"]}, "keys"),
        ({"keys": ["line\nbreak: x"]}, "keys"),
    ],
)
def test_what_no_request_could_be_made_with_is_refused(
    fields: dict[str, object], field: str
) -> None:
    with pytest.raises(ChannelRefused) as refused:
        make(**fields)
    assert refused.value.field == field
    assert not Channel.objects.exists()


def test_a_provider_with_an_address_of_its_own_needs_none() -> None:
    assert make(provider="openai", base_url="").base_url == "https://api.openai.com/v1"


def test_a_short_secret_shows_nothing_of_itself() -> None:
    assert make(keys=("short",)).keys.get().last4 == ""


def test_ids_are_made_in_order() -> None:
    assert isinstance(make().id, UUID)
