import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import RequestFault
from dialects.openai.request.decode import decode
from dialects.openai.request.read import edit, read


def body(**members: object) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user"}], **members}).encode()


def edited(raw: bytes, upstream: str = "m", **options: object) -> bytes:
    return edit(read(raw), upstream, **options)  # type: ignore[arg-type]


def test_facts() -> None:
    raw = body(
        stream=True,
        stream_options={"include_usage": True},
        n=2,
        max_tokens=5,
        user="a\0b",
        max_cost="0.5",
        modalities=["text", "audio", 3],
    )
    facts = read(raw)
    assert (facts.model, facts.stream, facts.include_usage, facts.choices) == ("m", True, True, 2)
    assert (facts.output_cap, facts.user, facts.max_cost_nano) == (5, "ab", 500_000_000)
    assert (facts.text_bytes, facts.media, facts.audio_output) == (len(raw), {}, True)


def test_defaults() -> None:
    facts = read(body(stream=None, n=None, max_tokens=None, user=7, modalities="audio", audio={}))
    assert (facts.stream, facts.include_usage, facts.choices, facts.output_cap) == (
        False,
        False,
        1,
        None,
    )
    assert (facts.user, facts.max_cost_nano, facts.audio_output) == ("", None, False)


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b"{}", "missing_parameter", "model"),
        (b'{"model":""}', "missing_parameter", "model"),
        (b'{"model":null}', "missing_parameter", "model"),
        (b'{"model":3,"messages":3}', "invalid_type", "model"),
        (b'{"model":"a\\u0000b"}', "model_not_found", "model"),
        (json.dumps({"model": "x" * 257}).encode(), "model_not_found", "model"),
        (b'{"model":"m"}', "missing_parameter", "messages"),
        (b'{"model":"m","messages":null}', "missing_parameter", "messages"),
        (b'{"model":"m","messages":"hi"}', "invalid_type", "messages"),
        (b'{"model":"m","messages":{}}', "invalid_type", "messages"),
        (b'{"model":"m","messages":[]}', "invalid_value", "messages"),
        (b'{"model":"m","messages":[],"stream":1}', "invalid_type", "stream"),
        (body(stream="true"), "invalid_type", "stream"),
        (body(stream=True, stream_options=[]), "invalid_type", "stream_options"),
        (
            body(stream=True, stream_options={"include_usage": 1}),
            "invalid_type",
            "stream_options.include_usage",
        ),
        (body(max_tokens="5"), "invalid_type", "max_tokens"),
        (body(max_tokens=True), "invalid_type", "max_tokens"),
        (body(max_tokens=1.5), "invalid_type", "max_tokens"),
        (body(max_tokens=[]), "invalid_type", "max_tokens"),
        (body(max_tokens=-1, n="1"), "invalid_type", "n"),
        (body(max_tokens=-1), "invalid_value", "max_tokens"),
        (body(max_completion_tokens=-1, max_tokens=5), "invalid_value", "max_completion_tokens"),
        (body(max_tokens=10**30), "invalid_value", "max_tokens"),
        (body(max_tokens=10**60), "invalid_value", "max_tokens"),
        (body().replace(b"}]}", b'}],"n":1e999999999}'), "invalid_value", "n"),
        (body().replace(b"}]}", b'}],"n":0.' + b"1" * 60 + b"}"), "invalid_type", "n"),
        (body(n=0), "invalid_value", "n"),
        (body(n=129), "invalid_value", "n"),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert (caught.value.kind, caught.value.param) == (kind, param)


def test_a_key_in_a_wrong_value_is_masked() -> None:
    with pytest.raises(RequestFault) as caught:
        read(body(stream="sk-abcdefgh12345678"))
    assert "sk-abc***5678" in caught.value.message


@pytest.mark.parametrize(("spelled", "cap"), [(b"7", 7), (b"7.0", 7), (b"1e3", 1000), (b"7e0", 7)])
def test_spellings_of_an_integer(spelled: bytes, cap: int) -> None:
    assert read(body(max_tokens=0).replace(b" 0", b" " + spelled)).output_cap == cap


def test_newer_cap_wins() -> None:
    assert read(body(max_tokens=5, max_completion_tokens=3)).output_cap == 3


@pytest.mark.parametrize(
    ("caps", "cap"),
    [
        ({"max_tokens": 0}, None),
        ({"max_tokens": 0, "max_completion_tokens": 0}, None),
        ({"max_tokens": 5, "max_completion_tokens": 0}, 5),
        ({"max_tokens": 0, "max_completion_tokens": 7}, 7),
    ],
)
def test_a_cap_of_0_is_none(caps: dict[str, int], cap: int | None) -> None:
    """As in the examples of source 003: nobody asks for an answer without a token."""
    assert read(body(**caps)).output_cap == cap
    assert decode(body(**caps), request_id="r", received_at=0).output_cap == cap
    sent = json.loads(edited(body(**caps)))
    assert {name: sent[name] for name in caps if name in sent} == {
        name: value for name, value in caps.items() if value
    }


def test_media_are_counted_by_their_members() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}
    parts = [
        picture,
        {"type": "text", "text": "x", "image_url": "u"},
        {"input_audio": {}},
        {"file": {}},
        {"video_url": {}},
        {"type": "text", "image_url": None},
        "odd",
    ]
    raw = body(messages=[{"content": parts}, {"content": "x"}, {"content": None}, {}, 3, "x"])
    facts = read(raw)
    assert facts.media == {"image": 2, "audio": 1, "file": 1, "video": 1}
    assert facts.text_bytes < len(raw) - 5000


def test_untouched_body_passes_unchanged() -> None:
    raw = b' {"model" : "m","messages":[{"x":1.0}],"\\u0073eed":1e3, "unknown":null}\n'
    assert edited(raw) == raw


def test_model_is_renamed_in_place() -> None:
    assert edited(b'{"messages":[1], "model": "m" }', 'up"') == (
        b'{"messages":[1], "model": "up\\"" }'
    )


@pytest.mark.parametrize(
    ("options", "want"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"a": [1.0], "include_usage": False}, {"a": [1.0], "include_usage": True}),
        ({"include_usage": True}, {"include_usage": True}),
    ],
)
def test_a_stream_asks_for_usage(options: object, want: object) -> None:
    assert json.loads(edited(body(stream=True, stream_options=options)))["stream_options"] == want
    bare = body(stream=True)
    assert json.loads(edited(bare))["stream_options"] == {"include_usage": True}
    assert edited(bare, ask_usage=False) == bare


def test_stream_options_without_a_stream_are_dropped() -> None:
    assert edited(body(stream_options={"include_usage": 1})) == body()
    assert edited(body(stream_options=None)) == body()


def test_our_own_field_is_removed() -> None:
    assert edited(body(max_cost=0.5)) == body()
    assert edited(body(max_cost=None)) == body()


@pytest.mark.parametrize(
    ("members", "want"),
    [
        ({}, {"max_tokens": 16}),
        ({"max_tokens": 50}, {"max_tokens": 16}),
        ({"max_completion_tokens": 50}, {"max_completion_tokens": 16}),
        ({"max_tokens": None}, {"max_tokens": 16}),
        (
            {"max_tokens": 40, "max_completion_tokens": 50},
            {"max_tokens": 40, "max_completion_tokens": 16},
        ),
    ],
)
def test_cap_takes_the_place_of_the_clients(members: dict[str, int], want: object) -> None:
    got = json.loads(edited(body(**members), output_cap=16))
    assert {name: got[name] for name in got if name.startswith("max_")} == want


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["content", "image_url", "file", "include_usage", "x"]), inner, max_size=3
    ),
    max_leaves=8,
)  # fmt: skip
NAMES = [
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "n", "user", "max_cost", "modalities", "audio", "other",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_object_is_read_or_refused(value: dict[str, object]) -> None:
    try:
        facts = read(json.dumps(value).encode())
    except RequestFault:
        return
    body = json.loads(edit(facts, "up", output_cap=20))
    assert body["model"] == "up"
    assert "max_cost" not in body
    assert ("stream_options" in body) == facts.stream
    assert body["messages"] == value["messages"]
