"""A client of a ClickHouse server's HTTP interface, through the guarded connector. A value is never
part of a statement's text: it is a ClickHouse query parameter, `{name:Type}`. The operator chooses
its address, so any network is permitted.
"""

import datetime as dt
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from lib.network import egress
from usage.sinks.usage_sink import SinkError

Value = str | int | UUID | dt.datetime | Sequence[str] | Sequence[int] | Sequence[UUID]
_ANYWHERE: Final = egress.EgressPolicy(("0.0.0.0/0", "::/0"))
ASK_S: Final = 10
SEND_S: Final = 60
_SETTINGS: Final = {
    # An answer that fails half-way fails as a whole, with an error status.
    "wait_end_of_query": "1",
    "output_format_json_quote_64bit_integers": "0",
    # Insertions are readable once they are acknowledged.
    "async_insert": "0",
}
# Escapes for the text of a parameter, which tabs and line ends would terminate.
_ESCAPES: Final = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_ESCAPED: Final = str.maketrans(_ESCAPES)
_QUOTED: Final = str.maketrans(_ESCAPES | {"'": r"\'"})


class ClickHouseError(SinkError):
    """ClickHouse is unavailable, or refuses the statement; `code` is then its error number, else
    None. The server's message is omitted, because it may quote rows.
    """

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class ClickHouse:
    """One database of a server at http[s]://host[:port]."""

    url: str
    database: str
    user: str
    password: str = field(repr=False)

    def rows(self, text: str, parameters: Mapping[str, Value] | None = None) -> list[list[Any]]:
        """Return the rows of a query, each a list. Raises ClickHouseError, also after ten
        seconds.
        """
        fields = {
            f"param_{name}": write_literal(value) for name, value in (parameters or {}).items()
        }
        # 2: read-only, but settings may still be passed.
        settings = {"readonly": "2", "max_execution_time": str(ASK_S)}
        answer = self._send_request(
            client(ASK_S + 2),
            settings | {"default_format": "JSONCompactEachRow"},
            *_form({"query": text} | fields),
        )
        return [msgspec.json.decode(line) for line in answer.splitlines() if line]

    def run(self, text: str) -> None:
        """Run a statement without a result. Raises ClickHouseError."""
        self._send_request(client(SEND_S), {}, text.encode())

    def insert(self, table: str, columns: Iterable[str], rows: bytes) -> None:
        """Insert rows, each given as a JSON array on a separate line. Raises ClickHouseError."""
        text = f"INSERT INTO {table} ({', '.join(columns)}) FORMAT JSONCompactEachRow"
        self._send_request(client(SEND_S), {"query": text}, rows)

    def _send_request(
        self, client: Any, query: Mapping[str, str], body: bytes, content_type: str = "text/plain"
    ) -> bytes:
        headers = {
            "Content-Type": content_type,
            "X-ClickHouse-Database": self.database,
            "X-ClickHouse-User": self.user,
            "X-ClickHouse-Key": self.password,
        }
        url = f"{self.url}/?{urlencode({**_SETTINGS, **query})}"
        try:
            answer = egress.send_request(client, "POST", url, headers, body)
        except egress.EgressError as error:
            raise ClickHouseError(f"it cannot be reached: {error}") from error
        if answer.status_code != 200:
            code = answer.headers.get("x-clickhouse-exception-code", "")
            message = f"it answered {answer.status_code}, error {code or 'unknown'}"
            raise ClickHouseError(message, int(code) if code.isdecimal() else None)
        return answer.content


def _form(fields: Mapping[str, str]) -> tuple[bytes, str]:
    """Encode fields as a body with its content type. An address has no room for many values."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    body = f"{''.join(parts)}--{boundary}--\r\n"
    return body.encode(), f"multipart/form-data; boundary={boundary}"


@cache
def client(read_s: int) -> Any:
    """Return the client shared by all threads of a process, which keeps its connections."""
    return egress.guarded_client(_ANYWHERE, read_s=read_s, schemes=("http", "https"))


def write_literal(value: Value) -> str:
    """Return a parameter's text in the form that its type in the statement requires."""
    if isinstance(value, str):
        return value.translate(_ESCAPED)
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}"
    if isinstance(value, int | UUID):
        return str(value)
    return f"[{','.join(_element(one) for one in value)}]"


def _element(value: str | int | UUID) -> str:
    return str(value) if isinstance(value, int) else f"'{str(value).translate(_QUOTED)}'"
