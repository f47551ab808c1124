"""Read dumps of MySQL, MariaDB and Postgres without a server.

It parses `CREATE TABLE` (column names), `INSERT … VALUES` and `COPY … FROM stdin`, and skips all
other statements. It is strict: anything unreadable in one of these is refused with its line,
because a missed row is lost money.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, NamedTuple

Kind = Literal["string", "name", "number", "hex", "mark", "other"]

_ESCAPED: Final = r"'(?:[^'\\]|\\.|'')*'"
_PLAIN: Final = r"'(?:[^']|'')*'"
_REST: Final = r"""
    | (?P<name> `(?:[^`]|``)+` | "(?:[^"]|"")+" | [A-Za-z_][\w$]* )
    | (?P<hex> 0[xX][0-9A-Fa-f]+ )
    | (?P<number> [-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)? )
    | (?P<mark> [(),;.] )
    | (?P<other> . )
"""
# MySQL also has comments that begin with #. A line that begins with \ is a psql command.
_COMMENTS: Final = r"\s+ | --[^\n]* | /\*.*?\*/ | \\[^\n]*"
_MYSQL: Final = re.compile(
    rf"(?P<skip> {_COMMENTS} | \#[^\n]* ) | (?P<string> {_ESCAPED} ) {_REST}",
    re.VERBOSE | re.DOTALL,
)
_POSTGRES: Final = re.compile(
    rf"(?P<skip> {_COMMENTS} ) | (?P<escaped> [eE]{_ESCAPED} )"
    rf" | (?P<dollar> \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ ) | (?P<string> {_PLAIN} ) {_REST}",
    re.VERBOSE | re.DOTALL,
)
_MYSQL_ESCAPES: Final = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}
_COPY_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}
_NO_COLUMN: Final = frozenset(
    {"PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "INDEX", "FULLTEXT", "SPATIAL", "CHECK", "FOREIGN"}
)


class DumpInvalid(ValueError):
    """The dump cannot be read; the text has the line and what was expected there."""


class Token(NamedTuple):
    kind: Kind
    text: str
    at: int


@dataclass
class DumpTable:
    """A table of a dump. `defaults` are the expressions after DEFAULT."""

    columns: list[str] = field(default_factory=list)
    defaults: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    count: int = 0


def read_dump(sql: str, wanted: Collection[str]) -> dict[str, DumpTable]:
    """Return the tables of a dump: the rows of the `wanted` tables, and the number of rows of every
    table."""
    return _Reader(sql, wanted).read()


class _Reader:
    def __init__(self, sql: str, wanted: Collection[str]) -> None:
        self._sql = sql
        self._wanted = wanted
        # The text before the first statement identifies the dialect; for a dump without comments,
        # its quotes do.
        head = sql[:2000]
        self._postgres = "PostgreSQL" in head or ("`" not in head and "MySQL" not in head)
        self._pattern = _POSTGRES if self._postgres else _MYSQL
        self._at = 0
        self._tables: dict[str, DumpTable] = {}

    def read(self) -> dict[str, DumpTable]:
        for token in iter(self._next_token, None):
            word = token.text.upper() if token.kind == "name" else ""
            if word == "CREATE" and self._word() in ("TABLE", "UNLOGGED"):
                self._create()
            elif word == "INSERT":
                self._insert()
            elif word == "COPY" and self._postgres:
                self._copy()
            elif token.text != ";":
                self._skip_statement()
        return self._tables

    def _next_token(self) -> Token | None:
        while self._at < len(self._sql):
            match = self._pattern.match(self._sql, self._at)
            if match is None:
                raise self._invalid("a character that can begin a word")
            begin, self._at = self._at, match.end()
            kind = match.lastgroup
            if kind in ("skip", "tag", "dollar"):
                if kind == "skip":
                    continue
                return Token("other", "$", begin)
            if kind == "escaped":
                return Token("string", _unescape(match.group()[2:-1]), begin)
            return Token(*self._read_token(kind or "other", match.group()), begin)
        return None

    def _read_token(self, kind: str, written: str) -> tuple[Kind, str]:
        if kind == "string":
            inner = written[1:-1]
            return "string", inner.replace("''", "'") if self._postgres else _unescape(inner)
        if kind == "name" and written[0] in '`"':
            quote = written[0]
            return "name", written[1:-1].replace(quote * 2, quote)
        if written == "'":
            raise self._invalid("a string that ends")
        return kind, written  # type: ignore[return-value]

    def _word(self) -> str:
        """Return the next word in capitals without consuming it."""
        before = self._at
        token = self._next_token()
        self._at = before
        return token.text.upper() if token and token.kind == "name" else ""

    def _take(self, *texts: str) -> Token:
        token = self._next_token()
        if token is None or (token.text.upper() not in texts and token.kind not in texts):
            if token is not None:
                self._at = token.at
            raise self._invalid(" or ".join(texts))
        return token

    def _invalid(self, expected: str) -> DumpInvalid:
        line = self._sql.count("\n", 0, self._at) + 1
        return DumpInvalid(f"line {line} of the dump: expected {expected}")

    def _skip_statement(self) -> None:
        for token in iter(self._next_token, None):
            if token.kind == "mark" and token.text == ";":
                return

    def _table_name(self) -> str:
        """Return the name of a table, without its schema."""
        name = self._take("name").text
        before = self._at
        token = self._next_token()
        if token is not None and token.text == ".":
            return self._take("name").text
        self._at = before
        return name

    def _create(self) -> None:
        while self._word() in ("TABLE", "UNLOGGED", "IF", "NOT", "EXISTS"):
            self._next_token()
        table = self._tables.setdefault(self._table_name(), DumpTable())
        self._take("(")
        depth, begins = 1, True
        for token in iter(self._next_token, None):
            if token.kind == "mark" and token.text in "()":
                depth += 1 if token.text == "(" else -1
                if depth == 0:
                    break
            elif begins and depth == 1 and token.kind == "name":
                quoted = self._sql[token.at] in '`"'
                if quoted or token.text.upper() not in _NO_COLUMN:
                    table.columns.append(token.text)
            elif depth == 1 and token.kind == "name" and token.text.upper() == "DEFAULT":
                self._take_default(table)
            begins = token.kind == "mark" and token.text == "," and depth == 1
        self._skip_statement()

    def _take_default(self, table: DumpTable) -> None:
        before = self._at
        token = self._next_token()
        if token is not None and token.kind in ("string", "number", "name"):
            quote = "'" if token.kind == "string" else ""
            table.defaults[table.columns[-1]] = f"{quote}{token.text}{quote}"
        else:
            self._at = before

    def _columns(self, table: DumpTable) -> list[str]:
        """Return the columns that a statement names, else those of the table."""
        before = self._at
        token = self._next_token()
        if token is None or token.text != "(":
            self._at = before
            if not table.columns:
                raise self._invalid("the columns: dump with CREATE TABLE or --complete-insert")
            return table.columns
        columns = []
        while True:
            columns.append(self._take("name").text)
            if self._take(",", ")").text == ")":
                return columns

    def _insert(self) -> None:
        while self._word() in ("IGNORE", "INTO"):
            self._next_token()
        name = self._table_name()
        table = self._tables.setdefault(name, DumpTable())
        columns = self._columns(table)
        while self._word() in ("OVERRIDING", "SYSTEM", "VALUE", "USER"):
            self._next_token()
        self._take("VALUES")
        while True:
            values = self._values()
            if len(values) != len(columns):
                raise self._invalid(f"{len(columns)} values in a row of {name}")
            self._add(name, table, columns, values)
            if self._take(",", ";").text == ";":
                return

    def _values(self) -> list[object]:
        self._take("(")
        values = []
        while True:
            values.append(self._read_value())
            if self._take(",", ")").text == ")":
                return values

    def _read_value(self) -> object:
        token = self._take("string", "number", "hex", "name")
        if token.kind == "string":
            return token.text
        if token.kind == "number":
            return int(token.text) if re.fullmatch(r"[-+]?\d+", token.text) else Decimal(token.text)
        if token.kind == "hex":
            return bytes.fromhex(
                token.text[2:].rjust(len(token.text[2:]) + len(token.text) % 2, "0")
            )
        word = token.text.upper()
        if word in ("NULL", "TRUE", "FALSE"):
            return {"NULL": None, "TRUE": True, "FALSE": False}[word]
        if word.startswith("_") or word in ("N", "B"):
            # An introducer of a character set or of a string type: `_binary 'x'`.
            return self._read_value()
        self._at = token.at
        raise self._invalid("a value")

    def _copy(self) -> None:
        name = self._table_name()
        table = self._tables.setdefault(name, DumpTable())
        columns = self._columns(table)
        self._take("FROM")
        self._take("STDIN")
        self._skip_statement()
        self._at = self._sql.find("\n", self._at) + 1
        for line in self._copied_lines(name):
            values: list[object] = [_read_copy(part) for part in line.split("\t")]
            if len(values) != len(columns):
                raise self._invalid(f"{len(columns)} values in a row of {name}")
            self._add(name, table, columns, values)

    def _copied_lines(self, name: str) -> Iterator[str]:
        while True:
            end = self._sql.find("\n", self._at)
            line = self._sql[self._at : end].removesuffix("\r")
            if end < 0 or (line == "" and end == self._at and self._at == len(self._sql)):
                raise self._invalid(rf"\. behind the rows of {name}: the dump was cut off")
            self._at = end + 1
            if line == r"\.":
                return
            yield line

    def _add(self, name: str, table: DumpTable, columns: list[str], values: list[object]) -> None:
        table.count += 1
        if not table.columns:
            table.columns = columns
        if name in self._wanted:
            table.rows.append(dict(zip(columns, values, strict=True)))


def _unescape(inner: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match.group() == "''":
            return "'"
        return _MYSQL_ESCAPES.get(match.group(1), match.group(1))

    return re.sub(r"\\(.)|''", one, inner, flags=re.DOTALL)


def _read_copy(part: str) -> str | None:
    if part == r"\N":
        return None

    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "x":
            return chr(int(code[1:], 16))
        return chr(int(code, 8)) if code.isdigit() else _COPY_ESCAPES.get(code, code)

    return re.sub(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", one, part)
