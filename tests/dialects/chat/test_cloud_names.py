"""The names that clouds give to models."""

import pytest

from dialects.chat.cloud_names import bare_names, bedrock_names, vertex_names


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


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("us.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"),
        ("apac.amazon.nova-lite-v1:0:300k", "nova-lite"),
        ("global.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001"),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-haiku-4-5-v1:0",
            "claude-haiku-4-5",
        ),
        ("arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-1-70b-instruct-v1:0",
         "llama3-1-70b-instruct"),
        ("publishers/anthropic/models/claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929"),
        ("projects/p/locations/global/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("anthropic/claude-Opus-4.6:beta", "claude-opus-4.6"),
        ("deepseek-ai/deepseek-v3.1-maas", "deepseek-v3.1-maas"),
        ("accounts/fireworks/models/llama-v3p1-70b", "llama-v3p1-70b"),
        ("@cf/meta/llama-3.1-8b-instruct", "llama-3.1-8b-instruct"),
        ("databricks-claude-sonnet-4", "claude-sonnet-4"),
        ("ft:gpt-4o-mini-2024-07-18:acme::9a", "gpt-4o-mini-2024-07-18"),
        ("gpt-35-turbo-16k", "gpt-3.5-turbo-16k"),
        ("gpt-4.1", "gpt-4.1"),
        ("llama3.1:8b", "llama3.1"),
        ("qwen2.5-coder", "qwen2.5-coder"),
        ("", ""),
        ("A" * 1_000, "a" * 1_000),
    ],
)  # fmt: skip
def test_model_is_recognised_by_its_name_on_any_host(name: str, last: str) -> None:
    names = bare_names(name)
    assert names[-1] == last
    assert len(names) == len(set(names))


def test_an_owner_that_names_the_family_is_not_lost() -> None:
    """Bedrock's own names of DeepSeek say it nowhere else."""
    assert "deepseek.r1-v1:0" in bare_names("us.deepseek.r1-v1:0")
