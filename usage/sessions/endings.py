"""Sessions that somebody ends: the next request of one is refused, and its running requests end
within a second (`relay/credentials/revocation.py`)."""

from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.http import Http404

from accounts.access.actors import Actor, organisation_of
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from billing.ledger.accounts import WALLET_KINDS
from billing.ledger.ledger import open_and_lock
from billing.models import BudgetWindow, EndedSession
from usage.reports.filters import Scope
from usage.reports.visibility import Period, run, where_of


class Endable(NamedTuple):
    """A session that the actor may end or reopen. `name` is what its client calls it, or ""."""

    id: UUID
    name: str


def access_endable(actor: Actor, id: UUID | None) -> Endable:
    """Return a session that the actor may end: one with requests, also if the first one still runs.
    Raises Http404, and AccessDenied if the actor may end none.
    """
    where = where_of(actor, "sessions.write", Scope(session_id=id), Period(), of="records")
    rows = run(_FOUND.format(where=where.text), where.parameters) if id is not None else []
    if id is None or not rows:
        raise Http404
    return Endable(id, rows[0][0] or "")


def end_session(actor: Actor, session: Endable) -> EndedSession:
    """End a session; one that is ended stays so."""
    organisation = organisation_of(actor)
    with transaction.atomic():
        # No admission is beside it, so that all that was admitted before is found running.
        open_and_lock([organisation.id], WALLET_KINDS)
        ended, is_new = EndedSession.objects.get_or_create(
            session_id=session.id, defaults={"organisation": organisation}
        )
        if is_new:
            audit.record(actor, organisation, "agent_session.ended", ended, name=session.name)
            bump_epoch()
    return ended


def reopen_session(actor: Actor, session: Endable) -> None:
    """Let a session continue that was ended; one that was not stays as it is."""
    organisation = organisation_of(actor)
    with transaction.atomic():
        open_and_lock([organisation.id], WALLET_KINDS)
        ended = EndedSession.objects.filter(session_id=session.id).first()
        if ended is None:
            return
        audit.record(actor, organisation, "agent_session.reopened", ended, name=session.name)
        ended.delete()


def organisation_of_session(id: UUID | None) -> Organisation:
    """Return the organisation of a session that was ended or that has a limit, before it is known
    who asks. Raises Http404.
    """
    if id is None:
        raise Http404
    ended = EndedSession.objects.filter(session_id=id).select_related("organisation").first()
    if ended is not None:
        return ended.organisation
    windows = BudgetWindow.objects.filter(session_id=id)
    window = windows.select_related("organisation", "budget__organisation").first()
    if window is None:
        raise Http404
    organisation = window.budget.organisation if window.budget else window.organisation
    if organisation is None:
        raise Http404
    return organisation


_FOUND: Final = """
    (SELECT r.session->>'name' FROM usage_usagerecord r WHERE {where} AND r.final LIMIT 1)
    UNION ALL
    (SELECT r.session->>'name' FROM usage_attempt r WHERE {where} AND r.id IN (
        SELECT hold.id FROM billing_hold hold
        WHERE hold.state = 'open' AND hold.organisation_id = %(organisation)s) LIMIT 1)"""
