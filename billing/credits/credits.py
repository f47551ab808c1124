"""Corrections of balances by operators, with a reason, and with a second operator above a limit
(I2). The credits of one operator to one organisation within 24 hours count together, so that a
large sum cannot be split."""

import datetime as dt
from typing import Final, NamedTuple

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Abs
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation, User
from billing.approvals.approvals import (
    Kind,
    Line,
    id_of,
    organisation_id_of,
    register,
    request_approval,
)
from billing.approvals.rules import Change
from billing.balances import balances
from billing.balances.credit_line import credit_line
from billing.credits import promo
from billing.credits.words import show_correction
from billing.currency.money import format_usd
from billing.currency.words import total_text
from billing.ledger.funding import adjust, reverse
from billing.ledger.ledger import lock_wallet, post
from billing.ledger.posting import AccountKind
from billing.models import Approval, Credit, CreditKind, CreditState, LedgerEntry, Posting
from billing.safeguards.rules import TOGETHER
from billing.safeguards.safeguards import credit_limit_nano
from lib import clock
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from outbox.facts import put

_REVERSIBLE: Final = frozenset({"adjust", "opening"})
# An invoice is corrected by a note, a subscription by changing it.
_NOT_HERE: Final = ("invoice:", "subscription:", "included:")
CORRECTION: Final = "correction"
"""The kind of its approvals."""


class CreditRefused(Refused):
    """The correction is invalid."""


class Effect(NamedTuple):
    """The effect of a correction: the balance available for new requests before and after it.
    `owed_nano` is what the organisation would owe beyond its money and credit line."""

    before_nano: int
    after_nano: int
    owed_nano: int


def effect_of(organisation: Organisation, amount_nano: int) -> Effect:
    """Return what a correction would do now."""
    before_nano = balances.balance(organisation).free_nano
    after_nano = before_nano + amount_nano
    owed_nano = -after_nano - credit_line(organisation) if amount_nano < 0 else 0
    return Effect(before_nano, after_nano, max(owed_nano, 0))


def request_credit(
    actor: Actor,
    organisation: Organisation,
    amount_nano: int,
    *,
    kind: CreditKind = CreditKind.CASH,
    expires_at: dt.datetime | None = None,
    reason: str,
    document: str = "",
    reverses: Posting | None = None,
) -> Credit:
    """Correct a balance: posted immediately up to the limit, else when a second operator approves.
    A negative `amount_nano` takes money away; the uncovered part becomes debt. Promotional credit
    can only be added, and may expire. Raises CreditRefused."""
    user = _person(actor)
    if amount_nano == 0:
        raise CreditRefused("amount", gettext("The amount cannot be zero."))
    if not reason.strip():
        raise CreditRefused("reason", gettext("Enter a reason. The customer will see it."))
    if kind == CreditKind.PROMO and amount_nano < 0:
        raise CreditRefused("amount", gettext("Promotional credit must be greater than zero."))
    if kind == CreditKind.CASH and expires_at is not None:
        raise CreditRefused("expires_at", gettext("Only promotional credit can expire."))
    if expires_at is not None and expires_at <= clock.now():
        raise CreditRefused("expires_at", gettext("The expiry date is in the past."))
    with transaction.atomic():
        # The wallet's lock serialises the credits to one organisation.
        lock_wallet(organisation.id)
        alone_nano = abs(amount_nano) + _credited_alone_nano(user, organisation)
        alone = alone_nano <= credit_limit_nano(organisation)
        credit = Credit.objects.create(
            organisation=organisation,
            amount_nano=amount_nano,
            kind=kind,
            expires_at=expires_at,
            reason=reason.strip(),
            document=document.strip(),
            reverses=reverses,
            state=CreditState.POSTED if alone else CreditState.WAITING,
            asked_by=user,
        )
        if alone:
            _post(actor, credit)
        else:
            request_approval(
                actor, CORRECTION, id_text(credit.id), _changes(credit),
                about=organisation.name, organisation=organisation, reason=credit.reason,
            )  # fmt: skip
    return credit


def request_reversal(actor: Actor, posting: Posting, *, reason: str) -> Credit:
    """Undo a correction by a new posting that refers to it (I2). Raises CreditRefused."""
    if posting.kind not in _REVERSIBLE or (posting.idempotency_id or "").startswith(_NOT_HERE):
        text = gettext("Only corrections and opening credits can be reversed here.")
        raise CreditRefused("posting", text)
    organisation = Organisation.objects.get(id=posting.organisation_id)
    with transaction.atomic():
        # The lock serialises concurrent requests.
        lock_wallet(organisation.id)
        same = Credit.objects.filter(reverses=posting).exclude(state=CreditState.REFUSED).first()
        if same is not None:
            text = gettext("Correction %(id)s already reverses this posting.")
            raise CreditRefused("posting", text % {"id": id_text(same.id)}, already_exists=True)
        amount_nano, _ = _effect(posting)
        return request_credit(actor, organisation, -amount_nano, reason=reason, reverses=posting)


def _credit_of(approval: Approval) -> Credit:
    """Return the correction that an approval is about."""
    rows = Credit.objects.select_related("organisation", "asked_by", "reverses")
    return rows.get(id=id_of(approval))


def _changes(credit: Credit) -> list[Change]:
    expires = clock.rfc3339(credit.expires_at) if credit.expires_at else ""
    values = {
        "amount": format_usd(credit.amount_nano), "kind": str(credit.kind), "expires_at": expires,
        "document": credit.document,
    }  # fmt: skip
    return [Change(name=name, before=None, after=after) for name, after in values.items() if after]


def _apply(actor: Actor, approval: Approval) -> None:
    credit = _credit_of(approval)
    credit.state = CreditState.POSTED
    credit.save(update_fields=["state"])
    _post(actor, credit)


def _end(actor: Actor, approval: Approval) -> None:
    Credit.objects.filter(id=id_of(approval)).update(state=CreditState.REFUSED)


def _effects(approval: Approval) -> list[Line]:
    credit = _credit_of(approval)
    effect = effect_of(credit.organisation, credit.amount_nano)
    return [
        Line(gettext("Available"), total_text(effect.before_nano), total_text(effect.after_nano))
    ]


def _warn(approval: Approval) -> str:
    credit = _credit_of(approval)
    owed_nano = effect_of(credit.organisation, credit.amount_nano).owed_nano
    text = gettext("%(amount)s debt allowed") % {"amount": total_text(owed_nano)}
    return text if owed_nano else ""


register(
    Kind(
        CORRECTION,
        gettext_lazy("Correction"),
        "credits.write",
        changes=lambda approval: _changes(_credit_of(approval)),
        apply=_apply,
        end=_end,
        show=show_correction,
        page="credits",
        # Lock the accounts before anything else: all transactions lock in this order.
        lock=lambda approval: lock_wallet(organisation_id_of(approval)),
        effects=_effects,
        warn=_warn,
    )
)


def _post(actor: Actor, credit: Credit) -> None:
    by = actor.user.email if actor.user else ""
    audit.record(
        actor, credit.organisation, "credit.posted", credit, reason=credit.reason,
        amount=format_usd(credit.amount_nano), kind=str(credit.kind), document=credit.document,
        asked_by=credit.asked_by.email,
    )  # fmt: skip
    cause: dict[str, object] = {"credit": id_text(credit.id), "reason": credit.reason}
    if credit.document:
        cause["document"] = credit.document
    wallet = lock_wallet(credit.organisation_id)
    if credit.reverses is not None:
        amount_nano, other_side = _effect(credit.reverses)
        cause["reverses"] = id_text(credit.reverses.id)
        posting = reverse(credit.reverses.id, other_side, amount_nano, wallet)
        post(posting, actor=by, cause=cause)
    elif credit.kind == CreditKind.PROMO:
        cause["promo"] = True
        promo.grant(
            credit.organisation, credit.amount_nano, f"adjust:{credit.id}", "adjust",
            expires_at=credit.expires_at, actor=by, cause=cause,
        )  # fmt: skip
    else:
        post(adjust(credit.id, credit.amount_nano, wallet), actor=by, cause=cause)
    put(
        "credit.posted", credit.organisation_id, credit=id_text(credit.id),
        amount=format_usd(credit.amount_nano), currency="USD", reason=credit.reason,
    )  # fmt: skip


def _effect(posting: Posting) -> tuple[int, AccountKind]:
    """Return the amount that a posting added to the balance, and the account that the money came
    from."""
    lines = LedgerEntry.objects.filter(posting=posting).select_related("account")
    if any(line.account.kind.startswith("promo:") for line in lines):
        text = gettext("Promotional credit cannot be reversed. It expires by itself.")
        raise CreditRefused("posting", text)
    [other] = [line for line in lines if not line.account.kind.startswith("customer:")]
    return -other.amount_nano, other.account.kind  # type: ignore[return-value]


def _credited_alone_nano(user: User, organisation: Organisation) -> int:
    since = clock.now() - TOGETHER
    approved = Approval.objects.filter(
        kind=CORRECTION, organisation=organisation, asked_by=user, asked_at__gt=since,
    ).values_list("subject", flat=True)  # fmt: skip
    recent_credits = (
        Credit.objects.filter(
            organisation=organisation, asked_by=user, state=CreditState.POSTED, asked_at__gt=since
        )
        .exclude(id__in=[parse_id(subject) for subject in approved])
        .aggregate(nano=Sum(Abs("amount_nano")))
    )
    return recent_credits["nano"] or 0


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise CreditRefused("credit", gettext("Only a person can make a correction."))
    return actor.user
