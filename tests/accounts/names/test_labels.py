import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.limits.rules import LimitInvalid, check_limits
from accounts.names.labels import LABEL_LENGTH, is_label, join_labels, split_labels

GOOD = ["beta", "two words", "a, b", "测试", "c-42", "🎈", "x" * LABEL_LENGTH]
BAD = [
    "",
    " ",
    "\u3000",
    " beta",
    "beta ",
    "be\u200dta",  # a joiner
    "be\u200bta",  # a space of no width
    "\u202ebeta",  # from right to left from here on
    "be\u2066ta",
    "\ufeffbeta",
    "be\nta",
    "be\x00ta",
    "be\x85ta",
    "be\u2028ta",
    "be\u00a0ta",
    "\ud83d",
    "x" * (LABEL_LENGTH + 1),
]


@pytest.mark.parametrize("text", GOOD)
def test_round_tripping_text_is_a_label(text: str) -> None:
    assert is_label(text)
    check_limits({"tags": [text]})


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_invisible_text_is_no_label(text: str) -> None:
    assert not is_label(text)
    with pytest.raises(LimitInvalid, match="visible characters") as refused:
        check_limits({"tags": [text]})
    assert refused.value.message.isprintable()


@given(st.lists(st.text(max_size=9).filter(is_label), unique=True))
def test_form_field_holds_every_label(labels: list[str]) -> None:
    assert split_labels(join_labels(labels)) == labels


def test_quotes_are_added_only_where_needed() -> None:
    assert join_labels(["plain", "two words", "a,b", 'say "x"']) == (
        'plain, two words, "a,b", "say ""x"""'
    )


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", []),
        (" , ,", []),
        ("beta", ["beta"]),
        ("beta,eu", ["beta", "eu"]),
        (" two words ,eu, eu", ["two words", "eu"]),
        ('"Acme, Inc.", eu', ["Acme, Inc.", "eu"]),
        ('12" vinyl, eu', ['12" vinyl', "eu"]),
        ('"never closed, eu', ["never closed, eu"]),
        ("one\r\nline\u2028each", ["one", "line", "each"]),
    ],
)
def test_typed_labels_are_split_at_commas(text: str, labels: list[str]) -> None:
    assert split_labels(text) == labels
