"""Requests to increase a budget (W54): create, decide, end them.

An approved increase holds until its instant by the clock of the database; each admission checks
this. Recording its end later does not affect any admission.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext, override

from accounts.access import access
from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.audit.changes import read_again
from accounts.models import Organisation, User
from billing.currency.money import NANO_PER_USD, format_usd
from billing.limits import budgets
from billing.limits.budget_alerts import alert_facts, people_of, team_of
from billing.limits.budget_rules import BUDGET_MAX_NANO, OF_SUBSCRIPTION
from billing.limits.budget_subjects import subject_names
from billing.limits.budgets import BudgetRefused
from billing.models import Budget, BudgetRaise, BudgetScope, RaiseState
from lib import clock
from lib.database.database_time import database_now
from lib.ids import id_text, parse_number
from outbox.facts import put

INCREASE_DAYS_MAX: Final = 366
INCREASE_REASON_MAX: Final = 500


class RaiseRefused(BudgetRefused):
    """The request for an increase is not valid."""


def askable_budgets(actor: Actor) -> QuerySet[Budget]:
    """Return the budgets that may limit the actor's requests, without a subscription's limit. A
    refused request names each of them."""
    access.require(actor, "budgets.ask")
    own = Budget.objects.filter(organisation=actor.organisation, enabled=True).order_by("id")
    rows = own.exclude(scope=BudgetScope.ORGANISATION, subject=OF_SUBSCRIPTION)
    if access.scope_of(actor, "budgets.read") == "all":
        return rows
    keys = list(budgets.known_keys(actor))
    shared = ~Q(scope__in=[BudgetScope.USER, BudgetScope.KEY, BudgetScope.TEAM])
    mine = Q(scope=BudgetScope.KEY, subject__in=[str(key.id) for key in keys])
    mine |= Q(scope=BudgetScope.TEAM, subject__in=[str(key.team_id) for key in keys])
    if actor.user is not None:
        mine |= Q(scope=BudgetScope.USER, subject=str(actor.user.id))
    return rows.filter(shared | mine)


def askable_budget(actor: Actor, id: str) -> Budget:
    """Return a budget that the actor may ask to increase. Raises Http404."""
    return access.get_by_id(askable_budgets(actor), parse_number(id))


def is_plan_limit(actor: Actor, id: str) -> bool:
    """Return whether the budget is the limit of the organisation's subscription, which nobody can
    increase."""
    access.require(actor, "budgets.ask")
    return Budget.objects.filter(
        organisation=actor.organisation,
        id=parse_number(id) or 0,
        scope=BudgetScope.ORGANISATION,
        subject=OF_SUBSCRIPTION,
    ).exists()


def linked_budget(id: str) -> Budget:
    """Return the budget of a link without an organisation. The caller must check the person's
    access to its organisation. Raises Http404."""
    return access.get_by_id(Budget.objects.all(), parse_number(id))


def visible_raises(actor: Actor) -> QuerySet[BudgetRaise]:
    """Return the organisation's requests for an actor who decides on them, else the actor's own;
    newest first."""
    access.require(actor, "budgets.ask")
    rows = BudgetRaise.objects.filter(
        budget__organisation=actor.organisation, budget__removed_at=None
    )
    # The lead of a team only sees their own requests, like people who cannot change budgets.
    scope = actor.authority.scope_by_role("budgets.write")
    if scope is None:
        rows = rows.filter(asked_by=actor.user)
    elif scope == "teams":
        seen = Q(asked_by=actor.user)
        if access.scope_of(actor, "budgets.read") is not None:
            seen |= Q(budget__in=budgets.visible_budgets(actor))
        rows = rows.filter(seen)
    people = ("asked_by", "decided_by")
    return rows.select_related("budget__organisation", *people).order_by("-id")


def access_raise(actor: Actor, id: str) -> BudgetRaise:
    """Return one request that the actor may see. Raises Http404."""
    return access.get_by_id(visible_raises(actor), id)


def may_decide(actor: Actor) -> bool:
    """Return whether the actor sees requests and decides on them. The lead of a team decides on
    none, not even for their own team: an increase goes beyond the limit that an admin has set."""
    return _may_write(actor) and access.scope_of(actor, "budgets.ask") is not None


def decidable_raises(actor: Actor, raises: Sequence[BudgetRaise]) -> set[UUID]:
    """Return the ids of those requests, all of which the actor sees, that it may decide on. A
    member whose role is limited to teams also sees requests for budgets beyond them."""
    if not may_decide(actor):
        return set()
    reached = budgets.budgets_in_reach(actor, [one.budget for one in raises])
    return {one.id for one in raises if one.budget_id in reached}


def raise_to_decide(actor: Actor, id: str) -> BudgetRaise:
    """Return one request that the actor may decide on. Raises Http404, AccessDenied for the lead of
    a team, and BudgetRefused if the budget is beyond the actor's teams (P23)."""
    if not _may_write(actor):
        raise access.AccessDenied(
            gettext("The lead of a team cannot decide on budget increases. Ask an admin.")
        )
    budget_raise = access_raise(actor, id)
    budget = budget_raise.budget
    budgets.check_reach(actor, budget.scope, budget.subject, budget.amount_nano)
    return budget_raise


def ask_for_more(
    actor: Actor, budget: Budget, *, amount_nano: int, until: dt.datetime, reason: str
) -> BudgetRaise:
    """Request `amount_nano` more for a budget until an instant. Raises RaiseRefused."""
    if actor.user is None:
        raise RaiseRefused("budget", gettext("Only a person can request an increase."))
    if not 0 < amount_nano <= BUDGET_MAX_NANO:
        text = gettext("Enter an amount above 0 and up to %(most)s USD.")
        raise RaiseRefused("amount", text % {"most": f"{BUDGET_MAX_NANO // NANO_PER_USD:,}"})
    now = clock.now()
    if not now < until <= now + dt.timedelta(days=INCREASE_DAYS_MAX):
        text = gettext("Choose an end date in the future, at most %(n)s days from now.") % {
            "n": INCREASE_DAYS_MAX
        }
        raise RaiseRefused("until", text)
    if not reason.strip():
        raise RaiseRefused("reason", gettext("Enter a reason."))
    try:
        with transaction.atomic():
            budget_raise = BudgetRaise.objects.create(
                budget=budget, amount_nano=amount_nano, until=until, reason=reason.strip(),
                asked_by=actor.user,
            )  # fmt: skip
            audit.record(
                actor,
                budget.organisation,
                "raise.asked",
                budget_raise,
                **_audit_details(budget_raise),
            )
            _publish_decision("raise.asked", budget_raise)
    except IntegrityError as error:
        # Only the last of a person's requests for a budget can be pending.
        pending = BudgetRaise.objects.filter(budget=budget, asked_by=actor.user).latest("id")
        text = gettext("You already have a pending request for this budget: %(id)s.")
        named = text % {"id": id_text(pending.id)}
        raise RaiseRefused("budget", named, already_exists=True) from error
    return budget_raise


def approve(actor: Actor, budget_raise: BudgetRaise, answer: str = "") -> BudgetRaise:
    """Raise the limit from now until the requested instant. Raises BudgetRefused.

    A budget has one increase at a time: an earlier one ends. A policy's budget can be increased, a
    subscription's limit cannot.
    """
    budget = budget_raise.budget
    budgets.check_own(actor, budget, by_policy=True)
    raised_nano = budget.amount_nano + budget_raise.amount_nano
    budgets.check_reach(actor, budget.scope, budget.subject, raised_nano)
    with transaction.atomic():
        budget = budgets.lock_budget(budget_raise.budget)
        locked = _waiting(budget_raise)
        if locked.until <= clock.now():
            raise RaiseRefused("until", gettext("The period this was requested for has passed."))
        for before in BudgetRaise.objects.filter(budget=budget, state=RaiseState.APPROVED):
            _end(actor, before)
        budget.raised_nano, budget.raised_until = locked.amount_nano, locked.until
        budget.save(update_fields=["raised_nano", "raised_until"])
        budgets.fit_windows(budget)
        locked.budget = budget
        _decide(actor, locked, RaiseState.APPROVED, answer)
    return locked


def deny(actor: Actor, budget_raise: BudgetRaise, answer: str) -> BudgetRaise:
    """Refuse the request with a reason, and leave the budget as it is. Raises RaiseRefused."""
    if not answer.strip():
        raise RaiseRefused("answer", gettext("Enter a reason. The requester will see it."))
    with transaction.atomic():
        locked = _waiting(budget_raise)
        _decide(actor, locked, RaiseState.DENIED, answer)
    return locked


def waiting_of(user: User, organisation: Organisation) -> QuerySet[BudgetRaise]:
    """Return the undecided requests of a person."""
    return BudgetRaise.objects.filter(
        asked_by=user, budget__organisation=organisation, state=RaiseState.WAITING
    )


def deny_all_of(actor: Actor, user: User, organisation: Organisation) -> int:
    """Deny the undecided requests of a person who leaves. Return how many."""
    with transaction.atomic():
        email = read_again(user).email
        text = gettext("Closed: %(email)s is no longer a member.") % {"email": email}
        return len([deny(actor, row, text) for row in waiting_of(user, organisation)])


def deny_overdue() -> int:
    """Deny the undecided requests whose last day has passed, so that their people can request more
    again. Return how many."""
    overdue = BudgetRaise.objects.filter(
        state=RaiseState.WAITING, until__lte=database_now(), budget__removed_at=None
    )
    return sum(_deny_overdue(row) for row in overdue.select_related("asked_by"))


def end_raise(actor: Actor, budget_raise: BudgetRaise) -> BudgetRaise:
    """End an increase early. Raises RaiseRefused if it is not active."""
    with transaction.atomic():
        budget = budgets.lock_budget(budget_raise.budget)
        locked = BudgetRaise.objects.select_for_update().get(id=budget_raise.id)
        if locked.state != RaiseState.APPROVED:
            raise RaiseRefused("state", gettext("This increase is no longer active."))
        _take_back(actor, budget, locked)
    return locked


def end_raises() -> int:
    """Record the increases that have ended. Return how many."""
    over = Budget.objects.filter(raised_until__lte=database_now()).values_list("id", flat=True)
    return sum(_end_if_over(id) for id in over)


def serialize_raise(budget_raise: BudgetRaise) -> dict[str, Any]:
    """Return a request as a JSON object of the API."""
    return {
        "id": id_text(budget_raise.id),
        "budget": str(budget_raise.budget_id),
        "amount": format_usd(budget_raise.amount_nano),
        "until": budget_raise.until,
        "reason": budget_raise.reason,
        "state": str(budget_raise.state),
        "asked_by": budget_raise.asked_by.email,
        "asked_at": budget_raise.asked_at,
        "decided_by": budget_raise.decided_by.email if budget_raise.decided_by else None,
        "decided_at": budget_raise.decided_at,
        "answer": budget_raise.answer,
    }


def _may_write(actor: Actor) -> bool:
    """Return whether the actor may change budgets, and not only as the lead of a team."""
    may_write = access.scope_of(actor, "budgets.write") is not None
    return may_write and actor.authority.scope_by_role("budgets.write") is not None


def _end_if_over(budget_id: int) -> bool:
    with transaction.atomic():
        budget = Budget.objects.filter(id=budget_id).first()
        if budget is None:
            return False
        budget = budgets.lock_budget(budget)
        if budget.raised_until is None or budget.raised_until > database_now():
            return False
        _take_back(SYSTEM, budget, budget.raises.get(state=RaiseState.APPROVED))
        return True


def _deny_overdue(budget_raise: BudgetRaise) -> bool:
    with override(budget_raise.asked_by.language or settings.LANGUAGE_CODE):
        text = gettext("The period this was requested for has passed.")
    try:
        deny(SYSTEM, budget_raise, text)
    except RaiseRefused:
        # Somebody else decided first.
        return False
    return True


def _take_back(actor: Actor, budget: Budget, budget_raise: BudgetRaise) -> None:
    budget.raised_nano, budget.raised_until = 0, None
    budget.save(update_fields=["raised_nano", "raised_until"])
    budgets.fit_windows(budget)
    _end(actor, budget_raise)
    _publish_decision("raise.ended", budget_raise)


def _end(actor: Actor, budget_raise: BudgetRaise) -> None:
    budget_raise.state = RaiseState.ENDED
    budget_raise.save(update_fields=["state"])
    audit.record(
        actor,
        budget_raise.budget.organisation,
        "raise.ended",
        budget_raise,
        **_audit_details(budget_raise),
    )


def _waiting(budget_raise: BudgetRaise) -> BudgetRaise:
    locked = (
        BudgetRaise.objects.select_for_update(of=("self",))
        .select_related("budget__organisation", "asked_by")
        .get(id=budget_raise.id)
    )
    if locked.state != RaiseState.WAITING:
        raise RaiseRefused("state", gettext("This request was already decided."))
    return locked


def _decide(actor: Actor, budget_raise: BudgetRaise, state: RaiseState, answer: str) -> None:
    budget_raise.state, budget_raise.answer = state, answer.strip()
    budget_raise.decided_by, budget_raise.decided_at = actor.user, clock.now()
    budget_raise.save(update_fields=["state", "answer", "decided_by", "decided_at"])
    audit.record(
        actor, budget_raise.budget.organisation, f"raise.{state}", budget_raise,
        answer=budget_raise.answer, **_audit_details(budget_raise),
    )  # fmt: skip
    _publish_decision("raise.decided", budget_raise)


def _publish_decision(kind: str, budget_raise: BudgetRaise) -> None:
    budget = budget_raise.budget
    (usage,) = budgets.current_usage([budget])
    people: Sequence[int] = [budget_raise.asked_by_id, *people_of(budget)]
    if kind == "raise.asked":
        people = []
    elif budget_raise.decided_by_id is not None:
        people = [*people, budget_raise.decided_by_id]
    put(
        kind, budget.organisation_id, team_of(budget), people=people,
        **alert_facts(usage, subject_names([budget])[budget.id]),
        request=id_text(budget_raise.id), amount=format_usd(budget_raise.amount_nano),
        until=budget_raise.until.isoformat(), reason=budget_raise.reason,
        answer=budget_raise.answer,
        approved=budget_raise.state in (RaiseState.APPROVED, RaiseState.ENDED),
        asked_by=budget_raise.asked_by.email, decided_by=budget_raise.decided_by.email if
        budget_raise.decided_by else "",
    )  # fmt: skip


def _audit_details(budget_raise: BudgetRaise) -> dict[str, Any]:
    return {
        "budget": budget_raise.budget_id,
        "amount": format_usd(budget_raise.amount_nano),
        "until": budget_raise.until.isoformat(),
        "reason": budget_raise.reason,
    }
