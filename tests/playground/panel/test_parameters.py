"""Parameters: those that a model takes, and no others."""

from dataclasses import replace
from decimal import Decimal

import pytest

from content.prompts.settings import wire_of
from gateway.providers import provider_named
from gateway.providers.capabilities import UNKNOWN, Capabilities
from gateway.providers.models import capabilities_of
from playground.panel.parameters import InvalidSetting, Parameter, parameters_of, read_values


def names(model: str, provider: str = "openai") -> list[str]:
    return [
        parameter.name
        for parameter in parameters_of(capabilities_of(model, provider_named(provider)))
    ]


@pytest.mark.parametrize(
    ("model", "provider", "has", "lacks"),
    [
        ("gpt-4o-mini", "openai", {"temperature", "top_p", "seed", "n", "logprobs"},
         {"reasoning_effort", "top_k", "verbosity", "cache"}),
        ("gpt-5.1", "openai", {"reasoning_effort", "verbosity"},
         {"temperature", "top_p", "stop", "n", "logprobs"}),
        ("gpt-4o-search-preview", "openai", {"web_search"}, {"n", "logprobs"}),
        ("deepseek-v3", "deepseek", {"logprobs"}, {"n", "verbosity"}),
        ("o3", "openai", {"reasoning_effort", "seed"},
         {"temperature", "presence_penalty", "verbosity"}),
        ("claude-sonnet-4-5", "anthropic", {"thinking_budget", "top_k", "cache"},
         {"seed", "presence_penalty", "service_tier", "n", "logprobs"}),
        ("gemini-2.5-flash", "gemini", {"reasoning_effort", "web_search", "n"},
         {"service_tier", "logprobs", "cache"}),
        ("qwen-plus", "qwen", {"thinking", "top_k", "web_search"}, {"reasoning_effort"}),
        ("grok-4", "xai", {"temperature", "web_search"}, {"stop", "presence_penalty"}),
        ("gpt-4o-audio-preview", "openai", {"voice"}, {"web_search"}),
    ],
)  # fmt: skip
def test_each_model_shows_its_own(
    model: str, provider: str, has: set[str], lacks: set[str]
) -> None:
    texts = set(names(model, provider))
    assert has <= texts
    assert not lacks & texts


def test_unknown_model_shows_common_parameters() -> None:
    texts = [parameter.name for parameter in parameters_of(UNKNOWN)]
    assert texts == ["temperature", "top_p", "frequency_penalty", "presence_penalty",
                     "max_output", "stop", "seed"]  # fmt: skip


def test_text_becomes_values_and_rejects_are_named() -> None:
    parameters = parameters_of(replace(UNKNOWN, output_max=100))
    words = {"temperature": " 0.2 ", "top_p": "", "max_output": "64", "stop": "END\r\n\nSTOP",
             "top_k": "5"}  # fmt: skip
    assert read_values(words, parameters) == (
        {"temperature": 0.2, "max_output": 64, "stop": ["END", "STOP"]},
        ("top_k",),
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"temperature": "warm"}, "no_number"),
        ({"temperature": "2.1"}, "out_of_range"),
        ({"temperature": "NaN"}, "no_number"),
        ({"max_output": "0"}, "out_of_range"),
        ({"max_output": "1.5"}, "no_number"),
        ({"max_output": "1e18"}, "out_of_range"),
        ({"max_output": "1e28"}, "no_number"),
        ({"max_output": "1e99999"}, "no_number"),
        ({"max_output": "9" * 5_000}, "no_number"),
        ({"max_output": "1.00000000000000000000000000000000000001"}, "no_number"),
        ({"stop": "1\n2\n3\n4\n5"}, "too_many"),
    ],
)
def test_invalid_text_is_rejected_by_name(words: dict[str, str], code: str) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        read_values(words, parameters_of(UNKNOWN))
    assert (wrong.value.field, wrong.value.code) == (next(iter(words)), code)


def test_number_is_read_up_to_the_greatest_that_is_stored() -> None:
    """With no bound of the model's own, as a budget for thinking can be."""
    budget = [Parameter("thinking_budget", "integer")]
    for number in (2**63 - 1, -(2**63 - 1)):
        assert read_values({"thinking_budget": str(number)}, budget)[0] == {
            "thinking_budget": number
        }
    for number in (2**63, -(2**63)):
        with pytest.raises(InvalidSetting) as wrong:
            read_values({"thinking_budget": str(number)}, budget)
        assert wrong.value.code == "no_number"


def test_choice_must_be_an_offered_one() -> None:
    effort = Parameter("reasoning_effort", "choice", choices=("low", "high"))
    assert read_values({"reasoning_effort": "low"}, [effort])[0] == {"reasoning_effort": "low"}
    with pytest.raises(InvalidSetting):
        read_values({"reasoning_effort": "max"}, [effort])


@pytest.mark.parametrize(
    ("values", "model", "wire"),
    [
        ({"max_output": 9}, UNKNOWN, {"max_tokens": 9}),
        ({"max_output": 9}, Capabilities(flags=frozenset({"max_completion_tokens_only"})),
         {"max_completion_tokens": 9}),
        ({"thinking": "on"}, UNKNOWN, {"thinking": {"type": "enabled"}}),
        ({"thinking": "off"}, Capabilities(flags=frozenset({"enable_thinking_switch"})),
         {"enable_thinking": False}),
        ({"thinking_budget": 2048}, UNKNOWN,
         {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ({"web_search": "on"}, UNKNOWN, {"web_search_options": {}}),
        ({"voice": "alloy"}, UNKNOWN, {"modalities": ["text", "audio"],
                                       "audio": {"voice": "alloy", "format": "pcm16"}}),
        ({"logprobs": 0, "n": 2}, UNKNOWN, {"logprobs": True, "top_logprobs": 0, "n": 2}),
        ({"cache": "on", "verbosity": "low"}, UNKNOWN, {"verbosity": "low"}),
        ({"temperature": 0.5, "seed": 3}, UNKNOWN, {"temperature": 0.5, "seed": 3}),
    ],
)  # fmt: skip
def test_values_go_out_as_the_dialect_has_them(
    values: dict[str, object], model: Capabilities, wire: dict[str, object]
) -> None:
    assert wire_of(values, model.flags) == wire


def test_limits_are_those_of_the_model() -> None:
    claude = capabilities_of("claude-sonnet-4-5", provider_named("anthropic"))
    by_name = {parameter.name: parameter for parameter in parameters_of(claude)}
    assert by_name["temperature"].high == Decimal(1)
    assert by_name["max_output"].high == Decimal(64_000)
    assert by_name["thinking_budget"].low == Decimal(1_024)
