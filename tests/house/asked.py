"""Asks for pages, parts, forms and operations as a browser does: as a page, and as htmx asks for a
part of one."""

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from html import unescape
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.conf import settings
from django.db import connection
from django.urls import Resolver404, resolve
from django_htmx.middleware import HtmxDetails

from accounts.access.actors import Actor
from accounts.models import Role
from lib import clock
from tests.house.alike import OWN, Notes, Question, answers_alike, noting
from tests.house.offers import body_of
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
from tests.isolation.who import ROLES, Who, everybody
from tests.isolation.world import Where, World
from tests.support import cast
from tests.usage.rows import price_version
from usage.rollups.rollups import replace_all

HTMX: Final = {"HX-Request": "true"}
_BY_HTMX: Final = re.compile(r'\bhx-(get|post)="(/[^"]*)"')
_ID: Final = re.compile(r'\sid="([^"]+)"')
# Numbers, ids and tokens, and the names and addresses of those who ask.
_WORDS: Final = re.compile(r"[\w@.-]+")
_OF_READERS: Final = re.compile(r"\d|" + "|".join(f"z{role.replace(' ', '')}z" for role in ROLES))
# What is shown of ids, and of the secrets of their keys.
_SHORTENED: Final = re.compile(r"[\w-]+…\w+")
# They are the menu's, of which nothing is noted; so are the banners above the heading.
_TABS: Final = re.compile(r'<nav class="tabs".*?</nav>', re.DOTALL)
_TABLE: Final = re.compile(r'id="columns" popover>\s*<form method="post" action="([^"]+)"')
# In this order somebody is looked for who is let in, and an object that they see.
_FIRST: Final = ("owner", "operator", "developer")
_WHERES: Final[Sequence[Where]] = ("colleague", "own", "there", "none", "side")


@dataclass(frozen=True)
class Rows:
    """What a page may show of a reader besides what they may do: what they are, and of which kinds
    there is something of their own."""

    who: tuple[object, ...]
    kinds: frozenset[str]

    def like(self, other: "Rows", noted: Mapping[Question, object]) -> bool:
        """Whether a page that asks this of its reader shows as much of both."""
        shows_own = OWN in noted or "own" in noted.values()
        return self.who == other.who and (not shows_own or self.kinds == other.kinds)


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
    # What was asked of the reader, and what else of theirs it may show.
    noted: Mapping[Question, object] = field(default_factory=dict, compare=False)
    rows: Rows = field(default=Rows((), frozenset()), compare=False)

    def __str__(self) -> str:
        asked = "part" if self.htmx else "page"
        return f"{self.cell}: {self.path} as a {asked}: {self.status} {self.fault}"

    @cached_property
    def by_htmx(self) -> set[tuple[str, str]]:
        """What it lets htmx ask for: the method, and the address with its query."""
        return {(method.upper(), unescape(path)) for method, path in _BY_HTMX.findall(self.text)}

    @property
    def nameless(self) -> str:
        """What it says below the banners, without tabs, numbers, and names of those who ask and of
        their own keys."""
        own = f"by {self.cell.who.role} by "
        body = _SHORTENED.sub("§", body_of(self.text).replace(own, "by § by "))
        return _WORDS.sub(
            lambda word: "§" if _OF_READERS.search(word[0].lower()) else word[0],
            _TABS.sub("", body.partition('class="page-head"')[2] or body),
        )

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
    notes: Notes
    answers: list[Answer] = field(default_factory=list)
    looked: bool = False
    # Pages with all that is around them, which others are asked without.
    shells: list[Answer] = field(default_factory=list)
    # What is wrong with what its pages offer, and the pages that offer to change an object.
    faults: list[str] = field(default_factory=list)
    offering: set[str] = field(default_factory=set)
    # What other readers are answered, and those of them that an answer to somebody else stands for.
    of_readers: list[Answer] = field(default_factory=list)
    alike: list[tuple[Cell, str, Answer]] = field(default_factory=list)
    compared: list[tuple[Answer, Answer]] = field(default_factory=list)
    # What each scene says, by its file.
    scenes: list[tuple[str, list[str]]] = field(default_factory=list)
    # What came of each press, by its file.
    presses: list[tuple[str, list[str]]] = field(default_factory=list)
    _actors: dict[Who, Actor] = field(default_factory=dict)
    _known: defaultdict[object, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def ask(self, cell: Cell, *, htmx: bool = False, path: str = "") -> Answer:
        """Ask, and take back whatever it changed."""
        answer = self._ask(cell, htmx, path or self.path_of(cell))
        self.answers.append(answer)
        return answer

    def ask_both_ways(self, cell: Cell) -> None:
        """Ask for the page and, if the view looks at who is asking, for what htmx gets."""
        if self.ask(cell).looked:
            self.ask(cell, htmx=True)

    def ask_for_shell(self, cell: Cell) -> None:
        """Ask for a page with all that is around it."""
        self.shells.append(self._ask(cell, htmx=False, path=self.path_of(cell)))

    def answer_to(self, cell: Cell, *, htmx: bool = False, query: str = "") -> Answer:
        """The answer to this reader, or one to somebody who is treated alike there."""
        path, actor, rows = self.path_of(cell) + query, self.actor_of(cell), self._rows_of(cell)
        for answer in self._known[_question(cell, htmx, query)]:
            if answer.cell == cell:
                return answer
            if rows.like(answer.rows, answer.noted) and answers_alike(actor, answer.noted):
                self.alike.append((cell, path, answer))
                return answer
        answer = self._ask(cell, htmx, path)
        self.of_readers.append(answer)
        return answer

    def compare(self, cell: Cell, path: str, answer: Answer) -> None:
        """Ask as both of two who are treated alike: an earlier answer shows less of the trail. Who
        got something of their own since then is no longer alike."""
        again = self._ask(answer.cell, answer.htmx, answer.path)
        other = self._ask(cell, answer.htmx, path)
        if other.rows.like(again.rows, again.noted):
            self.compared.append((other, again))

    def path_of(self, cell: Cell) -> str:
        return _path_of(self.world, cell, _id_of(self.world, cell))

    def actor_of(self, cell: Cell) -> Actor:
        """Whoever asks, as the page knows them."""
        who = cell.acts_as
        if who not in self._actors:
            actor = cast.actor(self.world.asker(who), self.world.acme)
            if who.spec.viewing:
                actor = replace(actor, role=Role.ADMIN, operator=False, viewing=True)
            self._actors[who] = actor
        return self._actors[who]

    def _ask(self, cell: Cell, htmx: bool, path: str) -> Answer:
        status, text, fault, wrong, self.looked = 500, "", "", list[str](), False
        with self.notes.taken() as noted:
            try:
                came = ask(self.world, cell, path=path, headers=HTMX if htmx else None)
                status, text, wrong = came.status, came.body, [*faults_in(cell, came)]
            except pytest.fail.Exception as missing:
                fault = str(missing)
            except Exception as error:  # a file that breaks off
                fault = repr(error)
        fault = fault or "; ".join(FAULTS)
        rows = self._rows_of(cell)
        answer = Answer(cell, path, htmx, status, text, fault, self.looked, (*wrong,), noted, rows)
        base, _, query = path.partition("?")
        if base == self.path_of(cell):
            self._known[_question(cell, htmx, query and f"?{query}")].append(answer)
        return answer

    def _rows_of(self, cell: Cell) -> Rows:
        who, role = cell.acts_as, cell.who.role
        own = self.world.places.get(role)
        kinds = {kind for kind, word in self.world.ids if own is not None and word == own.word}
        return Rows((who.operates, who.spec.outside), frozenset(kinds))


def _question(cell: Cell, htmx: bool, query: str) -> object:
    return cell.name, cell.method, cell.where, htmx, query


@contextmanager
def asking() -> Iterator[Asker]:
    """The world of the isolation matrix, with requests in every state and their sums, asked with
    strict templates. Nothing of it stays."""
    world, asks, version = build(), HtmxDetails.__bool__, price_version()
    for place in ("colleague", "side", "foreign"):
        happen_in_every_state(world.places[place].key, version)
    with connection.cursor() as cursor:
        replace_all(cursor, clock.now())

    def looking(details: HtmxDetails) -> bool:
        asker.looked = True
        return asks(details)

    with pytest.MonkeyPatch.context() as patch, strict_templates(), noting() as notes:
        asker = Asker(world, notes)
        patch.setattr(HtmxDetails, "__bool__", looking)
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


def changing_cells() -> Iterator[Cell]:
    """Each operation that changes something, as the first who is let in."""
    for name in OPERATIONS:
        for method in methods(name):
            found = granted(name, method, "management key") or granted(name, method)
            if method != "GET" and found:
                yield first_of(found)


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
