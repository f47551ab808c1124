"""Structs written as rows of one statement, each field as an array; or a single one, each field as
a value, which the database reads in half the time.

The struct is the list of columns: names, types and values are derived from its fields, so that a
column is added, moved or renamed in one place and never paired with another one's values.
"""

import types
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec

from lib.ids import id_array

Json = Annotated[str, "jsonb"]
"""JSON text, for a column of the type jsonb."""
Words = Annotated[Sequence[str], "text[]"]
"""Words without commas, for a column of the type text[]."""
JoinedWords = Annotated[str, "text[]"]
"""Words that are already joined by commas, for a column of the type text[]."""

Row = TypeVar("Row", bound=msgspec.Struct)
_ALWAYS_SENT: Final = object()


class _Column(NamedTuple):
    place: int
    name: str
    array_type: str
    value: str
    # The expression that writes the array of `values`, and the one that writes a single `value`.
    written: str
    written_alone: str
    # The value of most rows: None or "". `unnest` returns null for missing items at the end of an
    # array, so a column in which no row has another value is sent as an empty array.
    absent: Any


class RowArrays(Generic[Row]):
    """The fields of a struct as columns of `unnest(arrays) AS t (names)`, or of `one_row`: all
    `without` some, or `only` these. A field whose default is None or "" costs nothing if no row of
    the arrays sets it.
    """

    def __init__(
        self, row_type: type[Row], *, without: Collection[str] = (), only: Collection[str] = ()
    ) -> None:
        fields = msgspec.structs.fields(row_type)
        _check_known({*without, *only}, [field.name for field in fields])
        hints = get_type_hints(row_type, include_extras=True)
        self._columns: Final = tuple(
            _column(place, field.name, hints[field.name], field.default)
            for place, field in enumerate(fields)
            if (field.name in only if only else field.name not in without)
        )
        self._write: Final = _compile(self._columns)
        self.values: Final = _compile_one(self._columns)
        """Returns the values of a row for `one_row`, by column name."""

    @property
    def names(self) -> str:
        """Return the columns, for `INSERT INTO` and for the alias of `unnest`."""
        return ", ".join(column.name for column in self._columns)

    @property
    def arrays(self) -> str:
        """Return the arguments of `unnest`."""
        return ", ".join(f"%({column.name})s::{column.array_type}" for column in self._columns)

    @property
    def one_row(self) -> str:
        """Return the item of `FROM` that has the columns of a single row."""
        values = [f"%({column.name})s::{column.array_type[:-2]}" for column in self._columns]
        return f"(VALUES ({', '.join(values)})) AS t ({self.names})"

    def select(self, **replaced: str) -> str:
        """Return the `SELECT` expressions of `names` in `t`; `replaced` are other expressions."""
        _check_known(replaced, [column.name for column in self._columns])
        return ", ".join(replaced.get(column.name, column.value) for column in self._columns)

    def parameters(self, rows: Iterable[Row]) -> dict[str, str]:
        """Return the arrays of these rows, by column name."""
        return self._write(tuple(zip(*map(msgspec.structs.astuple, rows), strict=True)))


def _compile(columns: Sequence[_Column]) -> Callable[[Sequence[Sequence[Any]]], dict[str, str]]:
    """Return a function from the values of all fields to the arrays of these columns. It is one
    expression for each column, because it runs for every request: neither a step of a loop nor,
    for most of them, a call."""
    lines = []
    for place, name, _, _, written, _, absent in columns:
        if absent is not _ALWAYS_SENT:
            written = f"'{{}}' if values.count({absent!r}) == len(values) else {written}"
        lines += [f" values = fields[{place}]", f" arrays[{name!r}] = {written}"]
    source = "\n".join(["def write(fields):", " arrays = {}", *lines, " return arrays"])
    write: Callable[[Sequence[Sequence[Any]]], dict[str, str]] = _define(source)
    return write


def _compile_one(columns: Sequence[_Column]) -> Callable[[Any], dict[str, str | int | None]]:
    """Return a function from a row to the values of these columns."""
    items = [
        f"{column.name!r}: {column.written_alone.replace('value', f'row.{column.name}')}"
        for column in columns
    ]
    write: Callable[[Any], dict[str, str | int | None]] = _define(
        f"def write(row): return {{{', '.join(items)}}}"
    )
    return write


def _define(source: str) -> Any:
    """Define the function `write`. The source holds names of fields and the expressions below, and
    nothing else."""
    defined: dict[str, Any] = {}
    exec(source, _USED, defined)  # noqa: S102
    return defined["write"]


def _check_known(names: Iterable[str], known: Collection[str]) -> None:
    unknown = set(names).difference(known)
    if unknown:
        raise ValueError(f"The struct has no such columns: {', '.join(sorted(unknown))}.")


def array(values: Sequence[object]) -> str:
    """Return an array literal of values whose text needs no quoting; None is null."""
    if None in values:
        values = ["null" if value is None else value for value in values]
    return "{" + ",".join(map(str, values)) + "}"


def quoted_array(texts: Sequence[str | None]) -> str:
    """Return an array literal of any texts, without NUL, which the database cannot store."""
    if None in texts:
        quoted = ["null" if text is None else quoted_array([text])[1:-1] for text in texts]
        return "{" + ",".join(quoted) + "}"
    # Quote them together, joined by NUL, because most need nothing but quotes.
    joined = "\0".join(texts)  # type: ignore[arg-type]
    if joined.count("\0") >= len(texts):
        joined = "\0".join([(text or "").replace("\0", "") for text in texts])
    if "\\" in joined:
        joined = joined.replace("\\", "\\\\")
    if '"' in joined:
        joined = joined.replace('"', '\\"')
    return '{"' + joined.replace("\0", '","') + '"}' if texts else "{}"


def optional_id_array(ids: Sequence[UUID | None]) -> str:
    """Return an array literal of ids; None is null."""
    # `UUID.hex` would be a call for each.
    return "{" + ",".join(["null" if id_ is None else f"{id_.int:032x}" for id_ in ids]) + "}"


def numbers_array(rows: Sequence[Sequence[int]]) -> str:
    """Return an array literal of texts, each of which is an array literal of numbers, because an
    array of arrays would have to be rectangular."""
    return "{" + ",".join([f'"{array(one)}"' if one else '"{}"' for one in rows]) + "}"


def _words_array(words: Sequence[Sequence[str]]) -> str:
    return quoted_array([*map(",".join, words)])


def _column(place: int, name: str, hint: Any, default: Any) -> _Column:
    plain, stored_as, nullable = _read_type(hint)
    written, written_alone, database_type = _WRITTEN[plain]
    if nullable:
        written = _OPTIONAL.get(plain, written)
        written_alone = f"None if value is None else {written_alone}"
    value = f"t.{name}"
    if stored_as == "text[]":
        # The words of a row are sent as one text.
        value = f"string_to_array({value}, ',')"
    elif stored_as is not None:
        database_type = stored_as
    if default == "":
        value = f"coalesce({value}, '')"
    absent = default if default is None or default == "" else _ALWAYS_SENT
    return _Column(
        place,
        name,
        f"{database_type}[]",
        value,
        written=written,
        written_alone=written_alone,
        absent=absent,
    )


def _read_type(hint: Any) -> tuple[Any, str | None, bool]:
    """Return the plain type of a field, its column's other type if any, and whether it may be
    None.
    """
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_read_type(part) for part in get_args(hint) if part is not type(None)]
        ((plain, stored_as, _),) = set(parts)
        return plain, stored_as, type(None) in get_args(hint)
    if get_origin(hint) is Annotated:
        plain, stored_as = get_args(hint)
        return plain, stored_as, False
    return getattr(hint, "__supertype__", hint), None, False


# For each type of a field: how the array of `values` and a single `value` are written, and the type
# of its column. `UUID.hex` would be a call.
_NUMBERS: Final = "'{' + ','.join(map(str, values)) + '}'"
_WRITTEN: Final[dict[Any, tuple[str, str, str]]] = {
    UUID: ("id_array(values)", "'%032x' % value.int", "uuid"),
    bool: (_NUMBERS, "value", "boolean"),
    int: (_NUMBERS, "value", "bigint"),
    str: ("quoted_array(values)", r"value.replace('\0', '')", "text"),
    Sequence[str]: ("words_array(values)", r"','.join(value).replace('\0', '')", "text"),
    tuple[int, ...]: ("numbers_array(values)", "array(value)", "text"),
}
_OPTIONAL: Final = {
    UUID: "optional_id_array(values)",
    bool: "array(values)",
    int: "array(values)",
}
_USED: Final[dict[str, Any]] = {
    "array": array,
    "id_array": id_array,
    "numbers_array": numbers_array,
    "optional_id_array": optional_id_array,
    "quoted_array": quoted_array,
    "words_array": _words_array,
}
