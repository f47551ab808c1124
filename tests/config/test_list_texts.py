"""W30 to W85: what lists of money and usage say of their rows besides figures, which
`test_figures.py` checks: every text, state, person and time of a row in the list's file, and every
member of its item in the API, in the list's own order; and which rows each filter keeps."""

import json
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import get_resolver

from lib.tables.table import NUMERIC, REGISTERED
from tests.config import list_texts_of_money, list_texts_of_usage
from tests.config.list_texts import LISTS
from tests.support import cast
from tests.support.lists import file_of

pytestmark = pytest.mark.django_db

FIGURES: Final = NUMERIC | {"meter"}
CASES: Final = (list_texts_of_money, list_texts_of_usage)


@pytest.mark.parametrize("name", sorted(LISTS))
def test_list_shows_its_rows_and_filters_them(people: cast.Cast, name: str) -> None:
    assert get_resolver().url_patterns
    one = LISTS[name](people)
    client = one.client or cast.signed_in(getattr(people, one.who))
    columns = REGISTERED[one.table].columns
    texts = {column.name for column in columns if column.kind not in FIGURES}
    assert all(row.keys() == texts for row in one.rows)
    every = ",".join(column.name for column in columns)

    def ask(query: str) -> list[dict[str, str]]:
        rows = file_of(client, f"{one.path}?{query}&{one.whole}&cols={every}&export=csv")
        return [{name: row[name] for name in row if name in texts} for row in rows]

    assert ask("") == list(one.rows)
    for query, places in one.kept.items():
        assert ask(query) == [one.rows[n] for n in places], query
    if one.api:
        assert _items(client, one.api) == list(one.items)
    for query, places in one.api_kept.items():
        items = _items(client, f"{one.api}?{query}")
        assert items == [one.items[n] for n in places], query


def _items(client: Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(f"/api/v1{path}")
    assert answer.status_code == 200, answer.content
    items: list[dict[str, Any]] = json.loads(answer.content)["items"]
    return items
