"""What ClickHouse is asked, without one: the statements and their parameters, as `queries.txt` has
them, and how each is sent. That the figures are right is for `test_clickhouse.py`, which takes too
long for `make test`."""

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, get_args
from uuid import UUID

import pytest

from accounts.access.actors import Actor
from extensions.clickhouse import client, figures, sending
from extensions.clickhouse.client import ClickHouse, ClickHouseError, write_literal
from lib.ids import id_text
from lib.network import egress
from tests.support.cast import Cast, actor
from tests.support.golden_texts import GoldenTexts
from usage.buckets.buckets import Span
from usage.filters.filters import EVERYTHING, Metric, Scope
from usage.filters.groupings import GroupBy
from usage.rollups.levels import COMMON

TEXTS: Final = GoldenTexts(Path(__file__).with_name("queries.txt"))
ID: Final = UUID(int=7)
NOON: Final = dt.datetime(2026, 11, 15, 12, tzinfo=dt.UTC)
DAY: Final = dt.timedelta(days=1)
SPANS: Final = [Span(NOON + n * DAY, NOON + (n + 1) * DAY) for n in (0, 1, 9)]
NARROW: Final = Scope(
    models=("m-1",), keys=(ID, UUID(int=8)), users=("999999999",), channels=(ID,), projects=("p",),
    customers=("c",), end_users=("e",), tags=("t",), apps=("a",), status="error",
    request_id=ID, min_cost_nano=5, causes=("timeout",),
)  # fmt: skip
# The organisation's id differs.
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}(?<!0000000[78])")


class Asked:
    """Stands in for ClickHouse, and keeps what it is asked."""

    def __init__(self) -> None:
        self.texts = list[str]()

    def rows(self, text: str, parameters: Mapping[str, Any]) -> list[list[Any]]:
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        values = {name: write_literal(value) for name, value in parameters.items()}
        shown = [f"{name} = {value[:60]}" for name, value in values.items()]
        self.texts.append(_ID.sub("…", "\n".join((*lines, *shown))))
        return []


def asked(who: Actor, scope: Scope, name: str, *args: Any, **more: Any) -> str:
    there: Any = Asked()
    getattr(figures._reader(there, who, scope), name)(*args, **more)
    (text,) = there.texts
    return str(text)


@pytest.mark.django_db
def test_queries_are_as_a_reader_has_seen_them(people: Cast) -> None:
    owner = actor(people.alice, people.acme)
    texts = {
        "cells of everything": asked(owner, EVERYTHING, "cells", SPANS, (), 5),
        "cells by two": asked(owner, NARROW, "cells", SPANS, ("day", "tag"), 9, timed=True),
        "parts": asked(owner, EVERYTHING, "parts", SPANS, "key", "cost", [id_text(ID)]),
        "largest": asked(owner, EVERYTHING, "largest", SPANS, "user", "cost", 3),
        "stopped": asked(owner, Scope(status="stopped"), "cells", SPANS[:1], (), 1),
        "answered": asked(owner, Scope(status="ok"), "cells", SPANS[:1], (), 1),
    }
    for metric in get_args(Metric):
        text = asked(owner, EVERYTHING, "largest", SPANS[:1], "model", metric, 3)
        texts[f"most {metric}"] = text.partition("AS value")[0]
    for by in get_args(GroupBy):
        texts[f"axis of {by}"] = asked(owner, EVERYTHING, "largest", SPANS[:1], by, "cost", 3)[:240]
    for without in figures._NO_GROUP:
        text = asked(owner, Scope(without=(without,)), "cells", SPANS[:1], (), 1)
        texts[f"without {without}"] = text.partition("WHERE")[2].partition("HAVING")[0]
    texts["tables"] = "\n".join(text.replace(", ", ",\n") for text in sending._TABLES)
    texts["our days"], texts["their days"] = sending._OUR_DAYS, sending._THEIR_DAYS
    texts["row"] = sending._ROW.replace(", ", ",\n")
    TEXTS.check("clickhouse", {f"clickhouse, {name}": text for name, text in texts.items()})


@pytest.mark.parametrize("metered", [True, False])
def test_row_is_read_into_its_own_figures(metered: bool) -> None:
    common = [3, *[None] * (len(COMMON) - 1)]
    row = [["i"], "east", 5, 1, 9, 7, 8, common, ["images"], {}, [1, 2, 3], [], 10, 4]
    expected = {COMMON[0]: 3, "images": 0} if metered else {}
    cell = figures._cell(row, metered=metered)
    assert cell == (["i"], "east", 5, 1, 9, expected, 7, 8, [1, 2, 3], None, 25_000)
    assert figures._cell([*row[:-2], 0, 0], metered=metered)[-1] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\tb\\c'\n\r", r"a\tb\\c'\n\r"),
        (7, "7"),
        (ID, str(ID)),
        (NOON.astimezone(dt.timezone(dt.timedelta(hours=8))), "2026-11-15 12:00:00.000000"),
        ([], "[]"),
        ([1, 2], "[1,2]"),
        (["a'b", "c\\"], r"['a\'b','c\\']"),
        ([ID], f"['{ID}']"),
    ],
)
def test_value_of_a_parameter(value: Any, text: str) -> None:
    assert write_literal(value) == text


def test_each_statement_is_sent_with_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, answer = (
        list[Any](),
        SimpleNamespace(status_code=200, content=b"[1]\n\n[2]\n", headers={}),
    )

    def send(client: Any, method: str, url: str, headers: Any, body: bytes) -> Any:
        sent.append((client, method, url, headers, body))
        return answer

    monkeypatch.setattr(egress, "send_request", send)
    monkeypatch.setattr(client, "client", lambda read_s: read_s)
    there = ClickHouse("http://ch:8123", "weir", "me", "secret")
    assert there.rows("SELECT {a:String}", {"a": "b"}) == [[1], [2]]
    there.run("TRUNCATE TABLE x")
    there.insert("x", ("a", "b"), b"[1]")
    always = "wait_end_of_query=1&output_format_json_quote_64bit_integers=0&async_insert=0"
    read = "&readonly=2&max_execution_time=10&default_format=JSONCompactEachRow"
    inserted = "&query=INSERT+INTO+x+%28a%2C+b%29+FORMAT+JSONCompactEachRow"
    assert [one[:3] for one in sent] == [
        (12, "POST", f"http://ch:8123/?{always}{read}"),
        (60, "POST", f"http://ch:8123/?{always}"),
        (60, "POST", f"http://ch:8123/?{always}{inserted}"),
    ]
    for *_, headers, _body in sent:
        assert headers.items() >= {
            ("X-ClickHouse-Database", "weir"),
            ("X-ClickHouse-User", "me"),
            ("X-ClickHouse-Key", "secret"),
        }
    boundary = sent[0][3]["Content-Type"].partition("boundary=")[2]
    assert sent[0][4].decode().split(f"--{boundary}") == [
        "",
        '\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT {a:String}\r\n',
        '\r\nContent-Disposition: form-data; name="param_a"\r\n\r\nb\r\n',
        "--\r\n",
    ]
    assert [one[4] for one in sent[1:]] == [b"TRUNCATE TABLE x", b"[1]"]
    for headers, code in (({"x-clickhouse-exception-code": "60"}, 60), ({}, None)):
        answer.status_code, answer.headers = 404, headers
        with pytest.raises(
            ClickHouseError, match=r"it answered 404, error (60|unknown)$"
        ) as failed:
            there.run("x")
        assert failed.value.code == code
