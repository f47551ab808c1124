from dataclasses import replace
from typing import Any

import pytest

from dialects.chat.chat import (
    AudioOutput,
    Base64,
    Dialect,
    File,
    FunctionTool,
    Message,
    OwnTool,
    ReasoningSettings,
    Text,
    Upstream,
    WebSearch,
)
from dialects.chat.operation import Needs
from gateway.providers import provider_named
from gateway.providers.models import capabilities_of
from gateway.providers.targets import dialect_for, must_stream, needs_of, upstream_of
from tests.dialects import neutral

FILE = Needs(files=True)
SEARCH = Needs(search=True)
TOOLS = Needs(tools=True)
THINKS_WITH_TOOLS = Needs(tools=True, effort="high")


@pytest.mark.parametrize(
    ("provider", "model", "client", "needs", "dialect"),
    [
        # The client's own dialect where it is spoken.
        ("openai", "gpt-4o", "openai", Needs(), "openai"),
        ("openai", "gpt-4o", "responses", Needs(), "responses"),
        ("anthropic", "claude-opus-4-6", "anthropic", Needs(), "anthropic"),
        ("gemini", "gemini-3-pro-preview", "gemini", Needs(), "gemini"),
        ("openrouter", "anthropic/claude-opus-4.6", "anthropic", FILE, "anthropic"),
        ("vllm", "o1-like", "anthropic", THINKS_WITH_TOOLS, "anthropic"),
        # Else the one that there is.
        ("anthropic", "claude-opus-4-6", "openai", Needs(), "anthropic"),
        ("gemini", "gemini-3-pro-preview", "responses", Needs(), "gemini"),
        ("deepseek", "deepseek-v4-pro", "anthropic", Needs(), "openai"),
        ("openai_compatible", "o4-mini", "responses", Needs(), "openai"),
        # Only Claude speaks its own at Bedrock.
        ("bedrock", "us.anthropic.claude-opus-4-6-v1", "anthropic", Needs(), "anthropic"),
        ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", "openai", Needs(), "anthropic"),
        ("bedrock", "eu.amazon.nova-pro-v1:0", "anthropic", Needs(), "converse"),
        ("bedrock", "meta.llama3-3-70b-instruct-v1:0", "gemini", Needs(), "converse"),
        ("bedrock", "deepseek.r1-v1:0", "anthropic", Needs(), "converse"),
        # At Vertex those of Google and Anthropic speak their own, all others OpenAI's.
        ("vertex", "gemini-2.5-flash", "openai", Needs(), "gemini"),
        ("vertex", "gemini-3.1-pro-preview", "anthropic", FILE, "gemini"),
        ("vertex", "claude-sonnet-4-5@20250929", "openai", Needs(), "anthropic"),
        ("vertex", "claude-sonnet-4@20250514", "gemini", TOOLS, "anthropic"),
        ("vertex", "meta/llama-3.3-70b-instruct-maas", "anthropic", Needs(), "openai"),
        ("vertex", "deepseek-ai/deepseek-v3.1-maas", "gemini", Needs(), "openai"),
        # Else the model's preferred, then the provider's first.
        ("openrouter", "anthropic/claude-opus-4.6", "gemini", Needs(), "anthropic"),
        ("openrouter", "google/gemini-3-pro-preview", "gemini", Needs(), "openai"),
        ("openai", "gpt-4o", "anthropic", Needs(), "openai"),
        ("vllm", "some-model", "gemini", Needs(), "openai"),
        # The o-series by responses, where there is one.
        ("openai", "o4-mini", "openai", Needs(), "responses"),
        ("azure_openai", "o4-mini", "openai", Needs(), "responses"),
        ("openai", "o1", "anthropic", Needs(), "responses"),
        ("openai_compatible", "o4-mini", "openai", Needs(), "openai"),
        # gpt-5 thinks between tool calls there, and only when it was asked to think.
        ("openai", "gpt-5.4", "openai", THINKS_WITH_TOOLS, "responses"),
        ("openai", "gpt-5.4", "anthropic", THINKS_WITH_TOOLS, "responses"),
        ("openai", "gpt-5.4", "openai", TOOLS, "openai"),
        ("openai", "gpt-5.4", "openai", Needs(tools=True, effort="none"), "openai"),
        ("openai", "gpt-5.4", "openai", Needs(effort="high"), "openai"),
        ("openai", "gpt-4.1", "openai", THINKS_WITH_TOOLS, "openai"),
        # Files and search.
        ("openai", "gpt-4o", "openai", FILE, "responses"),
        ("openai", "gpt-4o-mini", "gemini", FILE, "responses"),
        ("deepseek", "deepseek-v3", "openai", FILE, "openai"),
        ("openai", "gpt-4.1", "openai", SEARCH, "responses"),
        ("openai", "gpt-4o-search-preview", "openai", SEARCH, "openai"),
        ("vllm", "qwen3", "openai", FILE, "openai"),
        # Sound is an answer of the chat dialect.
        ("openai", "o4-mini", "openai", Needs(audio_output=True), "openai"),
        ("openai", "gpt-4o-audio-preview", "openai", FILE, "openai"),
    ],
)
def test_dialect(
    provider: str, model: str, client: Dialect, needs: Needs, dialect: Dialect
) -> None:
    result = provider_named(provider)
    assert dialect_for(result, capabilities_of(model, result), client, needs) == dialect


def test_needs_of_a_request() -> None:
    file = File(Base64("JVBERi0=", "application/pdf"))
    search = WebSearch("web_search_options", {})
    cases: list[tuple[dict[str, Any], Needs]] = [
        ({}, Needs()),
        ({"tools": (FunctionTool("f"),)}, Needs(tools=True)),
        ({"tools": (OwnTool("openai", {"type": "x"}),)}, Needs(tools=True)),
        ({"tools": (search,)}, Needs(search=True)),
        ({"audio": AudioOutput("alloy")}, Needs(audio_output=True)),
        ({"modalities": ("text", "audio")}, Needs(audio_output=True)),
        ({"reasoning": ReasoningSettings(effort="low")}, Needs(effort="low", thinks=True)),
        ({"reasoning": ReasoningSettings(switch="off")}, Needs(effort="none", thinks=False)),
        ({"reasoning": ReasoningSettings(switch="adaptive")}, Needs(thinks=True)),
    ]
    for fields, needs in cases:
        assert needs_of(neutral.request(**fields)) == needs
    assert needs_of(neutral.request(Message("user", (Text("a"), file)))) == Needs(files=True)


def test_upstream() -> None:
    claude = provider_named("anthropic")
    known = capabilities_of("claude-sonnet-4-5", claude)
    assert upstream_of(claude, "anthropic", "claude-sonnet-4-5", known) == Upstream(
        "claude-sonnet-4-5", known.flags, None, 64_000, (), 1_024, None, None
    )


@pytest.mark.parametrize(
    ("provider", "model", "dialect", "search"),
    [
        ("xai", "grok-4", "openai", "search_parameters"),
        ("qwen", "qwen-plus", "openai", "enable_search"),
        ("glm", "glm-5", "openai", "glm"),
        ("kimi", "kimi-k2.5", "openai", "kimi"),
        ("openai", "gpt-4o-search-preview", "openai", "web_search_options"),
        ("openai", "gpt-4o", "openai", None),
        ("openai", "gpt-4o", "responses", None),
        ("openai_compatible", "claude-opus-4-6", "openai", None),
        ("openrouter", "x-ai/grok-4", "openai", None),
        ("gemini", "gemini-2.5-pro", "gemini", None),
    ],
)
def test_search(provider: str, model: str, dialect: Dialect, search: str | None) -> None:
    result = provider_named(provider)
    upstream = upstream_of(result, dialect, model, capabilities_of(model, result))
    assert upstream.search == search


def test_an_alias_is_resolved_at_its_provider_alone() -> None:
    gemini, other = provider_named("gemini"), provider_named("openai_compatible")
    known = capabilities_of("nano-banana-pro", gemini)
    model = upstream_of(gemini, "gemini", "nano-banana-pro", known).model
    assert model == "gemini-3-pro-image-preview"
    assert upstream_of(other, "openai", "nano-banana-pro", known).model == "nano-banana-pro"


def test_own_capabilities_replace_the_catalogues() -> None:
    qwen = provider_named("qwen")
    own = replace(capabilities_of("qwen-plus", qwen), output_max=7, flags=frozenset())
    assert upstream_of(qwen, "openai", "qwen-plus", own).output_max == 7


@pytest.mark.parametrize(
    ("model", "thinks", "must"),
    [
        ("qwen3-omni-flash", None, True),
        ("qwen3-omni-flash", False, True),
        ("qwen-plus", True, True),
        ("qwen-plus", None, False),
        ("qwen-plus", False, False),
        ("qwen3-coder-plus", True, False),
        ("glm-5", True, False),
    ],
)
def test_models_that_only_stream(model: str, thinks: bool | None, must: bool) -> None:
    known = capabilities_of(model, provider_named("qwen"))
    assert must_stream(known, Needs(thinks=thinks)) is must


def test_customer_profile_uses_its_public_name() -> None:
    profile = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3"
    bedrock = provider_named("bedrock")
    for name, dialect in (("claude-opus-4-6", "anthropic"), ("our-model", "converse")):
        known = capabilities_of(profile, bedrock, name)
        assert dialect_for(bedrock, known, "anthropic") == dialect
