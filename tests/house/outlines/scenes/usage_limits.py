"""Pages of budgets, of requests for more, of keys, and of the people and teams that they are of.

What is summed by month or by day is left out: each is of somebody or something new.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members, team_members
from accounts.models import Key, KeyKind, Membership, Role, SecretUse, Team
from accounts.organisations import projects, teams
from billing.limits.budget_rules import OF_SUBSCRIPTION
from billing.models import Budget, BudgetAlert, BudgetRaise, RaiseState
from content.policies import policies
from lib import clock
from lib.ids import id_text
from notify.models import Delivery, DeliveryState, WebhookEndpoint
from outbox.models import Fact
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import NANO, World
from tests.support import cast
from tests.usage.rows import admit, happen
from usage.keys.bulk import digest_of, plan_change, revocation
from usage.limits import budget_simulation
from usage.limits.budget_simulation import look_back

_HTMX: Final = {"HX-Request": "true"}
_DAY: Final = dt.timedelta(days=1)


# Budgets -----------------------------------------------------------------------------------------


def _new_key(world: World, name: str = "nightly build", **over: Any) -> Key:
    return cast.make_key(world.core, name, user=world.places["colleague"].user, **over)[0]


def _budget(world: World, key: Key | None = None, **over: Any) -> Budget:
    """Of a key, without an end, unless it is told otherwise."""
    values = {"scope": "key", "subject": str(key.id) if key else "", "period": "total",
              "amount_nano": 13 * NANO} | over  # fmt: skip
    return budget_simulation.create_budget(SYSTEM, world.acme, **values)


def _by_policy(world: World, budget: Budget) -> None:
    policy = policies.create_policy(SYSTEM, world.acme, look_back, name="Interns", rules=[])
    Budget.objects.filter(id=budget.id).update(policy_id=policy.id, policy_name="Interns")


def _used(world: World, charge_nano: int, held_nano: int = 0) -> Key:
    key, at = _new_key(world), clock.now() - dt.timedelta(minutes=40)
    if charge_nano:
        happen(key, at, charge_nano, hold_nano=charge_nano)
    if held_nano:
        admit(key, at, hold_nano=held_nano)
    return key


def _of(budget: Budget, end: str = "") -> str:
    return f"/o/acme/budgets/{budget.id}{end}"


def _budget_with_alerts(world: World) -> str:
    """It is running low, is increased, and has alerts of each kind, one of them on its way."""
    budget = _budget(world, _used(world, 7 * NANO, 5 * NANO), action="warn")
    Budget.objects.filter(id=budget.id).update(
        raised_nano=2 * NANO, raised_until=clock.now() + 9 * _DAY
    )
    _by_policy(world, budget)
    hook = WebhookEndpoint.objects.filter(organisation=world.acme).first()
    for n, (kind, percent) in enumerate(
        (("reached", 83), ("reached", 100), ("forecast", None), ("test", None))
    ):
        fact = Fact.objects.create(organisation_id=world.acme.id, kind="budget.reached")
        BudgetAlert.objects.create(
            budget=budget, kind=kind, percent=percent, starts_at=clock.now() - 20 * _DAY,
            limit_nano=(13 + n) * NANO, spent_nano=(3 + n) * NANO, fact_id=fact.id,
            told_at=clock.now(),
        )  # fmt: skip
        user = world.places["colleague"].user
        if kind == "test":
            Delivery.objects.create(fact=fact, user=user)
        if kind == "forecast":
            Delivery.objects.create(
                fact=fact, user=user, state=DeliveryState.DEAD, ended_at=clock.now()
            )
            Delivery.objects.create(
                fact=fact, endpoint=hook, state=DeliveryState.DELIVERED, ended_at=clock.now()
            )
    return _of(budget)


def _used_budget(world: World, charge_nano: int, *, by_policy: bool = False, **over: Any) -> str:
    budget = _budget(world, _used(world, charge_nano), **over)
    if by_policy:
        _by_policy(world, budget)
    return _of(budget)


def _budget_of_each(world: World, end: str = "", **over: Any) -> str:
    scope = "organisation" if over.get("period") == "session" else "end_user"
    if scope == "end_user":
        # It begins anew in about two weeks, on whatever day this is.
        over |= {"period": "month", "anchor": min(28, (clock.now() + 14 * _DAY).day)}
    Budget.objects.filter(organisation=world.acme, scope=scope).delete()
    return _of(_budget(world, scope=scope, subject="", **over), end)


def _budget_to_edit(world: World) -> str:
    return _of(_budget(world, _new_key(world)), "/edit")


def _previewed(world: World, **over: str) -> str:
    """What a budget of a key would have blocked, whose requests cost 3 and 5 USD."""
    key = _used(world, 3 * NANO)
    happen(key, clock.now() - 5 * _DAY, 5 * NANO, hold_nano=5 * NANO)
    query = {
        "scope": "key",
        "subject": key.name,
        "amount": "7",
        "period": "total",
        "anchor_month": "1",
        "timezone": "UTC",
    } | over
    return f"/o/acme/budgets/_f/preview?{urlencode(query)}"


def _budgets_of_one_key(world: World) -> str:
    """What of the list is theirs, as a developer sees it."""
    return "/o/acme/budgets?q=zdeveloperz"


# Requests for more -------------------------------------------------------------------------------


def _raise(world: World, state: RaiseState, end: str = "", *, answered: bool = True) -> str:
    budget = _budget(world, _used(world, 11 * NANO))
    decided = state != RaiseState.WAITING
    one = BudgetRaise.objects.create(
        budget=budget, asked_by=world.places["colleague"].user, amount_nano=17 * NANO,
        until=clock.now() + 6 * _DAY, reason="A launch", state=state,
        decided_by=world.dora if decided and answered else None,
        decided_at=clock.now() - 5 * _DAY if decided else None,
        answer="Only this once" if decided and answered else "",
    )  # fmt: skip
    return f"/o/acme/budgets/requests/{id_text(one.id)}{end}"


def _asked_for_a_plan(world: World) -> str:
    limit = _budget(world, scope="organisation", subject=OF_SUBSCRIPTION)
    return f"/o/acme/budgets/requests?q=nothing&budget={limit.id}"


def _asked_for_anothers(world: World) -> str:
    return f"/o/acme/budgets/requests?q=nothing&budget={_budget(world, _new_key(world)).id}"


# Keys --------------------------------------------------------------------------------------------


def _key_page(key: Key, end: str = "") -> str:
    return f"/o/acme/keys/{id_text(key.id)}{end}"


def _use(key: Key) -> None:
    SecretUse.objects.create(
        digest=key.digest, organisation=key.organisation, key=key, at=clock.now() - 4 * _DAY,
        address="203.0.113.31", client="codex",
    )  # fmt: skip


def _limited_key(world: World) -> str:
    """Disabled, with a limit of each kind, and with a lower one of its team for some."""
    keys.change_limits(SYSTEM, world.core, rpm=59, parallel=7)
    key = _new_key(
        world, rpm=1_601, tpm=17_021, parallel=19, model_patterns=["gpt-*", "o3"],
        networks=["10.0.0.0/8", "192.0.2.7/32"], end_user_header="x-user",
        end_user_networks=["198.51.100.0/24"], expires_at=clock.now() + 10 * _DAY,
    )  # fmt: skip
    keys.change_key(SYSTEM, key, disabled=True)
    _use(key)
    _by_policy(world, _budget(world, key))
    return _key_page(key)


def _expired_key(world: World) -> str:
    key = _new_key(world)
    Key.objects.filter(id=key.id).update(expires_at=clock.now() - 4 * _DAY, user=None)
    return _key_page(key)


def _revoked_key(world: World) -> str:
    key = _new_key(world)
    keys.revoke_key(SYSTEM, key)
    return _key_page(key)


def _management_key(world: World) -> str:
    return _key_page(_new_key(world, kind=KeyKind.MANAGEMENT))


def _bulk(title: str, act: str, *, planned: bool = False, **fields: Any) -> Scene:
    """Some keys are active, one is disabled, one expired and one revoked."""
    posted: dict[str, Any] = {"act": act, **fields}

    def make(world: World) -> str:
        chosen = [_new_key(world, name) for name in ("alpha", "beta", "gamma", "delta", "epsilon")]
        keys.change_key(SYSTEM, chosen[1], disabled=True)
        keys.revoke_key(SYSTEM, chosen[2])
        Key.objects.filter(id=chosen[3].id).update(expires_at=clock.now() - 4 * _DAY)
        _use(chosen[4])
        chosen = list(Key.objects.filter(id__in=[key.id for key in chosen]).order_by("-id"))
        posted["id"] = [id_text(key.id) for key in chosen]
        if planned:
            actor = cast.actor(world.acme.memberships.get(role=Role.OWNER, user__name="Olga").user,
                               world.acme)  # fmt: skip
            posted["plan"] = digest_of(plan_change(actor, chosen, revocation(actor)))
        return "/o/acme/keys/bulk"

    return Scene(f"keys at once: {title}", make, posted=posted)


# People and teams --------------------------------------------------------------------------------


def _member(world: World, name: str = "mia", role: Role = Role.DEVELOPER) -> Membership:
    user = cast.member(world.acme, name, role)
    return Membership.objects.get(user=user, organisation=world.acme)


def _member_page(member: Membership) -> str:
    return f"/o/acme/team/members/{member.pk}"


def _limited_member(world: World) -> str:
    """Leads two teams, has keys in each state and budgets of each kind."""
    member = _member(world)
    ops = teams.create_team(world.acme, "Operations", actor=SYSTEM)
    members.set_member(
        world.acme, member.user.email, Role.DEVELOPER, teams=[world.core, ops], actor=SYSTEM
    )
    member.refresh_from_db()
    for team in (world.core, ops):
        team_members.set_lead(SYSTEM, team, member, True)
        member.refresh_from_db()
    keys.change_limits(SYSTEM, member, rpm=1_103, tpm=11_027, parallel=13)
    for name, disabled in (("first", False), ("second", True)):
        key, _ = cast.make_key(world.core, name, user=member.user)
        keys.change_key(SYSTEM, key, disabled=disabled)
    subject: dict[str, Any] = {"scope": "user", "subject": str(member.user_id)}
    _budget(world, **subject, amount_nano=23 * NANO)
    _by_policy(world, _budget(world, **subject, period="session", amount_nano=29 * NANO))
    return _member_page(member)


def _plain_member(world: World) -> str:
    return _member_page(_member(world))


def _nameless_member(world: World) -> str:
    member = _member(world)
    member.user.name, member.user.last_login = "", clock.now() - 4 * _DAY
    member.user.save()
    return _member_page(member)


def _oneself(world: World) -> str:
    return _member_page(
        Membership.objects.get(user=world.people["viewer", "active"], organisation=world.acme)
    )


def _team(world: World) -> Team:
    """Operations, with two projects, a lead and somebody of all teams, keys, and a budget."""
    ops = teams.create_team(world.acme, "Operations", actor=SYSTEM)
    member = _member(world, "aaron")
    members.set_member(world.acme, member.user.email, Role.DEVELOPER, teams=[ops], actor=SYSTEM)
    member.refresh_from_db()
    team_members.set_lead(SYSTEM, ops, member, True)
    plan = projects.create_project(ops, "Migration", actor=SYSTEM)
    done = projects.create_project(ops, "Done", actor=SYSTEM)
    cast.make_key(ops, "deploy", user=member.user, project=plan)
    key, _ = cast.make_key(ops, "watch", user=None)
    _use(key)
    projects.archive_project(done, actor=SYSTEM)
    _budget(world, scope="team", subject=str(ops.id), amount_nano=31 * NANO)
    keys.change_limits(SYSTEM, ops, rpm=1_201)
    return ops


def _team_page(world: World, *, archived: bool = False) -> str:
    ops = _team(world)
    if archived:
        Team.objects.filter(id=ops.id).update(archived_at=clock.now() - 4 * _DAY)
    return f"/o/acme/teams/{ops.slug}"


def _scenes(*rows: tuple[str, Callable[[World], str], Iterable[str]]) -> Iterable[Scene]:
    for title, make, roles in rows:
        for role in roles:
            yield Scene(title, make, role)


_OWNER: Final = ("owner",)
SCENES: Final = (
    *_scenes(
        ("budget with alerts", _budget_with_alerts, ("owner", "custom reader")),
        ("budget that is nearly used up",
         partial(_used_budget, charge_nano=12_600_000_000, action="slow"), ("billing",)),
        ("budget that is used up",
         partial(_used_budget, charge_nano=13 * NANO, by_policy=True), ("billing",)),
        ("budget that is off", partial(_used_budget, charge_nano=3 * NANO, enabled=False), _OWNER),
        ("budget of each session", partial(_budget_of_each, period="session"), _OWNER),
        ("budget of each end user", _budget_of_each, _OWNER),
        ("budget of each session, edited",
         partial(_budget_of_each, end="/edit?next=/o/acme/keys", period="session"), _OWNER),
        ("budget of each end user, edited", partial(_budget_of_each, end="/edit"), _OWNER),
        ("end users of a budget", partial(_budget_of_each, end="/end-users"), ("custom reader",)),
        ("preview of a budget that would have blocked", _previewed, _OWNER),
        ("preview of a budget that would not have", partial(_previewed, amount="9"), _OWNER),
        ("preview of a budget that alerts", partial(_previewed, action="warn"), _OWNER),
        ("preview of a budget of each end user",
         partial(_previewed, scope="end_user", subject="", period="month"), _OWNER),
        ("preview of a budget that is refused",
         partial(_previewed, amount="-1"), _OWNER),
        ("budgets of their own", _budgets_of_one_key, ("developer",)),
        *((f"request for more that is {state.value}", partial(_raise, state=state), _OWNER)
          for state in RaiseState),
        ("request for more that ended by itself",
         partial(_raise, state=RaiseState.ENDED, answered=False), _OWNER),
        ("requests for more of a plan's limit", _asked_for_a_plan, ("developer",)),
        ("requests for more of another's budget", _asked_for_anothers, ("developer",)),
        ("key with every limit", _limited_key, ("owner", "operator")),
        ("key that expired", _expired_key, _OWNER),
        ("key that is revoked", _revoked_key, _OWNER),
        ("key of management", _management_key, ("custom auditor",)),
        ("member with every limit", _limited_member, ("owner", "custom auditor")),
        ("member without anything", _plain_member, ("admin",)),
        ("member without a name", _nameless_member, ("billing",)),
        ("member who reads their own page", _oneself, ("viewer",)),
        ("team with everything", _team_page, ("owner", "viewer", "custom auditor")),
        ("team that is archived", partial(_team_page, archived=True), _OWNER),
    ),
    Scene("request for more that is denied without a word",
          partial(_raise, state=RaiseState.WAITING, end="/deny"), posted={}, headers=_HTMX),
    Scene("budget edited with mistakes", _budget_to_edit,
          posted={"amount": "-1", "alert_percents": "50, many", "action": "none"}),
    _bulk("disabled", "disable"),
    _bulk("enabled", "enable"),
    _bulk("changed since", "disable", step="apply", plan="0"),
    _bulk("revoked", "revoke"),
    _bulk("revoked with another number", "revoke", planned=True, step="apply", confirm="9"),
    _bulk("limits asked for", "limits"),
    _bulk("limits set", "limits", step="preview", rpm="67", unlimited=["tpm"]),
    _bulk("limits with mistakes", "limits", step="preview", rpm="x", parallel="3",
          unlimited=["parallel"]),
    _bulk("budgets set", "budget", step="preview", budget="7.10", period="week"),
)  # fmt: skip
