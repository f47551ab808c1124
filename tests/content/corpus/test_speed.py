"""How long guards take: in proportion to a text's length for the worst texts of each detector, and
next to nothing for each piece of an answer."""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from content.detectors.folded import folded
from content.detectors.registry import make_detectors
from content.guards.guard import Held, Looking, check
from content.guards.masks import Masks
from content.guards.rules import GuardRule
from tests.content.corpus.planted import COUNTRIES

SIZE: Final = 64 * 1024
TIMES_MAX: Final = 12  # of the eightfold text
SECONDS_MAX: Final = 2.0
# What repeats: each keeps a detector at work and is no match, or one after the other.
WORST: Final[dict[str, tuple[str, ...]]] = {
    "email": (
        "a", "a@", "@", "a.", "a'", '"a ', '"', "a@b.", "%40", "a" * 64 + "@" + "b" * 63 + ".",
    ),
    "card": ("4", "4 ", "4-", "4 1", "62", "4111 1111 1111 1112 ", "4111-"),
    "iban": ("DE89", "DE89 ", "de 1", "GB82 WEST 1234 ", "A1", "DE00 0000 "),
    "telephone": ("+", "+1", "+1 ", "+49 1 2 3 4 5 6 7 8 9 ", "1 ", "+999 (0)", "%2B"),
    "national_number": ("1", "12 ", "123-", "1.", "75", "X1", "123 456 "),
    "secret": (
        "sk-", "sk-a", "eyJ", "eyJaaaaaaaa.", "eyJaaaaaaaa.eyJ", "a", "AKIA", "xoxb-", "0", "SG.",
    ),
    "private_key": (
        "-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----A!",
        "-----BEGIN PRIVATE KEY-----(-----END PRIVATE KEY-----", "-----END PRIVATE KEY-----",
    ),
}  # fmt: skip
CASES: Final = [(guard, text) for guard, texts in WORST.items() for text in texts]


def best_of(count: int, work: Callable[[], Any]) -> float:
    """The shortest of some runs, in seconds of this process."""
    shortest = float("inf")
    for _ in range(count):
        began = time.process_time()
        work()
        shortest = min(shortest, time.process_time() - began)
    return shortest


def find_seconds(guard: str, text: str, count: int) -> float:
    settings = {"countries": COUNTRIES} if guard == "national_number" else {}
    plain = folded(text)

    def work() -> None:
        for one in make_detectors(guard, settings):
            one.find(plain)
            one.open_from(plain)

    return best_of(count, work)


@pytest.mark.slow
@pytest.mark.timed
@pytest.mark.parametrize(("guard", "piece"), CASES)
def test_the_worst_texts_take_time_in_proportion_to_their_length(guard: str, piece: str) -> None:
    text = piece * (SIZE // len(piece))
    whole = find_seconds(guard, text, 3)
    eighth = find_seconds(guard, text[: len(text) // 8], 5)
    assert whole < SECONDS_MAX
    assert whole < max(eighth, 0.0005) * TIMES_MAX


SENTENCES: Final = (
    "The quick brown fox jumps over the lazy dog and runs back to its den, where (as usual) it "
    "sleeps until 7:30 in the morning. See `config.json` for **details** - or call `run(42)`.\n"
)
WORDS: Final = SENTENCES.split(" ")
DELTAS: Final = [f" {WORDS[n % len(WORDS)]}" for n in range(200)]
ADDED_S_MAX: Final = 0.001


def stream(rules: list[GuardRule]) -> None:
    held = Held(Looking(rules, "answer"), Masks())
    for delta in DELTAS:
        held.feed(delta)
    held.end()


@pytest.mark.slow
@pytest.mark.timed
def test_three_guards_add_less_than_a_millisecond_to_a_stream() -> None:
    rules = [
        GuardRule(guard, {}, ["answer"], "mask", guard) for guard in ("email", "card", "secret")
    ]
    added = best_of(50, lambda: stream(rules)) - best_of(50, lambda: stream([]))
    assert added < ADDED_S_MAX


def test_words_of_a_stream_pass_without_a_search() -> None:
    """Most pieces of an answer cost one match, whatever guards there are."""
    searches = 0

    class Counted:
        characters_max = 10
        reads_folded = passes_words = begins_words = True
        within = None
        needed = frozenset[str]()

        def find(self, text: str, begin: int = 0) -> list[Any]:
            nonlocal searches
            searches += 1
            return []

        def open_from(self, text: str, begin: int = 0) -> int:
            return len(text)

    looking = Looking([GuardRule("card", {}, ["answer"], "mask", "card")], "answer")
    counted: Any = Counted()
    looking.detectors = [(rule, counted) for rule, _ in looking.detectors]
    looking.in_all = looking.in_words = [one for _, one in looking.detectors]
    looking.needed = None
    held = Held(looking, Masks())
    for delta in DELTAS:
        held.feed(delta)
    assert searches <= len(DELTAS) / 3


def test_a_text_of_many_spaces_passes_at_once() -> None:
    """The words of a stream are read without going back, however many spaces are between them."""
    rules = [GuardRule("card", {}, ["answer"], "mask", "card")]
    held = Held(Looking(rules, "answer"), Masks())
    held.feed("a ")
    text = " , " * 20_000 + "4111"
    assert held.feed(text).text + held.end().text == text
    assert check(rules, "answer", text, Masks()).text == text
