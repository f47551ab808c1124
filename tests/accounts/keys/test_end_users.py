"""P23: who may decide how a key's requests name their end users, and read the key's secret."""

from typing import Any

import pytest
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.models import AuditEvent, Key, KeyKind
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, signed_in

pytestmark = pytest.mark.django_db
RULES: list[dict[str, Any]] = [
    {"end_user_header": "x-user", "end_user_networks": ["10.0.0.0/8"]},
    {"end_user_header": "x-user", "end_users_signed": True},
]


def send(client: Client, method: str, path: str, body: Any) -> Any:
    return getattr(client, method)(f"/api/v1{path}", body, content_type="application/json")


@pytest.mark.parametrize("rule", RULES)
def test_a_member_names_no_end_users_by_a_key_of_their_own(
    people: Cast, rule: dict[str, Any]
) -> None:
    """By page, by API and by function: they could use up anybody's budget."""
    bob, client = actor(people.bob, people.acme), signed_in(people.bob)
    with pytest.raises(keys.KeyRefused) as refused:
        keys.mint_key(bob, people.core, "named", user=people.bob, **rule)
    assert refused.value.field == "end_user_header"
    key, _ = keys.mint_key(bob, people.core, "bob", user=people.bob)
    with pytest.raises(keys.KeyRefused):
        keys.change_key(bob, key, **rule)
    assert send(client, "post", "/keys", {"name": "by api", **rule}).status_code == 422
    assert send(client, "patch", f"/keys/{id_text(key.id)}", rule).status_code == 422
    edit = f"/o/acme/keys/{id_text(key.id)}/edit"
    assert "end_user_header" not in client.get(edit).content.decode()
    fields = {"name": "renamed", "end_user_header": "x-user", "end_users_signed": "on"}
    client.post(edit, fields)
    key.refresh_from_db()
    assert (key.name, key.end_user_header, key.end_users_signed) == ("renamed", "", False)
    client.post("/o/acme/keys/new", {**fields, "name": "new", "kind": "relay"})
    assert not Key.objects.exclude(end_user_header="").exists()


def test_a_member_keeps_the_rule_that_an_admin_gave(people: Cast) -> None:
    key, _ = make_key(people.core, user=people.bob)
    keys.change_key(actor(people.alice, people.acme), key, **RULES[0])
    bob = actor(people.bob, people.acme)
    assert keys.change_key(bob, key, name="renamed", **RULES[0]).name == "renamed"
    for change in ({"end_user_header": ""}, {"end_user_networks": ["10.0.0.1/32"]}):
        with pytest.raises(keys.KeyRefused):
            keys.change_key(bob, key, **change)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_a_network_of_all_addresses_proves_nothing(people: Cast, network: str) -> None:
    with pytest.raises(keys.KeyRefused) as refused:
        make_key(people.core, end_user_header="x-user", end_user_networks=["10.0.0.1", network])
    assert refused.value.field == "end_user_networks"
    client = signed_in(people.alice)
    key, _ = make_key(people.core)
    body = {"name": "ci", "end_user_header": "x-user", "end_user_networks": network}
    answer = client.post(f"/o/acme/keys/{id_text(key.id)}/edit", body).content.decode()
    assert f"{network} is not a network of one application" in answer


def test_reading_the_end_user_secret_is_recorded(people: Cast) -> None:
    key, _ = make_key(people.core, end_user_header="x-user", end_users_signed=True)
    client, pages = signed_in(people.alice), ("/o/acme/keys", "/api/v1/keys")
    for n, path in enumerate(pages, start=1):
        answer = client.get(f"{path}/{id_text(key.id)}/end-user-secret")
        assert answer.status_code == 200
        events = AuditEvent.objects.filter(action="key.end_user_secret_read")
        assert events.filter(actor_user=people.alice, object_id=id_text(key.id)).count() == n


def test_only_a_living_key_that_signs_has_an_end_user_secret(people: Cast) -> None:
    rule: dict[str, Any] = {"end_user_header": "x-user", "end_users_signed": True}
    unsigned, _ = make_key(people.core, "unsigned", **RULES[0])
    revoked, _ = make_key(people.core, "revoked", **rule)
    keys.revoke_key(SYSTEM, revoked)
    expired, _ = make_key(people.core, "expired", **rule)
    Key.objects.filter(id=expired.id).update(expires_at=clock.now())
    client = signed_in(people.alice)
    _, text = make_key(people.core, "m", kind=KeyKind.MANAGEMENT, user=people.alice)
    for key in (unsigned, revoked, expired):
        path = f"/keys/{id_text(key.id)}/end-user-secret"
        assert client.get(f"/o/acme{path}").status_code == 404
        headers = {"authorization": f"Bearer {text}"}
        assert Client().get(f"/api/v1{path}", headers=headers).status_code == 404
    assert not AuditEvent.objects.filter(action="key.end_user_secret_read").exists()
