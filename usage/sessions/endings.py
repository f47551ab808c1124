"""Which sessions a person may end (`billing/limits/ended_sessions.py`), and whose a session is."""

from typing import Final, NamedTuple
from uuid import UUID

from django.http import Http404

from accounts.access.actors import Actor
from accounts.models import Organisation, User
from usage.filters.filters import Scope
from usage.filters.visibility import Period, run, where_of


class Endable(NamedTuple):
    """A session that the actor may end or reopen. `name` is the client's name for it, or ""."""

    id: UUID
    name: str


def access_endable(actor: Actor, id: UUID | None) -> Endable:
    """Return a session that the actor may end. A session exists from its first request on, even
    while that is still running. Raises Http404, and AccessDenied if the actor may end none."""
    where = where_of(actor, "sessions.write", Scope(session_id=id), Period(), of="records")
    rows = run(_FOUND.format(where=where.text), where.parameters) if id is not None else []
    if id is None or not rows:
        raise Http404
    return Endable(id, rows[0][0] or "")


def organisation_of_session(user: User, id: UUID | None) -> Organisation:
    """Return the one of a person's organisations that has requests of a session; for an operator,
    one of all. Raises Http404."""
    organisations = Organisation.objects.all()
    if not user.operator:
        organisations = organisations.filter(memberships__user=user)
    ids = list(organisations.values_list("id", flat=True))
    rows = run(_ORGANISATION, {"session": id, "organisations": ids}) if id is not None else []
    if not rows:
        raise Http404
    return organisations.get(id=rows[0][0])


_ORGANISATION: Final = """
    SELECT r.organisation_id FROM usage_usagerecord r
    WHERE r.organisation_id = ANY (%(organisations)s) AND r.session_id = %(session)s AND r.final
    LIMIT 1"""
_FOUND: Final = """
    (SELECT r.session->>'name' FROM usage_usagerecord r WHERE {where} AND r.final LIMIT 1)
    UNION ALL
    (SELECT r.session->>'name' FROM usage_attempt r WHERE {where} AND r.id IN (
        SELECT hold.id FROM billing_hold hold
        WHERE hold.state = 'open' AND hold.organisation_id = %(organisation)s) LIMIT 1)"""
