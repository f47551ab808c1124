"""The names that clouds give to models."""

import pytest

from dialects.chat.cloud_names import bedrock_names, vertex_names


@pytest.mark.parametrize(
    ("name", "others"),
    [
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            ["anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929",
             "claude-sonnet-4-5"],
        ),
        ("anthropic.claude-opus-4-6-v1", ["claude-opus-4-6"]),
        ("us-gov.amazon.nova-lite-v1:0:300k", ["amazon.nova-lite-v1:0:300k", "nova-lite"]),
        ("meta.llama3-1-70b-instruct-v1:0", ["llama3-1-70b-instruct"]),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-haiku-4-5-v1:0",
            ["eu.anthropic.claude-haiku-4-5-v1:0", "anthropic.claude-haiku-4-5-v1:0",
             "claude-haiku-4-5"],
        ),
        ("claude-sonnet-4-5", []),
        ("", []),
        ("us.anthropic." + "a" * 1_000, []),
    ],
)  # fmt: skip
def test_a_name_of_bedrock(name: str, others: list[str]) -> None:
    assert list(bedrock_names(name)) == others


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("claude-sonnet-4-5@20250929", ["claude-sonnet-4-5-20250929", "claude-sonnet-4-5"]),
        ("claude-opus-4-6@latest", ["claude-opus-4-6-latest", "claude-opus-4-6"]),
        ("gemini-2.5-pro", []),
    ],
)
def test_a_name_of_vertex(name: str, others: list[str]) -> None:
    assert list(vertex_names(name)) == others
