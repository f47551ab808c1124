"""Home for each role (W03, P12): whatever a reader may do, no panel fails, and pending increases
are counted for those who decide on them."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import RequestFactory

from accounts.access.access import AccessDenied
from accounts.access.actors import SYSTEM, Actor
from accounts.models import Key, Role, Team
from accounts.roles.rules import PERMISSIONS
from billing.limits import budget_increases
from billing.models import Budget
from config.home.panels import PANELS, panels_for
from lib import clock
from tests.config.home.test_home import alices, bobs, sum_up
from tests.support.cast import BUILT_IN, Cast, actor, make_key
from tests.usage.rows import happen
from usage.limits import budget_simulation

pytestmark = pytest.mark.django_db
__all__ = ["alices", "bobs"]

USD = 10**9
SEES = "models.read"
"""What opens Home."""
OTHERS = [one for one in PERMISSIONS if one != SEES]
ALONE = [(SEES, one) for one in OTHERS]
ALL_BUT_ONE = [tuple(one for one in PERMISSIONS if one != without) for without in OTHERS]


@pytest.fixture
def asked(people: Cast, alices: Key, bobs: Key) -> Budget:
    """The team's budget, nearly used up, with a pending request of bob; and a key that expires."""
    make_key(people.core, "soon", user=people.bob, expires_at=clock.now() + dt.timedelta(days=2))
    happen(bobs, clock.now(), 9 * USD)
    happen(alices, clock.now(), 0, status=500, kind="timeout")
    sum_up()
    for scope, subject in (("team", people.core.id), ("user", people.bob.id), ("key", bobs.id)):
        budget = budget_simulation.create_budget(
            SYSTEM, people.acme, scope=scope, subject=str(subject), amount_nano=10 * USD,
            period="month",
        )  # fmt: skip
        if scope == "team":
            team_budget = budget
    budget_increases.ask_for_more(
        actor(people.bob, people.acme), team_budget, amount_nano=USD,
        until=clock.now() + dt.timedelta(days=2), reason="a launch",
    )  # fmt: skip
    return team_budget


def readers(base: Actor, team: Team) -> Iterator[Actor]:
    """Each built-in role, and each permission alone: in all teams, in one, and as the lead of one.
    And all permissions but one."""
    one = frozenset({team.pk})
    roles = [replace(base, role=role) for role in BUILT_IN]
    roles += [replace(base, role=Role.CUSTOM, permissions=some) for some in ALONE]
    for role in roles:
        yield role
        yield replace(role, leads=one)
        if role.role != Role.OWNER:
            yield replace(role, teams=one)
    for some in ALL_BUT_ONE:
        yield replace(base, role=Role.CUSTOM, permissions=some)


def waiting_on_home(reader: Actor) -> bool:
    read = PANELS["attention"].read(RequestFactory().get("/"), reader)
    return any("increase request" in matter.text for matter in read["items"])


@pytest.mark.usefixtures("asked")
def test_no_panel_asks_for_more_than_shows_it(people: Cast) -> None:
    """Home replaces a panel that fails by a message. Here each panel is read without it (P12)."""
    request = RequestFactory().get("/")
    denied = []
    for reader in readers(actor(people.bob, people.acme), people.core):
        for panel in panels_for(reader, PANELS):
            try:
                panel.read(request, reader)
            except AccessDenied:
                denied.append((panel.name, reader.authority))
    assert denied == []


@pytest.mark.usefixtures("asked")
def test_pending_increases_are_counted_for_those_who_decide(people: Cast) -> None:
    """Not for a lead, whatever their role, nor without the permission to see requests (W54)."""
    bob, team = actor(people.bob, people.acme), frozenset({people.core.pk})

    def counted(role: Role, *permissions: str, lead: bool = False, limited: bool = False) -> bool:
        reader = replace(
            bob, role=role, permissions=(SEES, *permissions) if permissions else (),
            leads=team if lead else frozenset(), teams=team if limited else None,
        )  # fmt: skip
        return waiting_on_home(reader)

    assert [role for role in BUILT_IN if counted(role)] == [Role.OWNER, Role.ADMIN]
    assert [role for role in BUILT_IN if counted(role, lead=True)] == [Role.OWNER, Role.ADMIN]
    assert counted(Role.ADMIN, limited=True)
    assert not counted(Role.CUSTOM, "budgets.write")
    assert not counted(Role.CUSTOM, "budgets.ask")
    assert counted(Role.CUSTOM, "budgets.write", "budgets.ask")
    assert counted(Role.CUSTOM, "budgets.write", "budgets.ask", "budgets.read", limited=True)
