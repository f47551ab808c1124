import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import RequestFault
from dialects.gemini import count_tokens, embed, models_list
from dialects.gemini.models_list import ListedModel
from tests.dialects.exchanges import load_exchange
from tests.dialects.gemini.golden import load

CONTENTS = [{"parts": [{"text": "hello"}]}]


def recorded_body(key: str) -> bytes:
    return json.dumps(load_exchange(f"gemini_nonstream.json#{key}")["request"]["body"]).encode()


def test_golden_count() -> None:
    raw = recorded_body("count_tokens")
    facts = count_tokens.read_request(raw, model="m")
    assert (facts.model, facts.text_bytes, facts.media) == ("m", len(raw), {})
    assert count_tokens.edit(facts, "up") == raw
    answer = load("gemini_nonstream.json#count_tokens")
    assert count_tokens.read_answer(answer) == 2
    assert json.loads(count_tokens.write_answer(2)) == json.loads(answer)


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_a_whole_request_may_be_counted(name: str) -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "A" * 400}}
    inner = {"model": "models/m", "contents": [{"parts": [picture, {"text": "a"}]}]}
    raw = json.dumps({name: inner}).encode()
    facts = count_tokens.read_request(raw, model="m")
    assert facts.media == {"image": 1}
    assert facts.text_bytes < 200
    assert count_tokens.edit(facts, "m") == raw
    assert json.loads(count_tokens.edit(facts, "up"))[name]["model"] == "models/up"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"{}", "missing_parameter"),
        (b'{"generateContentRequest":[]}', "invalid_type"),
        (b'{"generateContentRequest":{}}', "missing_parameter"),
        (b"[]", "invalid_type"),
    ],
)
def test_counts_that_are_refused(raw: bytes, kind: str) -> None:
    with pytest.raises(RequestFault) as caught:
        count_tokens.read_request(raw, model="m")
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("raw", "count"),
    [
        (b"{}", 0),
        (b'{"totalTokens":-1}', None),
        (b'{"totalTokens":"1"}', None),
        (b"[]", None),
        (b"\xff", None),
        (b'{"totalTokens":10000000000000}', None),
    ],
)
def test_odd_counts(raw: bytes, count: int | None) -> None:
    assert count_tokens.read_answer(raw) == count


def test_golden_vectors() -> None:
    facts = embed.read(recorded_body("embed"), model="m", batch=False)
    assert (facts.texts, facts.dimensions, facts.task_type) == (("hello",), 3, "RETRIEVAL_QUERY")
    assert embed.edit(facts, "up") == recorded_body("embed")
    vectors = embed.decode_answer(load("gemini_nonstream.json#embed"))
    assert vectors == embed.Vectors(((0.01, -0.02, 0.03),), None)
    facts = embed.read(recorded_body("batch_embed"), model="gemini-embedding-001", batch=True)
    assert (facts.texts, facts.dimensions, facts.title) == (("a", "b"), None, "")
    assert embed.edit(facts, "gemini-embedding-001") == recorded_body("batch_embed")
    body = json.loads(embed.edit(facts, "up"))["requests"]
    assert [request["model"] for request in body] == ["models/up"] * 2
    many = embed.decode_answer(load("gemini_nonstream.json#batch_embed"))
    assert many == embed.Vectors(((0.1, 0.2), (0.3, 0.4)), None)
    assert many is not None
    written = embed.encode_answer(many.values, batch=True)
    assert json.loads(written) == json.loads(load("gemini_nonstream.json#batch_embed"))
    assert json.loads(embed.encode_answer([[0.5]], batch=False)) == {"embedding": {"values": [0.5]}}
    one = {"embeddings": [{"values": [0.5]}]}
    assert json.loads(embed.encode_answer([[0.5]], batch=True)) == one


def test_vectors_are_asked_for_in_a_batch() -> None:
    body = embed.encode(["a", "b"], model="m", dimensions=3, task_type="T", title="t")
    facts = embed.read(body, model="m", batch=True)
    assert (facts.texts, facts.dimensions, facts.task_type, facts.title) == (
        ("a", "b"),
        3,
        "T",
        "t",
    )
    assert json.loads(embed.encode(["a"], model="m")) == {
        "requests": [{"model": "models/m", "content": {"parts": [{"text": "a"}]}}]
    }
    with pytest.raises(RequestFault):
        embed.encode([], model="m")


def test_a_batch_whose_parts_differ_has_no_settings_of_its_own() -> None:
    content = {"parts": [{"text": "a"}]}
    requests = [{"content": content, "output_dimensionality": 3}, {"content": content}]
    facts = embed.read(json.dumps({"requests": requests}).encode(), model="m", batch=True)
    assert (facts.dimensions, facts.task_type, facts.title) == (None, "", "")


def test_body_model_of_embeddings_follows_the_path() -> None:
    raw = json.dumps({"model": "models/m", "content": {"parts": {"text": "a"}}}).encode()
    assert json.loads(embed.edit(embed.read(raw, model="m", batch=False), "up"))["model"] == (
        "models/up"
    )
    raw = b'{"requests":{"content":{"parts":[{"text":"a"}]}}}'
    body = json.loads(embed.edit(embed.read(raw, model="m", batch=True), "up"))
    assert body["requests"][0]["model"] == "models/up"


@pytest.mark.parametrize(
    ("body", "batch", "kind", "param"),
    [
        ({}, False, "missing_parameter", "content"),
        ({"content": {}}, False, "missing_parameter", "content.parts"),
        ({"content": {"parts": [{"inlineData": {}}]}}, False, "missing_parameter",
         "content.parts[0].text"),
        ({"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 0}, False,
         "invalid_value", "outputDimensionality"),
        ({}, True, "missing_parameter", "requests"),
        ({"requests": []}, True, "invalid_value", "requests"),
        ({"requests": [{}]}, True, "missing_parameter", "requests[0].content"),
        ({"requests": [{}] * 2_049}, True, "invalid_value", "requests"),
    ],
)  # fmt: skip
def test_vectors_that_are_refused(body: Any, batch: bool, kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        embed.read(json.dumps(body).encode(), model="m", batch=batch)
    assert (caught.value.kind, caught.value.param) == (kind, param)


@pytest.mark.parametrize(
    ("raw", "vectors"),
    [
        (b'{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":2}}',
         embed.Vectors(((1.0,),), b'{"promptTokenCount":2}')),
        (b'{"embedding":{"values":[1]},"usageMetadata":null}', embed.Vectors(((1.0,),), None)),
        (b'{"embedding":{"values":[]}}', None),
        (b'{"embeddings":[]}', None),
        (b'{"embeddings":[{"values":["x"]}]}', None),
        (b"\xff", None),
    ],
)  # fmt: skip
def test_answers_with_vectors(raw: bytes, vectors: embed.Vectors | None) -> None:
    assert embed.decode_answer(raw) == vectors


@given(st.binary(max_size=40))
def test_no_bytes_crash(raw: bytes) -> None:
    count_tokens.read_answer(raw)
    embed.decode_answer(raw)


def test_the_list_of_models() -> None:
    golden = json.loads(load("gemini_nonstream.json#models_list"))["models"]
    models = [
        ListedModel(
            name=model["name"].removeprefix("models/"),
            display_name=model["displayName"],
            description=model.get("description", ""),
            version=model["version"],
            input_limit=model["inputTokenLimit"],
            output_limit=model["outputTokenLimit"],
            methods=tuple(model["supportedGenerationMethods"]),
        )
        for model in golden
    ]
    listed = json.loads(models_list.render(reversed(models)))
    assert [model["name"] for model in listed["models"]] == [model["name"] for model in golden]
    assert all(golden[i][name] == value for i, model in enumerate(listed["models"])
               for name, value in model.items() if value)  # fmt: skip
    assert "nextPageToken" not in listed
    assert json.loads(models_list.render_model(ListedModel(name="a"))) == {
        "name": "models/a",
        "version": "",
        "displayName": "a",
        "description": "",
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }


def test_pages_of_models() -> None:
    models = [ListedModel(name=name) for name in "cabd"]
    names, token = [], ""
    for _ in range(5):
        page = json.loads(models_list.render(models, page_size=2, page_token=token))
        names += [model["name"][-1] for model in page["models"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert names == list("abcd")
    assert len(json.loads(models_list.render(models, page_size=0))["models"]) == 1
    assert json.loads(models_list.render(models, page_token="zz"))["models"] == []
