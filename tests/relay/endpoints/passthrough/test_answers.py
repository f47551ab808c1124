"""What is read of a passing answer, and what is kept from it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import RequestFault
from relay.endpoints.passthrough.answer_value import (
    ANSWER_BYTES_MAX,
    HUGE,
    MISSING,
    NEGATIVE,
    UNREADABLE,
    Value,
    ValueReader,
    read_value,
)
from relay.endpoints.passthrough.headers import forwarded_headers, returned_headers
from relay.endpoints.passthrough.secret_mask import SecretMask

SECRET = "sk-abcabcabd-0"
OTHER = "sk-other-1"
MOST = 10**12


@pytest.mark.parametrize(
    ("document", "pointer", "value"),
    [
        (b'{"a": 1}', "/a", Value(1_000_000, "1")),
        (b'{"a": {"b/c": [0, {"~": 2.5}]}}', "/a/b~1c/1/~0", Value(2_500_000, "2.5")),
        (b'{"": 1}', "/", Value(1_000_000, "1")),
        (b'{"a": -0}', "/a", Value(0, "-0")),
        (b'{"a": 0.0000005}', "/a", Value(0, "0.0000005")),
        (b'{"a": 0.0000015}', "/a", Value(2, "0.0000015")),
        (b'{"a": 1e-9}', "/a", Value(0, "1e-9")),
        (b'{"a": 1E+6}', "/a", Value(10**12, "1E+6")),
        (b'{"a": 1000000.000001}', "/a", HUGE),
        (b'{"a": 1e99999999999}', "/a", HUGE),
        (b'{"a": 1e-99999999999}', "/a", Value(0, "1e-99999999999")),
        (b'{"a": -0.1}', "/a", NEGATIVE),
        (b'{"a": "1"}', "/a", UNREADABLE),
        (b'{"a": [1]}', "/a", UNREADABLE),
        (b'{"a": 0.%b}' % (b"1" * 60), "/a", UNREADABLE),
        (b'{"a": Infinity}', "/a", UNREADABLE),
        (b'{"a": 1} x', "/a", UNREADABLE),
        (b'\xff{"a": 1}', "/a", UNREADABLE),
        (b'{"a": 1}', "/b", MISSING),
        (b'{"a": [1]}', "/a/01", MISSING),
        (b'{"a": [1]}', "/a/1", MISSING),
        (b'{"a": [1]}', "/a/-", MISSING),
        (b'{"a": "text"}', "/a/0", MISSING),
        (b"1", "/a", MISSING),
    ],
)
def test_value_at_pointer(document: bytes, pointer: str, value: Value) -> None:
    assert read_value(document, pointer, MOST) == value


@given(st.integers(0, 10**9), st.integers(0, 12), st.integers(-12, 6))
def test_value_is_rounded_once_half_to_even(digits: int, places: int, exponent: int) -> None:
    text = f"{digits // 10**places}.{digits % 10**places:0{places or 1}}e{exponent}"
    if not places:
        text = f"{digits}e{exponent}"
    exact = Fraction(digits, 10**places) * Fraction(10) ** exponent * 10**6
    value = read_value(b'{"a": %b}' % text.encode(), "/a", 10**30)
    assert value.micros == round(exact)


STREAM = (
    b': ping\n\ndata: {"a": 1}\r\n\r\nevent: x\rdata: {"a":\rdata: 2}\r\rdata: hello\n\n'
    b'data: {"b": 3}\n\ndata: [DONE]\n\n'
)


def test_last_event_with_the_value_counts_wherever_it_is_split() -> None:
    for at in range(len(STREAM)):
        reader = ValueReader("/a", MOST, "text/event-stream; charset=utf-8")
        reader.feed(STREAM[:at])
        reader.feed(STREAM[at:])
        assert reader.end() == Value(2_000_000, "2"), at


def test_stream_may_lack_its_final_empty_line_and_space() -> None:
    for raw in (b'data: {"a": 1}\n\ndata:{"a": 5}', b'data:{"a": 5}\n\n'):
        reader = ValueReader("/a", MOST, "text/event-stream")
        reader.feed(raw)
        assert reader.end() == Value(5_000_000, "5")


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/x+json", True),
        ("text/html", False),
        ("", False),
    ],
)
def test_only_plain_json_is_read(kind: str, read: bool) -> None:
    reader = ValueReader("/a", MOST, kind)
    reader.feed(b'{"a": 5}')
    assert reader.end() == (Value(5_000_000, "5") if read else UNREADABLE)


def test_reader_drops_an_oversized_answer() -> None:
    for kind in ("application/json", "text/event-stream", "application/x+json"):
        reader = ValueReader("/a", MOST, kind)
        for _ in range(40):
            reader.feed(b"x" * (ANSWER_BYTES_MAX // 16))
        assert len(reader._kept) == 0
        assert reader.end() == UNREADABLE


@given(st.lists(st.sampled_from([SECRET, SECRET[:5], SECRET[:-1], "a", "sk-", "-0"]), max_size=8))
def test_secret_is_masked_however_an_answer_is_split(words: list[str]) -> None:
    raw = "".join(words).encode()
    masked = raw.replace(SECRET.encode(), b"*" * len(SECRET))
    for at in range(len(raw) + 1):
        mask = SecretMask([SECRET, "short"])
        assert mask.feed(raw[:at]) + mask.feed(raw[at:]) + mask.end() == masked
    mask = SecretMask([SECRET])
    assert b"".join([*(mask.feed(raw[i : i + 1]) for i in range(len(raw))), mask.end()]) == masked


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)])
@pytest.mark.parametrize("shown", [SECRET, OTHER])
def test_each_of_several_keys_is_masked_wherever_it_is_split(
    secrets: tuple[str, str], shown: str
) -> None:
    raw = b"key %b." % shown.encode()
    masked = b"key %b." % (b"*" * len(shown))
    for at in range(len(raw) + 1):
        mask = SecretMask(secrets)
        assert mask.feed(raw[:at]) + mask.feed(raw[at:]) + mask.end() == masked


@pytest.mark.parametrize("longest_first", [True, False])
def test_key_that_begins_with_another_one_is_masked_whole(longest_first: bool) -> None:
    """In one piece. Split exactly behind the shorter one, the rest of the longer one shows."""
    longer = f"{SECRET}-long"
    mask = SecretMask([longer, SECRET] if longest_first else [SECRET, longer])
    raw = f"{longer} {SECRET}".encode()
    assert mask.feed(raw) + mask.end() == b"*" * len(longer) + b" " + b"*" * len(SECRET)


def test_answer_without_secrets_is_not_masked() -> None:
    for secrets in ([], ["short"]):
        mask = SecretMask(secrets)
        assert (mask.feed(b"a short"), mask.end()) == (b"a short", b"")


def test_end_of_event_is_not_held_back() -> None:
    mask = SecretMask([SECRET])
    assert mask.feed(b"data: sk-\n\n") == b"data: sk-\n\n"


def test_only_listed_client_headers_go_on() -> None:
    lines = [
        (b"accept", b"a"), (b"accept", b"b"), (b"user-agent", b"me"), (b"x-own", b"\xe9"),
        (b"connection", b"close, Range"), (b"range", b"bytes=0-1"), (b"content_type", b"a/b"),
        (b"Openai-Beta", b"v2"),
    ]  # fmt: skip
    assert forwarded_headers(lines, ()) == {"accept": "a, b"}
    passed = {b"user-agent", b"openai-beta", b"x-other"}
    beside = {"user-agent": "me", "openai-beta": "v2"}
    assert forwarded_headers(lines, passed) == {"accept": "a, b", **beside}
    with pytest.raises(RequestFault, match="accept contains a character"):
        forwarded_headers([(b"accept", b"\xe9")], ())


def test_only_listed_provider_headers_come_back() -> None:
    headers = {
        "content-type": "a/b", "etag": '"1"', "set-cookie": "s", "allow": f"<{SECRET}>",
        "connection": "expires", "expires": "1", "x-own": "1", "location": "/x",
    }  # fmt: skip
    assert returned_headers(headers, [SECRET]) == [(b"content-type", b"a/b"), (b"etag", b'"1"')]
