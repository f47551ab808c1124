"""Writing channels: checks, secrets, audit, and the notification of the relays."""

from uuid import UUID

import pytest
from django.db import connection

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent, Epoch
from accounts.secrets.sealing import vault
from gateway.channels.channels import (
    TIMEOUTS,
    add_key,
    archive_channel,
    change_channel,
    copy_channel,
    create_channel,
    remove_channel,
    remove_key,
    restore_channel,
    secret_digest,
    switch_key,
    version_of,
)
from gateway.channels.fields import ChannelFields
from gateway.channels.refusals import ChannelRefused, ChannelStale
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel, ChannelKey, Route
from lib.database.database_clock import DatabaseClock
from lib.ids import id_text
from lib.vault import VaultError
from relay.catalogue.snapshot import Snapshot
from relay.catalogue.snapshot_build import build
from relay.catalogue.snapshot_sql import load_statement

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


def test_channel_is_stored_with_defaults_routes_and_sealed_secret() -> None:
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


def test_change_keeps_unnamed_fields() -> None:
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


def test_respelt_address_keeps_the_secrets() -> None:
    changed = change_channel(SYSTEM, make(), {"base_url": "http://127.0.0.1:9/v1/"})
    assert secrets(changed) == [SECRET]


def test_stored_and_new_secrets_keep_the_given_order() -> None:
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
def test_unusable_settings_are_rejected(fields: dict[str, object], field: str) -> None:
    with pytest.raises(ChannelRefused) as refused:
        make(**fields)
    assert refused.value.field == field
    assert not Channel.objects.exists()


def test_a_provider_with_an_address_of_its_own_needs_none() -> None:
    assert make(provider="openai", base_url="").base_url == "https://api.openai.com/v1"


def test_a_short_secret_shows_nothing_of_itself() -> None:
    keys = make(keys=("short", "short678901", "longer789012")).keys.order_by("position")
    assert [key.last4 for key in keys] == ["", "", "9012"]


def test_ids_are_made_in_order() -> None:
    assert isinstance(make().id, UUID)


# Keys of the pool ---------------------------------------------------------------------------------


def test_keys_are_added_disabled_and_removed_one_by_one() -> None:
    channel = make()
    added = add_key(SYSTEM, channel, OTHER)
    assert secrets(channel) == [SECRET, OTHER]
    first = channel.keys.get(position=0)
    switch_key(SYSTEM, channel, first, enabled=False)
    assert [key.disabled_at is None for key in channel.keys.all()] == [False, True]
    switch_key(SYSTEM, channel, first, enabled=True)
    remove_key(SYSTEM, channel, first)
    assert list(channel.keys.all()) == [added]
    third = add_key(SYSTEM, channel, SECRET)
    assert [key.position for key in channel.keys.all()] == [1, 2]
    assert open_secret(third) == SECRET
    events = AuditEvent.objects.filter(action="channel.changed").order_by("id")
    details = [event.detail for event in events]
    assert len(details) == 5
    assert "(disabled)" in str(details[1]["after"]["keys"])
    assert all({*event["before"]} == {*event["after"]} == {"keys"} for event in details)
    assert SECRET not in str(details)
    assert OTHER not in str(details)


@pytest.mark.parametrize("secret", [SECRET, "", "with space", "x" * 5000])
def test_invalid_new_key_is_not_added(secret: str) -> None:
    channel = make()
    with pytest.raises(ChannelRefused) as refused:
        add_key(SYSTEM, channel, secret)
    assert refused.value.field == "keys"
    assert secrets(channel) == [SECRET]


def test_key_kept_in_a_full_write_stays_the_same_row() -> None:
    """Its state is not lost when a file or a form states all keys."""
    channel = make()
    key = channel.keys.get()
    switch_key(SYSTEM, channel, key, enabled=False)
    change_channel(SYSTEM, channel, {"keys": [OTHER, SECRET]})
    again = channel.keys.get(position=1)
    assert (again.id, again.disabled_at is None) == (key.id, False)
    assert secrets(channel) == [OTHER, SECRET]


def test_a_key_of_another_channel_is_never_taken() -> None:
    elsewhere = create_channel(SYSTEM, "else", {"provider": "openai", "keys": [OTHER]})
    with pytest.raises(ChannelRefused):
        change_channel(SYSTEM, make(), {"keys": list(elsewhere.keys.all())})


# Copies, the archive, and who comes second --------------------------------------------------------


def test_a_copy_has_everything_but_is_off() -> None:
    channel = make(priority=3, weight=7, breaker={"enabled": False}, timeouts={"idle": 9})
    change_channel(SYSTEM, channel, {"can": {"m": {"tools": False}}, "weights": {"alias": 2}})
    copy = copy_channel(SYSTEM, channel, "second")
    assert (copy.name, copy.enabled, copy.priority, copy.weight) == ("second", False, 3, 7)
    assert (copy.breaker, copy.timeouts["idle"]) == ({"enabled": False}, 9)
    assert secrets(copy) == [SECRET]
    assert copy.keys.get().id != channel.keys.get().id

    def routes(of: Channel) -> list[tuple[object, ...]]:
        return list(of.routes.values_list("model", "upstream_model", "can", "weight"))

    assert routes(copy) == routes(channel)
    event = AuditEvent.objects.get(action="channel.created", object_id=id_text(copy.id))
    assert event.detail["copy_of"] == "main"
    with pytest.raises(ChannelRefused) as refused:
        copy_channel(SYSTEM, channel, "main")
    assert refused.value.field == "name"


def test_archived_channel_is_off_until_restored_and_enabled() -> None:
    channel = make()
    archive_channel(SYSTEM, channel)
    channel.refresh_from_db()
    assert channel.archived_at is not None
    assert channel.enabled is False
    with pytest.raises(ChannelRefused) as refused:
        change_channel(SYSTEM, channel, {"enabled": True})
    assert refused.value.field == "enabled"
    restore_channel(SYSTEM, channel)
    assert change_channel(SYSTEM, channel, {"enabled": True}).enabled
    assert secrets(channel) == [SECRET]
    actions = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    assert list(actions)[1:3] == ["channel.archived", "channel.restored"]


def test_change_based_on_an_older_state_is_rejected() -> None:
    channel = make()
    seen = version_of(channel)
    change_channel(SYSTEM, channel, {"weight": 5}, seen=seen)
    with pytest.raises(ChannelStale):
        change_channel(SYSTEM, channel, {"weight": 6}, seen=seen)
    channel.refresh_from_db()
    assert channel.weight == 5
    add_key(SYSTEM, channel, OTHER)
    assert version_of(channel) not in (seen, "")


def test_a_route_may_have_a_priority_and_a_weight_of_its_own() -> None:
    channel = make(weights={"m": 3}, priorities={"alias": -1})
    change_channel(SYSTEM, channel, {"models": {"m": "other", "new": ""}})
    kept = {route.model: (route.priority, route.weight) for route in channel.routes.all()}
    assert kept == {"m": (None, 3), "new": (None, None)}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"priority": 1_000_001}, "priority"),
        ({"weight": -1}, "weight"),
        ({"retries": 11}, "retries"),
        ({"on_leave": "wait"}, "on_leave"),
        ({"timeouts": {"idle": 0}}, "timeouts.idle"),
        ({"timeouts": {"total": 86_401}}, "timeouts.total"),
        ({"breaker": {"window": -1}}, "breaker.window"),
        ({"breaker": {"failures": 0}}, "breaker.failures"),
        ({"base_url": "http://2130706433/v1"}, "base_url"),
        ({"base_url": "http://0x7f.1/v1"}, "base_url"),
        ({"models": {"two words": ""}}, "models"),
        ({"models": {"m": "two words"}}, "models"),
        ({"models": {"": ""}}, "models"),
        ({"can": {"nobody": {"tools": True}}}, "can"),
        ({"can": {"m": {"magic": True}}}, "can"),
        ({"weights": {"nobody": 1}}, "weights"),
        ({"weights": {"m": -1}}, "weights"),
        ({"priorities": {"m": 1_000_001}}, "priorities"),
    ],
)
def test_every_bound_is_refused_at_its_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(ChannelRefused) as refused:
        make(**fields)
    assert refused.value.field == field
    assert not Channel.objects.exists()


@pytest.mark.parametrize("name", ["", " main", "n" * 121])
def test_name_must_be_valid(name: str) -> None:
    with pytest.raises(ChannelRefused) as refused:
        create_channel(SYSTEM, name, {"provider": "openai", "keys": [SECRET]})
    assert refused.value.field == "name"


def loaded() -> Snapshot:
    """What every relay has a second after a write."""
    statement, parameters = load_statement()
    with connection.cursor() as cursor:
        cursor.execute(statement, dict(parameters))  # type: ignore[arg-type]
        (text,) = cursor.fetchone()
    return build(text, vault(), DatabaseClock())


def test_disabled_key_is_not_used_and_its_channel_may_be_out() -> None:
    """It is never asked without a key instead."""
    channel = make()
    second = add_key(SYSTEM, channel, OTHER)
    first = channel.keys.get(position=0)
    switch_key(SYSTEM, channel, first, enabled=False)
    (kept,) = loaded().channels.values()
    (headers,) = kept.headers
    assert OTHER in str(headers)
    assert SECRET not in str(headers)
    switch_key(SYSTEM, channel, second, enabled=False)
    assert loaded().channels == {}
    remove_key(SYSTEM, channel, first)
    remove_key(SYSTEM, channel, second)
    assert len(loaded().channels) == 1


def test_disabled_channel_is_known_by_the_models_it_serves() -> None:
    """One that serves none makes no model unavailable, and no relay reads it."""
    channel = make()
    change_channel(SYSTEM, channel, {"enabled": False})
    (off,) = loaded().off
    assert {*off.models} == {"m", "alias", "gpt-*"}
    change_channel(SYSTEM, channel, {"models": {}})
    assert loaded().off == ()
