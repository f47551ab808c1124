import json
import struct
from base64 import b64encode
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.fold import AnswerFault
from dialects.endpoints.embeddings import (
    Vectors,
    decode_answer,
    decode_gemini_answer,
    edit,
    encode_answer,
    encode_gemini_answer,
    fit_answer,
    from_base64,
    from_gemini,
    read,
    read_answer,
    read_gemini_answer,
    to_base64,
    to_gemini,
)
from dialects.errors.errors import RequestFault
from dialects.gemini import embed as gemini_embed
from dialects.usage.usage import Quantities
from tests.dialects.exchanges import EXPECTED, exchange, fault_of, refusal, wire

GOLDEN = [key for key in EXPECTED["media"] if "#embeddings" in key]
GEMINI = ["gemini_nonstream.json#embed", "gemini_nonstream.json#batch_embed"]


def body(**members: object) -> bytes:
    return json.dumps({"model": "m", "input": "a", **members}).encode()


def listed(*embeddings: object, **members: object) -> bytes:
    rows = [
        {"object": "embedding", "index": i, "embedding": embedding}
        for i, embedding in enumerate(embeddings)
    ]
    return wire(**{"object": "list", "data": rows, "model": "m-1", **members})


@pytest.mark.parametrize("key", GOLDEN)
def test_golden_exchange(key: str) -> None:
    request_body, response_body = exchange(key)
    want = EXPECTED["media"][key]
    facts = read(request_body)
    assert facts.inputs == want["vectors"]
    assert edit(facts, facts.model) == request_body
    assert fit_answer(response_body, facts) == response_body
    answer = read_answer(response_body)
    assert answer.quantities.meters == {"in_text": want["usage"]["input"]}
    assert (answer.error, answer.broken) == (None, None)
    vectors = decode_answer(response_body, facts.inputs)
    assert [len(vector) for vector in vectors.values] == [want["dimensions"]] * want["vectors"]
    if "values" in want:
        assert vectors.values[0] == pytest.approx(want["values"])
    again = encode_answer(vectors, facts, input_tokens=want["usage"]["input"])
    assert json.loads(again) == json.loads(response_body)


@pytest.mark.parametrize("key", GEMINI)
def test_golden_exchange_of_gemini(key: str) -> None:
    _, response_body = exchange(key)
    want = EXPECTED["media"][key]
    vectors = decode_gemini_answer(response_body, want["vectors"])
    assert [len(vector) for vector in vectors.values] == [want["dimensions"]] * want["vectors"]
    assert vectors.quantities.missing
    assert read_gemini_answer(response_body).quantities.missing


def test_facts() -> None:
    raw = body(input=["é", "bc"], encoding_format="base64", dimensions=3.0, user="u", max_cost=1)
    facts = read(raw)
    assert (facts.model, facts.inputs, facts.texts, facts.tokens) == ("m", 2, ("é", "bc"), None)
    assert facts.text_bytes == len(raw)
    assert (facts.encoding_format, facts.dimensions) == ("base64", 3)
    assert (facts.user, facts.max_cost_nano) == ("u", 10**9)


@pytest.mark.parametrize(
    ("raw_input", "inputs", "texts", "tokens"),
    [
        ("a", 1, ("a",), None),
        (["a"], 1, ("a",), None),
        ([1, 2, 3], 1, None, 3),
        ([[1], [2, 3]], 2, None, 3),
    ],
)
def test_inputs_are_counted(
    raw_input: object, inputs: int, texts: object, tokens: int | None
) -> None:
    facts = read(body(input=raw_input))
    assert (facts.inputs, facts.texts, facts.tokens) == (inputs, texts, tokens)
    assert (facts.encoding_format, facts.dimensions) == ("float", None)


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (b"", "malformed_json", None),
        (b"[]", "invalid_type", None),
        (wire(input="a"), "missing_parameter", "model"),
        (wire(model="m"), "missing_parameter", "input"),
        (body(input=None), "missing_parameter", "input"),
        (body(input=3), "invalid_type", "input"),
        (body(input=["a", 1]), "invalid_type", "input"),
        (body(input=[[1], 2]), "invalid_type", "input"),
        (body(input=[{}]), "invalid_type", "input"),
        (body(input=[1.5]), "invalid_type", "input"),
        (body(input=""), "invalid_value", "input"),
        (body(input=[]), "invalid_value", "input"),
        (body(input=["a"] * 2049), "invalid_value", "input"),
        (body(input="", encoding_format=3), "invalid_type", "encoding_format"),
        (body(input="", dimensions="3"), "invalid_type", "dimensions"),
        (body(dimensions=0), "invalid_value", "dimensions"),
        (body(max_cost="x"), "invalid_value", "max_cost"),
    ],
)
def test_refused(raw: bytes, kind: str, param: str | None) -> None:
    with pytest.raises(RequestFault) as caught:
        read(raw)
    assert refusal(caught) == (kind, param)


def test_the_model_of_the_path_wins() -> None:
    facts = read(b'{"model":3,"input":"a"}', model="p")
    assert facts.model == "p"
    assert edit(facts, "up") == b'{"model":"up","input":"a"}'
    assert edit(read(b'{"input":"a"}', model="p"), "p") == b'{"input":"a","model":"p"}'
    with pytest.raises(RequestFault) as caught:
        read(body(), model="a\0")
    assert refusal(caught) == ("model_not_found", "model")


def test_only_what_must_change_changes() -> None:
    assert (
        edit(read(b'{"model":"m", "input":"a","max_cost":"1"}'), "u")
        == b'{"model":"u", "input":"a"}'
    )


def test_a_request_goes_to_gemini() -> None:
    facts = read(body(input=["a", "b"], dimensions=3, user="u", odd=1, none=None))
    encoded = to_gemini(facts, "e")
    assert encoded.dropped == ("user", "odd")
    received = gemini_embed.read(encoded.body, model="e", batch=True)
    assert (received.texts, received.dimensions) == (("a", "b"), 3)
    assert to_gemini(read(body()), "e").dropped == ()


@pytest.mark.parametrize(
    ("raw", "kind", "param"),
    [
        (body(input=[1]), "unsupported_capability", "input"),
        (body(encoding_format="int8"), "invalid_value", "encoding_format"),
    ],
)
def test_unsupported_gemini_features_are_rejected(raw: bytes, kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        to_gemini(read(raw), "e")
    assert refusal(caught) == (kind, param)


def test_the_answer_of_gemini_comes_back() -> None:
    facts = read(body(input=["a", "b"]))
    raw = wire(
        embeddings=[{"values": [1, 0.5]}, {"values": [2, 3]}], usageMetadata={"promptTokenCount": 4}
    )
    vectors = decode_gemini_answer(raw, 2)
    assert (vectors.quantities.meters, vectors.quantities.flags) == ({"in_text": 4}, ())
    assert read_gemini_answer(raw).quantities == vectors.quantities
    got = json.loads(encode_answer(vectors, facts, input_tokens=4))
    assert [row["embedding"] for row in got["data"]] == [[1, 0.5], [2, 3]]
    assert [row["index"] for row in got["data"]] == [0, 1]
    assert (got["model"], got["usage"]) == ("m", {"prompt_tokens": 4, "total_tokens": 4})


@pytest.mark.parametrize("batch", [False, True])
def test_a_client_of_gemini_is_served(batch: bool) -> None:
    entry = {"content": {"parts": [{"text": "a"}]}, "taskType": "X", "outputDimensionality": 2}
    raw = wire(requests=[entry, entry]) if batch else wire(**entry)
    embed_request = gemini_embed.read(raw, model="g", batch=batch)
    encoded = from_gemini(embed_request, "up")
    assert encoded.dropped == ("taskType",)
    facts = read(encoded.body)
    assert (facts.model, facts.inputs, facts.dimensions) == ("up", 1 + batch, 2)
    vectors = decode_answer(listed([1, 2], usage={"prompt_tokens": 1}), 1)
    values = vectors.values * facts.inputs
    answer = encode_gemini_answer(Vectors(values, "", None, vectors.quantities), embed_request)
    back = gemini_embed.decode_answer(answer)
    assert back is not None
    assert back.values == values
    assert b"dimensions" not in from_gemini(
        gemini_embed.read(wire(content={"parts": [{"text": "a"}]}), model="g", batch=False), "up"
    ).body  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b"{", "F15"),
        (wire(data=[]), "F24"),
        (wire(data={}), "F15"),
        (wire(data=[{}]), "F15"),
        (wire(error={"message": "no"}), "upstream_error"),
    ],
)
def test_malformed_answer(raw: bytes, fault: str) -> None:
    result = read_answer(raw)
    assert fault in (result.broken, result.error and result.error.kind)
    with pytest.raises(AnswerFault) as caught:
        decode_answer(raw)
    assert fault_of(caught) == fault


def test_malformed_gemini_answer() -> None:
    assert read_gemini_answer(b"{}").broken == "F24"
    result = read_gemini_answer(wire(error={"code": 503, "message": "no", "status": "UNAVAILABLE"}))
    assert result.error is not None
    assert result.error.kind == "overloaded"


@pytest.mark.parametrize(
    "embedding",
    [
        "zczMPc3MTL6amZk",
        "AAA=",
        "????",
        "é",
        b64encode(struct.pack("<f", float("inf"))).decode(),
        {},
        [None],
    ],
)
def test_malformed_embeddings(embedding: object) -> None:
    with pytest.raises(AnswerFault) as caught:
        decode_answer(listed(embedding))
    assert fault_of(caught) == "F15"


def test_every_input_has_its_embedding() -> None:
    for expected in (1, 3):
        with pytest.raises(AnswerFault) as caught:
            decode_answer(listed([1], [2]), expected)
        assert fault_of(caught) == "F24"


def test_the_places_of_an_answer_count() -> None:
    rows = [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]
    assert decode_answer(wire(data=rows, model=3)).values == ((0.0,), (1.0,))
    twice = [{"index": 5, "embedding": [1]}, {"index": 5, "embedding": [0]}]
    assert decode_answer(wire(data=twice)).values == ((1.0,), (0.0,))
    alike = [{"embedding": [1]}, {"embedding": [0]}]
    got = decode_answer(wire(data=alike))
    assert (got.values, got.model) == (((1.0,), (0.0,)), "")
    fitted = json.loads(fit_answer(wire(data=alike), read(body(encoding_format="base64"))))
    assert [row["index"] for row in fitted["data"]] == [0, 1]


@pytest.mark.parametrize("expected", ["float", "base64"])
def test_answer_is_adapted(expected: str) -> None:
    values = [0.5, -1.25]
    facts = read(body(encoding_format=expected))
    other = listed(
        to_base64(values) if expected == "float" else values, usage={"total_tokens": 3}, odd=1
    )
    got = json.loads(fit_answer(other, facts))
    assert got["data"] == [
        {"object": "embedding", "index": 0,
         "embedding": values if expected == "float" else to_base64(values)}
    ]  # fmt: skip
    assert (got["usage"], got["odd"], got["model"]) == ({"total_tokens": 3}, 1, "m-1")


def test_an_encoding_of_a_provider_is_left_alone() -> None:
    raw = listed([1])
    assert fit_answer(raw, read(body(encoding_format="int8"))) == raw


def test_numbers_beyond_float32() -> None:
    facts = read(body(encoding_format="base64"))
    vectors = Vectors(((1e300,),), "", None, Quantities({}, ()))
    with pytest.raises(AnswerFault) as caught:
        encode_answer(vectors, facts, input_tokens=1)
    assert fault_of(caught) == "F15"


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_base64_keeps_every_number(values: list[float]) -> None:
    text = to_base64(values)
    assert list(from_base64(text)) == values
    assert to_base64(from_base64(text)) == text


@given(st.binary(max_size=40).filter(lambda raw: len(raw) % 4 == 0))
def test_base64_keeps_every_byte(raw: bytes) -> None:
    if all(map(isfinite, struct.unpack(f"<{len(raw) // 4}f", raw))):
        assert to_base64(from_base64(b64encode(raw).decode())) == b64encode(raw).decode()


@given(
    st.binary(max_size=60)
    | st.binary(max_size=20).map(lambda raw: b'{"data":[{"embedding":' + raw + b"}]}")
)
def test_malformed_bytes_are_handled(raw: bytes) -> None:
    read_answer(raw)
    read_gemini_answer(raw)
    try:
        decode_answer(raw)
        fit_answer(raw, read(body(encoding_format="base64")))
    except AnswerFault:
        pass
    try:
        facts = read(raw)
        edit(facts, "u")
        to_gemini(facts, "u")
    except RequestFault:
        pass
