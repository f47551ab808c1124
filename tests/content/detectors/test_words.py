"""P40: what passes as words of a stream without a search is no beginning of a match. So in no match
does a word end, and another one begin, by what stands between words."""

import pytest

from content.detectors.detector import WORDS
from content.detectors.folded import folded
from content.guards.guard import Held, Looking
from content.guards.masks import Masks
from content.guards.rules import GuardRule
from tests.content.corpus.planted import PLANTED
from tests.content.detectors.test_within import PATTERNS

LINKS = (
    "https://hooks.slack.com/services/T00000000/B00000000/" + "X" * 24,
    "https://discord.com/api/webhooks/123456789012345678/" + "y" * 60,
)


def passes(match: str) -> bool:
    """Whether a beginning of a match, behind a space, passes as words."""
    for end in range(1, len(match)):
        words = WORDS.fullmatch(" " + match[:end])
        if words and words.start(1) > 1:
            return True
    return False


@pytest.mark.parametrize("number", range(len(PATTERNS)))
def test_no_match_of_the_corpus_begins_in_words_that_pass(number: int) -> None:
    one = PATTERNS[number]
    for planted in PLANTED:
        text = folded(planted.text) if one.reads_folded else planted.text
        assert not [text[m.start : m.end] for m in one.find(text) if passes(text[m.start : m.end])]


@pytest.mark.parametrize("link", LINKS)
def test_no_piece_of_a_secret_address_gets_out(link: str) -> None:
    rule = GuardRule("secret", {}, ["answer"], "refuse", "secret")
    for cut in range(len(link)):
        held = Held(Looking([rule], "answer"), Masks())
        pieces = ["Post it to ", link[:cut], link[cut:], " ok"]
        out = "".join(held.feed(piece).text for piece in pieces) + held.end().text
        assert out.rstrip() == "Post it to"
