"""Long texts are first searched by RE2 for what could be a match; nothing that a detector finds is
missed by that."""

import re
from typing import Any

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from content.detectors import detector
from content.detectors.detector import Pattern
from content.detectors.folded import _FORMS, folded
from content.detectors.prefixes import needed, within
from content.detectors.registry import make_detectors
from tests.content.corpus.planted import COUNTRIES, PLANTED

GUARDS: dict[str, dict[str, Any]] = {
    "email": {}, "card": {}, "iban": {}, "telephone": {}, "secret": {},
    "national_number": {"countries": COUNTRIES},
}  # fmt: skip
PATTERNS = [
    one for guard, settings in GUARDS.items() for one in make_detectors(guard, settings)
]  # fmt: skip
AROUND = "Nothing in these words is a match, so they only make a text long enough. " * 4
FOREIGNER = "My number in Spain is X-2482300W."
EXPRESSIONS = (
    "[2-689](?:[ -]?[0-9]){12,18}", r"[^\W\d_]{2,4}@\w{1,9}x", r"a.{2,3}b|c[^d]{1,200}e",
    r"\bq(?:r|st)?\B",
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_search_finds_what_a_whole_look_finds(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    one = PATTERNS[number]
    assert isinstance(one, Pattern)
    texts = [f"{AROUND}{text} {AROUND}" for text in (*(each.text for each in PLANTED), FOREIGNER)]
    texts = [folded(text) if one.reads_folded else text for text in texts]
    searched = [one.find(text) for text in texts]
    monkeypatch.setattr(detector, "_SEARCHED_MIN", 10**9)
    assert searched == [one.find(text) for text in texts]
    assert any(searched)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@given(data=st.data())
def test_wider_expression_matches_each_match(expression: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(expression)).encode("utf-8", "ignore").decode()
    if re.search(expression, text):
        assert Pattern("X", expression)._may_match(AROUND + text, 0)
        assert re2.search(within(expression), text)


@pytest.mark.parametrize("expression", [*EXPRESSIONS, "a(?:b|c)?", "(?:ab|c)[0-9]{0,3}", "[^a]b*"])
@given(data=st.data())
def test_each_match_has_a_needed_character(expression: str, data: st.DataObject) -> None:
    match = re.search(expression, data.draw(st.from_regex(expression)))
    characters = needed(expression)
    assert match is None or not characters or characters & set(match[0])


@pytest.mark.parametrize(
    ("expression", "characters"),
    [("[2-689](?:[ -]?[0-9]){12,18}", "2345689"), (r"[\w.]{2,4}@\w{1,9}x", "@"), ("a(?:b|-c)", "a"),
     ("[0-9]?", ""), ("(?:a|[^b])", ""), ("[ -~]{3}", "")],
)  # fmt: skip
def test_needed_characters_are_few_and_no_letters_if_possible(
    expression: str, characters: str
) -> None:
    assert needed(expression) == set(characters)


def test_each_guard_needs_a_character_that_few_words_have() -> None:
    for one in PATTERNS:
        assert one.needed
        assert not one.needed & set("abcefghijklmnopqrtuvwxyz")


@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_each_planted_match_has_a_needed_character(number: int) -> None:
    one, found = PATTERNS[number], 0
    for text in (*(each.text for each in PLANTED), FOREIGNER):
        text = folded(text) if one.reads_folded else text
        for match in one.find(text):
            found += 1
            assert one.needed & set(text[match.start :]), text
    assert found


@pytest.mark.parametrize(
    ("guard", "settings", "text", "begun"),
    [
        ("email", {}, "bob@example.com", "bob@exam"),
        ("card", {}, "4111 1111 1111 1111", "4111 1111"),
        ("words", {"words": ["falcon"]}, "falcon", "falc"),
        ("expressions", {"expressions": ["EMP-[0-9]{6}"]}, "EMP-123456", "EMP-12"),
    ],
)
def test_half_of_a_surrogate_pair_hides_nothing(
    guard: str, settings: dict[str, Any], text: str, begun: str
) -> None:
    """Neither what is there, nor what has begun and goes on in the next piece."""
    [one] = make_detectors(guard, settings)
    around = AROUND + "\ud800 "
    [match] = one.find(f"{around}{text} ")
    assert (match.start, match.end) == (len(around), len(around) + len(text))
    assert one.open_from(around + begun) == len(around)


@given(st.text())
@example("\u0664\uff11\u2014\u00a0\U0001d7d9\U0001f600\ud800")
@example("\u4eca\u5929\uff0c\U0001f600")
def test_folding_is_the_translation_of_each_character(text: str) -> None:
    assert folded(text) == text.translate(_FORMS)
