"""What guards find in 2,000 texts that contain nothing of it. The counts are upper bounds: a number
without more than a check digit is found in every tenth or eleventh sequence of as many digits.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

from content.detectors.folded import folded
from content.detectors.registry import make_detectors
from tests.content.corpus.harmless import COUNT, harmless, others
from tests.content.corpus.planted import COUNTRIES

# By guard or country, in the 1,240 texts that code made. What is not here finds nothing.
MADE: Final = {"card": 5, "GB": 16, "JP": 5, "NL": 6}
# In the 760 pieces of packages' descriptions, of which many name an address, some a number or a
# token as an example: true findings, mostly, which a release of a package changes.
PACKAGES: Final = {"email": 60, "telephone": 30, "secret": 6, "GB": 8, "NL": 8}


# In 1,000 other texts that code made, of numbers alone.
OTHERS: Final = {"card": 3, "GB": 16, "IN": 14, "JP": 12, "NL": 10, "SE": 1}
# In 1,000 pieces of source code: its authors' addresses, and numbers of its tables. Releases of
# Python differ.
SOURCE: Final = {"email": 80, "GB": 4, "NL": 4}


def false_alarms(texts: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """What is found, by the kind of text and the guard or country."""
    guards = {
        guard: make_detectors(guard, {})
        for guard in ("email", "card", "iban", "telephone", "secret", "private_key")
    }
    for country in COUNTRIES:
        guards[country] = make_detectors("national_number", {"countries": [country]})
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, text in texts:
        plain = folded(text)
        for guard, detectors in guards.items():
            for one in detectors:
                found[kind][guard] += len(one.find(plain if one.reads_folded else text))
    return found


def test_false_alarms_stay_below_their_bounds() -> None:
    texts = list(harmless())
    assert len(texts) == COUNT
    found = false_alarms(("package" if kind == "package" else "made", text) for kind, text in texts)
    assert {guard: count for guard, count in found["made"].items() if count} == MADE
    over = {guard: n for guard, n in found["package"].items() if n > PACKAGES.get(guard, 0)}
    assert over == {}


def test_false_alarms_in_texts_that_no_guard_was_mended_on() -> None:
    texts = list(others())
    assert len(texts) == COUNT
    found = false_alarms(texts)
    assert {guard: count for guard, count in found["made"].items() if count} == OTHERS
    over = {guard: n for guard, n in found["source"].items() if n > SOURCE.get(guard, 0)}
    assert over == {}
