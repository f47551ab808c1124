import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import RequestFault
from dialects.gemini.request.read import ChatFacts, edit
from dialects.gemini.request.read import read as read_request


def read(raw: bytes, model: str = "m") -> ChatFacts:
    return read_request(raw, model=model, stream=True)


def body(**members: object) -> bytes:
    return json.dumps({"contents": [{"parts": [{"text": "hi"}]}], **members}).encode()


def edited(raw: bytes, upstream: str = "up", **options: Any) -> bytes:
    return edit(read(raw), upstream, **options)


def test_facts() -> None:
    raw = body(
        generationConfig={
            "maxOutputTokens": 5,
            "candidateCount": 2,
            "responseModalities": ["TEXT", "Audio", 3],
        },
        max_cost="0.5",
    )
    facts = read(raw)
    assert (facts.model, facts.stream, facts.choices, facts.output_cap) == ("m", True, 2, 5)
    assert (facts.max_cost_nano, facts.audio_output, facts.text_bytes) == (
        500_000_000,
        True,
        len(raw),
    )
    assert (facts.media, facts.include_usage, facts.user) == ({}, True, "")


@pytest.mark.parametrize(
    "config", [{}, {"generationConfig": None}, {"generation_config": {"responseModalities": 3}}]
)
def test_defaults(config: dict[str, object]) -> None:
    facts = read(body(**config))
    assert (facts.choices, facts.output_cap, facts.max_cost_nano, facts.audio_output) == (
        1,
        None,
        None,
        False,
    )


def test_both_spellings_of_a_name_are_read() -> None:
    facts = read(body(generation_config={"max_output_tokens": 5.0, "speech_config": {}}))
    assert (facts.output_cap, facts.audio_output) == (5, True)


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (b"{}", "missing_parameter", "contents"),
        (b'{"contents":null}', "missing_parameter", "contents"),
        (b'{"contents":"hi"}', "invalid_type", "contents"),
        (b'{"contents":[]}', "invalid_value", "contents"),
        (body(generationConfig=[]), "invalid_type", "generationConfig"),
        (body(generationConfig={}, generation_config={}), "malformed_json", None),
        (body(generationConfig={"maxOutputTokens": 1, "max_output_tokens": 9}),
         "malformed_json", None),
        (b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}}',
         "malformed_json", None),
        (b'{"contents":[{}],"generationConfig":{"maxOutputTokens":1e999}}',
         "malformed_json", None),
        (body(generationConfig={"maxOutputTokens": "5"}), "invalid_type",
         "generationConfig.maxOutputTokens"),
        (body(generationConfig={"maxOutputTokens": 0}), "invalid_value",
         "generationConfig.maxOutputTokens"),
        (body(generationConfig={"candidateCount": 129}), "invalid_value",
         "generationConfig.candidateCount"),
    ],
)  # fmt: skip
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert (caught.value.kind, caught.value.param) == (kind, param)


@pytest.mark.parametrize("model", ["", "a\0b", "x" * 257])
def test_models_outside_any_catalogue(model: str) -> None:
    with pytest.raises(RequestFault) as caught:
        read(body(), model)
    assert caught.value.kind == "model_not_found"


def test_media_are_counted_by_their_members() -> None:
    picture = {"inlineData": {"mimeType": "Image/png", "data": "A" * 5_000}}
    parts = [
        picture,
        {"text": "x", "inline_data": {"mime_type": "audio/wav"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "x"}},
        {"file_data": {"fileUri": "https://youtu.be/x"}},
        {"inlineData": None, "fileData": 3},
        {"functionResponse": {"parts": [picture], "response": {}}},
        {"function_response": {"parts": picture}},
        "odd",
    ]
    contents = [{"parts": parts}, {"parts": picture}, {"parts": 3}, {}, 3]
    raw = body(contents=contents, system_instruction={"parts": [picture]})
    facts = read(raw)
    assert facts.media == {"image": 5, "audio": 1, "file": 1, "video": 1}
    assert facts.text_bytes < len(raw) - 25_000


def test_single_content_need_not_be_in_an_array() -> None:
    assert read(body(contents={"parts": {"inlineData": {"mimeType": 3}}})).media == {"video": 1}


def test_untouched_body_passes_unchanged() -> None:
    raw = b' {"contents" : [{"x":1.0}],"\\u0073eed":1e3, "unknown":null, "model":"m"}\n'
    assert edited(raw, "m") == raw
    assert edited(raw.replace(b', "model":"m"', b"")) == raw.replace(b', "model":"m"', b"")


def test_body_model_does_not_contradict_the_path() -> None:
    assert json.loads(edited(body(model="models/m")))["model"] == "models/up"
    assert json.loads(edited(body(model="models/m", models=["up"]), "up")) == json.loads(
        body(model="models/up")
    )


def test_our_own_field_is_removed() -> None:
    assert edited(body(max_cost=0.5)) == body()


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        (b'{"contents":[{}]}', b'{"contents":[{}],"generationConfig":{"maxOutputTokens":16}}'),
        (b'{"generationConfig":null,"contents":[{}]}',
         b'{"generationConfig":{"maxOutputTokens":16},"contents":[{}]}'),
        (b'{"contents":[{}],"generationConfig": { "topK":1.0, "maxOutputTokens" : 50 }}',
         b'{"contents":[{}],"generationConfig": { "topK":1.0, "maxOutputTokens" : 16 }}'),
        (b'{"contents":[{}],"generation_config":{"max_output_tokens":50}}',
         b'{"contents":[{}],"generation_config":{"max_output_tokens":16}}'),
    ],
)  # fmt: skip
def test_cap_takes_the_place_of_the_clients(raw: bytes, want: bytes) -> None:
    assert edited(raw, output_cap=16) == want


def test_a_suffix_takes_the_place_of_thinking() -> None:
    raw = b'{"contents":[{}],"generationConfig":{"thinking_config":{"thinkingBudget":1},"topK":1}}'
    assert edited(raw, thinking={"thinkingLevel": "low"}) == raw.replace(
        b'{"thinkingBudget":1}', b'{"thinkingLevel":"low"}'
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["parts", "inlineData", "fileData", "mimeType", "text", "maxOutputTokens"]),
        inner, max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
NAMES = [
    "model", "contents", "generationConfig", "generation_config", "systemInstruction", "max_cost",
    "tools", "other",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_object_is_read_or_refused(value: dict[str, object]) -> None:
    try:
        facts = read(json.dumps(value).encode())
    except RequestFault:
        return
    body = json.loads(edit(facts, "up", output_cap=20))
    config = body["generation_config" if "generation_config" in value else "generationConfig"]
    assert config["maxOutputTokens"] == 20
    assert "max_cost" not in body
    assert body["contents"] == value["contents"]
