"""The part of a text that a search shows."""

import pytest

from content.log.excerpts import AROUND, MATCH_MAX, Excerpt, excerpt_of


def test_excerpt_of_a_short_text_is_the_whole_text() -> None:
    assert excerpt_of("What is the Capital?", "capital") == Excerpt("What is the ", "Capital", "?")
    assert excerpt_of("What is the Capital?", "river") is None


def test_excerpt_of_a_long_text_is_cut_on_both_sides() -> None:
    text = "a" * 500 + "needle" + "b" * 500
    assert excerpt_of(text, "needle") == Excerpt("…" + "a" * AROUND, "needle", "b" * AROUND + "…")
    around = "a" * AROUND + "needle" + "b" * AROUND
    assert excerpt_of(around, "needle") == Excerpt("a" * AROUND, "needle", "b" * AROUND)


def test_long_match_is_cut() -> None:
    excerpt = excerpt_of("x" * 1_000, "x" * 500)
    assert excerpt == Excerpt("", "x" * MATCH_MAX, "x" * AROUND + "…")


@pytest.mark.parametrize(
    ("text", "wanted", "excerpt"),
    [
        ("die straße 5", "strasse", Excerpt("die ", "straße", " 5")),
        ("ßß needle", "needle", Excerpt("ßß ", "needle", "")),
        ("ﬃ ﬀ", "ff", Excerpt("", "ﬃ", " ﬀ")),
        ("straße", "se", Excerpt("stra", "ße", "")),
        ("İstanbul", "stanbul", Excerpt("İ", "stanbul", "")),
        ("👩‍👩‍👧 שלום", "שלום", Excerpt("👩‍👩‍👧 ", "שלום", "")),
    ],
)
def test_letters_that_fold_to_several_are_shown_whole(
    text: str, wanted: str, excerpt: Excerpt
) -> None:
    assert excerpt_of(text, wanted) == excerpt
