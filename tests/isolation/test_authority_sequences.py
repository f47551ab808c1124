"""P23: random sequences of calls, each by any credential that was had by then. What an oracle reads
from the rows says after each: nobody gained a right that the giver lacked, nothing was changed out
of the giver's reach, and what was refused changed nothing. What is chosen from is in order, so that
a seed plays the same sequence each time."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.members import invitations, members, team_members
from accounts.members.invitations import InvitationEnded
from accounts.models import (
    CustomRole,
    Invitation,
    Key,
    KeyKind,
    Membership,
    Organisation,
    Project,
    Role,
    ServiceAccount,
    Team,
    User,
)
from accounts.organisations import organisations, projects, teams
from accounts.roles.rules import PERMISSIONS
from lib.ids import id_text, new_id, parse_id
from lib.refusal import Refused
from tests.isolation.rights import WHOLE, Holder, Right, Secret, State, read_state, rights_of
from tests.support import cast

pytestmark = pytest.mark.django_db

API: Final = "/api/v1"
STEPS: Final = 6
ANSWERS: Final = {200, 201, 204, 400, 401, 403, 404, 409, 422}
MANAGER: Final = (
    "members.read", "members.write", "roles.write", "keys.read", "keys.write", "keys.write_own",
    "teams.read", "budgets.read", "budgets.write", "usage.read:own", "models.read",
)  # fmt: skip
# What it takes to change a row of a kind where it belongs.
NEEDED: Final = {
    "team": "teams.write", "project": "teams.write", "limit": "budgets.write",
    "budget": "budgets.write", "service account": "keys.write", "role": "roles.write",
    "member": "members.write", "invitation": "members.write",
}  # fmt: skip


@dataclass(frozen=True)
class Credential:
    """Who calls, by a session or by the secret of a management key."""

    person: int
    client: Client
    secret: Secret | None = None


@dataclass
class Play:
    """One sequence: what is known to whom by now."""

    chance: random.Random
    organisation: Organisation
    people: list[User]
    credentials: list[Credential]
    living: dict[UUID, set[int]]
    known: dict[int, set[Secret]] = field(default_factory=dict)
    calls: int = 0
    granted: int = 0

    def held(self, state: State) -> dict[int, frozenset[Right]]:
        """What each person may do in whatever way they have."""
        return {
            user.pk: state.of_person(user.pk).union(
                *(state.of_secret(one, self.living) for one in self.known.get(user.pk, ()))
            )
            for user in self.people
        }

    def rights_by(self, state: State, by: Credential) -> frozenset[Right]:
        if by.secret is None:
            return state.of_person(by.person)
        return state.of_secret(by.secret, self.living)


# The calls --------------------------------------------------------------------------------------


def some_role(play: Play) -> str:
    custom = CustomRole.objects.filter(organisation=play.organisation)
    names = list(custom.order_by("name").values_list("name", flat=True))
    return play.chance.choice(["owner", "admin", "billing", "developer", "viewer", *names])


def some_teams(play: Play) -> list[str] | None:
    slugs = _slugs(play)
    return play.chance.choice((None, play.chance.sample(slugs, play.chance.randint(1, 2))))


def some_team(play: Play) -> str:
    return play.chance.choice(_slugs(play))


def _slugs(play: Play) -> list[str]:
    return list(play.organisation.teams.order_by("slug").values_list("slug", flat=True))


def some_permissions(play: Play) -> list[str]:
    return play.chance.sample(PERMISSIONS, play.chance.randint(1, 8))


def some_id(play: Play, rows: Any) -> str:
    mine = rows.filter(organisation=play.organisation).order_by("id")
    ids = list(mine.values_list("id", flat=True))
    if not ids:
        return "none"
    chosen = play.chance.choice(ids)
    return id_text(chosen) if isinstance(chosen, UUID) else str(chosen)


def some_email(play: Play) -> str:
    return play.chance.choice(play.people).email


Call = tuple[str, str, dict[str, Any] | None]


def invite(play: Play) -> Call:
    body = {"emails": [some_email(play)], "role": some_role(play), "teams": some_teams(play)}
    return "POST", "/invitations", body


def resend(play: Play) -> Call:
    return "POST", f"/invitations/{some_id(play, Invitation.objects)}/resend", {}


def set_member(play: Play) -> Call:
    body: dict[str, Any] = {"role": some_role(play)}
    if play.chance.random() < 0.5:
        body["teams"] = some_teams(play)
    return "PATCH", f"/members/{some_id(play, Membership.objects)}", body


def remove_member(play: Play) -> Call:
    body: dict[str, Any] = {"chats": "delete", "keys": "disable"}
    if play.chance.random() < 0.4:
        body |= {"keys": "transfer", "keys_to": some_email(play)}
    return "POST", f"/members/{some_id(play, Membership.objects)}/remove", body


def add_to_team(play: Play) -> Call:
    return "POST", f"/teams/{some_team(play)}/members", {"email": some_email(play)}


def remove_from_team(play: Play) -> Call:
    return "DELETE", f"/teams/{some_team(play)}/members/{some_id(play, Membership.objects)}", None


def set_lead(play: Play) -> Call:
    path = f"/teams/{some_team(play)}/members/{some_id(play, Membership.objects)}"
    return "PATCH", path, {"lead": play.chance.choice((True, True, False))}


def make_role(play: Play) -> Call:
    name = f"Role {play.chance.random()}"
    return "POST", "/roles", {"name": name, "permissions": some_permissions(play)}


def change_role(play: Play) -> Call:
    body = {"permissions": some_permissions(play)}
    return "PATCH", f"/roles/{some_id(play, CustomRole.objects)}", body


def make_account(play: Play) -> Call:
    body = {"name": f"Bot {play.chance.random()}", "team": some_team(play), "role": some_role(play)}
    return "POST", "/service-accounts", body


def change_account(play: Play) -> Call:
    body = play.chance.choice(({"role": some_role(play)}, {"disabled": True}, {"disabled": False}))
    return "PATCH", f"/service-accounts/{some_id(play, ServiceAccount.objects)}", body


def make_key(play: Play) -> Call:
    kind = play.chance.choice(("relay", "management", "management"))
    body: dict[str, Any] = {"name": f"Key {play.chance.random()}", "kind": kind}
    if play.chance.random() < 0.5:
        body["service_account"] = some_id(play, ServiceAccount.objects)
        account = ServiceAccount.objects.filter(
            id=parse_id(body["service_account"]) or new_id()
        ).first()
        if account:
            body["team"] = account.team.slug
    elif play.chance.random() < 0.5:
        body["team"] = some_team(play)
    return "POST", "/keys", body


def change_key(play: Play) -> Call:
    body = play.chance.choice(({"disabled": True}, {"disabled": False}, {"name": "renamed"}))
    return "PATCH", f"/keys/{some_id(play, Key.objects)}", body


def rotate_key(play: Play) -> Call:
    hours = play.chance.choice((0, 24))
    return "POST", f"/keys/{some_id(play, Key.objects)}/rotate", {"grace_hours": hours}


def make_team(play: Play) -> Call:
    return "POST", "/teams", {"name": f"Team {play.chance.randint(1, 10**9)}"}


def change_team(play: Play) -> Call:
    body = play.chance.choice(({"archived": True}, {"archived": False}, {"name": "Renamed"}))
    return "PATCH", f"/teams/{some_team(play)}", body


def make_project(play: Play) -> Call:
    name = f"Project {play.chance.randint(1, 10**9)}"
    return "POST", "/projects", {"name": name, "team": some_team(play)}


def move_project(play: Play) -> Call:
    slugs = list(Project.objects.values_list("slug", flat=True))
    return "PATCH", f"/projects/{play.chance.choice(slugs)}", {"team": some_team(play)}


def make_budget(play: Play) -> Call:
    scope = play.chance.choice(("organisation", "team", "key", "user", "model"))
    subject = {
        "organisation": "", "team": some_team(play), "key": some_id(play, Key.objects),
        "user": some_email(play), "model": "gpt-5",
    }[scope]  # fmt: skip
    period = play.chance.choice(("day", "week", "month"))
    body = {"scope": scope, "subject": subject, "amount": "5.00", "period": period}
    return "POST", "/budgets", body


def set_limit(play: Play) -> Call:
    scope = play.chance.choice(("organisation", "team", "user"))
    subject = {"organisation": "", "team": some_team(play), "user": some_email(play)}[scope]
    return "PATCH", "/limits", {"scope": scope, "subject": subject, "rpm": 7}


CALLS: Final[tuple[Callable[[Play], Call], ...]] = (
    invite, invite, resend, set_member, set_member, remove_member, make_role, change_role,
    add_to_team, remove_from_team, set_lead, set_lead,
    make_account, change_account, make_key, make_key, change_key, rotate_key, make_team,
    change_team, make_project, move_project, make_budget, set_limit,
)  # fmt: skip


# A step -----------------------------------------------------------------------------------------


def step(play: Play, before: State) -> State:
    """One call or one acceptance, and what the oracle says to it."""
    if play.chance.random() < 0.12:
        return accept(play, before)
    by = play.chance.choice(play.credentials)
    rights = play.rights_by(before, by)
    held = play.held(before)
    method, path, body = play.chance.choice(CALLS)(play)
    answer = by.client.generic(method, API + path, json.dumps(body), "application/json")
    assert answer.status_code in ANSWERS, (method, path, body, answer.content)
    play.calls += 1
    story = (method, path, body, answer.status_code, by.person, by.secret)
    if answer.status_code >= 400:
        # Reading it all takes as long as the call: of what is refused, now and then.
        if play.chance.random() < 0.2:
            assert read_state(play.organisation).rows == before.rows, story
        return before
    play.granted += 1
    after = read_state(play.organisation)
    if "secret" in (document := answer.json() if answer.content else {}):
        learn(play, by, path, document, body)
    check_gains(play, before, after, held, rights, story)
    check_touched(play, before, after, by, rights, story)
    return after


def accept(play: Play, before: State) -> State:
    """Somebody accepts an invitation: it gives what who invited could still give."""
    rows = Invitation.objects.filter(organisation=play.organisation).order_by("id")
    invitation = play.chance.choice([*rows, None])
    if invitation is None:
        return before
    held = play.held(before)
    user = User.objects.get(email__iexact=invitation.email)
    inviter = invitation.invited_by_id
    inputs = before.of_person(inviter) if inviter else frozenset()
    try:
        invitations.accept(invitation, user)
    except (Refused, InvitationEnded):
        return before
    after = read_state(play.organisation)
    check_gains(play, before, after, held, inputs, ("accepted", user.email, invitation.role))
    return after


def learn(play: Play, by: Credential, path: str, values: dict[str, Any], body: Any) -> None:
    """Whoever called knows the secret from now on."""
    id = parse_id(values["id"])
    assert id is not None
    generation = max(play.living.get(id, {0})) + 1
    kept = play.living.get(id, set()) if body.get("grace_hours") else set()
    play.living[id] = {*kept, generation}
    secret = Secret(id, generation)
    play.known.setdefault(by.person, set()).add(secret)
    if values["kind"] == KeyKind.MANAGEMENT:
        play.credentials.append(Credential(by.person, cast.with_key(values["secret"]), secret))


def check_gains(
    play: Play, before: State, after: State, held: dict[int, frozenset[Right]],
    rights: frozenset[Right], story: object,
) -> None:  # fmt: skip
    """Nobody may more than before, but for what the giver may."""
    for person, now in play.held(after).items():
        gained = {right for right in now - held[person] - rights if _is_old(right, before)}
        assert not gained, (story, person, sorted(map(str, gained)))


def _is_old(right: Right, before: State) -> bool:
    """Whether a right holds in what was there before: nobody had any in a team that is new."""
    place = right[1][1] if isinstance(right[1], tuple) else right[1]
    return place == WHOLE or place in before.teams


def check_touched(
    play: Play, before: State, after: State, by: Credential, rights: frozenset[Right], story: Any
) -> None:
    """Whatever was changed was in the giver's reach, where it was and where it is."""
    removing = str(story[1]).endswith("/remove")
    for name in before.rows.keys() | after.rows.keys():
        kind, id = name
        was, now = before.rows.get(name), after.rows.get(name)
        if was == now:
            continue
        places = [row[1] for row in (was, now) if row]
        if kind == "key":
            moved = was is not None and now is not None and was[0] == now[0]
            assert moved or removing or _reaches_key(before, after, by, id, rights), (story, name)
            continue
        if kind in ("in team", "lead"):
            assert removing or _reaches_team(kind, places[0], rights, before, now), (story, name)
            continue
        for place in places:
            assert _reaches(rights, NEEDED[kind], place, before) or (
                removing and kind in ("member", "limit", "invitation")
            ), (story, name, place)
        if kind == "member":
            _check_member(before, by, id, rights, story)
        if kind == "invitation" and now is not None and was is None:
            offered = rights_of(now[0], before.teams)
            assert offered <= rights, (story, sorted(map(str, offered - rights)))


def _reaches_team(
    kind: str, team: object, rights: frozenset[Right], before: State, now: object
) -> bool:
    """Whether they may say who is in a team, or leads it; who is no longer in it leads no more."""
    needed = ["teams.write", "members.write"]
    if kind == "in team" or now is None:
        needed.append("team_members.write")
    return any(_reaches(rights, action, team, before) for action in needed)


def _reaches(rights: frozenset[Right], action: str, place: object, before: State) -> bool:
    if (action, WHOLE) in rights or (action, place) in rights:
        return True
    if isinstance(place, frozenset) and all((action, team) in rights for team in place):
        return True
    # Members and invitations are of the organisation; who is limited to teams has those of these.
    return action == "members.write" and any(right[0] == action for right in rights)


def _reaches_key(
    before: State, after: State, by: Credential, id: object, rights: frozenset[Right]
) -> bool:
    rows = [state.keys[id] for state in (before, after) if id in state.keys]  # type: ignore[index]
    own = [row for row in rows if row["user"] == by.person]
    return all(
        _reaches(rights, "keys.write", row["team"], before)
        or (row in own and ("keys.write_own", ("own", row["team"])) in rights)
        for row in rows
    )


def _check_member(
    before: State, by: Credential, user: object, rights: frozenset[Right], story: Any
) -> None:
    """Equals leave each other be: who is changed or removed had less, or is who called."""
    held = before.of_person(user)  # type: ignore[arg-type]
    everything = rights_of(Holder("owner", frozenset(), None), before.teams)
    assert user == by.person or held < rights or everything <= rights, (story, user)


# Playing it -------------------------------------------------------------------------------------


@pytest.fixture
def start(db: None) -> Play:
    """An organisation with two teams and somebody of each kind who gives rights."""
    olga = cast.person("olga")
    acme = organisations.create_organisation("Acme", owner=olga, actor=SYSTEM)
    core, side = acme.teams.get(), teams.create_team(acme, "Side", actor=SYSTEM)
    for team in (core, side):
        projects.create_project(team, f"Project {team.slug}", actor=SYSTEM)
    manager = custom_roles.create_role(acme, "Manager", MANAGER, actor=SYSTEM)
    people = [olga]
    cast_of: tuple[tuple[str, Role, CustomRole | None, list[Team] | None], ...] = (
        ("ada", Role.ADMIN, None, None), ("lea", Role.ADMIN, None, [core]),
        ("max", Role.CUSTOM, manager, None), ("mia", Role.CUSTOM, manager, [side]),
        ("bob", Role.DEVELOPER, None, None), ("dan", Role.DEVELOPER, None, [core]),
    )  # fmt: skip
    for name, role, custom, in_teams in cast_of:
        user = cast.person(name)
        members.set_member(acme, user.email, role, custom_role=custom, teams=in_teams, actor=SYSTEM)
        people.append(user)
    led = Membership.objects.get(organisation=acme, user__email__startswith="dan@")
    team_members.set_lead(SYSTEM, core, led, True)
    people += [cast.person("newa"), cast.person("newb")]
    credentials = [Credential(user.pk, cast.signed_in(user)) for user in people]
    # Callers who give the most rights, and lack some, are asked more often.
    credentials += credentials[1:5]
    return Play(random.Random(), acme, people, credentials, {})


PARTS: Final = [
    pytest.param(range(at, at + 1000), id=str(at), marks=pytest.mark.slow)
    for at in range(0, 10_000, 1000)
]


@pytest.mark.parametrize("seeds", [pytest.param(range(30), id="some"), *PARTS])
def test_nobody_gains_a_right_that_the_giver_lacked(start: Play, seeds: range) -> None:
    first = read_state(start.organisation)
    calls = granted = 0
    for seed in seeds:
        play = played(start, first, seed)
        calls, granted = calls + play.calls, granted + play.granted
    # Neither is everything refused, nor everything granted.
    assert calls // 6 < granted < calls * 5 // 6, (calls, granted)


def played(start: Play, first: State, seed: int) -> Play:
    """One sequence from the start, of which nothing stays."""
    with transaction.atomic():
        credentials = [*start.credentials]
        play = Play(random.Random(seed), start.organisation, start.people, credentials, {})
        state = first
        for _ in range(STEPS):
            try:
                state = step(play, state)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
        transaction.set_rollback(True)
    return play


def test_oracle_detects_rights_beyond_the_givers(start: Play) -> None:
    """A right that comes from nowhere is a gain."""
    before = read_state(start.organisation)
    held = start.held(before)
    lea, dan = start.people[2], start.people[6]
    members.set_member(start.organisation, dan.email, Role.ADMIN, teams=None, actor=SYSTEM)
    after = read_state(start.organisation)
    with pytest.raises(AssertionError):
        check_gains(start, before, after, held, before.of_person(lea.pk), "by the installation")
