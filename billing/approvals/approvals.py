"""Changes that need a second person: one write asks, another one decides.

The noun that changes registers its kind here. An approval applies exactly what was asked for: if
something else would change by now, it is refused. Asking for what another person has already asked
for approves it, but what makes a new object, such as a correction, is asked for twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from accounts.access.access import get_by_id, require
from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from accounts.roles.rules import Action
from billing.approvals.rules import Change, Objection, Waiting, objection
from billing.models import Approval, ApprovalState
from lib import clock
from lib.ids import parse_id
from lib.refusal import Refused, check_text
from outbox.facts import put

REASON_MAX: Final = 500
_ABOUT_MAX: Final = 200
_PEOPLE: Final = ("organisation", "asked_by", "decided_by")


class Line(NamedTuple):
    """One change as a page shows it, in the reader's language."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change that needs two people.

    `action` is the permission to decide. `changes` returns what would change now, and raises
    Refused if nothing can. `apply` and `end` carry out the decision, in its transaction, which
    begins with `lock`: it locks what the noun locks before it asks. `show` returns a change in
    words, `name_of` what changes, `effects` what else a page shows while it waits, and `warn` what
    must be confirmed before an approval. `page` is the URL name of the subject's own page, and
    `subject_of` its argument.
    """

    name: str
    title: str | Promise
    action: Action
    changes: Callable[[Approval], list[Change]]
    apply: Callable[[Actor, Approval], None]
    show: Callable[[Change], Line]
    page: str
    subject_of: Callable[[Approval], str] = lambda approval: ""
    name_of: Callable[[Approval], str] = lambda approval: approval.about
    end: Callable[[Actor, Approval], None] = lambda actor, approval: None
    lock: Callable[[Approval], object] = lambda approval: None
    effects: Callable[[Approval], list[Line]] = lambda approval: []
    warn: Callable[[Approval], str] = lambda approval: ""


KINDS: Final[dict[str, Kind]] = {}
"""Every kind by its name. The noun that knows everything that a decision changes registers it."""

_OBJECTIONS: Final[Mapping[Objection, Promise]] = {
    "no_person": gettext_lazy("Only a person can decide this."),
    "own": gettext_lazy("You requested this yourself. Another operator has to approve it."),
    "expired": gettext_lazy(
        "This was requested more than 30 days ago. Reject it, and request it again."
    ),
    "changed": gettext_lazy(
        "What would change is no longer what was requested. Reject it, and request it again."
    ),
    "no_reason": gettext_lazy("Enter a reason. Whoever requested the change will see it."),
}


def register(kind: Kind) -> None:
    """Add a kind of change, once, when its module is loaded."""
    KINDS[kind.name] = kind


def visible_approvals(actor: Actor) -> QuerySet[Approval]:
    """Return the changes that wait or were decided, newest first, for operators."""
    require(actor, "credits.read")
    return Approval.objects.select_related(*_PEOPLE).order_by("-id")


def access_approval(actor: Actor, id: str) -> Approval:
    """Return one change. Raises Http404."""
    return get_by_id(visible_approvals(actor), id)


def id_of(approval: Approval) -> UUID:
    """Return the id of what changes, where it is one of our ids."""
    return cast(UUID, parse_id(approval.subject))


def organisation_id_of(approval: Approval) -> UUID:
    """Return whom an approval is about, where it is about an organisation."""
    return cast(UUID, approval.organisation_id)


def count_for(actor: Actor) -> int:
    """Count the changes that wait for this person: those of others."""
    waiting = visible_approvals(actor).filter(state=ApprovalState.WAITING)
    return waiting.exclude(asked_by=actor.user).count()


def latest(kind: str, subjects: Sequence[str]) -> dict[str, Approval]:
    """Return the latest approval of each subject, waiting or decided."""
    rows = Approval.objects.filter(kind=kind, subject__in=subjects).select_related(*_PEOPLE)
    return {row.subject: row for row in rows.order_by("id")}


def waiting(kind: str, subject: str) -> Approval | None:
    """Return the change of this subject that waits, if there is one."""
    row = latest(kind, [subject]).get(subject)
    return row if row is not None and row.state == ApprovalState.WAITING else None


def all_waiting(kind: str) -> dict[str, Approval]:
    """Return every change of this kind that waits, by its subject."""
    rows = Approval.objects.filter(kind=kind, state=ApprovalState.WAITING)
    return {row.subject: row for row in rows.select_related("asked_by")}


def request_approval(
    actor: Actor,
    kind: str,
    subject: str,
    changes: Sequence[Change],
    *,
    about: str,
    organisation: Organisation | None = None,
    reason: str = "",
) -> Approval:
    """Ask another person for a change, and return it as it is then.

    The same change of another person is approved; of the same person it stays. A different one of
    the same subject is withdrawn. Call it where the subject is locked. Raises Refused.
    """
    if actor.user is None:
        raise Refused("approval", gettext("Only a person can request this."))
    with transaction.atomic():
        there = _lock_waiting(kind, [subject]).first()
        if there is not None and there.changes == list(changes):
            return there if there.asked_by == actor.user else decide(actor, there, approve=True)
        if there is not None:
            _finish(actor, there, ApprovalState.WITHDRAWN)
        approval = Approval.objects.create(
            kind=kind, subject=subject, organisation=organisation, about=about[:_ABOUT_MAX],
            changes=list(changes), reason=reason, asked_by=actor.user,
        )  # fmt: skip
        _record(actor, "approval.asked", approval, reason)
        put(
            "approval.asked", None, approval=approval.outer_id, type=kind, about=about,
            changes=list(changes), reason=reason, asked_by=actor.user.email,
        )  # fmt: skip
    return approval


def decide(actor: Actor, approval: Approval, *, approve: bool, reason: str = "") -> Approval:
    """Approve or reject a change; whoever asked for it withdraws it by rejecting it.

    The same decision of the same person again changes nothing. Raises Refused if the change was
    decided already, or if this person cannot decide it this way.
    """
    kind = KINDS[approval.kind]
    require(actor, kind.action)
    reason = check_text("reason", reason, REASON_MAX)
    with transaction.atomic():
        kind.lock(approval)
        rows = Approval.objects.select_for_update(of=("self",)).select_related(*_PEOPLE)
        locked = rows.get(id=approval.id)
        own = actor.user is not None and actor.user.id == locked.asked_by_id
        rejected = ApprovalState.WITHDRAWN if own else ApprovalState.REJECTED
        state = ApprovalState.APPROVED if approve else rejected
        if locked.state != ApprovalState.WAITING:
            if locked.state == state and locked.decided_by == actor.user:
                return locked
            raise Refused("approval", gettext("This was already decided."), already_exists=True)
        asked = Waiting(locked.asked_by_id, locked.asked_at, locked.changes)
        person = actor.user.id if actor.user else None
        objects = objection(
            asked, person, approve=approve, reason=reason, now=clock.now(),
            changes=kind.changes(locked) if approve and not own else (),
        )  # fmt: skip
        if objects is not None:
            field = "reason" if objects == "no_reason" else "approval"
            raise Refused(field, str(_OBJECTIONS[objects]))
        _finish(actor, locked, state, reason)
        (kind.apply if approve else kind.end)(actor, locked)
    return locked


def withdraw_waiting(actor: Actor, kind: str, *subjects: str) -> None:
    """Take back the changes of these subjects that wait, because they were decided in another way.
    Call it where the subjects are locked."""
    for approval in _lock_waiting(kind, subjects):
        _finish(actor, approval, ApprovalState.WITHDRAWN)


def _lock_waiting(kind: str, subjects: Sequence[str]) -> QuerySet[Approval]:
    rows = Approval.objects.select_for_update(of=("self",)).select_related("asked_by")
    return rows.filter(kind=kind, subject__in=subjects, state=ApprovalState.WAITING)


def _finish(actor: Actor, approval: Approval, state: ApprovalState, reason: str = "") -> None:
    approval.state, approval.answer = state, reason
    approval.decided_by, approval.decided_at = actor.user, clock.now()
    approval.save(update_fields=["state", "answer", "decided_by", "decided_at"])
    _record(actor, f"approval.{state}", approval, reason)


def _record(actor: Actor, action: str, approval: Approval, reason: str) -> None:
    # The installation's own event: the customer's trail has what was done to the customer.
    audit.record(
        actor, None, action, approval, reason=reason, kind=approval.kind, about=approval.about,
        changes=approval.changes, asked_by=approval.asked_by.email,
    )  # fmt: skip
