"""When models end, and which parameters they take: what one model's entry tells."""

import pytest

from gateway.providers import provider_named
from gateway.providers.lifecycle import shutdown_date
from gateway.providers.models import capabilities_of
from gateway.providers.parameters import supported_parameters


@pytest.mark.parametrize(
    ("provider", "model", "date"),
    [
        ("openai", "gpt-4o", "2027-01-14"),
        ("openai", "gpt-4o-2024-11-20", "2027-01-14"),
        ("openai", "gpt-4o-2024-05-13", "2026-10-23"),
        ("openai_metered", "o3", "2026-12-11"),
        ("openai", "gpt-5.4", None),
        ("openai", "gpt-4o-audio-preview", None),
        ("azure_openai", "gpt-4o", None),
        ("anthropic", "claude-3-opus-latest", "2026-01-05"),
        ("anthropic", "claude-3-7-sonnet-20250219", "2026-02-19"),
        ("anthropic", "claude-sonnet-4-20250514", "2026-06-15"),
        ("anthropic", "claude-opus-4-1-20250805", "2026-08-05"),
        ("anthropic", "claude-sonnet-4-5", "2026-11-30"),
        ("anthropic", "claude-opus-4-6", None),
        ("anthropic", "claude-haiku-4-5-20251001", None),
        ("openai", "chatgpt-image-latest", "2026-12-01"),
        ("openai", "gpt-image-2", None),
        ("vllm", "claude-3-opus", None),
    ],
)
def test_provider_retires_its_own_models(provider: str, model: str, date: str | None) -> None:
    assert shutdown_date(provider, model) == date


@pytest.mark.parametrize(
    ("provider", "model", "takes", "takes_not"),
    [
        ("openai", "gpt-4o", {"temperature", "n", "logprobs", "tools", "web_search_options"},
         {"reasoning_effort", "verbosity", "top_k"}),
        ("openai", "gpt-5.2", {"reasoning_effort", "verbosity", "seed", "max_completion_tokens"},
         {"temperature", "top_p", "stop", "n"}),
        ("openai", "o3-mini", {"reasoning_effort", "tools"}, {"parallel_tool_calls", "logprobs"}),
        ("anthropic", "claude-opus-4-6", {"temperature", "top_k", "stop", "reasoning_effort"},
         {"seed", "n", "frequency_penalty", "logprobs", "web_search_options"}),
        ("xai", "grok-4", {"temperature", "tools"}, {"stop", "presence_penalty"}),
        ("gemini", "gemini-2.5-flash", {"n", "seed", "top_k"}, {"logprobs"}),
    ],
)  # fmt: skip
def test_inputs_of_a_model(provider: str, model: str, takes: set[str], takes_not: set[str]) -> None:
    result = supported_parameters(capabilities_of(model, provider_named(provider)))
    assert list(result) == sorted(result)
    assert takes <= set(result)
    assert not takes_not & set(result)
