"""Saved views: the filters of a page of usage, under a name."""

import datetime as dt
from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext

from accounts.access.access import AccessDenied, get_by_id, require
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.audit import audit
from accounts.audit.changes import lock_row
from accounts.models import User
from lib.refusal import Refused, check_text
from usage.models import ReportSchedule, SavedView, ViewPage

NAME_MAX: Final = 80
VIEWS_MAX: Final = 100
"""The maximum number of views of one person in an organisation."""
_QUERY_MAX: Final = 4000
# A position in a list, and a download format, are not part of a view.
_PASSING: Final = frozenset({"after", "before", "export"})


def visible_views(actor: Actor) -> QuerySet[SavedView]:
    """Return the actor's own views and the shared ones, by name. An operator who views the
    organisation in a role has no own views."""
    require(actor, "usage.read")
    theirs = Q(shared=True)
    if actor.user is not None and not actor.viewing and actor.model_key is None:
        theirs |= Q(user=actor.user)
    return SavedView.objects.filter(theirs, organisation=actor.organisation).select_related("user")


def access_view(actor: Actor, id: str) -> SavedView:
    """Return one view that the actor sees. Raises Http404."""
    return get_by_id(visible_views(actor), id)


def require_person(actor: Actor) -> None:
    """Raise AccessDenied for a key that calls models, and for a key without a person, because these
    have no views."""
    require(actor, "usage.read")
    if actor.user is None or actor.model_key is not None:
        raise AccessDenied(gettext("Only people have saved views. Use a management key of yours."))


def own_view(actor: Actor, id: str) -> SavedView:
    """Return one of the actor's own views, which nobody else can change. Raises Http404."""
    require_person(actor)
    return get_by_id(visible_views(actor).filter(user=actor.user), id)


def save_view(
    actor: Actor, page: str, name: str, query: str, *, shared: bool, replace: bool = True
) -> SavedView:
    """Save the filters of a page. The actor's own view with that page and name is replaced, or
    refused without `replace`. Raises Refused."""
    require_person(actor)
    if page not in ViewPage.values:
        raise Refused("page", gettext("Choose one of: %s") % ", ".join(ViewPage.values))
    organisation, person, name = organisation_of(actor), person_of(actor), _name(name)
    own = SavedView.objects.filter(organisation=organisation, user=person)
    with transaction.atomic():
        _lock_views(person.pk)
        if not own.filter(page=page, name=name).exists():
            if own.count() >= VIEWS_MAX:
                raise Refused("name", gettext("You have %d views. Delete one first.") % VIEWS_MAX)
        elif not replace:
            raise _name_taken(name)
        view, _ = SavedView.objects.update_or_create(
            organisation=organisation,
            user=person,
            page=page,
            name=name,
            defaults={"query": _lasting(query), "shared": shared},
        )
        audit.record(actor, organisation, "view.saved", view, name=view.name, shared=shared)
    return view


def _lock_views(user_id: int) -> None:
    """Lock a person's row, so that nobody else counts or names their views at the same time."""
    User.objects.select_for_update(no_key=True).get(pk=user_id)


def _name_taken(name: str) -> Refused:
    text = gettext("You already have a view named %(name)s.") % {"name": name}
    return Refused("name", text, already_exists=True)


def change_view(
    actor: Actor,
    view: SavedView,
    name: str | None,
    *,
    shared: bool | None,
    query: str | None = None,
) -> SavedView:
    """Change the name, the sharing or the query of a view, if given. Raises Refused, Http404 if it
    was deleted in the meantime."""
    with transaction.atomic():
        _lock_views(view.user_id)
        view = lock_row(view)
        before = _audit_details(view)
        if name is not None:
            view.name = _name(name)
        if shared is not None:
            view.shared = shared
        if query is not None:
            view.query = _lasting(query)
        after = _audit_details(view)
        same = SavedView.objects.filter(
            organisation=view.organisation_id, user=view.user_id, page=view.page, name=view.name
        )
        if same.exclude(id=view.id).exists():
            raise _name_taken(view.name)
        if before != after:
            view.save(update_fields=["name", "shared", "query"])
            audit.record(
                actor, organisation_of(actor), "view.changed", view, before=before, after=after
            )
    return view


def _audit_details(view: SavedView) -> dict[str, object]:
    return {"name": view.name, "shared": view.shared, "query": view.query}


def delete_view(actor: Actor, view: SavedView) -> None:
    """Delete a view."""
    with transaction.atomic():
        audit.record(actor, organisation_of(actor), "view.deleted", view, name=view.name)
        view.delete()


def _name(text: str) -> str:
    name = check_text("name", text, NAME_MAX)
    if not name:
        raise Refused("name", gettext("Enter a name for the view."))
    return name


def _lasting(query: str) -> str:
    """Return the query without temporary parameters. Raises Refused if it is too long for an
    address."""
    try:
        parts = parse_qsl(query, max_num_fields=500)
    except ValueError:
        parts = [("", "")] * 501
    lasting = urlencode([part for part in parts if part[0] not in _PASSING])
    if len(lasting) > _QUERY_MAX or len(parts) > 500 or "%00" in lasting:
        raise Refused("name", gettext("These filters cannot be saved."))
    return lasting


def find_schedule(view: SavedView) -> ReportSchedule | None:
    """Return when a view is sent, or None. The caller has checked access to the view."""
    return ReportSchedule.objects.filter(view=view).first()


def access_schedule(actor: Actor, id: str) -> ReportSchedule:
    """Return the schedule of one of the actor's own views, by the view's id. Raises Http404."""
    schedule = find_schedule(own_view(actor, id))
    if schedule is None:
        raise Http404
    return schedule


def due_times(views: Collection[SavedView]) -> dict[UUID, dt.datetime]:
    """Return when each of these views is sent next, by id."""
    rows = ReportSchedule.objects.filter(view__in=views)
    return dict(rows.values_list("view", "due_at"))
