"""Which columns and how many rows a person wants to see of each table."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest

from accounts.access.actors import Actor
from accounts.models import TablePreference, User
from lib.tables.table import NO_PREFERENCE, PAGE_SIZES, Preference, State, Table


def read_table(table: Table, request: HttpRequest, actor: Actor | None, **known: Any) -> State:
    """Return the table state that a request asks for, with the reader's preferences. `known` is as
    for `Table.read`."""
    user = actor.user if actor else None
    return table.read(dict(request.GET.lists()), preference_of(user, table), **known)


def preference_of(user: User | None, table: Table) -> Preference:
    """Return the person's preference for a table."""
    if user is None:
        return NO_PREFERENCE
    kept = TablePreference.objects.filter(user=user, table=table.name).first()
    return Preference(tuple(kept.columns), kept.page_size) if kept else NO_PREFERENCE


def keep_preference(user: User, table: Table, preference: Preference) -> None:
    """Store a person's preference, or delete it if it equals the default."""
    if preference == NO_PREFERENCE:
        TablePreference.objects.filter(user=user, table=table.name).delete()
        return
    TablePreference.objects.update_or_create(
        user=user,
        table=table.name,
        defaults={"columns": list(preference.columns), "page_size": preference.page_size},
    )


def apply_form(table: Table, kept: Preference, form: Mapping[str, Sequence[str]]) -> Preference:
    """Return the preference after a form was sent. The form has the ticked columns in order; `up`
    and `down` move one column by one place, `reset` restores the defaults. A form with only
    `page_size` keeps the columns."""
    if "reset" in form:
        return NO_PREFERENCE
    size = next((n for n in PAGE_SIZES if [str(n)] == list(form.get("page_size", ()))), 0)
    if "column" not in form:
        return Preference(kept.columns, size or kept.page_size)
    known = {column.name for column in table.columns}
    names = [name for name in dict.fromkeys(form["column"]) if name in known]
    for step, moved in ((-1, form.get("up", ())), (1, form.get("down", ()))):
        for name in moved:
            names = _move_column(names, name, step)
    default = [column.name for column in table.columns if column.chosen]
    return Preference(() if names == default else tuple(names), size or kept.page_size)


def _move_column(names: list[str], name: str, step: int) -> list[str]:
    if name not in names:
        return names
    rest = [other for other in names if other != name]
    place = min(max(names.index(name) + step, 0), len(rest))
    return [*rest[:place], name, *rest[place:]]
