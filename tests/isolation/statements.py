"""What a statement reads: the rows of a person alone, or those in one organisation (P12).

A table with an `organisation_id` is asked for somebody's rows only together with the organisation
or with the row's own id. Statements are read as they are sent, both Django's and those written by
hand; what joins two tables names neither a person nor an organisation.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from django.apps import apps

from accounts.models import User

_ORGANISATION: Final = "organisation_id"
_WORD: Final = r'"?(\w+)"?'
_SOURCE: Final = re.compile(
    rf"\b(?:FROM|JOIN|UPDATE|USING)\s+{_WORD}(?:\s+(?:AS\s+)?{_WORD})?", re.I
)
_VALUE: Final = r"%s|%\(\w+\)s"
_CONDITION: Final = re.compile(
    rf"(?:lower\()?(?:{_WORD}\.)?{_WORD}(?:::text)?\)?\s*(?:=|IN)\s*(?:ANY\s*)?"
    rf"(?:\(|UPPER\(|lower\()*((?:{_VALUE})(?:, (?:{_VALUE}))*)",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = re.compile(rf"%%|{_VALUE}")


class _Condition(NamedTuple):
    """A column that is compared with parameters; `places` say which."""

    tables: frozenset[str]
    column: str
    places: tuple[int | str, ...]


@cache
def person_columns() -> Mapping[str, frozenset[str]]:
    """The columns that name a person, of each table whose rows are an organisation's."""
    tables = dict[str, frozenset[str]]()
    for model in apps.get_models(include_auto_created=True):
        columns = {field.column for field in model._meta.concrete_fields}
        people = {
            str(field.column)
            for field in model._meta.concrete_fields
            if field.related_model is User or field.column == "user_id"
        }
        if model._meta.model_name == "invitation":
            people.add("email")
        if _ORGANISATION in columns and people:
            tables[model._meta.db_table] = frozenset(people)
    return tables


def read_by_person_alone(sql: str, params: Any, asker: User | None) -> Iterator[str]:
    """Yield the tables of which a statement asks for rows of somebody else than the asker, without
    saying in which organisation."""
    conditions = _conditions(sql)
    named = {
        table
        for one in conditions
        for table in one.tables
        if one.column in (_ORGANISATION, "id") and _values(one, params)
    }
    if any(
        "accounts_organisation" in one.tables and one.column in ("slug", "id") for one in conditions
    ):
        return
    for one in conditions:
        for table in one.tables - named:
            if one.column in person_columns().get(table, ()):
                own = {asker.pk, str(asker.pk), asker.email} if asker else set()
                if not own.issuperset(_values(one, params)):
                    yield table


@lru_cache(maxsize=5_000)
def _conditions(sql: str) -> Sequence[_Condition]:
    # Most statements name no table that has people, and the others take a while to read.
    if not any(table in sql for table in person_columns()):
        return ()
    sources = dict[str, str]()
    for table, alias in _SOURCE.findall(sql):
        sources[table] = table
        if alias:
            sources[alias] = table
    found = []
    placeholders = [one.start() for one in _PLACEHOLDER.finditer(sql) if one[0] == "%s"]
    for match in _CONDITION.finditer(sql):
        alias, column, values = match.groups()
        tables = {sources.get(alias, alias)} if alias else set(sources.values())
        before = bisect_left(placeholders, match.start(3))
        places = tuple(
            before + n if value == "%s" else value[2:-2]
            for n, value in enumerate(_PLACEHOLDER.findall(values))
        )
        found.append(_Condition(frozenset(tables), column.lower(), places))
    return found


def _values(condition: _Condition, params: Any) -> list[Any]:
    values = []
    for place in condition.places:
        value = params[place] if params else None
        values += list(value) if isinstance(value, list | tuple) else [value]
    return [value for value in values if value is not None]
