"""Nobody is offered what they may not do (W32, P23): whatever a list or page offers to a reader who
may do some of it works for them, row by row. `test_answers.py` asks as one who may do all of it."""

from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from django.db import transaction
from pytest_django.plugin import DjangoDbBlocker

from accounts.access.actors import SYSTEM
from accounts.custom_roles import custom_roles
from accounts.keys import keys, service_accounts
from accounts.members import invitations, members, team_members
from accounts.members.invitations import Offer
from accounts.models import KeyKind, Membership, Role
from accounts.organisations import projects, teams
from billing.limits.budget_rules import OF_SUBSCRIPTION
from notify.endpoints import endpoints
from tests.house.offers import (
    OFFERING,
    REFUSED,
    Press,
    Reader,
    body_of,
    faults_of,
    links_of,
    name_of,
    presses_of,
    spread,
)
from tests.isolation import colleagues
from tests.isolation.cells import Cell, _path_of, expected
from tests.isolation.table import PAGES
from tests.isolation.who import Who
from tests.isolation.world import NANO, World
from tests.support import cast
from tests.support.shell import bare_pages
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db

ROLES: Final = ("admin", "limited admin", "lead", "limited custom", "developer")
"""Those who may do some of it, apart from the owner."""
FEW: Final = (3,)
"""Of how many rows of a list each button is pressed in `make test`, evenly spread."""
MOST: Final = (3, 10)
"""The same in `make test ALL=1`: those and more."""
EACH: Final = 1
"""Of how many rows of a list the pages are opened."""


def company() -> World:
    """Acme with a reader of each role, and what they may change and may not, in each state."""
    world = colleagues.build()
    for role in ROLES:
        if role not in world.places:
            colleagues.add_asker(world, role)
    owner = cast.actor(world.people["owner", "active"], world.acme)
    people = {
        role: Membership.objects.get(user=user, organisation=world.acme)
        for (role, _), user in world.people.items()
        if role != "operator"
    }
    _invite(world)
    for role in Role:
        if role != Role.CUSTOM:
            user = cast.member(world.acme, f"another-{role}", role)
            budget_simulation.create_budget(
                owner, world.acme, scope="user", subject=str(user.pk), amount_nano=NANO,
                period="month",
            )  # fmt: skip
    both = cast.person("in-two-teams")
    members.set_member(
        world.acme, both.email, Role.DEVELOPER, teams=[world.core, world.side], actor=SYSTEM
    )
    second = cast.person("second-lead")
    members.set_member(
        world.acme, second.email, Role.DEVELOPER, teams=[world.core, world.side], actor=SYSTEM
    )
    team_members.set_lead(
        owner, world.core, Membership.objects.get(user=second, organisation=world.acme), True
    )
    for scope, subject in (
        ("organisation", ""),
        ("team", str(world.core.id)),
        ("team", str(world.side.id)),
        ("model", "m-1"),
        ("user", str(both.pk)),
    ):
        budget_simulation.create_budget(
            owner, world.acme, scope=scope, subject=subject, amount_nano=NANO, period="week"
        )
    # That of a subscription is changed with its plan alone.
    budget_simulation.create_budget(
        SYSTEM, world.acme, scope="organisation", subject=OF_SUBSCRIPTION, amount_nano=NANO,
        period="month",
    )  # fmt: skip
    for team in (world.core, world.side):
        for role in (Role.ADMIN, Role.DEVELOPER):
            account = service_accounts.create_service_account(
                team, f"{role} of {team.slug}", role, actor=owner
            )
            cast.make_key(team, f"of {account.name}", service_account=account)
        projects.archive_project(
            projects.create_project(team, f"Old {team.slug}", actor=owner), actor=owner
        )
        cast.make_key(team, f"of nobody in {team.slug}")
        cast.make_key(
            team, f"managing {team.slug}", user=people["owner"].user, kind=KeyKind.MANAGEMENT
        )
        revoked, _ = cast.make_key(team, f"revoked in {team.slug}", user=people["owner"].user)
        keys.revoke_key(owner, revoked)
    teams.archive_team(teams.create_team(world.acme, "Gone", actor=owner), actor=owner)
    for name, permissions in (
        ("narrow", ["models.read"]),
        ("wide", ["wallet.write"]),
    ):
        custom_roles.create_role(world.acme, name, permissions, actor=owner)
    endpoints.create_endpoint(owner, world.acme, "https://a.example/h")
    return world


def _invite(world: World) -> None:
    owner = cast.actor(world.people["owner", "active"], world.acme)
    for role in Role:
        if role != Role.CUSTOM:
            invitations.invite(
                world.acme, [f"invited-{role}@example.org"], Offer(role), actor=owner
            )
    for teams_ in ([world.core], [world.side]):
        slug = teams_[0].slug
        offer = Offer(Role.DEVELOPER, teams=teams_)
        invitations.invite(world.acme, [f"invited-to-{slug}@example.org"], offer, actor=owner)
    (gone,) = invitations.invite(
        world.acme, ["withdrawn@example.org"], Offer(Role.VIEWER), actor=owner
    )
    invitations.withdraw(gone.invitation, actor=owner)


def opened(world: World, who: Who) -> Iterator[tuple[str, str, str]]:
    """The pages that offer something, as their reader comes to them: the name, address and text."""
    reader = Reader(world.clients[who])
    waiting = [
        (name, _path_of(world, Cell(name, "GET", who, "none"), ""))
        for name in sorted(OFFERING)
        # What is written there is one's own, and whoever opens it may do all of it.
        if not PAGES[name].guard.startswith("playground.")
        if PAGES[name].kind is None and expected(Cell(name, "GET", who, "none")) == "in"
    ]
    count: dict[str, int] = {}
    for name, path in waiting:
        outcome = reader.get(path, whole=True)
        assert outcome.status == 200, (name, path, outcome.status)
        text = body_of(outcome.text)
        yield name, path, text
        for link in sorted(links_of(text)):
            to = name_of(link)
            if to in OFFERING and PAGES[to].kind and "?" not in link:
                count[to] = count.get(to, 0) + ((to, link) not in waiting)
                if count[to] <= EACH and (to, link) not in waiting:
                    waiting.append((to, link))


@pytest.fixture(scope="module")
def faults(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> list[str]:
    """What is wrong with what readers are offered, by more rows if one of the tests is run that
    ask for more. Nothing of it stays."""
    run = {getattr(item, "function", None) for item in request.session.items}
    rows = MOST if test_more_rows_offer_what_may_be_done in run else FEW
    with django_db_blocker.unblock(), transaction.atomic(), bare_pages():
        world = company()
        found = [fault for role in ROLES for fault in faults_for(world, Who(role), rows)]
        transaction.set_rollback(True)
    return found


def test_readers_are_offered_what_they_may_do(faults: list[str]) -> None:
    assert faults == []


def test_more_rows_offer_what_may_be_done(faults: list[str]) -> None:
    assert faults == []


def faults_for(company: World, who: Who, rows: Sequence[int]) -> Iterator[str]:
    reader, asked = Reader(company.clients[who]), set[str]()
    for page, path, text in opened(company, who):
        offered: dict[str, list[str | Press]] = {}
        for link in sorted(links_of(text) - asked):
            asked.add(link)
            to = name_of(link)
            if to in PAGES and PAGES[to].kind is None and "?" not in link:
                answer = expected(Cell(to, "GET", who, "none"))
                if answer in REFUSED and PAGES[to].guard != "public":
                    yield f"{who.role}: {page}: {link} answers {answer}"
            elif to in PAGES and to not in OFFERING:
                offered.setdefault(to, []).append(link)
        for press in presses_of(page, path, text):
            if press.name != "table_preference" and press.key not in asked:
                asked.add(press.key)
                offered.setdefault(f"POST {press.name}", []).append(press)
        for many in offered.values():
            for one in _some(many, rows):
                yield from (f"{who.role}: {page}: {fault}" for fault in _ask(reader, one))


def _ask(reader: Reader, one: str | Press) -> Iterator[str]:
    if isinstance(one, Press):
        outcome = reader.press(one.path, one.data())
        yield from (f"{one.key} {fault}" for fault in faults_of(one, outcome))
    else:
        outcome = reader.get(one)
        if outcome.status in REFUSED or outcome.status >= 500:
            yield f"{one} answers {outcome.status}"


def _some(many: Sequence[str | Press], rows: Sequence[int]) -> list[str | Press]:
    """So many of them, for each of these numbers."""
    places = {place for most in rows for place in spread(range(len(many)), most)}
    return [many[place] for place in sorted(places)]
