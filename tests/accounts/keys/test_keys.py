import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from accounts.access import actors
from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members
from accounts.models import AuditEvent, Epoch, Key, KeyKind, Membership, Role
from accounts.organisations import teams
from accounts.secrets import key_format, key_lookup
from lib import clock
from lib.ids import id_text
from tests.support.cast import Cast, actor, make_key, signed_in


def epoch() -> int:
    return Epoch.objects.get().n


def test_a_minted_key_is_stored_as_a_digest_only(people: Cast) -> None:
    before = epoch()
    key, text = keys.mint_key(
        actor(people.alice, people.acme), people.core, "ci", user=people.alice
    )
    assert key_format.check(text) is key_format.KeyForm.OWN
    stored = Key.objects.values().get(id=key.id)
    assert bytes(stored["digest"]) == keys.digest_of(text)
    assert text not in str(stored)
    assert text.startswith(key.prefix)
    assert text.endswith(key.last4)
    assert epoch() == before + 1
    event = AuditEvent.objects.get(action="key.created")
    assert event.actor_user_id == people.alice.id
    assert event.organisation == people.acme
    assert text not in str(event.detail)


def test_a_management_key_looks_different_and_needs_a_person(people: Cast) -> None:
    _, text = make_key(people.core, kind=KeyKind.MANAGEMENT, user=people.alice)
    assert text.startswith("sk-weir-m")
    with pytest.raises(keys.KeyRefused) as refused:
        make_key(people.core, "other", kind=KeyKind.MANAGEMENT)
    assert refused.value.field == "user"


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\nb", "a\r\nc", "a\u2028b"])
def test_a_name_is_one_line_as_the_file_has_it(people: Cast, name: str) -> None:
    """What `export` writes, `apply` takes."""
    with pytest.raises(keys.KeyRefused, match="a single line"):
        make_key(people.core, name)
    key, _ = make_key(people.core, "fine")
    with pytest.raises(keys.KeyRefused, match="a single line"):
        keys.change_key(SYSTEM, key, name=name)


def test_a_living_name_is_taken_and_a_revoked_one_is_free(people: Cast) -> None:
    key, _ = make_key(people.core)
    with pytest.raises(keys.KeyRefused) as refused:
        make_key(people.core)
    assert refused.value.field == "name"
    keys.revoke_key(SYSTEM, key)
    make_key(people.core)


def test_generated_name_is_numbered(people: Cast) -> None:
    """A second machine gets a second key. What is revoked is free again."""
    by = actor(people.alice, people.acme)

    def mint(name: str = "Codex", **fields: Any) -> Key:
        return keys.mint_numbered_key(by, people.core, name, user=people.alice, **fields)[0]

    make_key(people.core, "Codex 3")
    first, second, fourth = (mint() for _ in range(3))
    assert [first.name, second.name, fourth.name] == ["Codex", "Codex 2", "Codex 4"]
    keys.revoke_key(SYSTEM, second)
    assert mint().name == "Codex 2"
    long = "x" * 120
    assert [mint(long).name for _ in range(2)] == [long, f"{long[:118]} 2"]
    with pytest.raises(keys.KeyRefused, match="past"):
        mint(expires_at=clock.now())


@pytest.mark.django_db(transaction=True)
def test_simultaneously_generated_names_differ(people: Cast) -> None:
    by, gate = actor(people.alice, people.acme), Barrier(6)

    def mint(_: int) -> str:
        gate.wait(10)
        try:
            return keys.mint_numbered_key(by, people.core, "Codex", user=people.alice)[0].name
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        names = list(pool.map(mint, range(6)))
    assert sorted(names) == ["Codex", *(f"Codex {n}" for n in range(2, 7))]


def test_an_expiry_in_the_past_is_refused(people: Cast) -> None:
    with pytest.raises(keys.KeyRefused) as refused:
        make_key(people.core, expires_at=clock.now() - dt.timedelta(seconds=1))
    assert refused.value.field == "expires_at"


def test_revoking_is_told_once(people: Cast) -> None:
    key, _ = make_key(people.core)
    before = epoch()
    first = keys.revoke_key(SYSTEM, key)
    again = keys.revoke_key(SYSTEM, key)
    assert first.revoked_at == again.revoked_at
    assert epoch() == before + 1
    assert AuditEvent.objects.filter(action="key.revoked").count() == 1


def test_the_playground_key_cannot_be_revoked(people: Cast) -> None:
    with pytest.raises(keys.KeyRefused):
        keys.revoke_key(SYSTEM, keys.playground_key(people.acme))


@pytest.mark.parametrize(
    "text", ["too-short", "with a space inside of it", "sk-weir-" + "a" * 38, "x" * 19]
)
def test_invalid_key_text_is_not_imported(people: Cast, text: str) -> None:
    with pytest.raises(keys.KeyRefused) as refused:
        keys.import_key(SYSTEM, people.core, "brought", text)
    assert refused.value.field == "secret"


def test_imported_key_is_taken_once(people: Cast) -> None:
    key = keys.import_key(SYSTEM, people.core, "brought", "old-system-key-0123456789")
    assert bytes(key.digest) == keys.digest_of("old-system-key-0123456789")
    with pytest.raises(keys.KeyRefused) as refused:
        keys.import_key(SYSTEM, people.core, "again", "old-system-key-0123456789")
    assert refused.value.field == "secret"
    assert f"brought ({id_text(key.id)})" in refused.value.message
    with pytest.raises(keys.KeyRefused) as refused:
        keys.import_key(SYSTEM, people.stranger.teams.get(), "again", "old-system-key-0123456789")
    assert "another organisation" in refused.value.message
    assert "brought" not in refused.value.message


def test_a_change_writes_only_what_differs(people: Cast) -> None:
    key, _ = make_key(people.core)
    before = epoch()
    assert keys.change_key(SYSTEM, key, disabled=False, model_patterns=[]) == key
    assert epoch() == before
    changed = keys.change_key(SYSTEM, key, disabled=True, model_patterns=["gpt-*"])
    assert changed.disabled
    assert epoch() == before + 1
    assert AuditEvent.objects.get(action="key.changed").detail == {
        "before": {"disabled": False, "model_patterns": []},
        "after": {"disabled": True, "model_patterns": ["gpt-*"]},
    }


def test_only_some_fields_change(people: Cast) -> None:
    key, _ = make_key(people.core)
    with pytest.raises(TypeError, match="digest"):
        keys.change_key(SYSTEM, key, digest=b"mine")


def opened(text: str) -> str | None:
    result = actors.key_actor(text)
    return result.key.name if result and result.key else None


def test_a_rotated_key_has_two_secrets_until_the_old_one_ends(
    people: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/promises.md, "API keys": the old secret lives on for its grace, both are visible."""
    key, old = make_key(people.core, "ci", model_patterns=["gpt-*"], rpm=7)
    before = epoch()
    rotated, new = keys.rotate_key(actor(people.alice, people.acme), key, 24)
    assert epoch() == before + 1
    assert (rotated.id, rotated.rpm, rotated.model_patterns) == (key.id, 7, ["gpt-*"])
    assert new.endswith(rotated.last4)
    assert (opened(old), opened(new)) == ("ci", "ci")
    (former,) = key_lookup.living_former_secrets(rotated, clock.now())
    assert old.endswith(former.last4)
    assert abs(former.until - clock.now() - dt.timedelta(hours=24)) < dt.timedelta(minutes=1)
    event = AuditEvent.objects.get(action="key.rotated")
    assert old not in str(event.detail)
    assert new not in str(event.detail)
    monkeypatch.setattr(clock, "now", lambda: former.until)
    assert (opened(old), opened(new)) == (None, "ci")


def test_second_rotation_keeps_access_and_a_leak_ends_it(people: Cast) -> None:
    key, first = make_key(people.core, "ci")
    _, second = keys.rotate_key(SYSTEM, key, 24)
    _, third = keys.rotate_key(SYSTEM, key, 24)
    assert [opened(text) for text in (first, second, third)] == ["ci"] * 3
    former = key_lookup.living_former_secrets(key, clock.now())
    assert [one.last4 for one in former] == [second[-4:], first[-4:]]
    _, fourth = keys.rotate_key(SYSTEM, key, 0)
    assert [opened(text) for text in (first, second, third, fourth)] == [None, None, None, "ci"]


def test_a_longer_grace_lengthens_no_earlier_one(people: Cast) -> None:
    """P23: who rotates away a secret for an hour gives it no day by rotating once more."""
    key, first = make_key(people.core, "ci")
    keys.rotate_key(SYSTEM, key, 1)
    rotated, _ = keys.rotate_key(SYSTEM, key, 24)
    left = {
        former.last4: former.until - clock.now()
        for former in key_lookup.living_former_secrets(rotated, clock.now())
    }
    assert left.pop(first[-4:]) <= dt.timedelta(hours=1)
    assert min(left.values()) > dt.timedelta(hours=23)


def test_remaining_grace_can_be_ended(people: Cast) -> None:
    key, old = make_key(people.core, "ci")
    rotated, new = keys.rotate_key(SYSTEM, key, 168)
    before = epoch()
    keys.end_former_secrets(SYSTEM, rotated)
    keys.end_former_secrets(SYSTEM, rotated)
    assert (opened(old), opened(new), epoch()) == (None, "ci", before + 1)
    event = AuditEvent.objects.get(action="key.former_secrets_ended")
    assert event.detail == {"last4": [old[-4:]]}


def test_a_key_that_ended_has_nothing_to_rotate(people: Cast) -> None:
    key, _ = make_key(people.core, "ci")
    for hours in (-1, 169):
        with pytest.raises(keys.KeyRefused) as refused:
            keys.rotate_key(SYSTEM, key, hours)
        assert refused.value.field == "grace_hours"
    with pytest.raises(keys.KeyRefused):
        keys.rotate_key(SYSTEM, keys.playground_key(people.acme), 24)
    Key.objects.filter(id=key.id).update(expires_at=clock.now())
    with pytest.raises(keys.KeyRefused):
        keys.rotate_key(SYSTEM, key, 24)
    Key.objects.filter(id=key.id).update(expires_at=None)
    keys.revoke_key(SYSTEM, key)
    with pytest.raises(keys.KeyRefused):
        keys.rotate_key(SYSTEM, key, 24)


def test_revoking_and_disabling_end_the_former_secrets_too(people: Cast) -> None:
    key, old = make_key(people.core, "ci")
    keys.rotate_key(SYSTEM, key, 24)
    keys.change_key(SYSTEM, key, disabled=True)
    assert opened(old) is None
    keys.change_key(SYSTEM, key, disabled=False)
    assert opened(old) == "ci"
    keys.revoke_key(SYSTEM, key)
    assert opened(old) is None


def test_rotated_secret_is_never_a_key_again(people: Cast) -> None:
    text = "old-system-key-0123456789"
    key = keys.import_key(SYSTEM, people.core, "brought", text)
    keys.rotate_key(SYSTEM, key, 0)
    with pytest.raises(keys.KeyRefused) as refused:
        keys.import_key(SYSTEM, people.core, "again", text)
    assert refused.value.field == "secret"
    assert not Key.objects.filter(name="again").exists()


def test_a_key_can_be_made_for_a_colleague_of_its_team(people: Cast) -> None:
    """P23: a model key alone; whoever made a management key would have what the colleague may."""
    alice = actor(people.alice, people.acme)
    key, _ = keys.mint_key(alice, people.core, "for bob", user=people.bob)
    assert (key.user, key.created_by) == (people.bob, people.alice)
    lab = teams.create_team(people.acme, "Lab", actor=SYSTEM)
    members.set_member(
        people.acme, people.bob.email, Role.DEVELOPER, teams=[people.core], actor=SYSTEM
    )
    for team, user, kind in (
        (lab, people.bob, KeyKind.RELAY),
        (people.core, people.charlie, KeyKind.RELAY),
        (people.core, people.bob, KeyKind.MANAGEMENT),
    ):
        with pytest.raises(keys.KeyRefused) as refused:
            keys.mint_key(alice, team, "not for them", kind=kind, user=user)
        assert refused.value.field == "owner"


def test_the_form_hands_a_key_to_a_colleague(people: Cast) -> None:
    bob = Membership.objects.get(user=people.bob)
    url = reverse("key_create", args=[people.acme.slug])
    sent = {"name": "handed out", "kind": "relay", "lifetime": "", "models": "gpt-*"}
    client = signed_in(people.alice)
    assert f'<option value="{bob.pk}">Bob</option>' in client.get(url).content.decode()
    client.post(url, {**sent, "owner": str(bob.pk)})
    key = Key.objects.get(name="handed out")
    assert (key.user, key.model_patterns) == (people.bob, ["gpt-*"])
    # Somebody who writes their own keys alone is not asked, and heard no other word.
    for theirs in (str(bob.pk), str(Membership.objects.get(user=people.alice).pk)):
        signed_in(people.bob).post(url, {**sent, "name": f"own {theirs}", "owner": theirs})
    assert {key.user for key in Key.objects.filter(name__startswith="own")} == {people.bob}
    # Neither a member of another organisation nor what is nobody.
    stranger = Membership.objects.get(user=people.charlie)
    for holder in (str(stranger.pk), "0", "<i>", "9" * 40):
        assert client.post(url, {**sent, "name": "wrong", "owner": holder}).status_code == 422
    assert not Key.objects.filter(name="wrong").exists()


def test_an_imported_key_with_only_its_hash_works_by_its_text(people: Cast) -> None:
    text = "sk-brought-from-elsewhere-1"
    hashed = sha256(text.encode()).digest()
    team = people.core

    key = keys.import_hashed_key(SYSTEM, team, "old", hashed, last4=text[-4:])

    assert str(key) == "old (…re-1)"
    result = actors.key_actor(text)
    assert result is not None
    assert result.key == key
    assert actors.key_actor(hashed.hex()) is None
    assert key_lookup.used_digest(key, text) == bytes(key.digest)
    with pytest.raises(keys.KeyRefused):
        keys.import_hashed_key(SYSTEM, team, "again", hashed)


@pytest.mark.parametrize(
    ("over", "state"),
    [
        ({}, "active"),
        ({"expires_at": 11}, "active"),
        ({"expires_at": 10}, "expired"),
        ({"expires_at": 9, "disabled": True}, "expired"),
        ({"disabled": True}, "disabled"),
        ({"expires_at": 11, "disabled": True}, "disabled"),
        ({"revoked_at": 9, "expires_at": 9, "disabled": True}, "revoked"),
    ],
)
def test_the_state_of_a_key_at_an_instant(over: dict[str, Any], state: str) -> None:
    """P11: at the instant itself it is over."""
    at = {n: dt.datetime(2026, 1, 1, 0, 0, n, tzinfo=dt.UTC) for n in (9, 10, 11)}
    fields = {name: at.get(value, value) for name, value in over.items()}
    assert key_lookup.key_state(Key(**fields), at[10]) == state


def test_a_rotated_secret_works_for_a_day_by_default() -> None:
    assert keys.GRACE_HOURS == 24


@pytest.mark.parametrize(
    "limits", [{"rpm": 0}, {"endpoints": ["none"]}, {"networks": ["10.0.0"]}, {"tags": [" "]}]
)
def test_invalid_limit_is_rejected_wherever_it_is_set(people: Cast, limits: dict[str, Any]) -> None:
    (field,) = limits
    key, _ = make_key(people.core)
    for write in (
        lambda: make_key(people.core, "other", **limits),
        lambda: keys.change_key(SYSTEM, key, **limits),
    ):
        with pytest.raises(keys.KeyRefused) as refused:
            write()
        assert refused.value.field == field
    assert not Key.objects.filter(name="other").exists()


def test_deactivated_colleague_gets_no_key(people: Cast) -> None:
    members.set_active(people.bob, False, actor=SYSTEM)
    with pytest.raises(keys.KeyRefused, match="is not in the team"):
        keys.mint_key(actor(people.alice, people.acme), people.core, "for bob", user=people.bob)
