import json
from typing import Any

import pytest

from dialects.endpoints.models_list import ListForm, ModelRow, encode, encode_model, form_of
from dialects.errors.errors import RequestFault
from tests.dialects.exchanges import EXPECTED, exchange, refusal

ROWS = [
    ModelRow(
        id="b",
        created=1_767_000_000,
        owned_by="openai",
        context=1000,
        output_max=10,
        modalities=("text", "image"),
        pricing={"in_text": "0.15", "out_text": "0.60"},
        display_name="Model B",
        description="Second",
        version="001",
        methods=("generateContent",),
    ),
    ModelRow(id="a", created=1_767_000_001, owned_by="zhipu"),
    ModelRow(id="c", created=1_767_000_002, owned_by="local"),
]


def page(form: ListForm, **query: str) -> Any:
    return json.loads(encode(ROWS, form, query))


@pytest.mark.parametrize(
    ("path", "headers", "query", "form"),
    [
        ("/v1/models", {"authorization"}, set(), "openai"),
        ("/api/v1/models", {"x-api-key"}, set(), "openai"),
        ("/v1/models", {"authorization", "anthropic-version"}, set(), "anthropic"),
        ("/v1/models", {"x-goog-api-key", "anthropic-version"}, set(), "anthropic"),
        ("/v1/models/a", {"anthropic-version"}, {"key"}, "anthropic"),
        ("/v1/models", {"x-api-key", "anthropic-version"}, set(), "anthropic"),
        ("/v1/models", {"x-goog-api-key"}, set(), "gemini"),
        ("/v1/models", set(), {"key"}, "gemini"),
        ("/v1beta/models", {"authorization"}, set(), "gemini"),
        ("/api/v1beta/models/a", {"authorization"}, set(), "gemini"),
        ("/v1/models/v1beta", set(), set(), "openai"),
    ],
)
def test_headers_and_path_determine_the_form(
    path: str, headers: set[str], query: set[str], form: str
) -> None:
    assert form_of(path, headers, query) == form


def test_openai_form() -> None:
    got = page("openai", after_id="b", pageSize="-1")
    assert got["object"] == "list"
    assert [row["id"] for row in got["data"]] == ["a", "b", "c"]
    assert got["data"][0] == {
        "id": "a", "object": "model", "created": 1_767_000_001, "owned_by": "zhipu"
    }  # fmt: skip
    assert got["data"][1] == {
        "id": "b",
        "object": "model",
        "created": 1_767_000_000,
        "owned_by": "openai",
        "context_length": 1000,
        "max_output_tokens": 10,
        "modalities": ["text", "image"],
        "pricing": {"in_text": "0.15", "out_text": "0.60"},
    }


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({"limit": "2"}, ["a", "b"], True),
        ({"limit": "3"}, ["a", "b", "c"], False),
        ({"after": "a"}, ["b", "c"], False),
        ({"after": "a", "limit": "1"}, ["b"], True),
        ({"after": "aa", "limit": "1"}, ["b"], True),  # one that is not there any more
        ({"after": "c"}, [], False),
    ],
)
def test_pages_of_the_openai_form(query: dict[str, str], ids: list[str], more: bool) -> None:
    got = page("openai", **query)
    assert [row["id"] for row in got["data"]] == ids
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (got["first_id"], got["last_id"], got["has_more"]) == (*ends, more)


@pytest.mark.parametrize("limit", ["x", "0", "1001", "1_0"])
def test_invalid_page_is_rejected_in_the_openai_form(limit: str) -> None:
    with pytest.raises(RequestFault) as refused:
        page("openai", limit=limit)
    assert refused.value.param == "limit"


def test_single_model_shows_its_inputs_and_end() -> None:
    row = ModelRow(id="m", created=1, owned_by="", parameters=("seed",), shutdown_date="2027-01-14")
    model = json.loads(encode_model(row, "openai"))
    assert model["supported_parameters"] == ["seed"]
    assert model["shutdown_date"] == "2027-01-14"
    assert json.loads(encode([row], "openai", {}))["data"] == [model]


def test_anthropic_form() -> None:
    got = page("anthropic")
    assert [(row["id"], row["display_name"]) for row in got["data"]] == [
        ("a", "a"), ("b", "Model B"), ("c", "c")
    ]  # fmt: skip
    assert got["data"][1]["created_at"] == "2025-12-29T09:20:00Z"
    assert (got["has_more"], got["first_id"], got["last_id"]) == (False, "a", "c")


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ({"limit": "2"}, ["a", "b"], True),
        ({"limit": "2", "after_id": "b"}, ["c"], False),
        ({"before_id": "c", "limit": "1"}, ["b"], True),
        ({"after_id": "c"}, [], False),
        ({"limit": "", "after_id": ""}, ["a", "b", "c"], False),
    ],
)
def test_anthropic_pages(query: dict[str, str], ids: list[str], more: bool) -> None:
    got = page("anthropic", **query)
    assert ([row["id"] for row in got["data"]], got["has_more"]) == (ids, more)


def test_anthropic_lists_twenty_by_default() -> None:
    rows = [ModelRow(id=f"m{i:03}", created=i, owned_by="x") for i in range(30)]
    got = json.loads(encode(rows, "anthropic", {}))
    assert (len(got["data"]), got["has_more"]) == (20, True)


def test_gemini_form() -> None:
    got = page("gemini")
    assert [model["name"] for model in got["models"]] == ["models/a", "models/b", "models/c"]
    assert got["models"][1] == {
        "name": "models/b",
        "version": "001",
        "displayName": "Model B",
        "description": "Second",
        "inputTokenLimit": 1000,
        "outputTokenLimit": 10,
        "supportedGenerationMethods": ["generateContent"],
    }
    assert "nextPageToken" not in got


@pytest.mark.parametrize("size", ["1", "2", "0", "", "999999999"])
def test_gemini_pages(size: str) -> None:
    seen, token = [], ""
    for _ in range(4):
        got = page("gemini", pageSize=size, pageToken=token)
        seen += [model["name"] for model in got["models"]]
        token = got.get("nextPageToken", "")
        if not token:
            break
    assert seen == ["models/a", "models/b", "models/c"]


@pytest.mark.parametrize(
    ("form", "query", "kind", "param"),
    [
        ("anthropic", {"limit": "x"}, "invalid_type", "limit"),
        ("anthropic", {"limit": "²"}, "invalid_type", "limit"),
        ("anthropic", {"limit": "1.5"}, "invalid_type", "limit"),
        ("anthropic", {"limit": "0"}, "invalid_value", "limit"),
        ("anthropic", {"limit": "1001"}, "invalid_value", "limit"),
        ("anthropic", {"limit": "9" * 5000}, "invalid_value", "limit"),
        ("anthropic", {"after_id": "nope"}, "invalid_value", "after_id"),
        ("gemini", {"pageSize": "-1"}, "invalid_value", "pageSize"),
        ("gemini", {"pageSize": "-"}, "invalid_type", "pageSize"),
    ],
)
def test_invalid_pages(form: ListForm, query: dict[str, str], kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        page(form, **query)
    assert refusal(caught) == (kind, param)


@pytest.mark.parametrize("form", ["openai", "anthropic", "gemini"])
def test_single_model_matches_its_list_entry(form: ListForm) -> None:
    name = "models" if form == "gemini" else "data"
    assert json.loads(encode_model(ROWS[0], form)) == page(form)[name][1]


@pytest.mark.parametrize("key", [key for key in EXPECTED["media"] if key.endswith("#models_list")])
def test_provider_answers_have_the_same_members(key: str) -> None:
    """Their lists made from rows of ours: what both have is spelled alike."""
    body = json.loads(exchange(key)[1])
    forms: dict[str, ListForm] = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini"}
    form = forms[key.partition("_")[0]]
    name = "models" if form == "gemini" else "data"
    ids = EXPECTED["media"][key]["ids"]
    rows = [ModelRow(id=id_, created=1_767_000_000, owned_by="openai") for id_ in ids]
    got = json.loads(encode(rows, form, {}))
    assert set(got) == set(body)
    for ours, theirs in zip(got[name], sorted(body[name], key=str), strict=True):
        assert {k for k in theirs if k in ours} >= {"name" if form == "gemini" else "id"}
        assert set(ours) - {"description"} <= set(theirs)
