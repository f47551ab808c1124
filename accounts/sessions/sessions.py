"""Sessions of the pages: their person, their lifetime, and their end.

A cookie opens a Django session. A row of allauth.usersessions records its person, its origin and
its last use. Both are stored under the digest of the session's key. Ending a session deletes both.
Streams learn of the end by CHANNEL, or ask `is_alive`.
"""

import datetime as dt
import ipaddress
from collections.abc import Collection, Sequence
from typing import Final

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.usersessions.models import UserSession
from django.contrib.auth import logout
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from accounts.access.actors import SYSTEM, Actor
from accounts.audit import audit
from accounts.models import SetUpLink, SignInLink, User
from accounts.sessions.rules import is_over
from accounts.sessions.store import SessionStore, session_digest
from lib import clock

CHANNEL: Final = "weir_session_ended"
"""The channel that is notified when the end of a session commits. The payload is the
`session_digest`."""

_SEEN_EACH: Final = dt.timedelta(minutes=1)


def end(user: User, reason: str, *, but: str | None = None, actor: Actor = SYSTEM) -> int:
    """End all sessions of the person, except the one with the key `but`, and the person's sign-in
    links. Return how many sessions ended. `reason` is the audit action. The next request of an
    ended session is refused, and its open streams end."""
    others = sessions_of(user)
    if but is not None:
        others = others.exclude(session_key=session_digest(but))
    with transaction.atomic():
        SignInLink.objects.filter(user=user, used_at=None).delete()
        return _end(others, user, reason, actor)


def end_one(user: User, id: int, actor: Actor) -> int:
    """End the session of that row if it belongs to the person. Return how many were ended."""
    return _end(sessions_of(user).filter(pk=id), user, "session.ended", actor)


def end_signed_in_by(
    people: Collection[User], providers: Collection[str], reason: str, *, but: str | None = None
) -> int:
    """End the sessions of these people that were authenticated by one of these identity providers,
    except the one with the key `but`. Return how many."""
    kept = session_digest(but) if but is not None else ""
    ended = 0
    for user in people:
        rows = {row.session_key: row.pk for row in sessions_of(user) if row.session_key != kept}
        stored_sessions = Session.objects.filter(session_key__in=rows)
        chosen = [
            rows[one.session_key] for one in stored_sessions if _names_provider(one, providers)
        ]
        ended += _end(sessions_of(user).filter(pk__in=chosen), user, reason, SYSTEM)
    return ended


def _names_provider(session: Session, providers: Collection[str]) -> bool:
    records = SessionStore().decode(session.session_data).get(AUTHENTICATION_METHODS_SESSION_KEY)
    return any(record.get("provider") in providers for record in records or ())


def end_all() -> int:
    """End everybody's sessions and all one-time sign-in links. Return the number of sessions."""
    with transaction.atomic():
        SignInLink.objects.all().delete()
        SetUpLink.objects.all().delete()
        UserSession.objects.all().delete()
        digests = list(Session.objects.values_list("session_key", flat=True))
        Session.objects.all().delete()
        _notify(digests)
    return len(digests)


def sessions_of(user: User) -> QuerySet[UserSession]:
    """Return the person's sessions, the most recently used first."""
    sessions: QuerySet[UserSession] = UserSession.objects.filter(user=user)
    return sessions.order_by("-last_seen_at", "-pk")


def living_sessions_of(user: User) -> list[UserSession]:
    """Return the person's sessions that are still valid."""
    now = clock.now()
    rows = list(sessions_of(user))
    keys = {row.session_key for row in rows}
    kept = Session.objects.filter(session_key__in=keys, expire_date__gt=now)
    living = set(kept.values_list("session_key", flat=True))
    return [
        row
        for row in rows
        if row.session_key in living
        and not is_over(row.created_at, row.last_seen_at, now, operator=user.operator)
    ]


def is_alive(session_key: str) -> bool:
    """Return whether a request with that session would be accepted now. Takes one query."""
    digest = session_digest(session_key)
    row = UserSession.objects.select_related("user").filter(session_key=digest).first()
    if row is None or not row.user.is_active:
        return False
    if is_over(row.created_at, row.last_seen_at, clock.now(), operator=row.user.operator):
        return False
    return bool(Session.objects.filter(session_key=digest).exists())


def _end(sessions: QuerySet[UserSession], user: User, reason: str, actor: Actor) -> int:
    with transaction.atomic():
        digests = list(sessions.values_list("session_key", flat=True))
        if not digests:
            return 0
        Session.objects.filter(session_key__in=digests).delete()
        UserSession.objects.filter(session_key__in=digests).delete()
        audit.record(actor, None, "sessions.ended", user, count=len(digests), reason=reason)
        _notify(digests)
    return len(digests)


def _notify(digests: Sequence[str]) -> None:
    with connection.cursor() as cursor:
        for digest in digests:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, digest])


# Every request ----------------------------------------------------------------------------------


class SessionBounds(MiddlewareMixin):
    """Ends a session that is too old or was idle for too long, and records when a session was
    used."""

    def process_request(self, request: HttpRequest) -> HttpResponseBase | None:
        key = request.session.session_key
        if key and isinstance(request.user, User):
            _follow(request, request.user, session_digest(key))
        request.begun_with = key  # type: ignore[attr-defined]
        return None

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        # A sign-in or a password change has replaced the session that the request came with.
        key = request.session.session_key
        another = key is not None and key != getattr(request, "begun_with", key)
        if another and isinstance(request.user, User):
            _begin(request, request.user, session_digest(str(key)))
        return response


def _follow(request: HttpRequest, user: User, digest: str) -> None:
    row = UserSession.objects.filter(session_key=digest).first()
    if row is None:
        _begin(request, user, digest)
        return
    now = clock.now()
    if is_over(row.created_at, row.last_seen_at, now, operator=user.operator):
        end_one(user, row.pk, SYSTEM)
        logout(request)
    elif now - row.last_seen_at >= _SEEN_EACH and not _is_background(request):
        _note(request, row, now)


def _begin(request: HttpRequest, user: User, digest: str) -> None:
    """Record the person of a new session, and delete the records of the person's expired
    sessions."""
    alive = Session.objects.values("session_key")
    UserSession.objects.filter(user=user).exclude(session_key__in=alive).delete()
    fields = {"user": user, **_client_of(request)}
    UserSession.objects.get_or_create(session_key=digest, defaults=fields)


def _note(request: HttpRequest, row: UserSession, now: dt.datetime) -> None:
    UserSession.objects.filter(pk=row.pk).update(last_seen_at=now, **_client_of(request))


def _client_of(request: HttpRequest) -> dict[str, str]:
    length = UserSession._meta.get_field("user_agent").max_length
    agent = request.META.get("HTTP_USER_AGENT", "")[:length]
    return {"ip": client_address(request), "user_agent": agent}


def _is_background(request: HttpRequest) -> bool:
    """Return whether an open page sent the request by itself, which does not count as use of the
    session."""
    accept = request.headers.get("accept", "")
    return "/_f/" in request.path or "text/event-stream" in accept


def client_address(request: HttpRequest) -> str:
    """Return the client address of a request. The server has applied the headers of trusted
    proxies; headers from other clients are ignored. Return `::` if there is no address, as behind a
    Unix socket."""
    address: str = request.META.get("REMOTE_ADDR", "")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "::"
    return address
