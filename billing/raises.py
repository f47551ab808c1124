"""Requests for more of a budget (W54): asked, decided, ended by themselves.

A raise holds from its approval to its instant by the clock of the database, in the admission
itself; that it is over is written down afterwards, and changes nothing that is admitted.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from accounts import access, audit
from accounts.access import SYSTEM, Actor
from billing import budgets
from billing.budget_alerts import people_of, told_of
from billing.budgets import AMOUNT_MAX_NANO, BudgetRefused
from billing.models import Budget, BudgetRaise, BudgetScope, RaiseState
from billing.rules.money import format_usd
from lib import clock
from lib.ids import id_text, parse_number
from outbox.facts import put

DAYS_MAX: Final = 366
REASON_MAX: Final = 500


class RaiseRefused(BudgetRefused):
    """The request cannot be so."""


def askable_budgets(actor: Actor) -> QuerySet[Budget]:
    """The budgets that may stand over the actor's requests; a refusal names each of them."""
    access.require(actor, "budgets.ask")
    rows = Budget.objects.filter(organisation=actor.organisation, enabled=True).order_by("id")
    if access.scope_of(actor, "budgets.read") == "all":
        return rows
    keys = list(access.visible_keys(actor))
    shared = ~Q(scope__in=[BudgetScope.USER, BudgetScope.KEY, BudgetScope.TEAM])
    mine = Q(scope=BudgetScope.KEY, subject__in=[str(key.id) for key in keys])
    mine |= Q(scope=BudgetScope.TEAM, subject__in=[str(key.team_id) for key in keys])
    if actor.user is not None:
        mine |= Q(scope=BudgetScope.USER, subject=str(actor.user.id))
    return rows.filter(shared | mine)


def askable_budget(actor: Actor, id: str) -> Budget:
    """One budget of which the actor may ask for more. Http404 when it may not, or there is none."""
    return access.one_of(askable_budgets(actor), parse_number(id))


def visible_raises(actor: Actor) -> QuerySet[BudgetRaise]:
    """The organisation's requests for who decides them, else the actor's own; newest first."""
    access.require(actor, "budgets.ask")
    rows = BudgetRaise.objects.filter(
        budget__organisation=actor.organisation, budget__removed_at=None
    )
    if access.scope_of(actor, "budgets.write") is None:
        rows = rows.filter(asked_by=actor.user)
    people = ("asked_by", "decided_by")
    return rows.select_related("budget__organisation", *people).order_by("-id")


def access_raise(actor: Actor, id: str) -> BudgetRaise:
    """One request that the actor may see. Http404 when it is another's or none."""
    return access.one_of(visible_raises(actor), id)


def ask_for_more(
    actor: Actor, budget: Budget, *, amount_nano: int, until: dt.datetime, reason: str
) -> BudgetRaise:
    """Ask for so much more of a budget until then. Raises RaiseRefused."""
    if actor.user is None:
        raise RaiseRefused("budget", gettext("Only a person can ask for more."))
    if not 0 < amount_nano <= AMOUNT_MAX_NANO:
        raise RaiseRefused("amount", gettext("Ask for more than 0, and at most 1,000,000,000 USD."))
    now = clock.now()
    if not now < until <= now + dt.timedelta(days=DAYS_MAX):
        text = gettext("The end lies ahead, at most %(n)s days.") % {"n": DAYS_MAX}
        raise RaiseRefused("until", text)
    if not reason.strip():
        raise RaiseRefused("reason", gettext("Say what it is for."))
    try:
        with transaction.atomic():
            asked = BudgetRaise.objects.create(
                budget=budget, amount_nano=amount_nano, until=until, reason=reason.strip(),
                asked_by=actor.user,
            )  # fmt: skip
            audit.record(actor, budget.organisation, "raise.asked", asked, **_facts(asked))
            _tell("raise.asked", asked)
    except IntegrityError as error:
        text = gettext("You have asked for more of this budget already, and nobody has decided.")
        raise RaiseRefused("budget", text) from error
    return asked


def approve(actor: Actor, asked: BudgetRaise, answer: str = "") -> BudgetRaise:
    """Raise the limit until the instant that was asked for, from now on. Raises RaiseRefused.

    Of a budget one raise holds at a time: the one before ends.
    """
    with transaction.atomic():
        budget = budgets.lock_budget(asked.budget)
        locked = _waiting(asked)
        if locked.until <= clock.now():
            raise RaiseRefused("until", gettext("The time that it was asked for is over."))
        for before in BudgetRaise.objects.filter(budget=budget, state=RaiseState.APPROVED):
            _end(actor, before)
        budget.raised_nano, budget.raised_until = locked.amount_nano, locked.until
        budget.save(update_fields=["raised_nano", "raised_until"])
        budgets.fit_windows(budget)
        locked.budget = budget
        _decide(actor, locked, RaiseState.APPROVED, answer)
    return locked


def deny(actor: Actor, asked: BudgetRaise, answer: str) -> BudgetRaise:
    """Leave the budget as it is, and say why. Raises RaiseRefused."""
    if not answer.strip():
        raise RaiseRefused("answer", gettext("Say why not: who asked reads it."))
    with transaction.atomic():
        locked = _waiting(asked)
        _decide(actor, locked, RaiseState.DENIED, answer)
    return locked


def end_raise(actor: Actor, asked: BudgetRaise) -> BudgetRaise:
    """Take a raise back before its time. Raises RaiseRefused when it does not hold."""
    with transaction.atomic():
        budget = budgets.lock_budget(asked.budget)
        locked = BudgetRaise.objects.select_for_update().get(id=asked.id)
        if locked.state != RaiseState.APPROVED:
            raise RaiseRefused("state", gettext("This raise does not hold any more."))
        _take_back(actor, budget, locked)
    return locked


def end_raises() -> int:
    """Write down which raises are over; how many."""
    over = Budget.objects.filter(raised_until__lte=budgets.database_now()).values_list(
        "id", flat=True
    )
    return sum(_end_if_over(id) for id in over)


def raise_shown(asked: BudgetRaise) -> dict[str, Any]:
    """A request as the API tells it."""
    return {
        "id": id_text(asked.id),
        "budget": str(asked.budget_id),
        "amount": format_usd(asked.amount_nano),
        "until": asked.until,
        "reason": asked.reason,
        "state": str(asked.state),
        "asked_by": asked.asked_by.email,
        "asked_at": asked.asked_at,
        "decided_by": asked.decided_by.email if asked.decided_by else None,
        "decided_at": asked.decided_at,
        "answer": asked.answer,
    }


def _end_if_over(budget_id: int) -> bool:
    with transaction.atomic():
        found = Budget.objects.filter(id=budget_id).first()
        if found is None:
            return False
        budget = budgets.lock_budget(found)
        if budget.raised_until is None or budget.raised_until > budgets.database_now():
            return False
        _take_back(SYSTEM, budget, budget.raises.get(state=RaiseState.APPROVED))
        return True


def _take_back(actor: Actor, budget: Budget, asked: BudgetRaise) -> None:
    budget.raised_nano, budget.raised_until = 0, None
    budget.save(update_fields=["raised_nano", "raised_until"])
    budgets.fit_windows(budget)
    _end(actor, asked)
    _tell("raise.ended", asked)


def _end(actor: Actor, asked: BudgetRaise) -> None:
    asked.state = RaiseState.ENDED
    asked.save(update_fields=["state"])
    audit.record(actor, asked.budget.organisation, "raise.ended", asked, **_facts(asked))


def _waiting(asked: BudgetRaise) -> BudgetRaise:
    locked = (
        BudgetRaise.objects.select_for_update(of=("self",))
        .select_related("budget__organisation", "asked_by")
        .get(id=asked.id)
    )
    if locked.state != RaiseState.WAITING:
        raise RaiseRefused("state", gettext("This request is decided already."))
    return locked


def _decide(actor: Actor, asked: BudgetRaise, state: RaiseState, answer: str) -> None:
    asked.state, asked.answer = state, answer.strip()
    asked.decided_by, asked.decided_at = actor.user, clock.now()
    asked.save(update_fields=["state", "answer", "decided_by", "decided_at"])
    audit.record(
        actor, asked.budget.organisation, f"raise.{state}", asked,
        answer=asked.answer, **_facts(asked),
    )  # fmt: skip
    _tell("raise.decided", asked)


def _tell(kind: str, asked: BudgetRaise) -> None:
    budget = asked.budget
    (standing,) = budgets.standing_of([budget])
    people: Sequence[int] = [asked.asked_by_id, *people_of(budget)]
    if kind == "raise.asked":
        people = []
    elif asked.decided_by_id is not None:
        people = [*people, asked.decided_by_id]
    put(
        kind, budget.organisation_id, people=people,
        **told_of(standing, budgets.subject_names([budget])[budget.id]),
        request=id_text(asked.id), amount=format_usd(asked.amount_nano),
        until=asked.until.isoformat(), reason=asked.reason, answer=asked.answer,
        approved=asked.state == RaiseState.APPROVED, asked_by=asked.asked_by.email,
        decided_by=asked.decided_by.email if asked.decided_by else "",
    )  # fmt: skip


def _facts(asked: BudgetRaise) -> dict[str, Any]:
    return {
        "budget": asked.budget_id,
        "amount": format_usd(asked.amount_nano),
        "until": asked.until.isoformat(),
        "reason": asked.reason,
    }
