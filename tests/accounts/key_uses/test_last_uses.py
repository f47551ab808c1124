"""When, from where and with what a key was last used."""

import datetime as dt
import os
from time import monotonic

import pytest
from django.db import connection

from accounts.key_uses.last_uses import LAST_USES, PLAYGROUND, LastUses, write_last_uses
from accounts.keys import keys
from accounts.models import Key, KeyKind, Role, SecretUse
from accounts.secrets.key_lookup import former_uses, last_use
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import Cast, actor, make_key, member, signed_in, with_key

AGENT = "OpenAI/Python 2.1.0"
DIGEST = os.urandom(32)


def use_key(
    key: Key, *, age_s: float = 0, digest: bytes | None = None, address: str = "10.2.0.7"
) -> None:
    """The key was used so many seconds ago."""
    secret = bytes(key.digest) if digest is None else digest
    text, parameters = write_last_uses([(key.id, secret, monotonic() - age_s, address, AGENT)])
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)


def test_only_the_latest_use_of_a_secret_is_queued() -> None:
    uses, key = LastUses(), new_id()
    for address in ("10.0.0.1", "10.0.0.2"):
        uses.note(key, DIGEST, address, AGENT)
    uses.note(key, b"", "", PLAYGROUND)
    taken = uses.take()
    assert [(use[1], use[3]) for use in taken] == [(DIGEST, "10.0.0.2"), (b"", "")]
    assert uses.take() == []
    uses.note(key, DIGEST, "10.0.0.3", AGENT)
    uses.put_back(taken)
    assert [use[3] for use in uses.take()] == ["10.0.0.3", ""]


@pytest.mark.django_db
def test_a_later_use_elsewhere_stays(people: Cast) -> None:
    key, _ = make_key(people.core)
    use_key(key, age_s=5, address="10.0.0.2")
    use_key(key, age_s=60, address="10.0.0.1")
    (use,) = SecretUse.objects.all()
    assert (use.address, use.client, use.organisation_id) == ("10.0.0.2", AGENT, people.acme.id)
    assert abs(clock.now() - use.at - dt.timedelta(seconds=5)) < dt.timedelta(seconds=5)


@pytest.mark.django_db
def test_each_secret_of_a_rotated_key_has_its_own_last_use(people: Cast) -> None:
    """Who rotates sees whether the former secret is still in use somewhere."""
    key, _ = make_key(people.core)
    former = bytes(key.digest)
    key, _ = keys.rotate_key(actor(people.alice, people.acme), key, 24)
    use_key(key, age_s=9, digest=former, address="10.0.0.1")
    use_key(key, age_s=60, address="10.0.0.2")
    ((_, use),) = former_uses(key, clock.now())
    assert use is not None
    assert use.address == "10.0.0.1"
    assert last_use(key) == use
    page = signed_in(people.alice).get(f"/o/acme/keys/{id_text(key.id)}").content.decode()
    assert "Previous secret" in page
    assert "10.0.0.1" in page


@pytest.mark.django_db
def test_use_without_a_secret_counts_for_the_key(people: Cast) -> None:
    """As in the playground."""
    key, _ = make_key(people.core)
    use_key(key, digest=b"", address="")
    assert [bytes(use.digest) for use in key.uses.all()] == [bytes(key.digest)]


@pytest.mark.django_db
def test_a_secret_in_a_user_agent_is_not_kept(people: Cast) -> None:
    """P14."""
    key, text = make_key(people.core)
    statement = write_last_uses([(key.id, bytes(key.digest), monotonic(), "10.0.0.1", text)])
    with connection.cursor() as cursor:
        cursor.execute(*statement)
    assert text[:20] not in key.uses.get().client


@pytest.mark.django_db
def test_use_of_a_deleted_key_is_dropped(people: Cast) -> None:
    statement = write_last_uses([(new_id(), DIGEST, monotonic(), "10.0.0.1", AGENT)])
    with connection.cursor() as cursor:
        cursor.execute(*statement)
    assert not SecretUse.objects.exists()


@pytest.mark.django_db
def test_management_api_records_its_users(people: Cast) -> None:
    key, text = make_key(people.core, kind=KeyKind.MANAGEMENT, user=people.alice)
    LAST_USES.take()
    with_key(text).get("/api/v1/keys", headers={"user-agent": "terraform/1.9.0"})
    ((key_id, digest, _, address, client),) = LAST_USES.take()
    assert (key_id, digest) == (key.id, bytes(key.digest))
    assert (address, client) == ("127.0.0.1", "terraform/1.9.0")
    with_key(text[:-1] + ("y" if text.endswith("x") else "x")).get("/api/v1/keys")
    assert LAST_USES.take() == []


@pytest.mark.django_db
def test_key_addresses_need_write_access_or_the_audit_trail(people: Cast) -> None:
    key, text = make_key(people.core, user=people.bob)
    use_key(key)
    payer = member(people.acme, "pia", Role.BILLING)
    path = f"/keys/{id_text(key.id)}"
    for person, address in ((people.alice, "10.2.0.7"), (people.bob, "10.2.0.7"), (payer, None)):
        client = signed_in(person)
        last_used = client.get(f"/api/v1{path}").json()["last_used"]
        assert (last_used["address"], last_used["client"]) == (address, AGENT)
        for page in (f"/o/acme{path}", "/o/acme/keys?cols=name,used,client,address"):
            page_text = client.get(page).content.decode()
            assert AGENT in page_text
            assert ("10.2.0.7" in page_text) == (address is not None), (person.email, page)
    last_used = with_key(text).get(f"/api/v1{path}").json()["last_used"]
    assert last_used["address"] is None, "who stole a key learns nothing of its user"
