"""Asks for pages, parts, forms and operations as a browser does: as a page, and as htmx asks for a
part of one."""

import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from html import unescape
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.urls import Resolver404, resolve
from django_htmx.middleware import HtmxDetails

from lib import clock
from tests.house.request_states import happen_in_every_state
from tests.house.strict_templates import strict_templates
from tests.isolation.building import build
from tests.isolation.cells import (
    FAULTS,
    Cell,
    _id_of,
    _path_of,
    ask,
    cells,
    expected,
    faults_in,
    methods,
    page_routes,
)
from tests.isolation.table import OPERATIONS, PAGES
from tests.isolation.who import everybody
from tests.isolation.world import Where, World
from tests.usage.rows import price_version
from usage.rollups.rollups import replace_all

HTMX: Final = {"HX-Request": "true"}
_BY_HTMX: Final = re.compile(r'\bhx-(get|post)="(/[^"]*)"')
_ID: Final = re.compile(r'\sid="([^"]+)"')
_TABLE: Final = re.compile(r'id="columns" popover>\s*<form method="post" action="([^"]+)"')
# In this order somebody is looked for who is let in, and an object that they see.
_FIRST: Final = ("owner", "operator", "developer")
_WHERES: Final[Sequence[Where]] = ("colleague", "own", "there", "none", "side")


@dataclass(frozen=True)
class Answer:
    """What came back. `looked`: whether the view asked if htmx is asking."""

    cell: Cell
    path: str
    htmx: bool
    status: int
    text: str
    fault: str
    looked: bool
    # What it says or does that it must not (P12).
    wrong: tuple[str, ...] = ()

    def __str__(self) -> str:
        asked = "part" if self.htmx else "page"
        return f"{self.cell}: {self.path} as a {asked}: {self.status} {self.fault}"

    @cached_property
    def by_htmx(self) -> set[tuple[str, str]]:
        """What it lets htmx ask for: the method, and the address with its query."""
        return {(method.upper(), unescape(path)) for method, path in _BY_HTMX.findall(self.text)}

    @cached_property
    def ids(self) -> set[str]:
        return set(_ID.findall(self.text))

    @property
    def table(self) -> str:
        """The name of the table that it shows, if it shows one."""
        found = _TABLE.search(self.text)
        return str(resolve(found[1]).kwargs["table"]) if found else ""


@dataclass
class Asker:
    """The world, and the answers of it so far."""

    world: World
    answers: list[Answer] = field(default_factory=list)
    looked: bool = False
    # What is wrong with what its pages offer, and the pages that offer to change an object.
    faults: list[str] = field(default_factory=list)
    offering: set[str] = field(default_factory=set)

    def ask(self, cell: Cell, *, htmx: bool = False, path: str = "") -> Answer:
        """Ask, and take back whatever it changed."""
        path = path or _path_of(self.world, cell, _id_of(self.world, cell))
        status, text, fault, wrong, self.looked = 500, "", "", list[str](), False
        try:
            came = ask(self.world, cell, path=path, headers=HTMX if htmx else None)
            status, text, wrong = came.status, came.body, [*faults_in(cell, came)]
        except pytest.fail.Exception as missing:
            fault = str(missing)
        except Exception as error:  # a file that breaks off
            fault = repr(error)
        fault = fault or "; ".join(FAULTS)
        answer = Answer(cell, path, htmx, status, text, fault, self.looked, (*wrong,))
        self.answers.append(answer)
        return answer

    def ask_both_ways(self, cell: Cell) -> None:
        """Ask for the page and, if the view looks at who is asking, for what htmx gets."""
        if self.ask(cell).looked:
            self.ask(cell, htmx=True)


@contextmanager
def asking() -> Iterator[Asker]:
    """The world of the isolation matrix, with requests in every state and their sums, asked with
    strict templates. Nothing of it stays."""
    asker, asks, version = Asker(build()), HtmxDetails.__bool__, price_version()
    for place in ("colleague", "side", "foreign"):
        happen_in_every_state(asker.world.places[place].key, version)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())

    def noting(details: HtmxDetails) -> bool:
        asker.looked = True
        return asks(details)

    with pytest.MonkeyPatch.context() as patch, strict_templates():
        patch.setattr(HtmxDetails, "__bool__", noting)
        # On a busy machine all of it takes longer than a sign-in stays recent.
        patch.setattr(settings, "ACCOUNT_REAUTHENTICATION_TIMEOUT", 86_400)
        yield asker


def granted(name: str, method: str, carrier: str = "session") -> dict[str, Cell]:
    """Who is let in, by their role, each with an object that they see."""
    found: dict[str, Cell] = {}
    askers = [one for one in everybody() if (one.carrier, one.standing) == (carrier, "active")]
    lets_in = [
        cell
        for cell in cells(name, askers)
        if cell.method == method
        and cell.where in _WHERES
        and expected(cell) == (404 if cell.route.nothing else "in")
    ]
    for cell in sorted(lets_in, key=lambda one: _WHERES.index(one.where)):
        found.setdefault(cell.who.role, cell)
    return found


def first_of(found: dict[str, Cell]) -> Cell:
    return next((found[role] for role in _FIRST if role in found), next(iter(found.values())))


@cache
def first_cells() -> Sequence[Cell]:
    """What `test_answers.py` asks for first: each page and form, and each operation that reads, as
    the first who is let in. The matrix asks for no more of what these show (`cells.draw`)."""
    first = []
    for name in plain_pages():
        for method in methods(name):
            if found := granted(name, method):
                first.append(first_of(found))
    for name in OPERATIONS:
        if "GET" in methods(name):
            first.append(first_of(granted(name, "GET", "management key") or granted(name, "GET")))
    return first


def plain_pages() -> list[str]:
    """The pages whose view is no coroutine; the others stream, and have their own tests."""
    return [name for name in PAGES if not inspect.iscoroutinefunction(page_routes()[name][1])]


def shape_of(path: str) -> tuple[str, str]:
    """Which page an address leads to, and the names in its query: what is asked once of each."""
    parts = urlsplit(path)
    try:
        name = resolve(parts.path).url_name or ""
    except Resolver404:
        name = f"nowhere: {path}"
    return name, " ".join(sorted({name for name, _ in parse_qsl(parts.query)}))
