"""What a list says of its columns and of how many rows it has, without a page around it."""

from types import SimpleNamespace
from typing import Any

import pytest

from config.templatetags.tables import _attributes, _card, _card_row, _title, row_count
from lib.numbers.formatting import MISSING
from lib.tables.sources import Count
from lib.tables.table import Column

NAME = Column("name", "Name", card="title")
STATE = Column("state", "Status", "badge", card="first", priority=2)
COST = Column("cost", "Cost", "money", card="last", priority=3)
NOTE = Column("note", "Note", card="second")
CODE = Column("code", "Code", "code")


def state(*columns: Column, chosen: bool = False) -> Any:
    return SimpleNamespace(columns=columns, columns_chosen=chosen)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, ""), (Count(1), "1 row"), (Count(1234), "1,234 rows"),
        (Count(1000, exact=False), "about 1,000 rows"),
        (Count(1000, exact=False, at_least=True), "more than 1,000 rows"),
    ],
)  # fmt: skip
def test_number_of_rows_says_how_exact_it_is(count: Count | None, text: str) -> None:
    assert row_count(count) == text


@pytest.mark.parametrize(
    ("column", "chosen", "attributes"),
    [
        (NAME, False, ' data-c="name" data-card="title"'),
        (STATE, False, ' data-c="state" data-kind="badge" data-p="2" data-card="first"'),
        (COST, False, ' data-c="cost" class="n" data-p="3" data-card="last"'),
        # Columns that were chosen stay, however narrow the page is.
        (COST, True, ' data-c="cost" class="n" data-card="last"'),
        (CODE, False, ' data-c="code"'),
    ],
)
def test_column_says_how_it_is_set_and_when_it_goes(
    column: Column, chosen: bool, attributes: str
) -> None:
    assert _attributes(column, state(NAME, column, chosen=chosen)) == attributes


@pytest.mark.parametrize(
    ("column", "inner", "said"),
    [
        (COST, "$1.00", ' data-label="Cost"'), (COST, MISSING, " data-none"),
        (NOTE, "text", ""), (NOTE, f'<span class="faint">{MISSING}</span>', " data-none"),
        (NOTE, f"a {MISSING} b", ""), (NAME, MISSING, ""), (STATE, MISSING, ""),
    ],
)  # fmt: skip
def test_second_line_of_a_card_labels_figures_and_leaves_nothing_out(
    column: Column, inner: str, said: str
) -> None:
    assert _card_row(column, inner) == said


def test_first_column_is_the_title_of_a_card_unless_another_place_is_its_own() -> None:
    columns = (CODE, NAME, COST)
    places = [_card(column, state(*columns)) for column in columns]
    assert places == ["title", "", "last"]
    assert [_card(column, state(NAME, CODE)) for column in (NAME, CODE)] == ["title", ""]
    assert [_card(column, state(STATE, NAME)) for column in (STATE, NAME)] == ["first", "title"]
    assert (_title(state(CODE, NAME)), _title(state(CODE, COST))) == (NAME, CODE)
