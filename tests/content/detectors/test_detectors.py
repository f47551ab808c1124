"""What each guard finds, and what it leaves alone."""

import re
import sys
from typing import Any

import pytest

from content.detectors.detector import WORDS
from content.detectors.folded import folded
from content.detectors.registry import GUARDS, make_detectors
from tests.content.corpus.planted import PLANTED

NUMBERS = {
    "BR": "390.533.447-05",
    "CH": "756.9217.0769.85",
    "CN": "360426199101010071",
    "DE": "36 574 261 809",
    "ES": "54362315-K",
    "FR": "2 95 10 99 126 111 93",
    "GB": "943-476-5870",
    "IN": "2341 2341 2346",
    "IT": "RCCMNL83S18D969H",
    "JP": "6214 9832 0257",
    "KR": "971013-9019902",
    "NL": "111222333",
    "PL": "44051401359",
    "SE": "880320-0016",
    "TR": "17291716060",
    "US": "536-90-4399",
    "ZA": "7503305044089",
}
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
# Guard, settings, text, what it finds.
TRUE: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("email", {}, "email=bob@x.com-", ["bob@x.com"]),
    ("email", {}, "(b.o+b%1@mail.example.co.uk).", ["b.o+b%1@mail.example.co.uk"]),
    ("email", {}, "\u90ae\u7bb1\uff1abob@x.com\u3002", ["bob@x.com"]),
    ("card", {}, "4111 1111 1111 1111, 5500-0000-0000-0004",
     ["4111 1111 1111 1111", "5500-0000-0000-0004"]),
    ("card", {}, "12 4111111111111111 22", ["4111111111111111"]),
    ("card", {}, "378282246310005", ["378282246310005"]),
    ("iban", {}, "to DE89 3704 0044 0532 0130 00 and then", ["DE89 3704 0044 0532 0130 00"]),
    ("iban", {}, "GB82WEST12345698765432", ["GB82WEST12345698765432"]),
    ("telephone", {}, "call +49 30 901820 or +1 (415) 555-2671.",
     ["+49 30 901820", "+1 (415) 555-2671"]),
    ("secret", {}, "key sk-proj-abcdefgh12345678abcd and ghp_" + "a1" * 18,
     ["sk-proj-abcdefgh12345678abcd", "ghp_" + "a1" * 18]),
    ("secret", {}, "AKIAIOSFODNN7EXAMPLE", ["AKIAIOSFODNN7EXAMPLE"]),
    ("private_key", {}, f"a {KEY} b", [KEY]),
    ("private_key", {}, KEY.replace("\n", "\\n"), [KEY.replace("\n", "\\n")]),
    ("private_key", {}, "-----BEGIN PRIVATE KEY-----\nMIIEow",
     ["-----BEGIN PRIVATE KEY-----\nMIIEow"]),
    ("words", {"words": ["Falcon", "project falcon"]}, "Project FALCON, falcons, a falcon",
     ["Project FALCON", "falcon"]),
    ("words", {"words": ["\u673a\u5bc6"]}, "\u8fd9\u662f\u673a\u5bc6\u6587\u4ef6",
     ["\u673a\u5bc6"]),
    ("words", {"words": ["falcon"]}, "\u4f7f\u7528falcon\u65f6", ["falcon"]),
    ("words", {"words": ["c++", "a"]}, "C++ and a", ["C++", "a"]),
    ("expressions", {"expressions": [r"\bEMP-\d{6}\b"]}, "EMP-123456 EMP-1234567 \u00fcEMP-000001",
     ["EMP-123456", "EMP-000001"]),
    ("expressions", {"expressions": ["ab{1,3}"], "ignore_case": True}, "ABBBB ac", ["ABBB"]),
    *(("national_number", {"countries": [country]}, f"it is {number}.", [number])
      for country, number in NUMBERS.items()),
]  # fmt: skip
FALSE: list[tuple[str, dict[str, Any], str]] = [
    ("email", {}, "user@localhost, @bob, a@b, x @ y.com, @media (min-width: 3em)"),
    ("card", {}, "4111 1111 1111 1112, 1732851234567, 4.111111111111111111, 41111111111111111111"),
    ("iban", {}, "DE89 3704 0044 0532 0130 01, AB12 is a room of the house on the hill"),
    ("telephone", {}, "+1 and +2 is 3; 2026-11-29 04:08; +1234567, +999 12345678"),
    ("telephone", {}, "10.0.0.1, 2026-11-29, 3.14159265358979, (415) 555-2671"),
    ("secret", {}, "api-reference-of-the-client, sk-learn, key_of_the_house, ak-47"),
    ("private_key", {}, "-----BEGIN PUBLIC KEY-----, -----BEGIN CERTIFICATE-----"),
    ("words", {"words": ["ass", "class"]}, "classes, assess, class_of, 9ass"),
    ("expressions", {"expressions": ["ab{2,3}"]}, "ab AB"),
    ("national_number", {"countries": list(NUMBERS)}, "1234567890 111111111 2026-11-29 12345"),
]  # fmt: skip


@pytest.mark.parametrize(("guard", "settings", "text", "found"), TRUE)
def test_a_guard_finds(guard: str, settings: dict[str, Any], text: str, found: list[str]) -> None:
    detectors = make_detectors(guard, settings)
    matches = sorted(one for each in detectors for one in each.find(text))
    assert [text[start:end] for start, end, _ in matches] == found


@pytest.mark.parametrize(("guard", "settings", "text"), FALSE)
def test_a_guard_leaves_alone(guard: str, settings: dict[str, Any], text: str) -> None:
    assert [
        text[start:end]
        for each in make_detectors(guard, settings)
        for start, end, _ in each.find(text)
    ] == []


@pytest.mark.parametrize(
    ("guard", "settings"),
    [
        ("weather", {}),
        ("email", {"regions": ["DE"]}),
        ("national_number", {"countries": []}),
        ("national_number", {"countries": ["XX"]}),
        ("words", {"words": [" "]}),
        ("words", {"words": ["a" * 61]}),
        ("words", {"words": [str(n) for n in range(1_001)]}),
        ("expressions", {"expressions": [""]}),
        ("expressions", {"expressions": ["a+"]}),
        ("expressions", {"expressions": ["a{0,3}"]}),
        ("expressions", {"expressions": ["^a"]}),
        ("expressions", {"expressions": ["(a)\\1"]}),
        ("expressions", {"expressions": ["(?<=a)b"]}),
        ("expressions", {"expressions": ["(?i)a"]}),
        ("expressions", {"expressions": ["(a"]}),
        ("expressions", {"expressions": ["(?:a{1,100}){1,100}"]}),
    ],
)
def test_settings_that_do_not_fit_raise(guard: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        make_detectors(guard, settings)


def test_digits_of_every_script_are_read_as_ascii() -> None:
    digits = re.findall(r"\d", "".join(map(chr, range(sys.maxunicode + 1))))
    assert len(digits) > 600
    assert folded("".join(digits)) == "".join(str(int(digit)) for digit in digits)


def test_every_guard_has_true_and_false_examples() -> None:
    assert (
        {one[0] for one in TRUE}
        == {one[0] for one in FALSE}
        == {name for name, guard in GUARDS.items() if guard.detectors and guard.reads_texts}
    )


SHARED: dict[str, dict[str, Any]] = {
    "email": {}, "card": {}, "iban": {}, "telephone": {}, "secret": {}, "private_key": {},
    "national_number": {"countries": list(NUMBERS)},
}  # fmt: skip


@pytest.mark.parametrize("guard", SHARED)
def test_p40_what_no_letter_begins_is_begun_by_none(guard: str) -> None:
    """Words of a stream pass such a detector unread."""
    letters = [chr(number) for number in range(0x3000) if chr(number).isalpha()]
    for one in make_detectors(guard, SHARED[guard]):
        if not one.begins_words:
            assert not [letter for letter in letters if one.open_from(letter) == 0]


BETWEEN = [" ", "\n", ", ", "; ", "? ", "(", ") ", "`", ". ", "! ", "' ", ": ", "* ", "= ", "> ",
           "- ", " - ", " ** "]  # fmt: skip


@pytest.mark.parametrize("between", BETWEEN)
def test_p40_no_match_begins_in_words_before_the_last(between: str) -> None:
    """What `passes_words` says, of every text in which something is planted."""
    detectors = [one for guard in SHARED for one in make_detectors(guard, SHARED[guard])]
    for planted in PLANTED[::10]:
        text = folded(f" one{between}two{between}three{between}{planted.text}")
        words = WORDS.match(text)
        assert words
        for one in detectors:
            assert all(match.start >= words.start(1) for match in one.find(text)), planted
            for end in range(words.end(), len(text), 7):
                assert one.open_from(text[:end]) >= words.start(1) or end == words.end()
