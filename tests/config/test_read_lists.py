"""W30 to W85: each list is whole however it is read. A row at a time in each order and direction,
as a file in parts, and page by page through the API, it has each row once, in one order; and its
search finds a name in other capitals, between blanks and by a part of it.

The rows are those of `tests/config/figures.py` and of `do_everything`, and copies of them: two that
are equal in what they are sorted by, and one without what may be missing.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.http import HttpResponse, QueryDict
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.models import CustomRole, Invitation, Key, KeyKind, ServiceAccount
from accounts.organisations import teams
from billing.credits import codes
from billing.credits.credits import CORRECTION
from billing.models import (
    Approval,
    Budget,
    BudgetRaise,
    BudgetWindow,
    CodeBatch,
    Plan,
    PriceProposal,
)
from gateway.models import ModelProposal
from lib import clock
from lib.ids import new_id, parse_id
from lib.tables import pages
from lib.tables.keyset import boundary_of, compare, value_at
from lib.tables.sources import END, START, ListSource, Position, Source, read_page
from lib.tables.table import REGISTERED, State
from notify.endpoints import endpoints
from notify.models import WebhookEndpoint
from playground.models import Vote
from tests.config import test_empty_states
from tests.config.api.test_api_queries import fields_of, gets
from tests.config.figures import Listed, do_all
from tests.config.test_empty_states import do_everything
from tests.isolation.kinds.content import LOG_RULE, POLICY
from tests.isolation.kinds.gateway import ALIAS, ANNOUNCEMENT, MODEL_RULE, OWN_KEY
from tests.isolation.world import Place, World
from tests.support import cast
from tests.usage.rows import admit, happen
from usage.limits import budget_simulation
from usage.models import Feedback, SavedView, UsageRecord
from usage.rollups.rollups import replace_all

pytestmark = pytest.mark.django_db

LEAST: Final = 3
"""So many rows has each list: a first, a middle and a last one."""
# Lists without a figure, which `figures.TABLES` does not know.
OTHERS: Final[dict[str, tuple[str, str]]] = {
    "all-audit": ("dora", "/admin/audit"),
    "approvals": ("dora", "/admin/approvals"),
    "audit": ("alice", "/o/acme/audit"),
    "catalogue": ("dora", "/admin/models/catalogue"),
    "exchange-rates": ("dora", "/admin/exchange-rates"),
    "findings": ("dora", "/admin/findings"),
    "invitations": ("alice", "/o/acme/team/invitations"),
    "log-rules": ("alice", "/o/acme/content-log"),
    "operator-alerts": ("dora", "/admin/alerts"),
    "people": ("dora", "/admin/people"),
    "policies": ("alice", "/o/acme/policies"),
    "provider-keys": ("alice", "/o/acme/provider-keys"),
    "saved_views": ("alice", "/o/acme/views"),
    "webhooks": ("alice", "/o/acme/webhooks"),
}
# Lists of the API with one item here, or none; their pages are those of `lib.api.pagination` too.
FEW: Final = {
    "accepted-members", "budgets/{id}/alerts", "catalogue-ignore-rules",
    "catalogue-updates", "channel-tests", "channels/{id}/keys", "jobs", "price-previews", "prompts",
    "prompts/{slug}/versions", "provider-keys/{id}/fallback-prices", "safeguards",
    "settings/changes", "shadow-spend", "shadow-traffic", "statements", "tax-rates",
}  # fmt: skip
TRIED: Final = 2
"""So many texts of each list are typed in different ways."""
_MOST: Final = 1_000


@dataclass(frozen=True)
class Read:
    """A list as its view reads it."""

    who: str
    path: str
    state: State
    source: Source[Any]
    make: pages.Make

    def rows(self) -> list[Any]:
        return self.source.fetch(self.state.orders, None, backwards=False, limit=_MOST)

    def key_of(self, row: Any) -> Any:
        return value_at(row, self.state.table.key)


class Reader:
    """Asks for lists, and keeps what their views read."""

    def __init__(self, people: cast.Cast) -> None:
        self.last: Read | None = None
        self.clients = {
            who: cast.signed_in(getattr(people, who)) for who in ("alice", "charlie", "dora")
        }

    def ask(self, who: str, path: str) -> Read:
        self.last = None
        answer = self.clients[who].get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        assert self.last is not None, f"{path} shows no list"
        return replace(self.last, who=who, path=path)

    def note(self, path: str, state: State, source: Any, make: Any = list, *rest: Any) -> None:
        """What a view was about to show. No page is made of it."""
        self.last = Read("", path, state, source, make)


@pytest.fixture(scope="module")
def world(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[tuple[Reader, Mapping[str, Read], Client]]:
    """Everything that lists show, with copies; who asks for it, and a program that may all."""
    with (
        django_db_blocker.unblock(),
        transaction.atomic(),
        pytest.MonkeyPatch.context() as patch,
    ):
        people, listed = cast.assemble(), dict[str, Listed]()

        def noting(people: cast.Cast) -> dict[str, Listed]:
            listed.update(do_all(people))
            return listed

        patch.setattr(test_empty_states, "do_all", noting)
        do_everything(people)
        _add_rows(people)
        reader = Reader(people)
        patch.setattr(pages, "page_of", reader.note)
        patch.setattr(pages, "render_part", lambda *_: HttpResponse())
        places = {name: (one.who, one.path) for name, one in listed.items()} | OTHERS
        lists = {name: reader.ask(*places[name]) for name in sorted(places)}
        with connection.cursor() as cursor:
            replace_all(cursor, clock.now())
        for one in lists.values():
            _copy_rows(one)
        lists = {name: reader.ask(*places[name]) for name in sorted(places)}
        people.alice.operator = True
        people.alice.save(update_fields=["operator"])
        _, text = cast.make_key(
            people.core, "reads all", user=people.alice, kind=KeyKind.MANAGEMENT
        )
        yield reader, lists, cast.with_key(text)
        transaction.set_rollback(True)


def _add_rows(people: cast.Cast) -> None:
    """More of what lists compute from: each has a first, a middle and a last row."""
    named = {key.name: key for key in Key.objects.all()}
    mine, other = named["figures"], named["running"]
    session = UsageRecord.objects.filter(key_id=mine.id).exclude(session_id=None).earliest("id")
    at = clock.now() - dt.timedelta(minutes=1)
    batch = codes.create_batch(SYSTEM, "Étude 中文", value_nano=10**9, count=1)
    (text,) = codes.download_codes(SYSTEM, batch)
    alice = cast.actor(people.alice, people.acme)
    codes.redeem(alice, people.acme, text)
    for n in range(3):
        # Two requests cost the same, and two sessions have as many turns.
        happen(mine, at, 7_000 * (n // 2), model=f"m-Read-{n}", session_id=session.session_id)
        happen(mine, at, 9_000 * (n // 2), model=f"m-Read-{n}", session_id=new_id())
        happen(other, at, 3_000, hold_nano=10_000, model=f"m-Review-{n}", flags=["quarantine"])
        admit(other, at, model=f"m-running-{n}")
        team = teams.create_team(people.acme, f"Équipe 中文 {n}", actor=SYSTEM)
        keys.change_limits(SYSTEM, team, rpm=7, tpm=None, parallel=n + 1)
        budget = budget_simulation.create_budget(
            SYSTEM, people.acme, scope="team", subject=str(team.id), amount_nano=7 * 10**9,
            period="month", timezone="UTC",
        )  # fmt: skip
        BudgetRaise.objects.create(
            budget=budget, asked_by=people.bob, amount_nano=10**9, reason=f"École 中文 {n}",
            until=clock.now() + dt.timedelta(days=2),
        )  # fmt: skip
        BudgetWindow.objects.create(
            budget=Budget.objects.get(scope="end_user"), end_user=f"École 中文 {n}",
            starts_at=clock.now(), ends_at=clock.now() + dt.timedelta(days=2), cap_nano=0,
        )  # fmt: skip
        world = World(people.acme, team, team, people.stranger, people.dora)
        for kind in (ALIAS, ANNOUNCEMENT, MODEL_RULE):
            kind.make(world, Place("read", people.acme, team, people.alice, mine))
        for kind in (LOG_RULE, POLICY):
            kind.make(world, Place(f"Étape-中文-{n}", people.acme, team, people.alice, mine))
        OWN_KEY.make(world, Place(f"Own 中文 {n}", people.acme, team, people.alice, mine))
        Feedback.objects.create(
            organisation=people.acme, request_id=new_id(), author_key_id=mine.id, team_id=team.id,
            key_id=mine.id, model=f"m-opinion-{n}", score=40 * (n // 2), comment=f"Écrit 中文 {n}",
        )  # fmt: skip
        Vote.objects.create(
            organisation=people.acme, user=people.alice, batch=new_id(),
            candidates=[f"m-vote-{n}", "m-beaten"], winner=f"m-vote-{n}",
        )  # fmt: skip
        Approval.objects.create(
            kind=CORRECTION, subject=str(new_id()), organisation=people.acme,
            about=f"Étang 中文 {n}", changes=[], reason="More", asked_by=people.dora,
        )  # fmt: skip
        endpoints.send_test(SYSTEM, WebhookEndpoint.objects.get(url="https://figures.example/h"))
    for model in (
        CodeBatch, CustomRole, Invitation, ModelProposal, Plan,
        PriceProposal, SavedView, ServiceAccount,
    ):  # fmt: skip
        copy_row(model._base_manager.order_by("pk")[0])
    for endpoint in list(WebhookEndpoint.objects.order_by("pk")):
        copy_row(endpoint)


def _copy_rows(read: Read) -> None:
    """Add copies of the first row of a list that reads a model."""
    rows = getattr(read.source, "_rows", None)
    if isinstance(rows, models.QuerySet) and len(rows) < LEAST and (first := rows.first()):
        copy_row(first)


# What names a row to its reader.
_NAMES: Final = frozenset({"name", "title", "label"})


def copy_row(row: models.Model) -> None:
    """Add three copies: one without what may be missing, and two that differ in names alone."""
    for n in (1, 2, 3):
        copy = type(row)(**_values_of(row, n, without=n == 1))
        try:
            with transaction.atomic():
                type(row)._base_manager.bulk_create([copy])
        except IntegrityError:
            copy = type(row)(**_values_of(row, n, without=False))
            type(row)._base_manager.bulk_create([copy])


def _values_of(row: models.Model, n: int, *, without: bool) -> dict[str, Any]:
    """The values of a copy."""
    meta, values = row._meta, dict[str, Any]()
    unique = {field.name for field in meta.concrete_fields if field.unique}
    for constraint in meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            unique.update(constraint.fields)
            unique.update(re.findall(r"F\((\w+)\)", repr(constraint.expressions)))
    for field in meta.concrete_fields:
        value = getattr(row, field.attname)
        if field.primary_key:
            if isinstance(field, models.UUIDField):
                values[field.attname] = new_id()
            continue
        if field.is_relation:
            values[field.attname] = value
        elif field.name in unique and not field.choices:
            values[field.attname] = _other(value, n)
        elif field.name in _NAMES and value:
            values[field.attname] = f"{value} Éclair 中文 {n}"
        else:
            values[field.attname] = None if without and field.null else value
    return values


def _other(value: Any, n: int) -> Any:
    if isinstance(value, str):
        return f"{value}-{n}"
    if isinstance(value, dt.date):
        return value - dt.timedelta(days=n)
    if isinstance(value, int) and not isinstance(value, bool):
        return value + n
    if isinstance(value, bytes | memoryview):
        return new_id().bytes
    return new_id() if isinstance(value, UUID) else value


def test_every_list_has_rows_to_read(world: Any) -> None:
    """A new list gets its address into the table above, and three rows."""
    _, lists, _ = world
    assert lists.keys() == REGISTERED.keys()
    few = {name for name, one in lists.items() if len(one.rows()) < LEAST}
    assert few == {"statements"}, "who signed up today has one month"


def _sorts(reader: Reader, read: Read) -> Iterator[Read]:
    """The list in each order that its columns offer, both ways."""
    yield read
    for column in read.state.table.columns:
        if column.sort_path is not None:
            sorted_ = read
            if not isinstance(read.source, ListSource):
                # A view may read its rows as they are sorted.
                sorted_ = reader.ask(read.who, _with(read.path, sort=column.name))
            for down in (False, True):
                state = replace(sorted_.state, sort=((column.name, down),))
                yield replace(sorted_, state=state)


def _with(path: str, **query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{urlencode(query)}"


def test_each_row_is_read_once_in_every_order(world: Any) -> None:
    """From the first page to the last and back, with the addresses that the pages link to."""
    wrong = []
    reader, lists, _ = world
    for name, known in lists.items():
        for read in _sorts(reader, known):
            order, state = f"{name} by {read.state.sort}", read.state
            try:
                rows = read.rows()
            except TypeError as error:  # no page of it could be shown
                wrong.append(f"{order}: {error}")
                continue
            keys_ = [read.key_of(row) for row in rows]
            if len(set(keys_)) != len(keys_):
                wrong.append(f"{order}: two rows have one key")
            if not _is_sorted(rows, state):
                wrong.append(f"{order}: not in this order")
            for start in (START, END):
                try:
                    came = _walk(read, start, len(rows))
                except TypeError as error:
                    wrong.append(f"{order}: {error}")
                    continue
                if came != keys_:
                    wrong.append(f"{order} from {start}: {came}, not {keys_}")
    assert wrong == []


def _is_sorted(rows: Sequence[Any], state: State) -> bool:
    """Whether what is no text rises or falls; texts rise as the database compares them."""
    orders = state.orders
    edges = [boundary_of(row, orders) for row in rows]
    return all(
        isinstance(one[0], str) or isinstance(other[0], str) or compare(one, other, orders) <= 0
        for one, other in pairwise(edges)
    )


def _walk(read: Read, start: Position, most: int) -> list[Any]:
    """The keys of the rows, read one at a time from an end to the other."""
    state = read.state
    position: Position | None = start
    came: list[Any] = []
    while position is not None and len(came) <= most:
        # As an address names it, which the next request reads.
        query = QueryDict(state.query_at(position))
        asked = state.at(query.get("after", ""), query.get("before", ""))
        page = read_page(read.source, state.orders, 1, asked.position)
        came += [read.key_of(row) for row in page.rows]
        position = page.previous if start == END else page.next
    return came[::-1] if start == END else came


def test_file_has_each_row_once(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """P33: whichever part of it is read at a time."""
    wrong = []
    for name, read in world[1].items():
        state = replace(read.state, columns=read.state.table.columns)
        whole = _columns(read, state)
        with monkeypatch.context() as patch:
            patch.setattr(pages, "_BATCH", 1)
            parts = _columns(read, state)
        if parts != whole or any(len(one) != len(read.rows()) for one in whole):
            wrong.append(f"{name}: {[len(one) for one in whole]}")
    assert wrong == []


def _columns(read: Read, state: State) -> list[list[Any]]:
    columns: list[list[Any]] = [[] for _ in state.columns]
    for batch in pages.batches_of(state, read.source, read.make):
        for column, values in zip(columns, batch, strict=True):
            column += map(str, values)
        if len(columns[0]) > _MOST:  # a part that begins where it began
            break
    return columns


def test_api_lists_each_item_once(world: Any) -> None:
    """Page by page, in the order of one large page."""
    client, wrong, few = world[2], [], set[str]()
    for path in _listing():
        wholes = {place: _items(client, place, 200) for place in _places(client, path)}
        place = max(wholes, key=lambda one: len(wholes[one]), default=path)
        whole = wholes.get(place, [])
        if len(whole) < 2:
            few.add(path.removeprefix("/api/v1/"))
        elif (came := _items(client, place, 1 if len(whole) < 9 else 7)) != whole:
            wrong.append(f"{place}: {len(came)} of {len(whole)}")
    assert wrong == []
    assert sorted(few) == sorted(FEW)


def _listing() -> list[str]:
    return [path for path, one in gets() if {"limit", "cursor"} <= fields_of(one).keys()]


def _places(client: Client, path: str) -> list[str]:
    """The addresses of a list: of one in an object, those of the objects that a list has."""
    before, brace, after = path.partition("{")
    if not brace:
        return [path]
    name, _, rest = after.partition("}")
    items = client.get(before.rstrip("/"), {"limit": 200}).json().get("items", [])
    found = [next((str(item[one]) for one in ("id", name, "name") if item.get(one)), "")
             for item in items]  # fmt: skip
    return [f"{before}{one}{rest}" for one in found if one and "/" not in one]


def _items(client: Client, path: str, limit: int) -> list[Any]:
    """All items, read so many at a time; none if there is no such list. Of what has an id, that: a
    figure such as a forecast changes between two reads."""
    items: list[Any] = []
    query = {"limit": str(limit)}
    while len(items) <= 1_000:
        answer = client.get(path, query)
        if answer.status_code != 200:
            return []
        page = json.loads(answer.content)
        items += [one.get("id") or one for one in page["items"]]
        if page["next"] is None:
            return items
        query["cursor"] = page["next"]
    return items


def test_search_finds_names_however_they_are_typed(world: Any) -> None:
    """In other capitals, between blanks and by a part; and nothing that has no such text."""
    reader, lists, _ = world
    wrong = []
    for name, read in lists.items():
        if not any(one.filter.kind == "search" for one in read.state.filters):
            continue

        def ask(text: str, read: Read = read) -> set[Any]:
            found = reader.ask(read.who, _with(read.path, q=text))
            return {read.key_of(row) for row in found.rows()}

        if ask("zz no such zz"):
            wrong.append(f"{name}: finds what is not there")
        every = {read.key_of(row) for row in read.rows()}
        texts = _texts(read)
        tried, narrowed = 0, all(rows == every for rows in texts.values())
        for text in sorted(texts, key=lambda one: (one.isascii(), one)):
            if not ((came := ask(text)) & texts[text]):
                continue
            tried, narrowed = tried + 1, narrowed or came != every or texts[text] == every
            for typed in (text.upper(), f"  {text.lower()} "):
                if ask(typed) != came:
                    wrong.append(f"{name}: {typed!r} finds other rows than {text!r}")
            if not came <= ask(text[1:-1]):
                wrong.append(f"{name}: {text[1:-1]!r} does not find {text!r}")
            if tried == TRIED and narrowed:
                break
        if not tried or not narrowed:
            wrong.append(f"{name}: by {tried} of {sorted(texts)[:12]} finds all or nothing")
    assert wrong == []


def _texts(read: Read) -> dict[str, set[Any]]:
    """The texts that rows show, and the rows that show each."""
    rows = read.rows()
    texts: dict[str, set[Any]] = {}
    for row, made in zip(rows, read.make(list(rows)), strict=True):
        for column in read.state.table.columns:
            value = column.read(made) if column.kind == "text" else None
            # Ids and keys have one spelling.
            if isinstance(value, str) and len(value) > 3 and parse_id(value) is None:
                texts.setdefault(value, set()).add(read.key_of(row))
    return texts
