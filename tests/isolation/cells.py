"""The cells of the isolation matrix: who asks which route for which object, what the tables say
about it, and what comes back."""

import io
import json
import random
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import combinations
from typing import Any, Final, Literal

from django.apps import apps
from django.core.signals import got_request_exception
from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from django.urls import get_resolver
from ninja.operation import PathView

from accounts.models import Organisation, User
from config.api.api import api
from lib import clock
from tests.config.test_every_write import methods_of
from tests.house.test_access import addresses, operations
from tests.isolation.statements import read_by_person_alone
from tests.isolation.table import OPERATIONS, PAGES, Route
from tests.isolation.who import FREE, MIXED, Who, everybody
from tests.isolation.world import Where, World, reaches

Outcome = Literal["in", "sign in", 401, 403, 404]
"""What an answer says about access; "in": it was granted, whatever came of it then."""

PARTS: Final = 12
"""In how many parts the slow lane runs every cell: a part takes a minute or two."""
_SEED: Final = 7
_METHODS: Final = ("GET", "POST")
SAFE: Final = ("GET",)
_PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>|\{(\w+)\}")
# What differs between two answers that say the same.
_CHANGING: Final = re.compile(
    r'(csrf-?\w*token"(?: value=| content=|:) ?"|nonce=")[^"]+|"request_id": ?"[^"]+"',
    re.IGNORECASE,
)
_PRIVATE: Final = re.compile(r"(?:Chat|Question|Preset|Prompt) (z\w+z)\b")
# One's own: whatever is stored about oneself, and the keys that end with the account.
_OF_ALL_ORGANISATIONS: Final = ("own_data_download", "own_erasure")
# Channels that the requests of `usage/rows.py` and `house/request_states.py` name, and their key.
_OF_OPERATORS: Final = ("openai-east", "azure-west", "upstream-secret")
_OWN_ROWS: Final = ("django_session", "usersessions_usersession", "accounts_keyuse")
# What reading leaves behind: nothing else is written where a GET is answered (RFC 9110, 9.2.1).
READING: Final[Mapping[str, frozenset[str]]] = {
    "key_end_user_secret": frozenset({"accounts_auditevent"}),
    "GET /keys/{id}/end-user-secret": frozenset({"accounts_auditevent"}),
    "GET /people/{id}/data": frozenset({"accounts_auditevent"}),
    "GET /members/{id}/data": frozenset({"accounts_auditevent"}),
    # Until when its answer is watched: without a reader, a run ends.
    "conversation": frozenset({"playground_run"}),
    "status": frozenset({"accounts_cache"}),
}


FAULTS: Final[list[str]] = []
"""What the last answer broke at."""


def _note_fault(sender: object, request: HttpRequest | None = None, **_: object) -> None:
    FAULTS.append(repr(sys.exception()))


got_request_exception.connect(_note_fault)


@dataclass(frozen=True)
class Cell:
    """One question: a method of a route, by somebody, about an object."""

    name: str
    method: str
    who: Who
    where: Where

    def __str__(self) -> str:
        return f"{self.method} {self.name}: {self.who}, {self.where}"

    @property
    def is_page(self) -> bool:
        return self.name in PAGES

    @property
    def acts_as(self) -> Who:
        """As whom they are let in: who views an organisation is an operator everywhere else."""
        inside = self.is_page and self.name in organisation_pages()
        if self.who.spec.viewing and (not inside or self.where in ("elsewhere", "nowhere")):
            return replace(self.who, role="operator")
        return self.who

    @property
    def route(self) -> Route:
        return PAGES[self.name] if self.is_page else OPERATIONS[self.name]

    @property
    def facts(self) -> frozenset[object]:
        """What the suite tries of it: the values that an answer hangs on together.

        - any two of role, carrier and standing
        - who is unknown at each of the two ways to be let into the API (which one an operation
          has says `tests/house/test_access.py`), and each operation to who may not; pages, whose
          guard is one, once
        - another organisation's address: each way to be answered there
        - each route: what is granted, what is withheld, and what is another organisation's
        - each kind of object: each place, by each scope; each scope within teams and beyond
        """
        who, route, wanted = self.acts_as, self.route, expected(self)
        guard = (is_operators(self.name) if self.is_page else self.name,)
        if self.who.spec.viewing and self.method not in SAFE:
            return frozenset({(*guard, "viewing")})
        facts: set[object] = {*_pairs(self.who, self.is_page)}
        reach = who.scope_at(route.guard)
        if not who.is_known or (self.is_page and who.carrier != "session"):
            facts.add((guard[0] if self.is_page else ways_in()[self.name], "unknown"))
        elif self.where in ("elsewhere", "nowhere"):
            facts.add((self.where, who.operates, wanted))
        elif reach is None:
            facts.add((*guard, "refused"))
        else:
            kind = route.kind
            facts |= {(kind and kind.name, self.where, reach), (reach, who.limited)}
            # One who sees more than they may change, and one who may change more than they see.
            if kind and kind.personal and who.role in MIXED and self.where == "colleague":
                facts.add((self.name, who.role) if self.method not in SAFE else "reads")
            # A key opens nothing of its holder's but what it did itself.
            if kind and kind.personal and self.where == "own":
                facts.add((self.name, "own", who.carrier, wanted))
            if kind is None and who.carrier == "model key":
                facts.add((self.name, who.carrier))
            came = "granted" if wanted == "in" else "withheld"
            # What shows a page is asked for it, what changes it for what is not one's own.
            asked = methods(self.name)[0 if came == "granted" else -1]
            if self.method == asked and self.where != "missing":
                facts.add((self.name, self.where if self.where == "foreign" else came))
        return frozenset(facts)


@cache
def _pairs(who: Who, is_page: bool) -> frozenset[object]:
    pairs = combinations((who.role, who.carrier, who.standing), 2)
    return frozenset((is_page, pair) for pair in pairs)


def draw(everything: Sequence[Cell], asked: Iterable[Cell] = ()) -> Sequence[Cell]:
    """Some of the cells, always the same: each fact of any cell is one of a drawn cell too, or of
    one that is `asked` elsewhere. Those that bring most come first."""
    shuffled, drawn = list(everything), list[Cell]()
    seen = {fact for cell in asked for fact in cell.facts}
    random.Random(_SEED).shuffle(shuffled)
    left = [(cell, cell.facts) for cell in shuffled]
    for least in (2, 1):
        for cell, facts in left:
            if len(facts - seen) >= least:
                seen |= facts
                drawn.append(cell)
        left = [(cell, facts) for cell, facts in left if not facts <= seen]
    return drawn


@dataclass(frozen=True)
class Answer:
    """What came back, as it is (`body`) and without what changes from one answer to the next
    (`text`).

    `written` are the tables that were written, `alone` those that were read by person without an
    organisation, and `abroad` those in which another organisation's rows are not what they were.
    """

    outcome: Outcome
    status: int
    text: str
    body: str
    written: tuple[str, ...]
    alone: tuple[str, ...] = ()
    abroad: tuple[str, ...] = ()


# What there is to ask ---------------------------------------------------------------------------


@cache
def page_routes() -> Mapping[str, tuple[str, Any]]:
    """The address and the view of each page."""
    results = {}
    for where, name, view in addresses(get_resolver()):
        of_api = isinstance(getattr(view, "__self__", None), PathView) or getattr(
            view, "__qualname__", ""
        ).startswith("PathView.")
        if not of_api and not name.startswith("api:"):
            results[name] = ("/" + where, view)
    return results


@cache
def ways_in() -> Mapping[str, str]:
    """What looks at who asks for each operation."""
    return {name: repr(one.auth_callbacks or api.auth) for name, one in operations()}


def methods(name: str) -> Sequence[str]:
    """The methods by which a page or an operation is asked for."""
    if name in OPERATIONS:
        return (name.partition(" ")[0],)
    view = page_routes()[name][1]
    taken, of_class = methods_of(view), getattr(view, "view_class", None)
    return [
        method
        for method in _METHODS
        if method in taken and (of_class is None or hasattr(of_class, method.lower()))
    ]


@cache
def organisation_pages() -> frozenset[str]:
    """The pages whose address names an organisation."""
    routes = page_routes().items()
    return frozenset(name for name, (path, _) in routes if path.startswith(("/o/", "/^o/")))


def is_operators(name: str) -> bool:
    """Whether a page is one of the installation, which for others does not exist."""
    return page_routes()[name][0].startswith(("/admin/", "/design/"))


def cells(name: str, askers: Sequence[Who] | None = None) -> Iterator[Cell]:
    """Every cell of a route, or those of some askers."""
    for method in methods(name):
        for who in askers or everybody():
            for where in _wheres(name):
                # A model key opens nothing that its holder has, and is asked for it.
                has = who.is_person or who.carrier == "model key"
                if where != "own" or (has and not who.spec.outside):
                    yield Cell(name, method, who, where)


def _wheres(name: str) -> Sequence[Where]:
    route = PAGES[name] if name in PAGES else OPERATIONS[name]
    wheres = route.kind.wheres if route.kind else ("none",)
    if name in PAGES and name in organisation_pages():
        return (*wheres, "elsewhere", "nowhere")
    return wheres


# What the table says ----------------------------------------------------------------------------


def expected(cell: Cell) -> Outcome:
    """What the table of routes and that of roles say that the answer is."""
    who, route = cell.acts_as, cell.route
    if cell.who.spec.viewing and cell.method not in SAFE and not route.while_viewing:
        return 403
    if not who.is_known or (cell.is_page and who.carrier != "session"):
        return "sign in" if cell.is_page else 401
    if route.guard not in FREE and (refused := _at_the_door(cell)):
        return refused
    if who.operates and route.operators:
        return 404 if cell.where == "missing" else route.operators
    if who.scope_at(route.guard) is None:
        return 403
    if route.all_teams and who.limited:
        return route.all_teams
    if route.by_role and who.scope_at(route.guard, as_lead=False) is None:
        return 403
    if route.by_session and who.carrier != "session":
        return 403
    if route.by_person and who.carrier in ("service account key", "model key"):
        return 403
    return _at_the_object(cell) or _behind_it(cell)


def _at_the_door(cell: Cell) -> Outcome | None:
    """What somebody is told who is not let into the organisation or the installation."""
    who = cell.acts_as
    if cell.is_page and is_operators(cell.name):
        return None if who.operates else 404
    if cell.where == "nowhere" or (cell.where == "elsewhere" and not who.operates):
        return 404
    # An operator comes into each organisation that an address names, and is in none of their own.
    named = not cell.is_page or cell.name in organisation_pages()
    if who.is_member or (who.operates and named):
        return None
    return 404 if cell.is_page else 401


def _at_the_object(cell: Cell) -> Outcome | None:
    """What somebody is told who may not know of the object, or not do that to it."""
    who, route, kind, where = cell.acts_as, cell.route, cell.route.kind, cell.where
    own = where == "own" and who.is_person
    if kind is None:
        return None
    if kind.read is not None and who.scope_of(kind.read) is None:
        return 404 if route.guard in FREE else 403
    if route.first and not own and who.scope_of(route.first) is None:
        return 403
    # An operator's session stands in no organisation in the API.
    if not kind.is_seen_by(who, where) or (who.operates and not cell.is_page and where != "there"):
        return 404
    if route.others and own:
        return 403
    reached = [reaches(who, action, where, kind) for action in route.write]
    return None if any(reached) or not reached or (route.oneself and own) else 403


def _behind_it(cell: Cell) -> Outcome:
    route = cell.route
    besides = [route.also, route.post if cell.method == "POST" else None]
    if any(action and cell.who.scope_of(action) is None for action in besides):
        return 403
    return 404 if route.nothing else "in"


# What comes back --------------------------------------------------------------------------------


def ask(
    world: World, cell: Cell, *, path: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    """Ask, and take back whatever it changed; at that address, if one is given."""
    id = _id_of(world, cell)
    with _taken_back():
        answer = _ask(world, cell, id, path, headers)
        touched = sorted(_organisation_tables().intersection(answer.written))
        after = {table: _rows_of(table, world.stranger) for table in touched}
    before = {table: _rows_of(table, world.stranger) for table in touched}
    abroad = tuple(table for table in touched if before[table] != after[table])
    return replace(answer, abroad=abroad)


@cache
def _organisation_tables() -> frozenset[str]:
    """The tables whose rows are an organisation's."""
    return frozenset(
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if "organisation_id" in {field.column for field in model._meta.concrete_fields}
    )


def _rows_of(table: str, organisation: Organisation) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM {table} t "
            "WHERE organisation_id = %s",
            [organisation.pk],
        )
        ((rows,),) = cursor.fetchall()
    return str(rows)


@contextmanager
def _taken_back() -> Iterator[None]:
    """Nothing of what the block writes stays. Most cells write nothing, and those of them that read
    little would spend more on a savepoint than on all else: it is set before the first write."""
    begun = False

    def begin(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal begun
        if not begun and not str(sql).lstrip().startswith("SELECT"):
            begun = True
            connection.connection.execute("SAVEPOINT cell")
        return execute(sql, params, many, context)

    try:
        with connection.execute_wrapper(begin):
            yield
    finally:
        if begun:
            connection.connection.execute("ROLLBACK TO SAVEPOINT cell; RELEASE SAVEPOINT cell")
            connection.needs_rollback = False


def stay(world: World, cell: Cell) -> Answer:
    """Ask, and let stay whatever it changed: for views that hold connections of their own."""
    return _ask(world, cell, _id_of(world, cell))


def _id_of(world: World, cell: Cell) -> str:
    kind = cell.route.kind
    return world.id_of(kind, cell.where, cell.who) if kind else ""


def _ask(
    world: World, cell: Cell, id: str, path: str = "", headers: Mapping[str, str] | None = None
) -> Answer:
    FAULTS.clear()
    path, written, alone = path or _path_of(world, cell, id), list[str](), list[str]()
    asker = world.asker(cell.who)
    if cell.who.standing == "suspended":
        Organisation.objects.filter(pk=world.acme.pk).update(suspended_at=clock.now())
    body = cell.route.body(id)
    with connection.execute_wrapper(_noting(written, alone, asker)):
        response = _send(world, cell, path, body, headers)
        content = _content_of(response)
    return _answer(cell, response, content, path, id, tuple(written), tuple(alone))


def _content_of(response: Any) -> str:
    """The text of an answer; that of the files in an archive."""
    if response.is_async if response.streaming else False:
        return ""
    raw = b"".join(response.streaming_content) if response.streaming else response.content
    if response.headers.get("Content-Type") == "application/zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            raw = b"\n".join(archive.read(name) for name in archive.namelist())
    return str(raw.decode(errors="replace"))


def _path_of(world: World, cell: Cell, id: str) -> str:
    """The address of a cell: the organisation, what the table fills in, the parts of the id."""
    pattern = page_routes()[cell.name][0] if cell.is_page else cell.name.partition(" ")[2]
    parts = [] if cell.route.in_body or not cell.route.kind else id.split("/")

    def fill(match: re.Match[str]) -> str:
        name = next(filter(None, match.groups()))
        if name == "o":
            return _organisation_of(world, cell)
        return str(cell.route.rest[name] if name in cell.route.rest else parts.pop(0))

    if pattern.startswith("/^"):
        pattern = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", pattern.strip("/^$").replace("\\", ""))
        pattern = "/" + pattern
    filled = _PARAMETER.sub(fill, pattern)
    assert not parts, (cell.name, parts)
    return filled if cell.is_page else f"/api/v1{filled}"


def _organisation_of(world: World, cell: Cell) -> str:
    slugs = {"elsewhere": world.stranger.slug, "nowhere": "no-such-organisation"}
    return slugs.get(cell.where, world.acme.slug)


def _send(
    world: World, cell: Cell, path: str, body: Mapping[str, Any],
    headers: Mapping[str, str] | None,
) -> HttpResponseBase:  # fmt: skip
    client = world.clients[cell.who]
    # What this answer says to the browser is no part of the next one.
    kept = deepcopy(client.cookies)
    try:
        if cell.is_page:
            if cell.method == "GET":
                return client.generic("GET", path, headers=headers)
            return client.post(path, body, headers=headers)
        content = "" if cell.method in ("GET", "DELETE") else json.dumps(body)
        return client.generic(cell.method, path, content, "application/json", headers=headers)
    finally:
        client.cookies = kept


def _noting(written: list[str], alone: list[str], asker: User) -> Any:
    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        alone.extend(f"{one}: {sql}" for one in read_by_person_alone(str(sql), params, asker))
        words = str(sql).split(None, 3)
        if words and words[0] in ("INSERT", "UPDATE", "DELETE"):
            table = words[2] if words[0] in ("INSERT", "DELETE") else words[1]
            if table.strip('"') not in _OWN_ROWS:
                written.append(table.strip('"'))
        return execute(sql, params, many, context)

    return note


def _answer(
    cell: Cell, response: Any, body: str, path: str, id: str, written: tuple[str, ...],
    alone: tuple[str, ...],
) -> Answer:  # fmt: skip
    status: int = response.status_code
    location = response.headers.get("Location", "")
    outcome: Outcome = "in"
    if location.startswith("/login?") or (status == 401 and cell.is_page):
        outcome = "sign in"
    elif status in (401, 403, 404):
        outcome = status  # type: ignore[assignment]
    # A number may stand for other things too.
    names = [part for part in id.split("/") if not part.isdecimal()]
    text = body
    for part in filter(None, (path, response.get("x-request-id", ""), *names)):
        text = text.replace(part, "§")
    return Answer(outcome, status, _CHANGING.sub("§", text), body, written, alone)


# What is wrong with it --------------------------------------------------------------------------


# The answer about what is missing is that to which those of several cells in turn are compared.
_asked = lru_cache(maxsize=4)(ask)


def faults_of(world: World, cell: Cell) -> Iterator[str]:
    """What an answer says that it must not, in words; nothing when all is well."""
    answer, wanted = _asked(world, cell), expected(cell)
    yield from faults_in(cell, answer)
    outside = cell.where in ("elsewhere", "nowhere")
    there = replace(cell, where="nowhere" if outside else "missing")
    if wanted == 404 and cell.where != "none" and there != cell:
        missing = _asked(world, there)
        if (missing.status, missing.text) != (answer.status, answer.text):
            lines = zip(answer.text.splitlines(), missing.text.splitlines(), strict=False)
            differing = [pair for pair in lines if len({*pair}) > 1]
            yield f"{cell}: unlike what is missing, {differing[:2]}"


def faults_in(cell: Cell, answer: Answer) -> Iterator[str]:
    """The same of an answer by itself."""
    wanted = expected(cell)
    if answer.status >= 500:
        yield f"{cell}: {answer.status} {FAULTS}"
    elif answer.outcome != wanted and cell.route.guard != "public":
        yield f"{cell}: {answer.outcome} ({answer.status}), not {wanted}"
    if wanted != "in" and answer.written and cell.route.guard != "public":
        yield f"{cell}: it was refused, and wrote {answer.written}"
    if cell.method == "GET":
        wrote = {*answer.written} - READING.get(cell.name, frozenset())
        yield from (f"{cell}: a GET wrote {table}" for table in sorted(wrote))
    yield from (f"{cell}: it shows {word}" for word in leaks_in(cell, answer.text))
    # One's own pages are of every organisation, and so are those of operators.
    if cell.route.guard not in FREE and not cell.acts_as.operates:
        yield from (f"{cell}: it reads by person alone {one}" for one in answer.alone)
        yield from (f"{cell}: it changed {table} elsewhere" for table in answer.abroad)


def faults_of_all(world: World, asked: Iterable[Cell]) -> Iterator[str]:
    """What is wrong with any of them; their number is printed, for who runs them all."""
    count = 0
    for cell in asked:
        yield from faults_of(world, cell)
        count += 1
    print(f"{count} cells")  # noqa: T201 - what a reader of the slow lane's figures wants


def leaks_in(cell: Cell, text: str) -> Iterator[str]:
    """The words of places that a text has and whoever reads it must not."""
    own = f"z{cell.who.role.replace(' ', '')}z" if cell.who.is_person else ""
    if cell.name in _OF_ALL_ORGANISATIONS:
        return
    for one_result in _PRIVATE.finditer(text):
        if one_result.group(1) != own:
            yield one_result.group()
    if cell.acts_as.operates:
        return
    yield from (f"the operators' {name}" for name in _OF_OPERATORS if name in text)
    if "zforeignz" in text.lower():
        yield "what is another organisation's"
    if cell.who.limited and "zsidez" in text.lower():
        yield "what is another team's"
