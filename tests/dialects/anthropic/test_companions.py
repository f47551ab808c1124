import json

import pytest

from dialects.anthropic.count_tokens import read_count, write_count
from dialects.anthropic.models_list import ListedModel, write_model, write_models
from dialects.errors.errors import RequestFault
from tests.dialects.anthropic.golden import EXPECTED, body_of
from tests.dialects.exchanges import load_exchange

MODELS = [ListedModel(name, name.upper(), 0) for name in "abcde"]


def test_golden_count() -> None:
    key = "anthropic_nonstream.json#count_tokens"
    assert read_count(body_of(load_exchange(key))) == EXPECTED["media"][key]["input_tokens"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b'{"input_tokens":-1}', b'{"input_tokens":1.5}', b'{"input_tokens":1e400}',
     b'{"input_tokens":10000000000000}', b'"\xff"', b"[" * 100_000],
)  # fmt: skip
def test_malformed_counts(raw: bytes) -> None:
    assert read_count(raw) is None


def test_count_is_written_as_it_is_read() -> None:
    assert write_count(8) == b'{"input_tokens":8}'
    assert read_count(write_count(0)) == 0


def test_golden_list() -> None:
    key = "anthropic_nonstream.json#models_list"
    body = load_exchange(key)["response"]["body"]
    models = [
        ListedModel("claude-opus-4-6", "Claude Opus 4.6", 1_769_904_000),
        ListedModel("claude-haiku-4-5-20251001", "Claude Haiku 4.5", 1_759_276_800),
    ]
    assert json.loads(write_models(models)) == body
    assert [entry["id"] for entry in body["data"]] == EXPECTED["media"][key]["ids"]
    assert json.loads(write_model(models[0])) == body["data"][0]


@pytest.mark.parametrize(
    ("limit", "after", "before", "ids", "more"),
    [
        (None, "", "", "abcde", False),
        (2, "", "", "ab", True),
        (2, "b", "", "cd", True),
        (2, "c", "", "de", False),
        (2, "e", "", "", False),
        (2, "", "e", "cd", True),
        (9, "", "c", "ab", False),
        (1, "a", "d", "b", True),
        (None, "d", "b", "", False),
    ],
)
def test_page(limit: int | None, after: str, before: str, ids: str, more: bool) -> None:
    body = json.loads(write_models(MODELS, limit=limit, after_id=after, before_id=before))
    assert "".join(entry["id"] for entry in body["data"]) == ids
    assert body["has_more"] is more
    assert body["first_id"] == (ids[0] if ids else None)
    assert body["last_id"] == (ids[-1] if ids else None)


def test_empty_list() -> None:
    assert json.loads(write_models([])) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


@pytest.mark.parametrize("name", ["after_id", "before_id"])
def test_page_at_an_unknown_id(name: str) -> None:
    with pytest.raises(RequestFault) as caught:
        write_models(MODELS, **{name: "x"})  # type: ignore[arg-type]
    assert (caught.value.kind, caught.value.param) == ("invalid_value", name)
