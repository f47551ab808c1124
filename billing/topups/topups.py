"""Top-ups: ordered, paid at a processor, credited once by its signed event (I21, P4).

Events arrive in any order, repeatedly, and late. Each event is stored once by its id, and each
payment, refund or dispute is posted once by its id at the processor. An event that arrives before
its subject waits and is applied after it. An event that matches no order moves nothing and is
reported to operators.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q, Sum
from django.utils.translation import gettext, gettext_lazy

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.models import AuditEvent, Organisation, User
from billing.approvals.approvals import (
    Kind,
    id_of,
    organisation_id_of,
    register,
    request_approval,
    withdraw_waiting,
)
from billing.approvals.rules import Change
from billing.balances.balances import balance
from billing.currency.money import NANO_PER_USD, format_usd
from billing.ledger import funding
from billing.ledger.ledger import lock_wallet, post
from billing.models import (
    Approval,
    ApprovalState,
    EventVerdict,
    Posting,
    ProcessorEvent,
    TopUp,
    TopUpState,
    WalletSetting,
)
from billing.safeguards.rules import TOGETHER
from billing.safeguards.safeguards import credit_limit_nano
from billing.topups.processors import UnknownProcessor, processor_named
from billing.topups.processors.processor import CheckoutOrder
from billing.topups.rules import (
    NANO_PER_MINOR,
    TOP_UP_MAX_NANO,
    TOP_UP_MIN_NANO,
    Order,
    PaymentEvent,
    mismatch,
)
from billing.topups.words import show_transfer
from lib import clock
from lib.database.tenancy import use_tenant
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from outbox.facts import put

UNPAID: Final = (TopUpState.ORDERED, TopUpState.PENDING)
TOP_UP: Final = "top_up"
"""The kind of its approvals."""


class TopUpRefused(Refused):
    """The top-up is not valid or not possible."""


def check_amount(amount_nano: int) -> None:
    """Check that a top-up may have this amount. Raises TopUpRefused."""
    if amount_nano % NANO_PER_MINOR:
        raise TopUpRefused("amount", gettext("Use at most two decimal places."))
    if not TOP_UP_MIN_NANO <= amount_nano <= TOP_UP_MAX_NANO:
        least, most = (f"{nano // NANO_PER_USD:,}" for nano in (TOP_UP_MIN_NANO, TOP_UP_MAX_NANO))
        text = gettext("Enter an amount from %(least)s to %(most)s USD.")
        raise TopUpRefused("amount", text % {"least": least, "most": most})


# Ordering ---------------------------------------------------------------------------------------


def order_top_up(
    actor: Actor,
    organisation: Organisation,
    amount_nano: int,
    *,
    processor: str,
    keep_card: bool = False,
) -> TopUp:
    """Create an order without a checkout. Raises TopUpRefused."""
    try:
        chosen = processor_named(processor)
    except UnknownProcessor as error:
        raise TopUpRefused("processor", gettext("This payment method is not available.")) from error
    check_amount(amount_nano)
    if keep_card and not chosen.keeps_cards:
        raise TopUpRefused("keep_card", gettext("This payment method cannot save a card."))
    with transaction.atomic():
        top_up = TopUp.objects.create(
            organisation=organisation, processor=processor, live=chosen.live,
            amount_nano=amount_nano, keep_card=keep_card, created_by=actor.user,
        )  # fmt: skip
        audit.record(
            actor, organisation, "topup.ordered", top_up,
            amount=format_usd(amount_nano), processor=processor,
        )  # fmt: skip
    return top_up


def open_checkout(top_up: TopUp) -> TopUp:
    """Create the checkout of an order, or return the existing one. Call it outside transactions
    (I9).

    Raises ProcessorError. If asked again, the processor returns the same checkout.
    """
    if top_up.checkout_id or top_up.state != TopUpState.ORDERED:
        return top_up
    owner = top_up.organisation
    page = f"{settings.PUBLIC_URL}/o/{owner.slug}/billing/top-ups/{top_up.outer_id}"
    checkout = processor_named(top_up.processor).create_checkout(
        CheckoutOrder(
            order_id=top_up.outer_id,
            owner_id=id_text(owner.id),
            owner_name=owner.name,
            amount_minor=top_up.amount_nano // NANO_PER_MINOR,
            currency=top_up.currency,
            email=top_up.created_by.email if top_up.created_by else "",
            return_url=page,
            cancel_url=f"{page}?return=cancelled",
            keep_card=top_up.keep_card,
        )
    )
    return keep_checkout(top_up, checkout.checkout_id, checkout.url)


def keep_checkout(top_up: TopUp, checkout_id: str, url: str) -> TopUp:
    """Store the checkout of an order, and apply its events that have arrived already."""
    with transaction.atomic():
        lock_wallet(top_up.organisation_id)
        locked = _lock_top_up(top_up.id)
        locked.checkout_id, locked.checkout_url = checkout_id, url
        locked.save(update_fields=["checkout_id", "checkout_url"])
        _apply_waiting(locked)
    return locked


def end_order(top_up: TopUp, state: TopUpState) -> None:
    """End an order that has no checkout, and judge its events that have arrived already. If the
    processor's response to a charge was lost, one of them may report the payment: it matches no
    order now, so operators hear of it."""
    with transaction.atomic():
        lock_wallet(top_up.organisation_id)
        locked = _lock_top_up(top_up.id)
        if locked.state != TopUpState.ORDERED or locked.checkout_id:
            return
        locked.state = state
        locked.save(update_fields=["state"])
        _apply_waiting(locked)


def confirm_transfer(actor: Actor, top_up: TopUp, document: str) -> TopUp:
    """Confirm as an operator that a transfer has arrived. Above the limit, a second operator must
    approve it; all amounts that one operator confirms alone for one organisation within 24 hours
    count together.

    `document` is the bank's reference. One transfer pays one order, and the second operator
    approves the same reference, here or in the list of approvals. Raises Refused.
    """
    document = document.replace("\x00", "").strip()
    if not document:
        raise TopUpRefused("document", gettext("Enter the bank's reference for the transfer."))
    with transaction.atomic():
        lock_wallet(top_up.organisation_id)
        locked = _lock_top_up(top_up.id)
        if locked.processor != "manual" or locked.state not in UNPAID:
            raise TopUpRefused("top_up", gettext("There is no transfer to confirm."))
        if actor.user is None:
            raise TopUpRefused("top_up", gettext("Only a person can confirm a transfer."))
        if locked.payment_id and locked.payment_id != document:
            text = gettext(
                "The first confirmation used %(reference)s. Use the same reference, or reject "
                "the transfer."
            )
            raise TopUpRefused("document", text % {"reference": locked.payment_id})
        _lock_payment("manual", document)
        claims = TopUp.objects.filter(processor="manual", payment_id=document)
        if claims.exclude(id=locked.id).exists():
            raise TopUpRefused("document", gettext("Another top-up already uses this transfer."))
        together_nano = locked.amount_nano + _confirmed_alone_nano(actor.user, locked.organisation)
        if locked.payment_id or together_nano > credit_limit_nano(locked.organisation):
            locked.state, locked.payment_id = TopUpState.PENDING, document
            locked.save(update_fields=["state", "payment_id"])
            request_approval(
                actor, TOP_UP, locked.outer_id, _changes(locked),
                about=locked.organisation.name, organisation=locked.organisation,
            )  # fmt: skip
        else:
            _credit(actor, locked, document)
    return TopUp.objects.get(id=top_up.id)


def _credit(actor: Actor, top_up: TopUp, document: str) -> None:
    audit.record(
        actor, top_up.organisation, "topup.confirmed", top_up,
        amount=format_usd(top_up.amount_nano), document=document,
    )  # fmt: skip
    apply_event(
        PaymentEvent(
            processor="manual",
            event_id=f"transfer:{document}",
            kind="paid",
            object_id=top_up.checkout_id,
            payment_id=document,
            order_id=top_up.outer_id,
            owner_id=id_text(top_up.organisation_id),
            amount_minor=top_up.amount_nano // NANO_PER_MINOR,
            currency=top_up.currency,
            live=True,
        )
    )


def _changes(top_up: TopUp) -> list[Change]:
    values = {"amount": format_usd(top_up.amount_nano), "document": top_up.payment_id}
    return [Change(name=name, before=None, after=after) for name, after in values.items()]


def _transfer_of(approval: Approval) -> TopUp:
    """Lock and return the transfer of an approval. Raises Refused if it is not to be confirmed."""
    locked = _lock_top_up(id_of(approval))
    if locked.state not in UNPAID:
        raise Refused("approval", gettext("There is no transfer to confirm."))
    return locked


def _approve(actor: Actor, approval: Approval) -> None:
    top_up = _transfer_of(approval)
    _lock_payment("manual", top_up.payment_id)
    _credit(actor, top_up, top_up.payment_id)


def _end(actor: Actor, approval: Approval) -> None:
    # The order stays: the transfer may arrive with another reference.
    TopUp.objects.filter(id=id_of(approval), state=TopUpState.PENDING).update(
        state=TopUpState.ORDERED, payment_id=""
    )


register(
    Kind(
        TOP_UP,
        gettext_lazy("Transfer"),
        "credits.write",
        changes=lambda approval: _changes(_transfer_of(approval)),
        apply=_approve,
        end=_end,
        show=show_transfer,
        page="payments",
        # Lock the accounts before anything else: all transactions lock in this order.
        lock=lambda approval: lock_wallet(organisation_id_of(approval)),
    )
)


def cancel_transfer(actor: Actor, top_up: TopUp, *, by_operator: bool) -> TopUp:
    """Cancel a transfer that is not credited. The customer may do so until an operator has
    confirmed it, an operator at any time. The reference can be used again. Raises TopUpRefused."""
    with transaction.atomic():
        lock_wallet(top_up.organisation_id)
        locked = _lock_top_up(top_up.id)
        if locked.processor != "manual" or locked.state not in UNPAID:
            raise TopUpRefused("top_up", gettext("There is no transfer to cancel."))
        if locked.payment_id and not by_operator:
            text = gettext("An operator has already confirmed this transfer.")
            raise TopUpRefused("top_up", text)
        audit.record(
            actor, locked.organisation, "topup.cancelled", locked,
            amount=format_usd(locked.amount_nano), document=locked.payment_id,
        )  # fmt: skip
        locked.state, locked.payment_id = TopUpState.CANCELLED, ""
        locked.save(update_fields=["state", "payment_id"])
        if by_operator:
            withdraw_waiting(actor, TOP_UP, locked.outer_id)
            _publish_top_up("topup.failed", locked, locked.amount_nano)
    return locked


def _confirmed_alone_nano(user: User, organisation: Organisation) -> int:
    since = clock.now() - TOGETHER
    confirmed = AuditEvent.objects.filter(
        actor_user=user, organisation=organisation, action="topup.confirmed", at__gt=since
    ).values_list("object_id", flat=True)  # fmt: skip
    approved = Approval.objects.filter(
        kind=TOP_UP, organisation=organisation, state=ApprovalState.APPROVED, decided_at__gt=since
    ).values_list("subject", flat=True)
    alone = TopUp.objects.filter(
        id__in=map(parse_id, set(confirmed) - set(approved)), state=TopUpState.PAID
    )
    return alone.aggregate(nano=Sum("amount_nano"))["nano"] or 0


# Events -----------------------------------------------------------------------------------------


def take_event(processor: str, headers: Mapping[str, str], body: bytes) -> EventVerdict | None:
    """Verify and apply an event of a processor. Return None for a kind that we ignore.

    Raises UnknownProcessor, and EventInvalid if the processor did not sign the event.
    """
    event = processor_named(processor).verify_event(headers, body)
    return None if event is None else apply_event(event)


def apply_event(event: PaymentEvent) -> EventVerdict:
    """Apply a verified event once, in whatever order events arrive."""
    top_up = _order_of(event)
    with transaction.atomic():
        if top_up is None:
            _lock_payment(event.processor, event.payment_id)
            top_up = _order_of(event)
        if top_up is not None:
            # Lock the accounts before anything else. The lock serialises the events of one wallet.
            lock_wallet(top_up.organisation_id)
            top_up = _lock_top_up(top_up.id)
        kept, fresh = _record_event(event, top_up)
        if not fresh:
            return EventVerdict(kept.verdict)
        _judge(kept, event, top_up)
        if top_up is not None:
            _apply_waiting(top_up)
    return EventVerdict(kept.verdict)


def _record_event(event: PaymentEvent, top_up: TopUp | None) -> tuple[ProcessorEvent, bool]:
    """Return the event's row, and whether it arrived for the first time."""
    payload = asdict(event)
    try:
        with transaction.atomic():
            row = ProcessorEvent.objects.create(
                processor=event.processor, event_id=event.event_id, kind=event.kind,
                payment_id=event.payment_id, told=payload, top_up=top_up,
                verdict=EventVerdict.WAITING,
            )  # fmt: skip
            return row, True
    except IntegrityError:
        known = ProcessorEvent.objects.get(processor=event.processor, event_id=event.event_id)
        return known, False


def _judge(row: ProcessorEvent, event: PaymentEvent, top_up: TopUp | None) -> None:
    verdict, reason = _apply(event, top_up)
    row.verdict, row.reason, row.top_up = verdict, reason, top_up
    row.save(update_fields=["verdict", "reason", "top_up"])
    if verdict != EventVerdict.WAITING:
        audit.record(
            SYSTEM, top_up.organisation if top_up else None, f"payment.{event.kind}", row,
            reason=reason, processor=event.processor, payment=event.payment_id,
            amount=format_usd(event.amount_nano), verdict=str(verdict),
        )  # fmt: skip
    if verdict == EventVerdict.REFUSED:
        put(
            "payment.unmatched", None, processor=event.processor, payment=event.payment_id,
            event=event.event_id, amount=format_usd(event.amount_nano),
            currency=event.currency.upper(), reason=reason,
        )  # fmt: skip


def _apply(event: PaymentEvent, top_up: TopUp | None) -> tuple[EventVerdict, str]:
    if event.kind == "paid":
        return _pay(event, top_up)
    if event.kind in ("pending", "failed", "expired"):
        return _follow(event, top_up)
    if top_up is None:
        return _return_unmatched(event), ""
    if top_up.state != TopUpState.PAID:
        return EventVerdict.WAITING, ""
    reason = _foreign(event, top_up)
    if reason:
        return EventVerdict.REFUSED, reason
    if event.kind == "refunded":
        return _refund(event, top_up)
    if event.kind == "unrefunded":
        return _report_failed_refund(event, top_up), ""
    return _dispute(event, top_up)


def _pay(event: PaymentEvent, top_up: TopUp | None) -> tuple[EventVerdict, str]:
    if top_up is None:
        return EventVerdict.REFUSED, "There is no such order."
    if not top_up.checkout_id and top_up.state in UNPAID:
        # The event arrived before the processor's response to our request.
        return EventVerdict.WAITING, ""
    if top_up.state == TopUpState.PAID and top_up.payment_id == event.payment_id:
        # Another event of the same payment has credited it (I21).
        return EventVerdict.APPLIED, ""
    reason = mismatch(_order(top_up), event)
    if reason is not None:
        _receive_unmatched(event, top_up)
        return EventVerdict.REFUSED, reason
    _lock_payment(event.processor, event.payment_id)
    name = _processor(top_up)
    posting = funding.top_up(
        name, event.payment_id, top_up.amount_nano, lock_wallet(top_up.organisation_id)
    )
    post(posting, actor=name, cause={"top_up": top_up.outer_id, "payment": event.payment_id})
    top_up.state, top_up.payment_id, top_up.paid_at = TopUpState.PAID, event.payment_id, clock.now()
    top_up.save(update_fields=["state", "payment_id", "paid_at"])
    if top_up.keep_card and event.customer:
        WalletSetting.objects.update_or_create(
            organisation_id=top_up.organisation_id,
            defaults={"processor": name, "customer_ref": event.customer},
        )
    _publish_top_up("topup.paid", top_up, top_up.amount_nano)
    return EventVerdict.APPLIED, ""


def _receive_unmatched(event: PaymentEvent, top_up: TopUp) -> None:
    """Post real money that matches no order to the clearing account (I24)."""
    ours = event.live == processor_named(top_up.processor).live
    if ours and event.currency.lower() == "usd" and event.amount_minor and event.payment_id:
        posting = funding.receive_unmatched(
            _processor(top_up), event.payment_id, event.amount_nano, top_up.organisation_id
        )
        post(posting, actor=event.processor, cause={"event": event.event_id})


def _return_unmatched(event: PaymentEvent) -> EventVerdict:
    """End an unmatched payment that was refunded. Other events of the payment wait for an order."""
    name: funding.Processor = "stripe" if event.processor == "stripe" else "manual"
    received = Posting.objects.filter(
        idempotency_id=f"receive:{name}:{event.payment_id}",
        entries__amount_nano=event.amount_nano,
    ).first()
    if received is None or event.kind != "refunded":
        return EventVerdict.WAITING
    owner = received.organisation_id
    post(funding.return_unmatched(name, event.payment_id, event.amount_nano, owner), actor=name)
    return EventVerdict.APPLIED


def _follow(event: PaymentEvent, top_up: TopUp | None) -> tuple[EventVerdict, str]:
    """Update the order's state, which only moves forward: a paid order stays paid."""
    if top_up is None:
        return EventVerdict.REFUSED, "There is no such order."
    known = event.object_id == top_up.checkout_id and not _foreign(event, top_up)
    if top_up.state in UNPAID and known:
        top_up.state = TopUpState(event.kind)
        top_up.save(update_fields=["state"])
        if event.kind == "failed":
            _publish_top_up("topup.failed", top_up, top_up.amount_nano)
    return EventVerdict.APPLIED, ""


def _refund(event: PaymentEvent, top_up: TopUp) -> tuple[EventVerdict, str]:
    total_nano = event.amount_nano
    if total_nano > top_up.amount_nano:
        return EventVerdict.REFUSED, "More was refunded than paid."
    more_nano = total_nano - top_up.refunded_nano
    if more_nano > 0:
        posting = funding.refund(
            _processor(top_up), top_up.payment_id, more_nano, total_nano,
            lock_wallet(top_up.organisation_id),
        )  # fmt: skip
        post(posting, actor=event.processor, cause={"top_up": top_up.outer_id})
        top_up.refunded_nano = total_nano
        top_up.save(update_fields=["refunded_nano"])
        _publish_top_up("topup.refunded", top_up, more_nano)
    return EventVerdict.APPLIED, ""


def _report_failed_refund(event: PaymentEvent, top_up: TopUp) -> EventVerdict:
    """Report a failed refund: the processor has the money again. A person decides whether to send
    it again or to credit the balance, because refunds are reported as sums that do not say which
    refund failed."""
    refund = Q(kind="unrefunded", told__object_id=event.object_id, verdict=EventVerdict.APPLIED)
    if not ProcessorEvent.objects.filter(refund, processor=event.processor).exists():
        put(
            "refund.failed", None, processor=event.processor, payment=event.payment_id,
            refund=event.object_id, amount=format_usd(event.amount_nano),
            currency=event.currency.upper(), name=top_up.organisation.name,
        )  # fmt: skip
    return EventVerdict.APPLIED


def _dispute(event: PaymentEvent, top_up: TopUp) -> tuple[EventVerdict, str]:
    if not 0 < event.amount_nano <= top_up.amount_nano:
        return EventVerdict.REFUSED, "More was disputed than paid."
    name, wallet = _processor(top_up), lock_wallet(top_up.organisation_id)
    if event.kind == "disputed":
        posting = funding.dispute(name, event.object_id, event.amount_nano, wallet)
        change_nano = event.amount_nano
    else:
        taken = Posting.objects.filter(idempotency_id=f"dispute:{name}:{event.object_id}")
        if not taken.exists():
            return EventVerdict.WAITING, ""
        posting = funding.reinstate(name, event.object_id, event.amount_nano, wallet)
        change_nano = -event.amount_nano
    if _is_posted(posting.idempotency_id):
        return EventVerdict.APPLIED, ""
    post(posting, actor=event.processor, cause={"top_up": top_up.outer_id})
    top_up.disputed_nano += change_nano
    top_up.save(update_fields=["disputed_nano"])
    if event.kind == "disputed":
        _publish_top_up("topup.disputed", top_up, event.amount_nano)
    return EventVerdict.APPLIED, ""


def _apply_waiting(top_up: TopUp) -> None:
    """Apply the waiting events of a top-up until none can be applied."""
    # Like an event that arrives, for the installation: the tenant sees no event without an order,
    # and cannot report to operators.
    with use_tenant(None):
        while _apply_waiting_once(top_up):
            pass


def _apply_waiting_once(top_up: TopUp) -> bool:
    """Apply the waiting events of a top-up. Return whether one could be applied."""
    about = Q(top_up=top_up)
    if top_up.payment_id:
        about |= Q(payment_id=top_up.payment_id)
    waiting = ProcessorEvent.objects.filter(
        about, processor=top_up.processor, verdict=EventVerdict.WAITING
    ).order_by("created_at", "id")
    moved = False
    for row in waiting:
        _judge(row, PaymentEvent(**row.told), top_up)
        moved = moved or row.verdict != EventVerdict.WAITING
    return moved


def _foreign(event: PaymentEvent, top_up: TopUp) -> str:
    """Return why a refund or dispute does not belong to the order's payment; "" if it does."""
    if event.live != top_up.live:
        return "The mode does not match the order."
    if event.currency.lower() != top_up.currency.lower():
        return "The currency does not match the order."
    return ""


def _order_of(event: PaymentEvent) -> TopUp | None:
    if event.kind in ("refunded", "unrefunded", "disputed", "reinstated"):
        orders = TopUp.objects.filter(processor=event.processor, payment_id=event.payment_id)
        return orders.first() if event.payment_id else None
    order_id = parse_id(event.order_id)
    return TopUp.objects.filter(id=order_id).first() if order_id else None


def _lock_payment(processor: str, payment_id: str) -> None:
    """Lock a payment until the transaction ends, so that no order can claim it between the search
    and the write. Otherwise another event of the payment could wait for ever, or confirm another
    order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"payment|{processor}|{payment_id}"],
        )


def _lock_top_up(id: UUID) -> TopUp:
    return TopUp.objects.select_for_update(of=("self",)).select_related("organisation").get(id=id)


def _order(top_up: TopUp) -> Order:
    return Order(
        processor=top_up.processor,
        order_id=top_up.outer_id,
        owner_id=id_text(top_up.organisation_id),
        checkout_id=top_up.checkout_id,
        amount_nano=top_up.amount_nano,
        currency=top_up.currency,
        live=top_up.live,
        state=top_up.state,
    )


def _processor(top_up: TopUp) -> funding.Processor:
    return "stripe" if top_up.processor == "stripe" else "manual"


def _is_posted(idempotency_id: str) -> bool:
    return Posting.objects.filter(idempotency_id=idempotency_id).exists()


def _publish_top_up(kind: str, top_up: TopUp, amount_nano: int) -> None:
    payload: dict[str, Any] = {
        "top_up": top_up.outer_id,
        "amount": format_usd(amount_nano),
        "currency": top_up.currency,
        "available": format_usd(balance(top_up.organisation).free_nano),
    }
    put(kind, top_up.organisation_id, **payload)
