"""Every page, part, form and list answers, as everybody, with requests in every state (W32).

The world is that of the isolation matrix with the requests of `request_states.py`, made once.
"""

import re
from collections.abc import Collection
from functools import cache
from typing import Final

import pytest
from django.db import models, transaction
from django.urls import Resolver404, resolve
from pytest_django.plugin import DjangoDbBlocker

from config.shell.help import HELP
from lib.tables.exports import FORMATS
from lib.tables.table import REGISTERED
from reference.manual.pages import section_url
from tests.config.shell.test_help import EXPLAINED, help_marks
from tests.house.asked import (
    Answer,
    Asker,
    asking,
    changing_cells,
    first_cells,
    granted,
    plain_pages,
    shape_of,
)
from tests.house.offers import (
    ASKS_OTHERS,
    OFFERING,
    Reader,
    body_of,
    faults_of_offer,
    filled,
    links_of,
    name_of,
    presses_of,
    spread,
    takes_post,
)
from tests.house.outlines.pages import differences, said_by
from tests.house.outlines.presses import Presses
from tests.house.outlines.scenes.played import play
from tests.house.request_states import COLUMNS, nullable_columns
from tests.house.test_lists import shared
from tests.isolation.cells import Cell, methods, organisation_pages
from tests.isolation.table import PAGES
from tests.isolation.who import ROLES
from tests.support.shell import bare_pages

pytestmark = pytest.mark.django_db

# Besides whoever is let in first: one who sees their own, and one who sees a team's.
BESIDES: Final = ("developer", "lead")
COMPARED: Final = 24
"""Of those who are treated alike, so many are asked in any case, evenly spread."""
# What a part has and its page does not, for this reason.
APART: Final = {
    "dialog-title": "a dialog has its own heading, which as a page is the page's",
    "embedded": "a page without a model to embed with has no place for vectors",
}


@pytest.fixture(scope="module")
def asker(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, request: pytest.FixtureRequest
) -> Asker:
    """Whom all has been asked in one transaction, of which nothing stays. What is offered is
    pressed if one of the tests is run that ask what came of it."""
    run = {getattr(item, "function", None) for item in request.session.items}
    with django_db_blocker.unblock(), transaction.atomic():
        with asking() as asker:
            if test_each_scene_says_what_its_outline_says in run:
                with bare_pages():
                    asker.scenes = list(play(asker.world))
            if run != {test_each_scene_says_what_its_outline_says}:
                _ask_pages(asker)
                _ask_lists(asker)
                _ask_by_htmx(asker)
                _ask_parts(asker)
            if not run.isdisjoint(OF_READERS):
                _ask_for_shells(asker)
            with bare_pages():
                if not run.isdisjoint(OF_OFFERS):
                    _press_offers(asker, every_choice=test_every_choice_works in run)
                if not run.isdisjoint(OF_READERS):
                    _ask_readers(asker)
        transaction.set_rollback(True)
    return asker


def _ask_pages(asker: Asker) -> None:
    """Each page and each form, and each operation that reads."""
    for cell in first_cells():
        if cell.is_page:
            asker.ask_both_ways(cell)
        else:
            asker.ask(cell)


def _ask_lists(asker: Asker, forms: Collection[str] = ("csv",)) -> None:
    """Each table of a page with all its columns, and once as a file."""
    filed = set[str]()
    for answer in list(asker.answers):
        if answer.htmx or answer.cell.method != "GET" or not answer.table:
            continue
        columns = ",".join(column.name for column in REGISTERED[answer.table].columns)
        asker.ask(answer.cell, htmx=True, path=f"{answer.path}?cols={columns}")
        for form in forms if answer.table not in filed else ():
            asker.ask(answer.cell, path=f"{answer.path}?cols={columns}&export={form}")
        filed.add(answer.table)


def _ask_by_htmx(asker: Asker) -> None:
    """Each address that a page lets htmx ask for, as it stands there: once of those that name the
    same in their queries."""
    asked = {shape_of(answer.path) for answer in asker.answers if answer.htmx}
    for answer in list(asker.answers):
        for method, path in sorted(answer.by_htmx):
            if method == "GET" and (shape := shape_of(path)) not in asked:
                asked.add(shape)
                asker.ask(answer.cell, htmx=True, path=path)


def _ask_parts(asker: Asker) -> None:
    """Each part, as one of those besides whoever was let in first, in turn."""
    answers = asker.answers
    names = {one.cell.name for one in answers if one.htmx and one.cell.method == "GET"}
    for number, name in enumerate(sorted(names)):
        cells = granted(name, "GET")
        if besides := [cells[role] for role in BESIDES if role in cells]:
            asker.ask(besides[number % len(besides)], htmx=True)


def _ask_for_shells(asker: Asker) -> None:
    """A page of each side with all that is around it, as every role."""
    for name in ("home", "installation", "mfa_index"):
        for cell in granted(name, "GET").values():
            asker.ask_for_shell(cell)


def _ask_readers(asker: Asker) -> None:
    """Each page and part as every role, and each table, in every form of file once."""
    filed = set[str]()
    for name in plain_pages():
        for cell in granted(name, "GET").values() if "GET" in methods(name) else ():
            page = asker.answer_to(cell)
            if page.looked:
                asker.answer_to(cell, htmx=True)
            if page.table:
                columns = ",".join(column.name for column in REGISTERED[page.table].columns)
                asker.answer_to(cell, htmx=True, query=f"?cols={columns}")
                for form in FORMATS if page.table not in filed else ():
                    asker.answer_to(cell, query=f"?cols={columns}&export={form}")
                filed.add(page.table)
    # What is left out is what one would be shown who is treated alike.
    for cell, path, answer in spread(asker.alike, COMPARED):
        asker.compare(cell, path, answer)


def _press_offers(asker: Asker, *, every_choice: bool) -> None:
    """Each button of a page, once of those that are alike, as whoever was let in first."""
    pressed, presses = set[object](), Presses(asker.world)
    for answer in list(asker.answers):
        if answer.htmx or answer.status != 200 or answer.cell not in _pages():
            continue
        text, name = body_of(answer.text), answer.cell.name
        client = asker.world.clients[answer.cell.who]
        reader, noting = Reader(client), Reader(client, presses.left)
        offered = {name_of(link) for link in links_of(text)}
        for press in presses_of(name, answer.path, text):
            offered.add(press.name)
            if press.shape in pressed or press.name in ASKS_OTHERS:
                continue
            pressed.add(press.shape)
            presses.begin(press)
            outcome, data = filled(noting, press, press.data())
            presses.add(answer.cell, press, text, outcome, data)
            asker.faults += faults_of_offer(reader, press, outcome, data, every_choice=every_choice)
        if name in organisation_pages() and any(map(_changes_an_object, offered - {name})):
            asker.offering.add(name)
    for cell in changing_cells():
        presses.ask(cell)
    asker.presses = list(presses.said())


@cache
def _pages() -> frozenset[Cell]:
    """The pages that are shown to somebody: whoever signs in or up is nobody yet."""
    shown = (cell for cell in first_cells() if cell.is_page and cell.method == "GET")
    return frozenset(cell for cell in shown if cell.route.guard != "public")


def _changes_an_object(name: str) -> bool:
    return takes_post(name) and PAGES[name].kind is not None


def failed(answers: Collection[Answer]) -> list[str]:
    return [str(answer) for answer in answers if answer.fault or answer.status >= 500]


def test_every_page_part_form_and_list_works(asker: Asker) -> None:
    assert failed(asker.answers) == []
    assert len(asker.answers) > 1_000


def test_answers_show_nobody_what_is_not_theirs(asker: Asker) -> None:
    """P12, of parts, lists and files too: who is let in, what it shows and what it changes."""
    assert [wrong for answer in asker.answers for wrong in answer.wrong] == []


def test_each_page_says_what_its_outline_says(asker: Asker) -> None:
    """W32, of what they say: their words, figures, fields and links."""
    found = differences(said_by(asker.answers))
    assert not found, found


def test_each_scene_says_what_its_outline_says(asker: Asker) -> None:
    """W32, of pages in states that are rare."""
    found = differences(asker.scenes)
    assert not found, found
    lines = [line for _, lines in asker.scenes for line in lines]
    assert [line for line in lines if re.fullmatch(r"== .*: 5\d\d", line)] == []


def test_each_part_is_contained_in_its_page(asker: Asker) -> None:
    """What htmx puts in place is there without a script too."""
    pages = {
        (one.cell, one.path): one for one in asker.answers if not one.htmx and one.status == 200
    }
    parts = [one for one in asker.answers if one.htmx and (one.cell, one.path) in pages]
    whole = [part for part in parts if part.cell.method == "GET" and part.status == 200]
    assert len(whole) > 100
    beside = {
        str(part): part.ids - pages[part.cell, part.path].ids - APART.keys() for part in whole
    }
    assert {part: ids for part, ids in beside.items() if ids} == {}


def test_each_page_of_the_menu_leads_to_its_help(asker: Asker) -> None:
    """The `?` beside its title, once, to the section of the manual that explains it."""
    marks = {
        one.cell.name: [address for address, _ in help_marks(one.text)]
        for one in asker.answers
        if not one.htmx and one.cell.method == "GET" and one.status == 200 and "?" not in one.path
    }
    wanted = {name: [section_url(section)] for name, section in HELP.items()}
    # Its view is a coroutine, see `plain_pages`.
    wanted.pop("playground_preferences")
    assert {name: marks.get(name) for name in wanted} == wanted
    assert {name: marks[name] for name in EXPLAINED} == {name: [] for name in EXPLAINED}


def test_every_htmx_address_is_a_page(asker: Asker) -> None:
    """Its address is in the URL map, and takes the method."""
    wrong = set()
    for answer in asker.answers:
        for method, path in answer.by_htmx:
            try:
                name = resolve(path.partition("?")[0]).url_name or ""
            except Resolver404:
                name = ""
            if name not in PAGES or method not in methods(name):
                wrong.add(f"{answer.cell.name}: {method} {path}")
    assert wrong == set()


def test_every_button_works(asker: Asker) -> None:
    """Nothing that is offered is refused, does nothing, or is undone otherwise than it was; of each
    field, one of its last choices."""
    assert asker.faults == []


def test_every_choice_works(asker: Asker) -> None:
    """The other choices too: four fifths of all that is pressed."""
    assert asker.faults == []


def test_each_page_that_offers_changes_is_asked_as_every_reader(asker: Asker) -> None:
    """A new one stands in OFFERING, whose pages `test_offers.py` opens as those who may do some."""
    assert asker.offering == OFFERING


def test_each_press_is_answered_and_leaves_what_its_outline_says(asker: Asker) -> None:
    """W32, of what is sent: what each button and operation answers, says and writes."""
    found = differences(asker.presses)
    assert not found, found


OF_OFFERS: Final = (
    test_each_press_is_answered_and_leaves_what_its_outline_says,
    test_every_button_works,
    test_every_choice_works,
    test_each_page_that_offers_changes_is_asked_as_every_reader,
)


def test_every_table_is_requested(asker: Asker) -> None:
    asked = {answer.cell.name for answer in asker.answers if answer.table}
    assert shared() - asked == set()


def test_every_page_and_part_works_for_every_role(asker: Asker) -> None:
    """Of those who may do the same of what a page asks, as one of them."""
    answers = asker.of_readers + asker.shells
    assert failed(answers) == []
    assert [wrong for answer in answers for wrong in answer.wrong] == []
    assert {answer.cell.who.role for answer in asker.shells} == ROLES.keys()


def test_readers_who_may_do_the_same_are_shown_the_same(asker: Asker) -> None:
    assert len(asker.compared) >= COMPARED / 2
    differing = [
        f"{one}, unlike {other.cell.who}: {_first_difference(one, other)}"
        for one, other in asker.compared
        if one.nameless != other.nameless
    ]
    assert differing == []


def _first_difference(one: Answer, other: Answer) -> tuple[str, str]:
    lines = zip(one.nameless.splitlines(), other.nameless.splitlines(), strict=False)
    return next((pair for pair in lines if len({*pair}) > 1), ("", "its end"))


OF_READERS: Final = (
    test_every_page_and_part_works_for_every_role,
    test_readers_who_may_do_the_same_are_shown_the_same,
)


@pytest.mark.parametrize("model", COLUMNS)
def test_each_nullable_column_is_null_empty_and_set(model: type[models.Model]) -> None:
    """A new column gets its values in `request_states.py`; every list is asked beside them."""
    assert COLUMNS[model].keys() == nullable_columns(model)
