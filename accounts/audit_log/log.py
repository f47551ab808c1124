"""Read the audit trail: which events a reader may see, and their description."""

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext

from accounts.access import access
from accounts.access.actors import Actor, organisation_of
from accounts.audit_log.facts import NAMES, Names, facts_of, names_of
from accounts.audit_log.sentences import kinds_of, sentence_html, sentence_text
from accounts.audit_log.words import object_word
from accounts.models import AuditCheck, AuditEvent, Key, User
from accounts.names.names import check_email
from lib import clock
from lib.ids import id_text, parse_id
from lib.refusal import Refused
from lib.sentences import join_words, named_text

_BATCH: Final = 1000
_RECENT: Final = 2000
_CHOICES_MAX: Final = 500
_NOTHING: Final = "–"
# Other objects have another kind of request in their details.
_ABOUT_REQUESTS: Final = frozenset({"entry", "feedback", "review"})


@dataclass(frozen=True)
class AuditFilter:
    """The wanted events. `actor` is a part of an email address or of a key's name, or a key's id; a
    whole address stands for this person alone.
    `action` is a prefix, `act` is what was done. `object` is an id or the prefix of a type;
    `objects` are types. `request` is the id of the request that caused the event, or of one that it
    is about."""

    actor: str = ""
    action: str = ""
    act: str = ""
    object: str = ""
    objects: Collection[str] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    organisation: str = ""
    request: str = ""


class Change(NamedTuple):
    """The change of one field. Only `after` is set if there was no value before."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class EventDisplay:
    """An event with its actor and the names of what it refers to."""

    event: AuditEvent
    user: User | None
    key: Key | None
    names: Names

    @property
    def who(self) -> str:
        """Return the address of the person, or the name of the key that belongs to nobody, or else
        that of the installation."""
        if self.user is not None:
            return self.user.email
        return self.key.name if self.key else pgettext("actor", "System")

    @property
    def sentence(self) -> str:
        """What happened, as plain text."""
        return sentence_text(self.event.action, self._facts, own=self._own)

    @property
    def sentence_html(self) -> SafeString:
        """What happened, for a page."""
        return sentence_html(self.event.action, self._facts, own=self._own)

    @cached_property
    def _facts(self) -> dict[str, str]:
        return facts_of(self.event, self._acting, self.object_word, self.names)

    @property
    def _acting(self) -> str:
        if self.user is not None:
            return self.user.name or self.user.email
        if self.key is not None:
            return gettext("API key %(name)s") % {"name": self.key.name}
        return pgettext("actor", "System")

    @property
    def about_request(self) -> str:
        """The id of the request of a model that the event is about, "" if there is none."""
        about = self.event.object_type in _ABOUT_REQUESTS
        return str(self.event.detail.get("request", "")) if about else ""

    @property
    def _own(self) -> bool:
        event = self.event
        return event.object_type == "user" and event.object_id == str(event.actor_user_id)

    @property
    def object(self) -> str:
        detail = self.event.detail
        name = next((str(detail[name]) for name in NAMES if detail.get(name)), "")
        return " ".join((self.object_word, name or self.event.object_id))

    @property
    def object_word(self) -> str:
        return object_word(self.event.object_type)

    @property
    def via(self) -> str:
        """The means of the action: a key or a session."""
        if self.key is not None:
            return f"{self.key.name} …{self.key.last4}"
        return self.event.session

    @property
    def changes(self) -> list[Change]:
        return changes_of(self.event.detail)

    @property
    def summary(self) -> str:
        """Describe the change in one line, without values that were empty from the start."""
        return join_words(
            named_text(
                change.name,
                f"{change.before} → {change.after}" if change.before else change.after,
            )
            for change in self.changes
            if change.before or change.after not in ("", _NOTHING)
        )


def visible_events(actor: Actor) -> QuerySet[AuditEvent]:
    """Return the events of the actor's organisation, newest first. An actor limited to teams gets
    only theirs."""
    access.require(actor, "audit.read")
    events = AuditEvent.objects.filter(organisation=organisation_of(actor))
    if access.scope_of(actor, "audit.read") == "teams":
        events = events.filter(_team_query(actor.teams or frozenset()))
    return _newest(events)


def all_events(actor: Actor) -> QuerySet[AuditEvent]:
    """Return the events of the whole installation, newest first, for operators."""
    access.require(actor, "audit.read")
    return _newest(AuditEvent.objects.all())


def access_event(events: QuerySet[AuditEvent], id: str) -> AuditEvent:
    """Return one of these events. Raises Http404."""
    return access.get_by_id(events, id)


def filter_events(events: QuerySet[AuditEvent], wanted: AuditFilter) -> QuerySet[AuditEvent]:
    """Return the events that match the filter."""
    if wanted.actor:
        events = events.filter(_actor_query(wanted.actor))
    if wanted.action:
        events = events.filter(action__startswith=wanted.action)
    if wanted.act:
        events = events.filter(action__in=kinds_of(wanted.act))
    if wanted.objects:
        events = events.filter(object_type__in=wanted.objects)
    if wanted.object:
        events = events.filter(
            Q(object_id=wanted.object) | Q(object_type__startswith=wanted.object.lower())
        )
    if wanted.since:
        events = events.filter(at__gte=wanted.since)
    if wanted.until:
        events = events.filter(at__lt=wanted.until)
    if wanted.organisation:
        events = events.filter(organisation__slug=wanted.organisation)
    if wanted.request:
        events = events.filter(
            Q(request_id=wanted.request)
            | Q(detail__request=wanted.request)
            | Q(detail__requests__contains=[wanted.request])
        )
    return events


def describe_events(events: Sequence[AuditEvent]) -> list[EventDisplay]:
    """Return the events with the names of what they refer to, with one query for each type."""
    users = User.objects.in_bulk([event.actor_user_id for event in events if event.actor_user_id])
    keys = Key.objects.in_bulk([event.actor_key for event in events if event.actor_key])
    names = names_of(events)
    return [
        EventDisplay(
            event,
            users.get(event.actor_user_id or 0),
            keys.get(event.actor_key) if event.actor_key else None,
            names,
        )
        for event in events
    ]


def possible_actors(events: QuerySet[AuditEvent], belong: Q) -> tuple[list[User], list[Key]]:
    """Return who may have acted: the people in `belong`, and everybody behind the newest of the
    events."""
    recent = list(events.order_by("-id").values_list("actor_user_id", "actor_key")[:_RECENT])
    acted = Q(id__in={person for person, _ in recent if person})
    people = User.objects.filter(acted | belong).distinct().order_by("email")[:_CHOICES_MAX]
    keys = Key.objects.filter(id__in={key for _, key in recent if key})
    return list(people), list(keys[:_CHOICES_MAX])


def changes_of(detail: dict[str, Any]) -> list[Change]:
    """List an event's details by name: before and after for a change, else the value."""
    before, after = detail.get("before"), detail.get("after")
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [Change(name, "", _text(value)) for name, value in detail.items()]
    rest = {name: value for name, value in detail.items() if name not in ("before", "after")}
    return [
        *(
            Change(name, _text(before[name]) if name in before else "", _text(after.get(name)))
            for name in {**before, **after}
            if before.get(name) != after.get(name) or name not in before
        ),
        *(Change(name, "", _text(value)) for name, value in rest.items()),
    ]


def serialize_event(one: EventDisplay) -> dict[str, Any]:
    """Return an event as a JSON object, for the management API and JSON Lines files."""
    event, detail = one.event, dict(one.event.detail)
    is_change = isinstance(detail.get("before"), dict) and isinstance(detail.get("after"), dict)
    return {
        "id": id_text(event.id),
        "at": clock.rfc3339(event.at),
        "organisation": event.organisation.slug if event.organisation else None,
        "action": event.action,
        "actor": {
            "user": one.user.email if one.user else None,
            "key": id_text(event.actor_key) if event.actor_key else None,
        },
        "object": {"type": event.object_type, "id": event.object_id},
        "before": detail.pop("before") if is_change else None,
        "after": detail.pop("after") if is_change else None,
        "detail": detail,
        "reason": event.reason,
        "address": event.address,
        "client": event.client,
        "session": event.session,
        "request": event.request_id,
    }


def json_lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """Yield all events, newest first, as JSON lines in chunks."""
    last: AuditEvent | None = None
    while batch := list((events.filter(id__lt=last.id) if last else events)[:_BATCH]):
        yield "".join(
            json.dumps(serialize_event(one), ensure_ascii=False) + "\n"
            for one in describe_events(batch)
        )
        last = batch[-1]


def last_check() -> AuditCheck | None:
    """Return the result of the last check of the chain, or None."""
    return AuditCheck.objects.first()


def _newest(events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
    return events.select_related("organisation").order_by("-id")


def _team_query(teams: frozenset[UUID]) -> Q:
    """Build the condition for the events of teams: changes to the teams or their keys, and what
    their keys did."""
    keys = list(Key.objects.filter(team__in=teams).values_list("id", flat=True))
    return (
        Q(object_type="team", object_id__in=[id_text(id) for id in teams])
        | Q(object_type="key", object_id__in=[id_text(id) for id in keys])
        | Q(actor_key__in=keys)
    )


def _actor_query(text: str) -> Q:
    """Build the condition for the events of an actor. A whole address is not a part of another."""
    text = text.strip()
    way = "iexact" if _is_address(text) else "icontains"
    users = User.objects.filter(**{f"email__{way}": text})
    keys = Key.objects.filter(**{f"name__{way}": text})
    query = Q(actor_user__in=users.values("id")) | Q(actor_key__in=keys.values("id"))
    id = parse_id(text)
    return query | Q(actor_key=id) if id else query


def _is_address(text: str) -> bool:
    try:
        return bool(check_email("actor", text))
    except Refused:
        return False


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable) and not isinstance(value, dict):
        return ", ".join(map(_text, value)) or _NOTHING
    return _NOTHING if value is None else json.dumps(value, ensure_ascii=False)
