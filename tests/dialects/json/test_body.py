import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import RequestFault
from dialects.json.body import (
    MEMBERS_MAX,
    NESTING_MAX,
    STRUCTURES_MAX,
    check_nested_names,
    read_body,
)


def deep(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "the body is empty at line 1, column 1"),
        (b" \n ", "the body is empty at line 1, column 1"),
        (b'{"a":1} x', "trailing characters at line 1, column"),
        (b'{"a":NaN}', "invalid character at line 1, column 6"),
        (b'{"a":-Infinity}', "invalid character at line 1, column 7"),
        ('{\n"é":\n "上" "b"}'.encode(), "at line 3, column 6"),
        (b'{"a":1', "the JSON text is cut off at line 1, column 7"),
        (b'{"a":"x\xff"}', "invalid UTF-8 at line 1, column 8"),
        (b'["x\xff"]', "invalid UTF-8 at line 1, column 4"),
        (b'{"a":1,\n"b\xff":2}', "invalid UTF-8 at line 2, column 3"),
        (b'{"a":"\\ud800"}', "at line 1, column"),
        (b'{"a":["\\ud800 "]}', "at line 1, column"),
        (b'{"a":"\\udc00 and more"}', "an unpaired surrogate escape at line 1, column 7"),
        (b'{"a":"\\uD83D\\\\\\uDE00"}', "at line 1, column"),
        (b'{"a":"\\ud800\\ud800\\udc00"}', "at line 1, column"),
        (b"\xef\xbb\xbf{}", "invalid character at line 1, column 1"),
        (b"[1", "the JSON text is cut off"),
        (b"[1] 2", "trailing characters"),
        (deep(NESTING_MAX + 1), "nesting deeper than 64"),
        (deep(100_000), "nesting deeper than 64"),
        (b"[" * 100_000, "nesting deeper than 64"),
        (b'{"a":1,"a":1}', "appears twice"),
        (b'{"a":1,"a":12}', "appears twice"),
        (b'{"a":12,"a":1}', "appears twice"),
        (b'{"a":1,"b":2,"a":1}', "appears twice"),
        (b'{"a":1,"\\u0061":1,"b":2}', "appears twice"),
        (b'{"a":1, "a":2, "b":1}', "appears twice"),
        (json.dumps(dict.fromkeys(map(str, range(MEMBERS_MAX + 1)))).encode(), "more than 1000"),
        (
            b'{"a":[' + b"{}, " * STRUCTURES_MAX + b" " * 2**20 + b"0]}",
            "more than 250000 arrays and objects",
        ),
    ],
)
def test_malformed(raw: bytes, what: str) -> None:
    with pytest.raises(RequestFault) as caught:
        read_body(raw)
    assert caught.value.kind == "malformed_json"
    assert what in caught.value.message
    assert caught.value.message.startswith("API request failed: Invalid Format: ")


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"a"', b" 3 ", b"[[1]]"])
def test_root_must_be_an_object(raw: bytes) -> None:
    with pytest.raises(RequestFault) as caught:
        read_body(raw)
    assert (caught.value.kind, caught.value.param) == ("invalid_type", None)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' \n{ "a" : 1 , "b":"x" } \t',
        b'{"a":"\\ud83d\\ude00 \\\\ud800 \\\\\\ud83d\\ude00"}',
        deep(NESTING_MAX),
        b'{"a":"' + b"[{" * 200 + b'\\"[[\\\\"}',
        b"{" + b",".join(b'"%d":[{}]' % i for i in range(200)) + b"}",
        b'{"a":1e400,"b":1.0,"a\\n\\"":2}',
    ],
)
def test_well_formed(raw: bytes) -> None:
    body = read_body(raw)
    assert body.splice({}) == raw
    for name, span in body.members.items():
        value = raw[span.start : span.end]
        assert name in json.loads(raw)
        assert json.loads(value) == json.loads(raw)[name]


def test_value_of_null_is_absent() -> None:
    body = read_body(b'{"a":null,"b":1}')
    assert [body.value(name) for name in "abc"] == [None, b"1", None]


@pytest.mark.parametrize(
    ("edits", "want"),
    [
        ({"b": b"9"}, b'{ "a" : 1, "b":9 , "c":3 }'),
        ({"a": None}, b'{ "b":2 , "c":3 }'),
        ({"b": None}, b'{ "a" : 1 , "c":3 }'),
        ({"c": None}, b'{ "a" : 1, "b":2 }'),
        ({"a": None, "b": None}, b'{ "c":3 }'),
        ({"b": None, "c": None}, b'{ "a" : 1 }'),
        ({"a": None, "c": None}, b'{ "b":2 }'),
        ({"a": None, "b": None, "c": None}, b"{  }"),
        ({"d": b"4"}, b'{ "a" : 1, "b":2 , "c":3,"d":4 }'),
        ({"c": None, "d": b"4"}, b'{ "a" : 1, "b":2,"d":4 }'),
        ({"a": None, "b": None, "c": None, "d": b"4"}, b'{ "d":4 }'),
        ({"x": None}, b'{ "a" : 1, "b":2 , "c":3 }'),
    ],
)
def test_splice(edits: dict[str, bytes | None], want: bytes) -> None:
    assert read_body(b'{ "a" : 1, "b":2 , "c":3 }').splice(edits) == want


def test_splice_into_an_empty_object() -> None:
    assert read_body(b" { } ").splice({"a": b"1", "b": b"2"}) == b' {"a":1,"b":2 } '


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=3), JSON, max_size=6),
    st.dictionaries(st.text(max_size=3), st.none() | st.just(b'"new"'), max_size=4),
    st.sets(st.integers(0, 5)),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_splice_changes_nothing_else(
    value: dict[str, object],
    edits: dict[str, bytes | None],
    removed: set[int],
    ascii_only: bool,
    indent: int | None,
) -> None:
    edits |= {name: None for i, name in enumerate(value) if i in removed}
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(errors="surrogatepass")
    try:
        body = read_body(raw)
    except RequestFault:
        assert any(0xD800 <= ord(letter) < 0xE000 for letter in json.dumps(value) + str(value))
        return
    spliced = body.splice(edits)
    want = {name: item for name, item in value.items() if edits.get(name, b"") is not None}
    want |= {name: "new" for name, item in edits.items() if item is not None}
    assert json.loads(spliced) == want
    for name in value.keys() - edits.keys():
        span = body.members[name]
        assert raw[span.name_at : span.end] in spliced


TEXT = st.text(alphabet='{}[]",:\\u d8a01nul', max_size=40)


@given(st.binary(max_size=60) | TEXT.map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        body = read_body(raw)
    except RequestFault:
        return
    assert body.splice({}) == raw
    assert list(body.members) == list(json.loads(raw))


def has_doubles(raw: bytes) -> bool:
    """By other code: every object, as pairs."""
    has_double = False

    def look(pairs: list[tuple[str, object]]) -> None:
        nonlocal has_double
        has_double |= len({name for name, _ in pairs}) < len(pairs)

    json.loads(raw, object_pairs_hook=look)
    return has_double


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":{"b":1,"b":1}}',
        b'{"a":{"b":1,"b" :2}}',
        b'{"a":[1,{"c":{},"b":[],"b":{}}]}',
        b'{"a":[[{"b":"x\\"y","c":{"b":1},"\\u0062":"\\u0022"}]]}',
        b'{"a":{"b":"\\u0022\\u0022","b":1}}',
        b'{"a":{"":1,"":2}}',
        b'{"a":{"n":1e400,"n":1}}',
        b'{"a":{"n":' + b"9" * 5000 + b',"n":1}}',
        '{"a":{"你":1,"\\u4f60":2}}'.encode(),
        '{"a":{"🦊":1,"\\ud83e\\udd8a":2}}'.encode(),
        b'{"a":{"b":1,"b":1},"c":"' + b"x" * 100_000 + b'"}',
        b'{"a":[' + b'"x",' * 50_000 + b'{"b":1,"b":1}]}',
    ],
)
def test_duplicate_name_is_rejected_at_any_depth(raw: bytes) -> None:
    assert has_doubles(raw.replace(b"9" * 5000, b"9"))
    read_body(raw)
    with pytest.raises(RequestFault, match="appears twice in one object") as caught:
        check_nested_names(raw)
    assert caught.value.kind == "malformed_json"


LONG = ["y" * 1100, '\\"' + "y" * 1100, "y" * 1100 + "\\\\", "\\\\" * 600, '\\"},{' * 300]
# Two of them mean the same, of which one is long.
NAMES = ["a", "b", "\\u0061", '\\"', "c", "a" * 300, "\\u0061" * 300, LONG[0], LONG[2]]
PAIRS = st.recursive(
    st.sampled_from(
        [
            *("1", "null", "1e999", '"x"', '"\\""', '"\\u0022"', '"{\\"a\\":1,\\"a\\":1}"', '""'),
            *(f'"{text}"' for text in LONG),
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=3).map(
            lambda pairs: "{" + " ,".join(f'"{name}" : {value}' for name, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


@given(PAIRS)
def test_only_duplicate_names_are_rejected(value: str) -> None:
    """In a short body as in a long one."""
    long = f', "long" : "{"x" * 70_000}"'
    for written in (value, value.replace(" ", ""), value + long):
        raw = f'{{"top":{written}}}'.encode()
        try:
            check_nested_names(raw)
        except RequestFault:
            assert has_doubles(raw)
        else:
            assert not has_doubles(raw)
