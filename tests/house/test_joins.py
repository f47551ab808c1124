"""What a statement joins to a row is one row: its conditions name a key of the joined table, or it
is written down why there may be several. A condition beyond the key is written down with what it
keeps out, so that none is lost unnoticed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from django.apps import apps
from django.db.models import UniqueConstraint

from tests.house.join_conditions import FURTHER, SEVERAL
from tests.house.test_style import ROOMS, ROOT

_JOIN: Final = re.compile(r"\bJOIN\s+(\w+)(?:\s+(?:AS\s+)?(?!ON\b|USING\b)(\w+))?\s+(ON|USING)\b")
_CLAUSE: Final = re.compile(
    r"\b(?:LEFT|RIGHT|FULL|INNER|CROSS|JOIN|WHERE|GROUP|ORDER|LIMIT|FOR|UNION|RETURNING"
    r"|ON CONFLICT)\b|\"\"\"|[;,\")]"
)
_EXISTS: Final = re.compile(
    r"\bEXISTS\s*\(\s*SELECT(?:\s+1)?\s+FROM\s+(\w+)(?:\s+(\w+))?\s+WHERE\b"
)
# The statements that search the books for faults: their tests plant one of each.
_CHECKS: Final = "usage/books/"
_AND: Final = re.compile(r"\bAND\b")
# What may stand between two texts of Python that follow each other.
_JOINT: Final = re.compile(r'"\s*f?"')


class Join(NamedTuple):
    """A join: its file, the table, and the conditions."""

    path: str
    table: str
    alias: str
    conditions: Sequence[str]

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the table that are equal to something else than a column of itself."""
        name, found = re.escape(self.alias), set()
        for condition in self.conditions:
            left, equals, right = condition.partition(" = ")
            if equals:
                for side, other in ((left, right), (right, left)):
                    column = re.fullmatch(rf"{name}\.(\w+)(?:::\w+)?", side.strip())
                    if column and not re.search(rf"\b{name}\.", other):
                        found.add(column[1])
        return frozenset(found)


def joins_in(path: str, text: str) -> Iterator[Join]:
    for match in _JOIN.finditer(text):
        table, alias, kind = match.groups()
        rest = text[match.end() :]
        if kind == "USING":
            columns = re.split(r"\s*,\s*", rest[rest.index("(") + 1 : rest.index(")")])
            alias = alias or table
            yield Join(path, table, alias, [f"{alias}.{name} = {name}" for name in columns])
        else:
            conditions = [" ".join(one.split()) for one in _split(_clause(rest))]
            yield Join(path, table, alias or table, conditions)


def subqueries_in(path: str, text: str) -> Iterator[Join]:
    """Each EXISTS, as if it were a join."""
    for match in _EXISTS.finditer(text):
        conditions = [" ".join(one.split()) for one in _split(_clause(text[match.end() :]))]
        yield Join(path, match[1], match[2] or match[1], conditions)


def _clause(text: str) -> str:
    """The text up to the next clause that is in no brackets."""
    depth = 0
    for match in re.finditer(r"\(|" + _CLAUSE.pattern, text):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")" and depth:
            depth -= 1
        elif not depth:
            return text[: match.start()]
    return text


def _split(text: str) -> Iterator[str]:
    """The conditions between each AND that is in no brackets."""
    begin = 0
    for match in _AND.finditer(text):
        before = text[: match.start()]
        is_between = re.search(r"\bBETWEEN\b(?!.*\bAND\b)", before[begin:], re.S)
        if before.count("(") == before.count(")") and not is_between:
            yield text[begin : match.start()]
            begin = match.end()
    yield text[begin:]


@cache
def statements() -> tuple[Sequence[Join], Sequence[Join]]:
    """All joins, and all subqueries with EXISTS."""
    joins, subqueries = list[Join](), list[Join]()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                name, text = str(path.relative_to(ROOT)), _JOINT.sub("", path.read_text())
                joins += joins_in(name, text)
                subqueries += subqueries_in(name, text)
    return joins, subqueries


def without_key() -> Iterator[str]:
    """The joins to a table by no key of it."""
    for join in statements()[0]:
        if join.table in keys() and key_of(join) is None:
            yield f"{join.path}: {join.table} ON {' AND '.join(join.conditions)}"


def further() -> Iterator[str]:
    """The conditions beyond a key, and of what has no key all if there are several."""
    joins, subqueries = statements()
    for join in joins:
        if join.path.startswith(_CHECKS):
            continue
        if key_of(join) or (
            join.table not in keys()
            and not join.table.startswith("pg_")
            and len(join.conditions) > 1
        ):
            yield from beyond(join)
    for join in subqueries:
        if len(join.conditions) > 1 and not join.path.startswith(_CHECKS):
            for condition in join.conditions:
                yield f"{join.path}: no {join.table}: {condition}"


@cache
def keys() -> Mapping[str, Sequence[frozenset[str]]]:
    """The unique keys of each table, as sets of columns."""
    found = dict[str, list[frozenset[str]]]()
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        column = {field.name: str(field.column) for field in meta.concrete_fields}
        ones = [{column[name] for name in names} for names in meta.unique_together]
        ones += [{str(field.column)} for field in meta.concrete_fields if field.unique]
        pk = getattr(meta, "pk_fields", [])
        ones += [{str(field.column) for field in pk}] if pk else []
        for constraint in meta.constraints:
            if isinstance(constraint, UniqueConstraint) and constraint.condition is None:
                ones.append({column[name] for name in constraint.fields})
        found[meta.db_table] = [frozenset(one) for one in ones if one]
    return found


def key_of(join: Join) -> frozenset[str] | None:
    """The smallest key of the table that the conditions name."""
    named = [key for key in keys().get(join.table, ()) if key <= join.columns]
    return min(named, key=lambda key: (len(key), sorted(key)), default=None)


def beyond(join: Join) -> Iterator[str]:
    """The conditions that are no part of that key."""
    key = key_of(join) or frozenset()
    for condition in join.conditions:
        columns = Join(join.path, join.table, join.alias, [condition]).columns
        if not columns & key:
            yield f"{join.path}: {join.table}: {condition}"


def test_joins_name_a_key_of_their_table() -> None:
    """Else a row has several partners, and is counted, charged or let in once for each."""
    assert set(without_key()) == set(SEVERAL)


def test_conditions_beyond_the_key_are_written_down() -> None:
    """In `tests/house/join_conditions.py`, with what they keep out."""
    assert sorted(further()) == sorted(
        f"{place}: {condition}"
        for place, (_, *conditions) in FURTHER.items()
        for condition in conditions
    )


def test_statements_are_read() -> None:
    (join,) = joins_in(
        "x.py",
        "LEFT JOIN accounts_formersecret former\n ON former.key_id = key.id\n"
        " AND former.digest = decode(a.b, 'hex')\n WHERE key.id = 1",
    )
    assert join.columns == {"key_id", "digest"}
    assert key_of(join) == frozenset({"digest"})
    assert list(beyond(join)) == ["x.py: accounts_formersecret: former.key_id = key.id"]
    (join,) = joins_in("x.py", "JOIN accounts_formersecret former ON former.key_id = key.id)")
    assert key_of(join) is None
