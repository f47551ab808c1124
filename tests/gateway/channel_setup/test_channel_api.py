"""Channels over the management API: who may, strict bodies, secrets that go in and never out."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.models import AuditEvent
from gateway.channels.sealed_keys import open_secret
from gateway.models import Channel
from gateway.settings.installation import save_settings
from tests.billing.credits.test_operator_api import api_of, post
from tests.fakes.upstream import FakeUpstream
from tests.support import cast

pytestmark = pytest.mark.django_db

SECRET, OTHER = "sk-fake-provider-key-of-the-api-4f2a", "sk-fake-provider-key-of-the-api-9c1d"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream(name="api", keys=(SECRET,), fsync=False) as upstream:
        yield upstream


@pytest.fixture
def dora(people: cast.Cast) -> Client:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])
    return api_of(people, "dora")


def body(**over: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "provider": "openai_compatible",
        "base_url": "http://127.0.0.1:9/v1",
        "keys": [SECRET],
        "models": {"m": {}, "alias": {"upstream": "m", "weight": 3, "can": {"tools": False}}},
        **over,
    }


def create_channel(api: Client, **over: Any) -> dict[str, Any]:
    answer = post(api, "/channels", body(**over))
    assert answer.status_code == 201, answer.content
    document: dict[str, Any] = answer.json()
    return document


def patch(api: Client, path: str, fields: dict[str, Any]) -> Any:
    return api.patch(f"/api/v1{path}", fields, content_type="application/json")


def test_a_channel_is_added_changed_and_deleted_without_its_secret(dora: Client) -> None:
    """`null` of a route is the channel's own; what a change leaves out stays."""
    one = create_channel(dora, timeouts={"idle": 7.5})
    assert one["models"]["alias"] == {
        "upstream": "m", "can": {"tools": False}, "priority": None, "weight": 3,
        "timeouts": {},
    }  # fmt: skip
    assert (one["timeouts"]["idle"], one["timeouts"]["total"]) == (7.5, 1800)
    (key,) = one["keys"]
    assert (key["last4"], key["state"], key["disabled_at"]) == ("4f2a", "active", None)
    path = f"/channels/{one['id']}"
    changed = patch(dora, path, {"weight": 5, "version": one["version"]}).json()
    assert (changed["weight"], changed["models"]) == (5, one["models"])
    stale = patch(dora, path, {"weight": 6, "version": one["version"]})
    assert (stale.status_code, stale.json()["error"]["param"]) == (409, "version")
    moved = patch(dora, path, {"base_url": "http://127.0.0.1:10/v1"}).json()
    assert moved["keys"] == []
    listed = dora.get("/api/v1/channels").json()["items"]
    assert [item["id"] for item in listed] == [one["id"]]
    assert dora.delete(f"/api/v1{path}").status_code == 204
    assert dora.get(f"/api/v1{path}").status_code == 404
    message = f"{one}{changed}{moved}{listed}{[e.detail for e in AuditEvent.objects.all()]}"
    assert SECRET not in message


def test_limits_of_a_channel(dora: Client) -> None:
    """Null takes one away; no limit is 0."""
    one = create_channel(dora, rpm=60, parallel=4, spend_cap_day="12.5")
    assert (one["spend_cap_day"], one["spend_cap_month"]) == ("12.50", None)
    assert (one["rpm"], one["tpm"], one["parallel"]) == (60, None, 4)
    path = f"/channels/{one['id']}"
    changed = patch(dora, path, {"rpm": None, "tpm": 1_000}).json()
    assert (changed["rpm"], changed["tpm"], changed["parallel"]) == (None, 1_000, 4)
    refused = patch(dora, path, {"parallel": 0})
    assert refused.status_code == 422
    assert "parallel" in refused.json()["error"]["message"]
    event = AuditEvent.objects.filter(action="channel.changed").latest("id")
    assert (event.detail["before"], event.detail["after"]) == (
        {"rpm": 60, "tpm": None}, {"rpm": None, "tpm": 1_000},
    )  # fmt: skip


@pytest.mark.parametrize("amount", ["0", "-1", "1.", "x"])
def test_a_spend_cap_is_an_amount(dora: Client, amount: str) -> None:
    one = create_channel(dora)
    refused = patch(dora, f"/channels/{one['id']}", {"spend_cap_month": amount})
    assert refused.status_code == 422
    assert "spend_cap_month" in refused.json()["error"]["message"]


def test_keys_of_the_pool(dora: Client) -> None:
    path = f"/channels/{create_channel(dora)['id']}"
    added = post(dora, f"{path}/keys", {"secret": OTHER})
    assert added.status_code == 201
    key = added.json()["id"]
    assert post(dora, f"{path}/keys", {"secret": OTHER}).json()["error"]["param"] == "keys"
    off = patch(dora, f"{path}/keys/{key}", {"enabled": False}).json()
    assert (off["state"], off["disabled_at"] is None) == ("disabled", False)
    assert patch(dora, f"{path}/keys/{key}", {"enabled": True}).json()["state"] == "active"
    assert dora.delete(f"/api/v1{path}/keys/{key}").status_code == 204
    assert dora.delete(f"/api/v1{path}/keys/{key}").status_code == 404
    assert [open_secret(key) for key in Channel.objects.get().keys.all()] == [SECRET]


def test_a_key_is_one_of_its_own_channel(dora: Client) -> None:
    first, second = create_channel(dora), create_channel(dora, name="second")
    path = f"/channels/{second['id']}/keys/{first['keys'][0]['id']}"
    assert dora.delete(f"/api/v1{path}").status_code == 404
    assert patch(dora, path, {"enabled": False}).status_code == 404


def test_copying_and_archiving(dora: Client) -> None:
    one = create_channel(dora)
    copy = post(dora, f"/channels/{one['id']}/copy", {"name": "second"})
    assert (copy.status_code, copy.json()["enabled"]) == (201, False)
    assert copy.json()["models"] == one["models"]
    away = post(dora, f"/channels/{one['id']}/archive").json()
    assert (away["enabled"], away["archived_at"] is None) == (False, False)

    def names(query: str = "") -> list[str]:
        items = dora.get(f"/api/v1/channels{query}").json()["items"]
        return [item["name"] for item in items]

    assert names() == ["second"]
    assert names("?archived=true") == ["second", "main"]
    refused = patch(dora, f"/channels/{one['id']}", {"enabled": True})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "enabled")
    assert post(dora, f"/channels/{one['id']}/restore").json()["archived_at"] is None


@pytest.mark.parametrize(
    ("over", "status", "param"),
    [
        ({"nobody": 1}, 400, "nobody"),
        ({"models": {"m": {"to": "x"}}}, 400, "models.m.to"),
        ({"timeouts": {"read": 1}}, 400, "timeouts.read"),
        ({"breaker": {"on": True}}, 400, "breaker.on"),
        ({"weight": "1"}, 400, "weight"),
        ({"enabled": "yes"}, 400, "enabled"),
        ({"weight": -1}, 422, "weight"),
        ({"retries": 11}, 422, "retries"),
        ({"timeouts": {"idle": 0}}, 422, "timeouts.idle"),
        ({"on_leave": "wait"}, 422, "on_leave"),
        ({"provider": "nobody"}, 422, "provider"),
        ({"base_url": "ftp://127.0.0.1"}, 422, "base_url"),
        ({"base_url": "http://2130706433/v1"}, 422, "base_url"),
        ({"keys": ["with space"]}, 422, "keys"),
        ({"name": ""}, 422, "name"),
    ],
)
def test_wrong_bodies_are_named(
    dora: Client, over: dict[str, Any], status: int, param: str
) -> None:
    answer = post(dora, "/channels", body(**over))
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.content
    assert not Channel.objects.exists()


def test_name_is_used_once(dora: Client) -> None:
    create_channel(dora)
    again = post(dora, "/channels", body())
    assert (again.status_code, again.json()["error"]["param"]) == (409, "name")


def test_provider_lists_the_models_of_a_key(dora: Client, fake: FakeUpstream) -> None:
    fields = {"provider": "openai_compatible", "base_url": fake.url, "secret": SECRET}
    document = post(dora, "/provider-models", fields).json()
    assert (document["ok"], document["models"]) == (True, ["fake", "fake-1000", "fake-64"])
    wrong = post(dora, "/provider-models", fields | {"secret": OTHER}).json()
    assert (wrong["ok"], wrong["fault"], wrong["models"]) == (False, "key", [])
    assert wrong["cause"] == "The provider rejected the key."
    assert [stage["name"] for stage in wrong["stages"]] == ["address", "connect", "accept"]
    assert OTHER not in str(wrong)
    assert not Channel.objects.exists()


def test_a_channel_is_tested_and_lists_its_providers_models(
    dora: Client, fake: FakeUpstream
) -> None:
    path = f"/channels/{create_channel(dora, base_url=fake.url, models={'fake': {}})['id']}"
    tested = post(dora, f"{path}/test", {"model": "fake"}).json()
    assert (tested["ok"], len(tested["stages"])) == (True, 6)
    assert dora.get(f"/api/v1{path}").json()["last_test"] == tested
    assert post(dora, f"{path}/test", {"model": "other"}).json()["error"]["param"] == "model"
    assert "fake-64" in post(dora, f"{path}/provider-models").json()["models"]


def test_an_inside_address_is_not_reached(dora: Client, fake: FakeUpstream) -> None:
    save_settings(SYSTEM, egress_allow=[])
    seen = len(fake.books())
    fields = {"provider": "openai_compatible", "base_url": fake.url, "secret": SECRET}
    document = post(dora, "/provider-models", fields).json()
    assert (document["fault"], [stage["name"] for stage in document["stages"]]) == (
        "denied",
        ["address"],
    )
    assert len(fake.books()) == seen


def test_channels_are_for_operators(people: cast.Cast, dora: Client) -> None:
    path = f"/channels/{create_channel(dora)['id']}"
    alice = api_of(people, "alice")
    assert alice.get("/api/v1/channels").status_code == 403
    assert alice.get(f"/api/v1{path}").status_code == 403
    assert post(alice, "/channels", body(name="x")).status_code == 403
    assert patch(alice, path, {"weight": 2}).status_code == 403
    assert alice.delete(f"/api/v1{path}").status_code == 403
    for way in ("archive", "restore", "provider-models"):
        assert post(alice, f"{path}/{way}").status_code == 403
    assert post(alice, f"{path}/copy", {"name": "x"}).status_code == 403
    assert post(alice, f"{path}/keys", {"secret": OTHER}).status_code == 403
    assert post(alice, f"{path}/test", {"model": "m"}).status_code == 403
    assert post(alice, "/provider-models", {"provider": "openai"}).status_code == 403
    assert [channel.weight for channel in Channel.objects.all()] == [1]
