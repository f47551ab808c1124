"""Service accounts and whose limits change, as they are listed; and what a key may not outlive."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from accounts.key_uses.last_uses import LastUses
from accounts.keys import keys, limited_subjects, service_accounts
from accounts.keys.keys import KeyRefused
from accounts.members.members import set_member
from accounts.models import Key, KeyKind, Role
from accounts.organisations import teams
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import Cast, actor, make_key, person, signed_in, with_key
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [("bot", "1"), ("crawler", "0")]),
        ("q=BOT&", [("bot", "1")]),
        ("q=second&", [("crawler", "0")]),
        ("q=none&", []),
    ],
)
def test_service_accounts_are_found_by_team_and_count_keys_that_work(
    people: Cast, query: str, found: list[tuple[str, str]]
) -> None:
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    bot = service_accounts.create_service_account(people.core, "bot", actor=SYSTEM)
    service_accounts.create_service_account(second, "crawler", actor=SYSTEM)
    for name in ("works", "off", "ended", "gone"):
        key, _ = make_key(people.core, name, service_account=bot)
        if name == "ended":
            Key.objects.filter(id=key.id).update(expires_at=clock.now())
        elif name == "off":
            keys.change_key(SYSTEM, key, disabled=True)
        elif name == "gone":
            keys.revoke_key(SYSTEM, key)
    rows = file_of(signed_in(people.alice), f"/o/acme/service-accounts?{query}export=csv")
    assert [(row["name"], row["keys"]) for row in rows] == found


@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 404), ("lead", 404)])
def test_service_account_is_shown_to_who_may_see_its_keys(
    people: Cast, who: str, status: int
) -> None:
    """A developer has keys of their own, and an admin of one team those of that team."""
    second = teams.create_team(people.acme, "second", actor=SYSTEM)
    bot = service_accounts.create_service_account(people.core, "bot", actor=SYSTEM)
    lead = person("lead")
    set_member(people.acme, lead.email, Role.ADMIN, teams=[second], actor=SYSTEM)
    user = lead if who == "lead" else getattr(people, who)
    _, text = make_key(second, "reads", user=user, kind=KeyKind.MANAGEMENT)
    answer = with_key(text).get(f"/api/v1/service-accounts/{id_text(bot.id)}")
    assert answer.status_code == status


def test_key_is_revoked_only_by_typing_its_name(people: Cast) -> None:
    key, _ = make_key(people.core, "web prod")
    alice, page = signed_in(people.alice), f"/o/acme/keys/{id_text(key.id)}/revoke"
    for typed in ("", "web", "another"):
        assert alice.post(page, {"confirm": typed}).status_code == 422
    key.refresh_from_db()
    assert key.revoked_at is None
    assert alice.post(page, {"confirm": " web prod "}).status_code == 303
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_limits_are_those_of_active_teams_and_of_people(people: Cast) -> None:
    teams.archive_team(teams.create_team(people.acme, "old", actor=SYSTEM), actor=SYSTEM)
    found = limited_subjects.limited_subjects(actor(people.alice, people.acme))
    assert [(one.scope, one.id, one.name) for one in found] == [
        ("organisation", "", "Acme"),
        ("team", "core", "core"),
        ("user", "alice@example.org", "Alice"),
        ("user", "bob@example.org", "Bob"),
    ]


def test_key_ends_with_the_secret_and_the_key_that_make_it(people: Cast) -> None:
    """P23: whichever ends first."""
    now = clock.now()
    own, _ = make_key(
        people.core, "m", user=people.alice, kind=KeyKind.MANAGEMENT, expires_at=now + 3 * HOUR
    )
    by = replace(actor(people.alice, people.acme), key=own)
    for ends_at, most in ((now + HOUR, 1), (now + 9 * HOUR, 3), (None, 3)):
        caller = replace(by, ends_at=ends_at)
        for hours, made in ((most - 0.5, True), (most + 0.5, False)):
            wanted: dict[str, Any] = {"user": people.alice, "expires_at": now + hours * HOUR}
            name = f"{most} {hours} {ends_at}"
            if made:
                keys.mint_key(caller, people.core, name, **wanted)
            else:
                with pytest.raises(KeyRefused, match="expires_at"):
                    keys.mint_key(caller, people.core, name, **wanted)


def test_use_of_a_key_is_written_once() -> None:
    uses, key = LastUses(), new_id()
    uses.note(key, b"d", "192.0.2.1", "curl/8")
    uses.note(key, b"d", "192.0.2.2", "curl/8")
    ((_, _, _, address, _),) = taken = uses.take()
    assert (address, uses.take()) == ("192.0.2.2", [])
    uses.note(key, b"d", "192.0.2.3", "curl/8")
    uses.put_back(taken)
    assert [use[3] for use in uses.take()] == ["192.0.2.3"]
