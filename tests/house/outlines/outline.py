"""What pages say, as lines of text: their words, figures and fields, the addresses of their links
and forms, and what htmx asks for. `outlines/` has them as they were when they were last read.

Left out is what only looks: classes, styles, icons. Of rows that follow each other, those that are
alike are one, and no more than ROWS_MAX are written. What is different each time is a sign: § is an
id or a secret, ◷ a time within two days, ◷- one before, ◷+ one after.
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from itertools import groupby
from typing import Final

from lib import clock
from tests.house.offers import body_of

ROWS_MAX: Final = 6
# Each of these begins a line, unless it is within one of ROWS, which are a line each.
_LINES: Final = frozenset((
    "h1", "h2", "h3", "h4", "p", "dt", "form", "fieldset", "legend", "label", "section", "article",
    "details", "summary", "dialog", "nav", "header", "footer", "table", "figure", "figcaption",
    "pre", "select", "input", "textarea", "button", "template",
))  # fmt: skip
_ROWS: Final = frozenset(("tr", "li", "option"))
_ENDS: Final = _LINES - {"dt"}
_CELLS: Final = frozenset(("td", "th", "dd"))
_SILENT: Final = frozenset(("script", "style", "svg"))
_ATTRIBUTES: Final = (
    "name", "type", "value", "min", "max", "step", "minlength", "maxlength", "pattern", "multiple",
    "required", "checked", "selected", "disabled", "readonly", "hidden", "open", "method",
    "action", "enctype", "form", "formaction", "href", "download", "target", "hx-get", "hx-post",
    "hx-delete", "hx-target", "hx-swap", "hx-trigger", "hx-include", "hx-vals", "hx-confirm",
    "popovertarget", "placeholder", "title", "alt", "src", "datetime", "role", "aria-label",
    "aria-current", "aria-sort", "aria-checked", "aria-selected", "lang", "autocomplete",
    "inputmode", "accept", "list", "colspan", "rowspan", "scope", "data-copy", "data-dialog",
    "data-insert", "data-pane", "data-tone",
)  # fmt: skip
_ID: Final = re.compile(
    r"[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b[0-9a-f]{16,64}\b"
    r"|(?<=/reports/)[\w:-]+"
    r"|\bsk-weir-[\w-]+(?:…\w+)?|\bwhsec_[\w/+]+=?|(?<=after=)[\w%.-]+|\b[A-Z2-7]{32}\b"
    r"|(?<=last4)(?:\"?: | )\"\w{4}\"|[\w-]{43}|\b[0-9A-Z]{4}(?:-[0-9A-Z]{4}){6}\b"
    r"|(?<=/s/)[\w-]+|…\w{4}\b|\b[A-Z]{4}-[A-Z]{4}\b|\b[0-9A-Z]{5}…[0-9A-Z]{4}\b"
    r"|\b[0-9a-f]{8}(?= ?…)"
    r"|(?<=[a-z]/)\d+\b|(?<=[a-z]%2F)\d+\b|(?<=member:)\d+|(?<=#)\d+(?= ·)|(?<=Failed )\d+ ms"
    r"|(?<=user number )\d+|(?<=\?expires=)\d+|(?<=price version )\d+"
)
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip
_MONTH: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sep(?:tember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\b"
)
_TIME: Final = re.compile(
    rf"(?P<day>\b\d{{1,2}}) (?P<month>{_MONTH}) (?P<year>20\d\d)(?:, \d\d:\d\d(?::\d\d)?)?"
    r"|(?P<iso>20\d\d-\d\d-\d\d)(?:[T ]\d\d:\d\d(?::[\d.]+)?(?:Z|\+00:00)?)?"
    rf"|\b{_MONTH} 20\d\d\b|\b20\d\d-[01]\d\b|(?<![\d.])\d{{1,2}} {_MONTH}|\b{_MONTH} \d{{1,2}}\b"
    r"|T\d\d%3A\d\d%3A\d\d(?:\.\d+)?(?:Z|%2B00%3A00)|\b\d\d:\d\d(?::\d\d)?\b|(?<= )\.\d{3} UTC"
    r"|\b\d+ (?:s|min|h|d) ago\b|\bin \d+ (?:s|min|h|d)\b|\bjust now\b"
)
_NEAR: Final = dt.timedelta(days=2)
_FIGURE: Final = re.compile(r"\d+")
_PLACE: Final = re.compile(r"\bz[a-z0-9]+z\b", re.IGNORECASE)


def below_the_banners(text: str) -> str:
    """A page without what every page has around it, and without the banners above its heading."""
    body = body_of(text)
    before, head, page = body.partition('class="page-head"')
    return f"<div {head}{page}" if head else before


def outline_of(text: str) -> list[str]:
    """The lines that an answer says, in its order: a page's, those of JSON, else the first three of
    a text."""
    if text.startswith(("{", "[")):
        # A file has a value in each line.
        values = [json.loads(line) for line in text.splitlines()] if "}\n{" in text else None
        return list(_without_the_alike(_members("", values or json.loads(text))))
    if "<" not in text:
        return [plain(line) for line in text.splitlines()[:3]]
    reader = _Reader()
    reader.feed(text)
    reader.end_line()
    return list(_without_the_alike(reader.lines))


class _Reader(HTMLParser):
    """`lines`: whether it is a row, and what it says."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[tuple[bool, str]] = []
        self._line: list[str] = []
        self._row = ""
        self._silent = 0
        self._in_columns = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        values = dict(attrs)
        # Which columns a table shows: each table has this form.
        if tag == "form" and (values.get("action") or "").startswith("/tables/"):
            self._in_columns = True
        if self._silent or self._in_columns or values.get("name") == "csrfmiddlewaretoken":
            return
        if tag in _ROWS or (tag in _LINES and not self._row):
            self.end_line()
            self._row = tag if tag in _ROWS else ""
        said = [
            f"{name}={' '.join(value.split())}" if (value := values[name]) else name
            for name in _ATTRIBUTES
            if name in values
        ]
        if said or tag in _LINES or tag in _ROWS or tag in _CELLS:
            self._line.append(f"<{' '.join((tag, *said))}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif self._in_columns:
            self._in_columns = tag != "form"
        elif not self._silent and (tag == self._row or (tag in _ENDS and not self._row)):
            self.end_line()

    def handle_data(self, data: str) -> None:
        if not self._silent and not self._in_columns and (said := " ".join(data.split())):
            self._line.append(said)

    def end_line(self) -> None:
        if self._line:
            self.lines.append((bool(self._row), " ".join(self._line)))
        self._line, self._row = [], ""


def _members(name: str, value: object) -> Iterator[tuple[bool, str]]:
    """The members of an answer and of the objects in it, and each item of its lists as a row."""
    if isinstance(value, dict) and "." not in name:
        for key, one in value.items():
            yield from _members(f"{name}.{key}" if name else key, one)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for one in value:
            yield True, f"{name}[] {json.dumps(one, ensure_ascii=False)}"
    else:
        yield False, f"{name} {json.dumps(value, ensure_ascii=False)}"


def _without_the_alike(lines: Iterable[tuple[bool, str]]) -> Iterator[str]:
    """The lines; of those rows that follow each other, ROWS_MAX that are not alike. Rows of a table
    are sorted: many happened in the same moment."""
    for row, run in groupby(lines, lambda line: line[1].split()[0] if line[0] else ""):
        said = [plain(line) for _, line in run]
        if not row:
            yield from said
            continue
        alike: dict[str, str] = {}
        for one in sorted(said) if row.startswith("<tr") else said:
            alike.setdefault(_PLACE.sub("z", _FIGURE.sub("9", one)), one)
        yield from list(alike.values())[:ROWS_MAX]


def plain(line: str) -> str:
    """A line without what is different each time."""
    return _ID.sub("§", _TIME.sub(_when, line))


def _when(match: re.Match[str]) -> str:
    if match["iso"]:
        day = dt.date.fromisoformat(match["iso"])
    elif match["day"]:
        month = 1 + _MONTHS.index(match["month"][:3])
        day = dt.date(int(match["year"]), month, int(match["day"]))
    else:
        return "◷"
    away = day - clock.now().date()
    return "◷" if abs(away) < _NEAR else "◷+" if away > _NEAR else "◷-"
