"""Corrections of balances by operators, with a reason, and with a second operator above a limit
(I2). The credits of one operator to one organisation within 24 hours count together, so that a
large sum cannot be split."""

import datetime as dt
from typing import Final, NamedTuple

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Abs
from django.utils.translation import gettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation, User
from billing.balances import balances
from billing.credits import promo
from billing.currency.money import format_usd
from billing.ledger.funding import adjust, reverse
from billing.ledger.ledger import lock_wallet, post
from billing.ledger.posting import AccountKind
from billing.models import Credit, CreditKind, CreditState, LedgerEntry, Posting
from billing.safeguards.rules import TOGETHER
from billing.safeguards.safeguards import credit_limit_nano
from lib import clock
from lib.ids import id_text
from lib.refusal import Refused
from outbox.facts import put

_REVERSIBLE: Final = frozenset({"adjust", "opening"})
# An invoice is corrected by a note, a subscription by changing it.
_NOT_HERE: Final = ("invoice:", "subscription:", "included:")


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
    owed_nano = -after_nano - balances.credit_line(organisation) if amount_nano < 0 else 0
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
        audit.record(
            actor, organisation, "credit.asked", credit, amount=format_usd(amount_nano),
            kind=str(kind), reason=credit.reason, document=credit.document, alone=alone,
        )  # fmt: skip
        if alone:
            _post(actor, credit)
        else:
            put(
                "credit.asked", None, credit=id_text(credit.id), name=organisation.name,
                amount=format_usd(amount_nano), currency="USD", reason=credit.reason,
                asked_by=user.email,
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


def approve_credit(actor: Actor, credit: Credit) -> Credit:
    """Post a waiting credit. Raises CreditRefused for the person who requested it."""
    return _decide(actor, credit, CreditState.POSTED)


def refuse_credit(actor: Actor, credit: Credit) -> Credit:
    """End a waiting credit without a posting. The person who requested it may withdraw it this
    way."""
    return _decide(actor, credit, CreditState.REFUSED)


def _decide(actor: Actor, credit: Credit, state: CreditState) -> Credit:
    user = _person(actor)
    with transaction.atomic():
        # Lock the accounts before anything else: all transactions lock in this order.
        lock_wallet(credit.organisation_id)
        locked = (
            Credit.objects.select_for_update(of=("self",))
            .select_related("organisation", "asked_by", "reverses")
            .get(id=credit.id)
        )
        if locked.state != CreditState.WAITING:
            raise CreditRefused("credit", gettext("This was already decided."))
        own = locked.asked_by_id == user.id
        if own and state == CreditState.POSTED:
            text = gettext("You requested this yourself. Another operator has to approve it.")
            raise CreditRefused("credit", text)
        locked.state, locked.decided_at = state, clock.now()
        locked.decided_by = None if own else user
        locked.save(update_fields=["state", "decided_at", "decided_by"])
        audit.record(
            actor, locked.organisation, f"credit.{state}", locked,
            amount=format_usd(locked.amount_nano), asked_by=locked.asked_by.email,
        )  # fmt: skip
        if state == CreditState.POSTED:
            _post(actor, locked)
    return locked


def _post(actor: Actor, credit: Credit) -> None:
    by = actor.user.email if actor.user else ""
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
    recent_credits = Credit.objects.filter(
        organisation=organisation,
        asked_by=user,
        decided_by=None,
        state=CreditState.POSTED,
        asked_at__gt=clock.now() - TOGETHER,
    ).aggregate(nano=Sum(Abs("amount_nano")))
    return recent_credits["nano"] or 0


def _person(actor: Actor) -> User:
    if actor.user is None:
        raise CreditRefused("credit", gettext("Only a person can make a correction."))
    return actor.user
