"""P36: what is replaced in texts that stay, and what is not."""

import pytest
from django.db import connection

from accounts.members.pseudonym import Traces, address_pattern, replace_addresses, replace_person

TRACES = Traces("P@erased.invalid", ("a.b+c@x.org",), ("Ann Lee", "王小明", "Bo"), ("laptop",))
ADDRESSES = {
    "a.b+c@x.org": "P@erased.invalid",
    "A.B+C@X.ORG": "P@erased.invalid",
    "by a.b+c@x.org.": "by P@erased.invalid.",
    "<a.b+c@x.org>, 'a.b+c@x.org'": "<P@erased.invalid>, 'P@erased.invalid'",
    "user=a.b%2Bc%40x.org&n=1": "user=P@erased.invalid&n=1",
    "users=me%40y.org%2Ca.b%2Bc%40x.org": "users=me%40y.org%2CP@erased.invalid",
    "da.b+c@x.org": "da.b+c@x.org",
    "d.a.b+c@x.org": "d.a.b+c@x.org",
    "a.b+c@x.org.uk": "a.b+c@x.org.uk",
    "a.b+c@x.organic": "a.b+c@x.organic",
    "axb+c@x.org": "axb+c@x.org",
    "": "",
}


@pytest.mark.parametrize(("text", "expected"), ADDRESSES.items())
def test_whole_addresses_are_pseudonymised(text: str, expected: str) -> None:
    assert replace_addresses(text, TRACES) == expected


@pytest.mark.django_db
def test_postgres_reads_the_pattern_alike() -> None:
    pattern = address_pattern(TRACES.addresses)
    with connection.cursor() as cursor:
        for text, expected in ADDRESSES.items():
            cursor.execute(
                "SELECT regexp_replace(%s, %s, %s, 'gi')", [text, pattern, TRACES.pseudonym]
            )
            assert cursor.fetchone() == (expected,)


def test_names_are_removed_only_from_texts_about_the_person() -> None:
    P = TRACES.pseudonym
    fields = {
        "name": "ann lee",
        "key": ["Laptop", "laptop of the team"],
        "reason": "Ann Lee left; Annlee and Ann Leeds did not",
        "zh": "王小明已离开",
        "short": "Bob and Bo",
        "n": 1,
    }
    assert replace_person(fields, TRACES, about=False) == fields
    assert replace_person(fields, TRACES, about=True) == {
        "name": P,
        "key": [P, "laptop of the team"],
        "reason": f"{P} left; Annlee and Ann Leeds did not",
        "zh": f"{P}已离开",
        "short": "Bob and Bo",
        "n": 1,
    }


@pytest.mark.parametrize(
    ("name", "goes"),
    [("Al", False), ("Ann", True), ("Anna", True), ("王", False), ("王明", True), ("이", False)],
)
def test_short_names_are_not_searched(name: str, goes: bool) -> None:
    """One letter, or a short word, would be replaced in words that have nothing to do with it."""
    traces = Traces("P", (), (name,))
    assert replace_person(f"by {name}.", traces, about=True) == f"by {'P' if goes else name}."
    # As a whole value every name goes.
    assert replace_person(f" {name} ", traces, about=True) == "P"


@pytest.mark.parametrize("names", [(), ("",), ("Ann",)])
def test_empty_text_names_no_one(names: tuple[str, ...]) -> None:
    for text in ("", " "):
        assert replace_person(text, Traces("P", (), names, ("",)), about=True) == text
