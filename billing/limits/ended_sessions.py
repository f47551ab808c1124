"""End and reopen sessions. An ended session's next request is refused, and its running requests end
within a second (`relay/credentials/revocation.py`)."""

from uuid import UUID

from django.db import transaction

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.audit.epoch import bump_epoch
from accounts.models import Organisation
from billing.ledger.ledger import lock_wallet
from billing.models import EndedSession


def end_session(
    actor: Actor, organisation: Organisation, session_id: UUID, name: str
) -> EndedSession:
    """End a session. Ending it again changes nothing. The actor must have access to the session.
    `name` is the client's name for it."""
    with transaction.atomic():
        # Under this lock nothing is admitted, so every request admitted before is found running.
        lock_wallet(organisation.id)
        ended, is_new = EndedSession.objects.get_or_create(
            session_id=session_id, defaults={"organisation": organisation}
        )
        if is_new:
            audit.record(actor, organisation, "agent_session.ended", ended, name=name)
            bump_epoch()
    return ended


def reopen_session(actor: Actor, organisation: Organisation, session_id: UUID, name: str) -> None:
    """Reopen an ended session. A session that was not ended stays as it is."""
    with transaction.atomic():
        lock_wallet(organisation.id)
        ended = EndedSession.objects.filter(session_id=session_id).first()
        if ended is None:
            return
        audit.record(actor, organisation, "agent_session.reopened", ended, name=name)
        ended.delete()
