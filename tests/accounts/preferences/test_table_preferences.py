"""What a person keeps of a table is theirs, follows them, and is no more than the table has."""

from collections.abc import Iterator

import pytest

from accounts.models import TablePreference
from accounts.preferences.table_preferences import apply_form
from lib.tables.table import NO_PREFERENCE, REGISTERED, Column, Preference, Table
from tests.support.cast import Cast, make_key, signed_in

PATH = "/tables/keys"
BACK = {"next": "/o/acme/keys?q=web"}


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    columns = (Column("a", "A", sort=True), Column("b", "B"), Column("c", "C", chosen=False))
    yield Table("test-preferences", "Test", columns, "a")
    REGISTERED.pop("test-preferences")


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ({"column": ["b", "a"]}, ("b", "a")),
        ({"column": ["a", "b"]}, ()),
        ({"column": ["c", "x", "c"]}, ("c",)),
        ({"column": ["a", "b", "c"], "up": ["c"]}, ("a", "c", "b")),
        ({"column": ["a", "b", "c"], "down": ["a"]}, ("b", "a", "c")),
        ({"column": ["a", "c"], "up": ["a"]}, ("a", "c")),
        ({"column": ["a", "c"], "up": ["b"]}, ("a", "c")),
        ({"column": []}, ()),
        ({"column": ["x"]}, ()),
        ({}, ("c",)),
    ],
)
def test_a_form_becomes_a_choice(
    table: Table, form: dict[str, list[str]], columns: tuple[str, ...]
) -> None:
    kept = Preference(("c",), 25)
    assert apply_form(table, kept, form) == Preference(columns, 25)
    assert apply_form(table, kept, form | {"page_size": ["100"]}) == Preference(columns, 100)
    assert apply_form(table, kept, form | {"page_size": ["7"]}) == Preference(columns, 25)
    assert apply_form(table, kept, form | {"reset": ["1"]}) == NO_PREFERENCE


def test_a_choice_is_kept_for_the_person(people: Cast) -> None:
    make_key(people.core, "web-prod", user=people.bob)
    alice = signed_in(people.alice)
    form = BACK | {"column": ["team", "name"], "page_size": "25"}
    answer = alice.post(PATH, form)
    assert (answer.status_code, answer["Location"]) == (303, BACK["next"])
    heads = [
        page.split("<tbody")[0].split("<thead")[1]
        for page in (
            browser.get("/o/acme/keys").content.decode()
            for browser in (alice, signed_in(people.bob))
        )
    ]
    assert heads[0].index("Team") < heads[0].index("Name")
    assert "Status" not in heads[0]
    assert "Status" in heads[1]
    assert TablePreference.objects.get().page_size == 25
    alice.post(PATH, BACK | {"reset": "1"})
    assert not TablePreference.objects.exists()


def test_choice_affects_no_one_and_nothing_else(people: Cast) -> None:
    bob = signed_in(people.bob)
    assert bob.post("/tables/nothing", BACK).status_code == 404
    assert bob.get(PATH).status_code == 405
    for away in ("https://elsewhere.example/", "//elsewhere.example/", "keys", ""):
        assert bob.post(PATH, {"next": away, "page_size": "25"})["Location"] == "/"
    assert signed_in(people.bob).post(PATH, {"column": ["x" * 500] * 3}).status_code == 303
    bob.logout()
    assert bob.post(PATH, BACK)["Location"].startswith("/login")
