"""Budgets: create, change and remove them. The relay writes the amounts in their windows.

A budget applies from the instant of its commit, in every process. The change and every admission
take the lock of the organisation's accounts, and the count of guards makes an admission with
outdated budgets read them again.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import Http404
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.limits.end_users import is_end_user, normal_end_user
from accounts.models import Key, KeyKind, Membership, Organisation, Team
from accounts.names.labels import is_label
from billing.currency.money import NANO_PER_USD, format_usd
from billing.ledger.accounts import WALLET_KINDS, open_accounts
from billing.ledger.hold_rules import UNRESOLVED
from billing.ledger.ledger import execute, open_and_lock
from billing.limits import budget_rules as rules
from billing.limits.budget_windows import CAP, add_holds_to_window, count_guards
from billing.models import (
    Budget,
    BudgetAction,
    BudgetPeriod,
    BudgetScope,
    BudgetWindow,
    Hold,
)
from billing.periods.period_starts import Span
from lib.database.database_time import database_now
from lib.ids import parse_id, parse_number
from lib.refusal import Refused

TERMS: Final = ("enabled", "action", "alert_percents", "alert_forecast")
"""The fields of a budget that can change, besides its amount."""

END_USERS_KEPT: Final = dt.timedelta(days=90)
"""How long the name of an end user stays in an ended period of a budget."""

_SECOND: Final = dt.timedelta(seconds=1)


class Past(NamedTuple):
    """What a budget's present window already contains when the budget is created: the amount
    charged, and the attempts that still run."""

    spent_nano: int
    open_attempts: Sequence[UUID]


class BudgetPolicy(NamedTuple):
    """The policy that a budget comes from."""

    id: UUID
    name: str


LookBack = Callable[[Budget, dt.datetime], Past]
"""Returns the past of a budget since an instant. The room usage implements it."""


class BudgetRefused(Refused):
    """The budget is not valid, or the actor may not set it."""


class BudgetUsage(NamedTuple):
    """A budget with its present window: the amounts spent and held, the window's end, and the limit
    at the instant `at` of the reading. For a budget per session, this is the window of the session
    that has used the most; for one of each end user, that of the `end_user` who has."""

    budget: Budget
    span: Span
    spent_nano: int
    held_nano: int
    limit_nano: int
    at: dt.datetime
    end_user: str = ""

    @property
    def left_nano(self) -> int:
        """Return the amount that can still be held, never below 0."""
        return max(0, self.limit_nano - self.spent_nano - self.held_nano)

    @property
    def used_share(self) -> Fraction:
        """Return the share of the limit that is spent."""
        return rules.used_share(self.spent_nano, self.limit_nano)

    @property
    def forecast_at(self) -> dt.datetime | None:
        """Return the instant when the limit is reached if spending continues at this period's pace;
        None if the period ends before, or the limit is already reached."""
        if self.budget.period in rules.WITHOUT_END or not 0 < self.spent_nano < self.limit_nano:
            return None
        passed_s = (self.at - self.span.start_at) // _SECOND
        needed_s = passed_s * self.limit_nano // self.spent_nano
        if needed_s >= (self.span.end_at - self.span.start_at) // _SECOND:
            return None
        return self.span.start_at + needed_s * _SECOND

    @property
    def resets_at(self) -> dt.datetime | None:
        """Return the instant when the window ends; None for a budget without a period."""
        return None if self.budget.period in rules.WITHOUT_END else self.span.end_at


def create_budget(
    actor: Actor,
    organisation: Organisation,
    look_back: LookBack,
    *,
    scope: str,
    subject: str,
    amount_nano: int,
    period: rules.Period,
    anchor: int | None = None,
    timezone: str = "UTC",
    policy: BudgetPolicy | None = None,
    **terms: Any,
) -> Budget:
    """Create a budget. Its window includes the past usage of its period. `terms` are TERMS.

    Raises BudgetRefused for an invalid time, a negative amount, a key that spends nothing, and if a
    budget for the same subject and period exists.
    """
    check_reach(actor, scope, subject, amount_nano)
    check_terms(terms)
    _check_spends(scope, subject)
    anchor = rules.default_anchor(period) if anchor is None else anchor
    budget = Budget(
        organisation=organisation, scope=scope, subject=subject, amount_nano=amount_nano,
        period=period, anchor=anchor, timezone=timezone, **terms,
    )  # fmt: skip
    if policy is not None:
        budget.policy_id, budget.policy_name = policy
    check_budget(budget)
    with transaction.atomic():
        _lock(organisation.id)
        with _translate_duplicate(budget):
            budget.save(force_insert=True)
        if budget.enabled:
            _fill(budget, look_back)
        audit.record(actor, organisation, "budget.created", budget, **_audit_details(budget))
    return budget


def change_budget(
    actor: Actor,
    budget: Budget,
    look_back: LookBack,
    *,
    amount_nano: int | None = None,
    by_policy: bool = False,
    **terms: Any,
) -> Budget:
    """Set the amount or some of TERMS. Equal values change nothing. A policy's budget changes only
    with its policy (`by_policy`).

    If the amount is below the present usage, no request is admitted until the window ends.
    """
    wanted_nano = budget.amount_nano if amount_nano is None else amount_nano
    check_reach(actor, budget.scope, budget.subject, wanted_nano)
    check_own(actor, budget, by_policy=by_policy)
    check_terms(terms)
    with transaction.atomic():
        _lock(budget.organisation_id)
        locked = _living(budget)
        before = _audit_details(locked)
        if amount_nano is not None:
            locked.amount_nano = amount_nano
        for name, value in terms.items():
            setattr(locked, name, value)
        after = _audit_details(locked)
        if after == before:
            return locked
        check_budget(locked)
        locked.save(update_fields=["amount_nano", *terms])
        if locked.enabled and before["enabled"]:
            fit_windows(locked)
        else:
            _drop_window(locked)
        if locked.enabled and not before["enabled"]:
            _fill(locked, look_back)
        audit.record(
            actor, locked.organisation, "budget.changed", locked, before=before, after=after
        )
    return locked


def fit_windows(budget: Budget, end_user: str | None = None) -> None:
    """Set the caps of a changed budget's present windows to its new limits; of a budget of each end
    user, those of `end_user` alone if one is named. The caller has locked and saved the budget.
    Only caps that differ are written, and windows that refused a request under the limit before."""
    execute((_FIT_CAPS, {"budget": budget.id, "end_user": end_user}))


def set_own_amount(actor: Actor, budget: Budget, end_user: str, amount_nano: int | None) -> Budget:
    """Give an end user an amount of their own in each period of a budget of each end user; None
    takes it away, so that the budget's amount applies again. Raises BudgetRefused."""
    check_reach(actor, budget.scope, budget.subject, budget.amount_nano)
    if budget.scope != BudgetScope.END_USER:
        text = gettext("This budget is not one of each end user.")
        raise BudgetRefused("budget", text)
    end_user = normal_end_user(end_user)
    if not is_end_user(end_user):
        text = gettext("Enter the name as the application sends it: 1 to 256 visible characters.")
        raise BudgetRefused("end_user", text)
    with transaction.atomic():
        _lock(budget.organisation_id)
        locked = _living(budget)
        before_nano = locked.own_amounts.get(end_user)
        if amount_nano == before_nano:
            return locked
        if amount_nano is None:
            del locked.own_amounts[end_user]
        else:
            locked.own_amounts[end_user] = amount_nano
            _check_amount(amount_nano)
        if len(locked.own_amounts) > rules.END_USERS_MAX:
            text = gettext("Up to %(n)s end users can have an amount of their own.")
            raise BudgetRefused("end_user", text % {"n": f"{rules.END_USERS_MAX:,}"})
        locked.save(update_fields=["own_amounts"])
        fit_windows(locked, end_user)
        audit.record(
            actor, locked.organisation, "budget.end_user_changed", locked,
            end_user=end_user, before={"amount": _amount_text(before_nano)},
            after={"amount": _amount_text(amount_nano)},
        )  # fmt: skip
    return locked


def _amount_text(amount_nano: int | None) -> str | None:
    return None if amount_nano is None else format_usd(amount_nano)


def usage_of_end_user(budget: Budget, end_user: str) -> BudgetUsage:
    """Return the usage by one end user in the present period of a budget of each."""
    now = database_now()
    windows = BudgetWindow.objects.filter(budget=budget, end_user=end_user)
    window = windows.filter(starts_at__lte=now, ends_at__gt=now).first()
    spent_nano, held_nano = (window.spent_nano, window.held_nano) if window else (0, 0)
    return BudgetUsage(
        budget, present_span(budget, now), spent_nano, held_nano,
        budget.limit_nano(now, end_user), now, end_user=end_user,
    )  # fmt: skip


def lock_budgets(organisation: Organisation) -> None:
    """Admit no request of the organisation until the caller's transaction ends. Whoever changes
    budgets takes this lock before others."""
    open_and_lock([organisation.id], WALLET_KINDS)


def lock_budget(budget: Budget) -> Budget:
    """Return the current budget. No request is admitted until the caller's transaction ends."""
    _lock(budget.organisation_id)
    return _living(budget)


def remove_budget(actor: Actor, budget: Budget, *, by_policy: bool = False) -> None:
    """Remove a budget; charges stay as they are. A policy's budget ends only with its policy or its
    assignment (`by_policy`). Raises BudgetRefused if the actor may only see it."""
    check_reach(actor, budget.scope, budget.subject, 0)
    check_own(actor, budget, by_policy=by_policy)
    with transaction.atomic():
        _lock(budget.organisation_id)
        rows = Budget.objects.filter(id=budget.id)
        # Its last amount and terms, which others may have changed before the lock.
        locked = rows.select_related("organisation").first()
        if locked is None:
            return
        rows.update(enabled=False, removed_at=database_now())
        _drop_window(locked)
        audit.record(actor, locked.organisation, "budget.removed", locked, **_audit_details(locked))


def restore_budget(actor: Actor, id: str, look_back: LookBack, *, enabled: bool = True) -> Budget:
    """Restore a removed budget that the actor may see, as if it were switched on again.

    Raises Http404 if no budget with this id was removed, and BudgetRefused if another budget has
    taken its place.
    """
    removed = Budget.with_removed.filter(organisation=actor.organisation).exclude(removed_at=None)
    budget = access.get_by_id(_seen_by(actor, removed), parse_number(id))
    check_reach(actor, budget.scope, budget.subject, budget.amount_nano)
    check_own(actor, budget)
    with transaction.atomic():
        _lock(budget.organisation_id)
        budget = Budget.with_removed.get(id=budget.id)
        if budget.removed_at is None:
            return budget
        budget.enabled, budget.removed_at = enabled, None
        with _translate_duplicate(budget):
            budget.save(update_fields=["enabled", "removed_at"])
        if budget.enabled:
            _fill(budget, look_back)
        audit.record(
            actor, budget.organisation, "budget.restored", budget, **_audit_details(budget)
        )
    return budget


def transfer_budgets(actor: Actor, ended: Key, key: Key) -> None:
    """Transfer the budgets of an ended key to the key that replaces it."""
    with transaction.atomic():
        _lock(key.organisation_id)
        for budget in Budget.objects.filter(scope=BudgetScope.KEY, subject=str(ended.id)):
            budget.subject = str(key.id)
            budget.save(update_fields=["subject"])
            audit.record(
                actor, key.organisation, "budget.handed_over", budget, **_audit_details(budget)
            )


def current_usage(budgets: Sequence[Budget]) -> list[BudgetUsage]:
    """Return the usage of each budget's present window; zero if nothing was spent yet."""
    now = database_now()
    present = BudgetWindow.objects.filter(starts_at__lte=now, ends_at__gt=now)
    windows = {
        window.budget_id: window
        for window in [
            *present.filter(budget__in=budgets, session_id=None, end_user=""),
            *present.filter(
                budget__in=[
                    one
                    for one in budgets
                    if one.period == BudgetPeriod.SESSION or one.scope == BudgetScope.END_USER
                ]
            )
            .order_by("budget", -(F("held_nano") + F("spent_nano")), "id")
            .distinct("budget"),
        ]
    }
    standings = []
    for budget in budgets:
        window = windows.get(budget.id)
        if window is None:
            span, spent_nano, held_nano = present_span(budget, now), 0, 0
        else:
            span = Span(window.starts_at, window.ends_at)
            spent_nano, held_nano = window.spent_nano, window.held_nano
        end_user = window.end_user if window else ""
        limit_nano = budget.limit_nano(now, end_user)
        standings.append(
            BudgetUsage(budget, span, spent_nano, held_nano, limit_nano, now, end_user=end_user)
        )
    return standings


def drop_old_end_users() -> None:
    """Delete the ended periods of end users, because their names are personal data. Charges are in
    the records."""
    ended_at = database_now() - END_USERS_KEPT
    BudgetWindow.objects.exclude(end_user="").filter(ends_at__lt=ended_at).delete()


def visible_budgets(actor: Actor) -> QuerySet[Budget]:
    """Return the budgets that the actor may see: all of the organisation, or those for the actor
    and their keys."""
    access.require(actor, "budgets.read")
    return _seen_by(actor, Budget.objects.filter(organisation=actor.organisation).order_by("id"))


def budgets_of_keys(actor: Actor, keys: Iterable[Key]) -> dict[str, Budget]:
    """Return the enabled budget of each of these keys, by the text of the key's id. The actor must
    have access to the keys. A key with several budgets gets the one with the longest period."""
    return _longest_of_keys(actor, keys, Q())


def own_budgets_of_keys(actor: Actor, keys: Iterable[Key]) -> dict[str, Budget]:
    """Return what `budgets_of_keys` does without the budgets of policies, which do not change with
    their keys."""
    return _longest_of_keys(actor, keys, Q(policy_id=None))


def _longest_of_keys(actor: Actor, keys: Iterable[Key], among: Q) -> dict[str, Budget]:
    rows = Budget.objects.filter(
        among,
        organisation=actor.organisation,
        scope=BudgetScope.KEY,
        subject__in=[str(key.id) for key in keys],
        enabled=True,
    )
    order = ("session", "hour", "day", "week", "month", "total")
    by_period = sorted(rows, key=lambda budget: order.index(budget.period))
    return {budget.subject: budget for budget in by_period}


def caps_of_key(key: Key) -> list[BudgetUsage]:
    """Return the budgets by day, week or month of a key and of its person at which requests are
    refused, the fullest first. Its holder is warned of these, of such budgets of other periods, and
    of those of a session (`billing/limits/enforcement.py`).

    In the management API a model key reads its own budgets alone (`_seen_by`). Here it also learns
    how full its person's budget is, because the refusal by that budget states the same amounts.
    """
    own = Q(scope=BudgetScope.KEY, subject=str(key.id))
    if key.user_id is not None:
        own |= Q(scope=BudgetScope.USER, subject=str(key.user_id))
    rows = Budget.objects.filter(
        own,
        organisation=key.organisation,
        enabled=True,
        action=BudgetAction.BLOCK,
        period__in=(BudgetPeriod.DAY, BudgetPeriod.WEEK, BudgetPeriod.MONTH),
    )
    return sorted(
        current_usage(list(rows)),
        key=lambda usage: (usage.used_share, usage.span.end_at),
        reverse=True,
    )


def _seen_by(actor: Actor, budgets: QuerySet[Budget]) -> QuerySet[Budget]:
    """Return the budgets that the actor may see."""
    if actor.model_key:
        return budgets.filter(scope=BudgetScope.KEY, subject=str(actor.model_key.id))
    scope = access.scope_of(actor, "budgets.read")
    if scope == "all":
        return budgets
    keys = [str(key.id) for key in known_keys(actor)]
    own = budgets.filter(scope=BudgetScope.KEY, subject__in=keys)
    if scope == "teams":
        teams = actor.authority.teams_of("budgets.read")
        own = own | budgets.filter(scope=BudgetScope.TEAM, subject__in=map(str, teams))
        people = map(str, _led_people(actor))
        own = own | budgets.filter(scope=BudgetScope.USER, subject__in=people)
    if actor.user is not None:
        own = own | budgets.filter(scope=BudgetScope.USER, subject=str(actor.user.id))
    return own


def known_keys(actor: Actor) -> QuerySet[Key]:
    """Return the keys that the actor may list; without the permission to list keys, their own."""
    if access.scope_of(actor, "keys.read") is not None:
        return access.visible_keys(actor)
    return Key.objects.filter(access.own_keys(actor), organisation=actor.organisation)


def check_reach(actor: Actor, scope: str, subject: str, amount_nano: int) -> None:
    """Raise BudgetRefused if the actor would set a budget beyond their teams (P23).

    A member whose role is limited to teams may set the budgets of these teams and their keys. The
    lead of a team may set budgets of its keys, and of people all of whose teams they lead, up to
    the team's own budget.
    """
    if access.scope_of(actor, "budgets.write") != "teams":
        return
    teams = _teams_by_role(actor)
    if scope == BudgetScope.TEAM and subject in map(str, teams):
        return
    if scope == BudgetScope.KEY:
        team_id = Key.objects.filter(id=subject).values_list("team", flat=True).first()
        if team_id in teams:
            return
        if team_id in actor.leads:
            return _check_within_teams([team_id], amount_nano)
    if scope == BudgetScope.USER and subject in map(str, _led_people(actor)):
        return _check_within_teams(actor.leads, amount_nano)
    raise BudgetRefused("scope", gettext("You can only set budgets for your teams and their keys."))


def writable_budgets(actor: Actor, budgets: Sequence[Budget]) -> set[int]:
    """Return the ids of those budgets, all of which the actor sees, that it may change. Those of
    policies change with their policy."""
    return budgets_in_reach(actor, [budget for budget in budgets if budget.policy_id is None])


def budgets_in_reach(actor: Actor, budgets: Sequence[Budget]) -> set[int]:
    """Return the ids of those budgets, all of which the actor sees, that are in its reach: those of
    policies too."""
    scope = access.scope_of(actor, "budgets.write")
    if actor.installation:
        return {budget.id for budget in budgets}
    if scope == "all":
        return {budget.id for budget in budgets if not _is_of_subscription(budget)}
    if scope is None:
        return set()
    teams = _teams_by_role(actor)
    named = [budget.subject for budget in budgets if budget.scope == BudgetScope.KEY]
    keys = Key.objects.filter(id__in=named, team__in={*teams, *actor.leads})
    subjects = {
        BudgetScope.KEY: {str(id) for id in keys.values_list("id", flat=True)},
        BudgetScope.TEAM: {*map(str, teams)},
        BudgetScope.USER: {*map(str, _led_people(actor))},
    }
    return {
        budget.id
        for budget in budgets
        if budget.subject in subjects.get(BudgetScope(budget.scope), ())
    }


def may_write(actor: Actor, budget: Budget) -> bool:
    """Return whether the actor may change a budget that it sees."""
    return budget.id in writable_budgets(actor, [budget])


def may_test_alerts(actor: Actor, budget: Budget) -> bool:
    """Return whether the actor may send a test alert of a budget that it sees: one in its reach,
    also a policy's."""
    return budget.id in budgets_in_reach(actor, [budget])


def _teams_by_role(actor: Actor) -> Collection[UUID]:
    """Return the teams whose budgets an actor who is limited to teams sets by its role."""
    by_role = actor.authority.scope_by_role("budgets.write") == "teams"
    return (actor.teams or frozenset()) if by_role else frozenset()


def _check_within_teams(teams: Iterable[UUID], amount_nano: int) -> None:
    """Raise BudgetRefused if the amount exceeds the smallest budget of those teams."""
    rows = Budget.objects.filter(
        scope=BudgetScope.TEAM, subject__in=map(str, teams), enabled=True
    ).order_by("amount_nano")
    smallest = rows.first()
    if smallest is not None and amount_nano > smallest.amount_nano:
        text = gettext("The team's own budget is %(limit)s USD. Choose an amount up to that.")
        raise BudgetRefused("amount", text % {"limit": format_usd(smallest.amount_nano)})


def _led_people(actor: Actor) -> list[int]:
    """Return the people all of whose teams the actor leads."""
    if not actor.leads:
        return []
    members = Membership.objects.filter(organisation=actor.organisation, all_teams=False)
    others = Team.objects.filter(organisation=actor.organisation).exclude(id__in=actor.leads)
    led = members.filter(teams__in=actor.leads).exclude(teams__in=others)
    return list(led.values_list("user_id", flat=True).distinct())


def access_budget(actor: Actor, id: str) -> Budget:
    """Return a budget that the actor may see. Raises Http404."""
    return access.get_by_id(visible_budgets(actor), parse_number(id))


def find_subject(actor: Actor, scope: str, subject: str) -> str:
    """Return the stored subject of a budget from its name: a team's slug or name, a key's id or
    name, a person's e-mail address. A model or a label is stored as it is.

    Raises BudgetRefused if the actor's organisation has no such subject.
    """
    if scope == BudgetScope.END_USER:
        if subject:
            text = gettext("This budget covers each end user. Leave the name empty.")
            raise BudgetRefused("subject", text)
        return ""
    if scope == BudgetScope.ORGANISATION:
        if subject:
            raise BudgetRefused(
                "subject",
                gettext(
                    "An organisation budget covers the whole organisation. Leave the name empty."
                ),
            )
        return ""
    subject_id: object = None
    if scope == BudgetScope.TEAM:
        teams = Team.objects.filter(organisation=actor.organisation)
        teams = teams.filter(Q(slug=subject) | Q(name=subject)).order_by("created_at", "id")
        subject_id = teams.values_list("id", flat=True).first()
    elif scope == BudgetScope.KEY:
        key_id = parse_id(subject)
        named = Q(id=key_id) if key_id else Q(name=subject, revoked_at=None)
        subject_id = access.visible_keys(actor).filter(named).values_list("id", flat=True).first()
    elif scope == BudgetScope.USER:
        members = Membership.objects.filter(
            organisation=actor.organisation, user__email__iexact=subject
        )
        subject_id = members.values_list("user_id", flat=True).first()
    elif scope in rules.LABEL_SCOPES:
        subject_id = subject if is_label(subject) else None
    elif 0 < len(subject) <= rules.SUBJECT_LENGTH and subject.isprintable():
        subject_id = subject
    if subject_id is None:
        raise BudgetRefused("subject", _missing(scope, subject))
    return str(subject_id)


def _missing(scope: str, subject: str) -> str:
    """Return the form's error for a missing subject."""
    if scope == BudgetScope.TEAM:
        return gettext("This team does not exist.")
    if scope == BudgetScope.KEY:
        return gettext("This API key does not exist.")
    if scope == BudgetScope.USER:
        return gettext("This person is not a member.")
    if scope in rules.LABEL_SCOPES and subject:
        return gettext("A label has 1 to 100 visible characters and no space at the start or end.")
    return gettext("Enter what the budget applies to.")


def check_budget(budget: Budget) -> None:
    """Raise BudgetRefused for an invalid time or amount."""
    try:
        rules.check_budget(budget.period, budget.anchor, budget.timezone)  # type: ignore[arg-type]
    except rules.BudgetInvalid as error:
        raise BudgetRefused(error.field, _time_error(budget, error.field)) from error
    if budget.period == BudgetPeriod.SESSION:
        _check_session(budget)
    if budget.id is None and budget.scope == BudgetScope.END_USER:
        _check_of_end_users(budget)
    _check_amount(budget.amount_nano)


def _check_of_end_users(budget: Budget) -> None:
    try:
        rules.check_end_user_budget(budget.period)  # type: ignore[arg-type]
    except rules.BudgetInvalid as error:
        text = gettext("A budget of each end user needs a period that ends, such as a month.")
        raise BudgetRefused(error.field, text) from error


def _check_amount(amount_nano: int) -> None:
    if not 0 <= amount_nano <= rules.BUDGET_MAX_NANO:
        text = gettext("A budget must be between 0 and %(most)s USD.")
        raise BudgetRefused("amount", text % {"most": f"{rules.BUDGET_MAX_NANO // NANO_PER_USD:,}"})


def _check_session(budget: Budget) -> None:
    try:
        rules.check_session_budget(budget.scope, budget.action)
    except rules.BudgetInvalid as error:
        text = {
            "scope": gettext(
                "A budget per session applies to an organisation, a team, a person or an API key."
            ),
            "action": gettext("A budget per session can only reject requests at its limit."),
        }
        raise BudgetRefused(error.field, text[error.field]) from error


def _time_error(budget: Budget, field: str) -> str:
    if field == "timezone":
        return gettext("Choose a time zone such as Europe/Berlin.")
    allowed = rules.anchors_of(budget.period)  # type: ignore[arg-type]
    text = gettext("This period must start at a whole number from %(first)s to %(last)s.")
    return text % {"first": allowed[0], "last": allowed[-1]}


def _check_spends(scope: str, subject: str) -> None:
    """Raise BudgetRefused for a management key: it spends nothing."""
    if scope == BudgetScope.KEY and Key.objects.filter(id=subject, kind=KeyKind.MANAGEMENT):
        raise BudgetRefused(
            "subject",
            gettext("A management key cannot call models and spends nothing. Choose another key."),
        )


def check_own(actor: Actor, budget: Budget, *, by_policy: bool = False) -> None:
    """Raise BudgetRefused for a subscription's limit, which only the subscription may change, and
    for a policy's budget unless it changes with its policy."""
    if budget.policy_id is not None and not by_policy:
        text = gettext("This budget belongs to the policy %(name)s. Change the policy instead.")
        raise BudgetRefused("budget", text % {"name": budget.policy_name})
    if _is_of_subscription(budget) and (actor.user is not None or actor.key is not None):
        text = gettext("This limit belongs to the subscription. Change the plan instead.")
        raise BudgetRefused("budget", text)


def _is_of_subscription(budget: Budget) -> bool:
    return budget.subject == rules.OF_SUBSCRIPTION and budget.scope == BudgetScope.ORGANISATION


def check_terms(terms: Mapping[str, Any]) -> None:
    unknown = terms.keys() - {*TERMS}
    if unknown:
        raise TypeError(f"not a term of a budget: {', '.join(sorted(unknown))}")
    percents = terms.get("alert_percents", ())
    if len(percents) > rules.ALERTS_MAX or not all(1 <= percent <= 100 for percent in percents):
        text = gettext("Enter up to %(n)s whole percentages between 1 and 100.") % {
            "n": rules.ALERTS_MAX
        }
        raise BudgetRefused("alert_percents", text)


def _cap_nano(budget: Budget, at: dt.datetime) -> int:
    """Return the cap that the database enforces in a window."""
    if budget.action != BudgetAction.BLOCK:
        return rules.UNBOUNDED_NANO
    return budget.limit_nano(at)


@contextmanager
def _translate_duplicate(budget: Budget) -> Iterator[None]:
    """Translate the database's error for a duplicate budget into BudgetRefused."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        same = Budget.objects.filter(
            organisation=budget.organisation, scope=budget.scope, subject=budget.subject,
            period=budget.period, policy_id=budget.policy_id,
        ).first()  # fmt: skip
        if same is None:
            raise
        text = gettext("This scope and period already have budget %(id)s. Edit that one instead.")
        raise BudgetRefused("period", text % {"id": same.id}, already_exists=True) from error


def invalidate_units(organisation_id: UUID) -> None:
    """Make the next admissions read an organisation's included units again. Call it under the lock
    of the wallet, in the transaction that changes the units."""
    execute(open_accounts([organisation_id], ["included:units"]))
    execute(count_guards([organisation_id]))


def _lock(organisation_id: UUID) -> None:
    open_and_lock([organisation_id], WALLET_KINDS)
    execute(count_guards([organisation_id]))


def _living(budget: Budget) -> Budget:
    """Return the current budget under the lock. Raises Http404 if it was removed meanwhile."""
    living = Budget.objects.select_related("organisation").filter(id=budget.id).first()
    if living is None:
        raise Http404
    return living


def _fill(budget: Budget, look_back: LookBack) -> None:
    """Add the past usage of its time to the budget's present window. Windows of sessions are opened
    by their requests (`usage/sessions/windows.py`), and so are those of end users, which begin
    empty: their past usage is only in the records. Those that stayed while the budget was switched
    off get its present limits."""
    if budget.scope == BudgetScope.END_USER:
        fit_windows(budget)
        return
    if budget.period == BudgetPeriod.SESSION:
        return
    now = database_now()
    span = present_span(budget, now)
    past = look_back(budget, span.start_at)
    cap_nano = _cap_nano(budget, now)
    kept = BudgetWindow.objects.filter(budget=budget, starts_at__lte=now, ends_at__gt=now).first()
    window = kept or BudgetWindow.objects.create(
        budget=budget, starts_at=span.start_at, ends_at=span.end_at, cap_nano=cap_nano
    )
    spent_nano = max(window.spent_nano, past.spent_nano)
    execute(add_holds_to_window(window.id, past.open_attempts))
    # One condition per state, so that each uses its index: `IN` would scan every hold.
    unresolved = Q(*[("state", state) for state in UNRESOLVED], _connector=Q.OR)
    held = Hold.objects.filter(unresolved, window_ids__contains=[window.id])
    whole_nano = F("amount_nano") + Coalesce("included_nano", 0) + Coalesce("own_nano", 0)
    held_nano = held.aggregate(nano=Sum(whole_nano))["nano"] or 0
    BudgetWindow.objects.filter(id=window.id).update(
        held_nano=held_nano,
        spent_nano=spent_nano,
        brought_nano=window.brought_nano + spent_nano - window.spent_nano,
        cap_nano=max(cap_nano, held_nano + spent_nano),
        refused_at=None,
    )


def _drop_window(budget: Budget) -> None:
    """Delete the present window of a budget that is switched off, because it misses later usage,
    which is read again when the budget is switched on. The window of an end user stays, because it
    would start empty. The window of a label stays, because detached months are read from sums,
    which have no labels (see `usage.limits.budget_simulation`)."""
    if budget.scope not in (*rules.LABEL_SCOPES, BudgetScope.END_USER):
        BudgetWindow.objects.filter(budget=budget, ends_at__gt=database_now()).delete()


def present_span(budget: Budget, at: dt.datetime) -> Span:
    """Return the period of a budget at an instant."""
    return rules.window(budget.period, budget.anchor, budget.timezone, at)  # type: ignore[arg-type]


def _audit_details(budget: Budget) -> dict[str, Any]:
    return {
        "scope": str(budget.scope),
        "subject": budget.subject,
        "amount": format_usd(budget.amount_nano),
        "period": str(budget.period),
        "anchor": budget.anchor,
        "timezone": budget.timezone,
        "enabled": budget.enabled,
        "at_limit": str(budget.action),
        "alert_percents": sorted(budget.alert_percents),
        "alert_forecast": budget.alert_forecast,
        **({"policy": budget.policy_name} if budget.policy_id else {}),
    }


_FIT_CAPS = f"""
    UPDATE billing_budgetwindow stands SET cap_nano = fitting.nano, refused_at = NULL
    FROM (
        SELECT one.id, greatest(
            one.held_nano + one.spent_nano, {CAP.format(end_user="one.end_user")}) AS nano
        FROM billing_budget budget JOIN billing_budgetwindow one ON one.budget_id = budget.id
        WHERE budget.id = %(budget)s AND one.ends_at > clock_timestamp()
          AND (%(end_user)s::text IS NULL OR one.end_user = %(end_user)s::text)
    ) fitting
    WHERE stands.id = fitting.id
      AND (stands.cap_nano <> fitting.nano OR stands.refused_at IS NOT NULL)"""  # noqa: S608 - only constants are put in
