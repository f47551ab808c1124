"""A provider's list of models in the form of each dialect."""

from typing import Any

import pytest

from dialects.chat.chat import Dialect
from gateway.providers.model_list import NotAList, first_query, read_page
from tests.fakes.bedrock import OWN, PROFILES


def test_openai_has_one_page() -> None:
    page = read_page("openai", {"object": "list", "data": [{"id": "a"}, {"id": "b"}]})
    assert (first_query("openai"), page.names, page.next_query) == ("", ["a", "b"], "")
    assert read_page("openai", [{"id": "a"}, {"id": "b"}]) == page


def test_anthropic_pages_by_its_last_id() -> None:
    body = {"data": [{"id": "claude-x"}], "has_more": True, "last_id": "claude-x"}
    assert first_query("anthropic") == "limit=1000"
    assert read_page("anthropic", body).next_query == "limit=1000&after_id=claude-x"
    assert read_page("anthropic", body | {"has_more": False}).next_query == ""


def test_gemini_pages_by_a_token_and_names_what_can_answer() -> None:
    chat = {"name": "models/gemini-x", "supportedGenerationMethods": ["generateContent"]}
    film = {"name": "models/veo", "supportedGenerationMethods": ["predictLongRunning"]}
    page = read_page("gemini", {"models": [chat, film], "nextPageToken": "a&b"})
    assert page == (["gemini-x"], "pageSize=1000&pageToken=a%26b")
    assert read_page("gemini", {"models": [chat]}).next_query == ""
    assert read_page("gemini", {}).names == []


def test_bedrock_pages_by_a_token_and_names_profiles() -> None:
    page = read_page("converse", {"inferenceProfileSummaries": PROFILES, "nextToken": "a+"})
    names = ["us.anthropic.claude-opus-4-6-v1", OWN]
    assert page == (names, "maxResults=1000&nextToken=a%2B")
    assert read_page("converse", {"inferenceProfileSummaries": []}) == ([], "")
    for wrong in ({}, {"inferenceProfileSummaries": [{"type": "SYSTEM_DEFINED"}]}):
        with pytest.raises(NotAList):
            read_page("converse", wrong)


def test_vertex_lists_what_answers_without_deployment() -> None:
    names = [
        "publishers/google/models/gemini-2.5-pro",
        "publishers/google/models/imagen-4.0",
        "publishers/google/models/text-embedding-005",
        "publishers/google/models/veo-3.1-generate-001",
        "publishers/anthropic/models/claude-sonnet-4-5@20250929",
        "publishers/meta/models/llama-3.3-70b-instruct-maas",
        "publishers/meta/models/llama3",
        "publishers/xai/models/grok-4.1-fast-reasoning",
    ]
    body = {"publisherModels": [{"name": name} for name in names], "nextPageToken": "n"}
    listed = [
        "gemini-2.5-pro",
        "imagen-4.0",
        "text-embedding-005",
        "claude-sonnet-4-5@20250929",
        "meta/llama-3.3-70b-instruct-maas",
        "xai/grok-4.1-fast-reasoning",
    ]
    assert read_page("gemini", body) == (listed, "pageSize=1000&pageToken=n")


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(
    "body",
    [None, [], "x", {"data": 1, "models": 1}, {"data": ["a"], "models": ["a"]},
     {"data": [{}], "models": [{}]}, {"data": [{"id": 1}], "models": [{"name": 1}]}],
)  # fmt: skip
def test_malformed_list_is_reported(dialect: Dialect, body: Any) -> None:
    with pytest.raises(NotAList):
        read_page(dialect, body)
