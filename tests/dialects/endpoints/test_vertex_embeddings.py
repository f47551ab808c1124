"""Embeddings on Vertex AI: which form a model has, what it is sent, and what is counted."""

import json
from typing import Any

import pytest

from dialects.chat.fold import AnswerFault
from dialects.endpoints import embeddings, vertex_embeddings
from dialects.errors.errors import RequestFault
from dialects.gemini import embed


def openai(**members: Any) -> embeddings.EmbeddingFacts:
    return embeddings.read(json.dumps({"model": "m", "input": "a"} | members).encode())


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("text-embedding-005", "predict"),
        ("text-multilingual-embedding-002", "predict"),
        ("gemini-embedding-001", "predict"),
        ("gemini-embedding-2", "vertex_embed_content"),
        ("e5-large-maas", "vertex_embed_content"),
    ],
)
def test_model_embeds_by_its_operation(model: str, operation: str) -> None:
    assert vertex_embeddings.operation_of(model) == operation


def test_texts_are_instances_or_one_content() -> None:
    encoded = vertex_embeddings.from_openai(
        openai(input=["a", "b"], dimensions=256), "text-embedding-005"
    )
    assert json.loads(encoded.body) == {
        "instances": [{"content": "a"}, {"content": "b"}],
        "parameters": {"outputDimensionality": 256},
    }
    single = vertex_embeddings.from_openai(openai(dimensions=256), "gemini-embedding-2")
    assert json.loads(single.body) == {
        "content": {"role": "user", "parts": [{"text": "a"}]},
        "embedContentConfig": {"outputDimensionality": 256},
    }
    assert "embedContentConfig" not in json.loads(
        vertex_embeddings.from_openai(openai(), "gemini-embedding-2").body
    )
    with pytest.raises(RequestFault) as fault:
        vertex_embeddings.from_openai(openai(input=["a", "b"]), "gemini-embedding-2")
    assert (fault.value.kind, fault.value.param) == ("unsupported_capability", "input")


def test_task_and_title_of_gemini_have_the_names_of_each_form() -> None:
    body = {
        "content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_DOCUMENT", "title": "T",
    }  # fmt: skip
    facts = embed.read(json.dumps(body).encode(), model="m", batch=False)
    predict = json.loads(vertex_embeddings.from_gemini(facts, "text-embedding-005").body)
    assert predict == {
        "instances": [{"content": "a", "task_type": "RETRIEVAL_DOCUMENT", "title": "T"}]
    }
    single = json.loads(vertex_embeddings.from_gemini(facts, "gemini-embedding-2").body)
    assert single["embedContentConfig"] == {"taskType": "RETRIEVAL_DOCUMENT", "title": "T"}


def predictions(*counts: Any) -> bytes:
    rows = [
        {"values": [0.5, n], "statistics": {"token_count": one}} for n, one in enumerate(counts)
    ]
    body = [{"embeddings": row} for row in rows]
    return json.dumps({"predictions": body, "metadata": {"billableCharacterCount": 9}}).encode()


@pytest.mark.parametrize(
    ("counts", "meters", "flags"),
    [
        ((3, 4), {"in_text": 7, "out_text": 0}, ()),
        ((3.0, 4), {"in_text": 7, "out_text": 0}, ()),
        ((3, None), {}, ("usage_missing",)),
        ((3, 4.5), {}, ("usage_not_integer",)),
        ((3, -1), {}, ("usage_negative",)),
    ],
)
def test_tokens_of_all_texts_are_charged(
    counts: tuple[Any, ...], meters: dict[str, int], flags: tuple[str, ...]
) -> None:
    vectors = vertex_embeddings.decode_answer(predictions(*counts), len(counts))
    assert [list(one) for one in vectors.values] == [[0.5, 0.0], [0.5, 1.0]]
    read = vertex_embeddings.read_answer(predictions(*counts)).quantities
    for quantities in (vectors.quantities, read):
        assert quantities.flags == flags
        assert {name: n for name, n in quantities.meters.items() if n} == {
            name: n for name, n in meters.items() if n
        }
    assert json.loads(vectors.usage or b"") == {"billableCharacterCount": 9}


@pytest.mark.parametrize(
    ("raw", "inputs"),
    [
        (predictions(1), 2),
        (predictions(), None),
        (b'{"predictions": [{"embeddings": {"values": []}}]}', None),
        (b'{"predictions": 3}', None),
        (b'{"error": {"code": 500, "message": "no"}}', None),
    ],
)
def test_missing_embedding_is_a_fault(raw: bytes, inputs: int | None) -> None:
    with pytest.raises(AnswerFault):
        vertex_embeddings.decode_answer(raw, inputs)
