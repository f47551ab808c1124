from dataclasses import replace
from typing import Any, get_args

import pytest

from dialects.chat.chat import Flag
from gateway.providers import PROVIDERS, provider_named
from gateway.providers.capabilities import OWNER_FLAGS, UNKNOWN, Capabilities, Thinking
from gateway.providers.models import capabilities_of, find_row, is_listed, lowered_cap, unread
from gateway.providers.overrides import apply_overrides

# The ids that are promised, and the owners of their families.
NAMED = {
    "openai": "gpt-5.4 gpt-5.4-mini gpt-5.2 gpt-5.1 gpt-5-chat gpt-4.1 gpt-4o gpt-4o-mini "
    "gpt-3.5-turbo gpt-4 o4-mini o3-mini o1",
    "anthropic": "claude-opus-4-6 claude-sonnet-4-5-20250929 claude-haiku-4-5-20251001 "
    "claude-sonnet-4-20250514 claude-3-opus-20240229 claude-3-haiku-20240307",
    "deepseek": "deepseek-v4-pro deepseek-v3-1-250821 deepseek-v3 deepseek-r1",
    "xai": "grok-4 grok-4-fast-reasoning grok-3 grok-3-fast",
    "google": "gemini-3.1-pro-preview gemini-3-pro-preview gemini-3-flash-preview nano-banana-pro",
    "alibaba": "qwen3-coder-plus qwen3-omni-flash",
    "zhipu": "glm-5 glm-4.7",
    "bytedance": "doubao-seed-1-8-251228",
    "moonshot": "kimi-k2.5",
    "mistral": "mistral-large-4-0 mistral-medium-3-5 mistral-small-2603 codestral-2508 "
    "ministral-8b-2512 devstral-2512 mistral-embed voxtral-mini-2602",
}
IDS = [name for names in NAMED.values() for name in names.split()]


def row(name: str) -> Capabilities:
    new_row = find_row(name)
    assert new_row is not None, name
    return new_row


@pytest.mark.parametrize("owner", NAMED)
def test_every_named_model_has_a_row_of_its_owner(owner: str) -> None:
    for name in NAMED[owner].split():
        assert row(name).owner == owner


def having(flag: Flag) -> set[str]:
    return {name for name in IDS if flag in row(name).flags}


O_SERIES = {"o1", "o3-mini", "o4-mini"}
GPT_5 = {"gpt-5.4", "gpt-5.4-mini", "gpt-5.2", "gpt-5.1"}
CLAUDE = set(NAMED["anthropic"].split())
DEEPSEEK = set(NAMED["deepseek"].split())
QWEN = set(NAMED["alibaba"].split())


@pytest.mark.parametrize(
    ("flag", "names"),
    [
        ("max_completion_tokens_only", O_SERIES | GPT_5 | {"gpt-5-chat"}),
        ("no_sampling", O_SERIES | GPT_5 | {"deepseek-r1"}),
        ("developer_role", O_SERIES | GPT_5 | {"gpt-5-chat"}),
        ("no_parallel_tools", {"o1", "o3-mini"}),
        ("thinking_adaptive", {"claude-opus-4-6"}),
        (
            "one_of_temperature_top_p",
            {"claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"},
        ),
        ("temperature_max_1", CLAUDE | {"kimi-k2.5"}),
        ("thinking_no_forced_tool", CLAUDE | {"qwen3-omni-flash"}),
        ("no_web_search_options", CLAUDE),
        (
            "no_json_schema",
            {"claude-sonnet-4-20250514", "claude-3-opus-20240229", "claude-3-haiku-20240307"},
        ),
        ("reasoning_content_rule", {"deepseek-v4-pro", "deepseek-v3-1-250821"}),
        ("thinking_default_off", {"deepseek-v3-1-250821"}),
        (
            "no_developer_role",
            DEEPSEEK | QWEN | {"glm-5", "glm-4.7", "kimi-k2.5", "doubao-seed-1-8-251228"},
        ),
        (
            "thinking_switch",
            {"deepseek-v4-pro", "deepseek-v3-1-250821", "glm-5", "glm-4.7", "kimi-k2.5"}
            | {"doubao-seed-1-8-251228"},
        ),
        ("enable_thinking_switch", {"qwen3-omni-flash"}),
        ("params_object", QWEN),
        ("top_k", QWEN),
        ("no_penalties_no_stop", {"grok-4", "grok-4-fast-reasoning"}),
        (
            "thinking_level",
            {"gemini-3.1-pro-preview", "gemini-3-pro-preview", "gemini-3-flash-preview"}
            | {"nano-banana-pro"},
        ),
        (
            "thought_seal_needed",
            {"gemini-3.1-pro-preview", "gemini-3-pro-preview", "gemini-3-flash-preview"}
            | {"nano-banana-pro"},
        ),
        ("json_object_only", DEEPSEEK | QWEN | {"glm-5", "glm-4.7", "gpt-3.5-turbo", "gpt-4"}),
        ("tool_choice_auto_only", {"glm-5", "glm-4.7"}),
        ("audio_output", {"qwen3-omni-flash"}),
    ],
)
def test_flags_of_the_contract(flag: Flag, names: set[str]) -> None:
    assert having(flag) == names


def test_traits_of_the_contract() -> None:
    traits = {name: row(name).traits for name in IDS}
    assert {n for n in IDS if "prefer_responses" in traits[n]} == O_SERIES
    assert {n for n in IDS if "prefer_responses_to_think_with_tools" in traits[n]} == GPT_5
    assert {n for n in IDS if "stream_only" in traits[n]} == {"qwen3-omni-flash"}
    assert "stream_only_to_think" in row("qwen-plus").traits
    outside = {n for n in IDS if "usage_reasoning_outside" in traits[n]}
    assert outside == set(NAMED["xai"].split())
    files = {n for n in IDS if "files_by_responses" in traits[n]}
    assert files == set(NAMED["openai"].split()) - {"gpt-3.5-turbo", "gpt-4"}


# Name, inputs beside text, tools, JSON, efforts, search, context, output.
TABLE = """
gpt-5.4-mini            | image file | yes | schema | none low medium high xhigh | - | 1M | 128k
gpt-5.2                 | image file | yes | schema | none low medium high xhigh | - | 400k | 128k
gpt-5.1                 | image file | yes | schema | none low medium high | - | 400k | 128k
gpt-5-chat              | image file | no | schema | - | - | 128k | 16k
gpt-4.1-mini            | image file | yes | schema | - | - | 1M | 32k
gpt-4o                  | image file | yes | schema | - | - | 128k | 16k
gpt-4o-search-preview   | image file | yes | schema | - | web_search_options | 128k | 16k
gpt-4o-audio-preview    | audio | yes | schema | - | - | 128k | 16k
gpt-3.5-turbo           | - | yes | object | - | - | 16k | 4k
gpt-4                   | - | yes | object | - | - | 8k | 4k
o1                      | image file | yes | schema | low medium high | - | 200k | 100k
o3-mini                 | - | yes | schema | low medium high | - | 200k | 100k
o4-mini                 | image file | yes | schema | low medium high | - | 200k | 100k
claude-opus-4-6         | image file | yes | schema | low medium high max | anthropic | 200k | 128k
claude-sonnet-4-5       | image file | yes | schema | - | anthropic | 200k | 64k
claude-sonnet-4         | image file | yes | schema | - | anthropic | 200k | 64k
claude-3-haiku-20240307 | image | yes | schema | - | - | 200k | 4k
deepseek-v4-pro         | - | yes | object | high max | - | 1M | 384k
deepseek-v3-1-250821    | - | yes | object | - | - | 128k | 32k
deepseek-v3             | - | yes | object | - | - | 64k | 8k
deepseek-r1             | - | no | object | - | - | 64k | 32k
grok-4                  | image | yes | schema | - | search_parameters | 256k | -
grok-4-fast-reasoning   | image | yes | schema | - | search_parameters | 2M | -
grok-3-fast             | - | yes | schema | - | search_parameters | 131k | -
grok-3-mini             | - | yes | schema | low high | search_parameters | 131k | -
gemini-3-pro-preview    | all | yes | schema | low high | gemini | 1M | 64k
gemini-3.1-pro-preview  | all | yes | schema | low medium high | gemini | 1M | 64k
gemini-3-flash          | all | yes | schema | minimal low medium high | gemini | 1M | 64k
nano-banana-pro         | image | no | none | low high | gemini | 64k | 32k
qwen3-coder-plus        | - | yes | object | - | enable_search | 1M | 64k
qwen3-omni-flash        | image audio | yes | none | - | enable_search | 64k | 16k
glm-4.7                 | - | yes | object | - | glm | 200k | 128k
doubao-seed-1-8-251228  | image | yes | schema | minimal low medium high | - | 256k | 64k
kimi-k2.5               | image | yes | schema | - | kimi | 256k | 32k
openai/gpt-oss-120b     | - | yes | schema | low medium high | - | 131k | -
mistral-medium-3-5      | image | yes | schema | none high | - | 256k | -
mistral-large-4-0       | all | yes | schema | - | - | 1M | -
codestral-2508          | all | yes | schema | - | - | 128k | -
"""


def limit(text: str) -> int | None:
    thousands = text.replace("M", "000").replace("k", "")
    return None if text == "-" else int(thousands) * 1_000


@pytest.mark.parametrize("line", TABLE.strip().split("\n"))
def test_capabilities_of_the_contract(line: str) -> None:
    name, inputs, tools, json, efforts, search, context, output = (
        cell.strip() for cell in line.split("|")
    )
    result = row(name)
    kinds = "image audio file video" if inputs == "all" else inputs.replace("-", "")
    assert result.inputs == {"text", *kinds.split()}
    assert (result.tools, result.json) == (tools == "yes", json)
    assert result.efforts == tuple(efforts.replace("-", "").split())
    assert result.search == (None if search == "-" else search)
    assert (result.context_max, result.output_max) == (limit(context), limit(output))


@pytest.mark.parametrize(
    ("name", "least", "most", "off"),
    [
        ("gemini-2.5-pro", 128, 32_768, False),
        ("gemini-2.5-flash", 0, 24_576, True),
        ("gemini-2.5-flash-lite", 512, 24_576, True),
        ("claude-sonnet-4-5", 1_024, None, False),
        ("claude-3-opus-20240229", 1_024, 0, False),
    ],
)
def test_ranges_of_budgets(name: str, least: int, most: int | None, off: bool) -> None:
    result = row(name)
    assert (result.budget_min, result.budget_max) == (least, most)
    assert ("none" in result.efforts) == off


@pytest.mark.parametrize(
    ("name", "like"),
    [
        # An exact name beats the longest pattern, which beats a shorter one.
        ("gpt-4", "gpt-4"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4-1106-preview", "gpt-4.5-preview"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("gpt-4.1-nano", "gpt-4.1"),
        ("gpt-5.4-2026-03-05", "gpt-5.4"),
        ("gpt-5-chat-latest", "gpt-5-chat"),
        ("o1-2024-12-17", "o1"),
        ("o3-mini-2025-01-31", "o3-mini"),
        ("o3", "o4-mini"),
        ("claude-opus-4-6-fast", "claude-opus-4-6"),
        ("claude-sonnet-4-6", "claude-opus-5"),
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        ("claude-opus-4-5-20251101", "claude-sonnet-4-5"),
        ("claude-3-sonnet-20240229", "claude-3-haiku-20240307"),
        ("claude-3-7-sonnet-20250219", "claude-sonnet-4"),
        ("deepseek-v3.1", "deepseek-v3-1-250821"),
        ("deepseek-r1-0528", "deepseek-r1"),
        ("deepseek-v3-0324", "deepseek-v3"),
        ("grok-4-0709", "grok-4"),
        ("grok-4-1-fast", "grok-4-fast-reasoning"),
        ("gemini-3-pro-image-preview", "nano-banana-pro"),
        # With an owner in front, a variant behind, a version with a dot, in capitals.
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("deepseek/deepseek-r1:free", "deepseek-r1"),
        ("Qwen/Qwen3-Coder-480B", "qwen3-coder-plus"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
    ],
)
def test_similar_names(name: str, like: str) -> None:
    assert row(name) == row(like)


def test_later_claude_thinks_by_effort_with_unknown_length() -> None:
    later, known = row("claude-opus-5"), row("claude-opus-4-6")
    assert "thinking_adaptive" in later.flags
    assert later == replace(known, output_max=None, output_limit=None)


@pytest.mark.parametrize("name", ["gpt-6", "deepseek-chat", "qwen-vl-max", "glm-4.5v", "kimi-k3"])
def test_a_familys_default_takes_every_input(name: str) -> None:
    assert "video" in row(name).inputs


@pytest.mark.parametrize(
    ("name", "only"),
    [
        ("gpt-4o", True), ("o4-mini", True), ("gpt-3.5-turbo", True), ("gpt-4", True),
        ("gpt-3.5-turbo-instruct", False), ("davinci-002", False), ("gpt-oss-20b", False),
        ("some-model", False),
    ],
)  # fmt: skip
def test_models_that_only_chat(name: str, only: bool) -> None:
    assert capabilities_of(name, provider_named("openai")).chat_only is only


def test_gpt_oss_belongs_to_no_api() -> None:
    known = row("openai/gpt-oss-120b")
    assert (known.owner, known.flags, known.traits) == ("", frozenset(), frozenset())


@pytest.mark.parametrize("name", ["", "llama3.2:3b", "my-model", "o", "gpt", "x/"])
def test_unknown_model_is_permitted_everything(name: str) -> None:
    assert find_row(name) is None
    capabilities = capabilities_of(name, provider_named("openai"))
    assert capabilities == UNKNOWN
    assert capabilities.tools
    assert capabilities.parallel_tools
    assert capabilities.json == "schema"
    assert "video" in capabilities.inputs
    assert capabilities.efforts == ()
    assert capabilities.output_max is None


def test_only_whole_names_are_listed() -> None:
    assert is_listed("gemini-3-pro-preview")
    assert is_listed("nano-banana-pro")
    for name in ("gemini-3-pro-preview-thinking", "gemini-*", "", "models/gemini-2.5-pro"):
        assert not is_listed(name)


def test_requested_name_decides_where_the_upstreams_is_unknown() -> None:
    azure = provider_named("azure_openai")
    assert capabilities_of("our-model", azure, "o4-mini") == row("o4-mini")
    assert capabilities_of("gpt-4o", azure, "o4-mini") == row("gpt-4o")
    assert capabilities_of("our-model", azure, "team-default") == UNKNOWN


def test_an_endpoint_of_ark_is_a_doubao() -> None:
    assert capabilities_of("ep-20251228-abcde", provider_named("doubao")).owner == "bytedance"


@pytest.mark.parametrize("provider", ["vllm", "ollama", "openrouter", "local"])
@pytest.mark.parametrize("name", ["qwen-plus", "deepseek-v3-1-250821", "glm-5", "grok-4"])
def test_other_servers_lack_the_owners_api(provider: str, name: str) -> None:
    capabilities = capabilities_of(name, PROVIDERS[provider])
    assert not capabilities.flags & OWNER_FLAGS
    assert capabilities.search is None


def test_another_gateway_gets_all_parameters_and_drops_its_own() -> None:
    capabilities = capabilities_of("qwen-plus", provider_named("openai_compatible"))
    assert "parameters_whole" in capabilities.flags
    assert "params_object" not in capabilities.flags
    assert "enable_thinking_switch" in capabilities.flags
    assert capabilities.search == "enable_search"


def test_dashscope_drops_parameters_for_every_model() -> None:
    assert "params_object" in capabilities_of("deepseek-v3", provider_named("qwen")).flags


def test_only_a_model_that_is_known_to_reason_may_think() -> None:
    known = {how: Capabilities(thinking=how).may_think for how in (*get_args(Thinking), None)}
    assert [how for how, may in known.items() if not may] == ["never", None]


def test_the_demo_model_has_no_tools() -> None:
    assert not capabilities_of("SmolLM2-135M-Instruct", provider_named("local")).tools


@pytest.mark.parametrize(("name", "most"), [("claude-opus-4-6", 1), ("kimi-k2.5", 1), ("glm-5", 2)])
def test_largest_temperature(name: str, most: int) -> None:
    assert row(name).temperature_max == most


def test_a_row_can_be_changed() -> None:
    changes: dict[str, Any] = {"output_max": 5, "flags": frozenset[Flag]()}
    assert replace(row("kimi-k2.5"), **changes).output_max == 5


@pytest.mark.parametrize(
    ("name", "media", "kind"),
    [
        ("deepseek-v4-pro", {"image": 1}, "image"),
        ("qwen/qwen3-coder-plus", {"audio": 1}, "audio"),
        ("gpt-4", {"video": 1}, "video"),
        ("gpt-4", {"file": 1}, None),
        ("gpt-4", {}, None),
        # Of a model that reads more than text, its provider judges what else.
        ("grok-4", {"audio": 1}, None),
        ("a-model-of-ours", {"image": 1}, None),
    ],
)
def test_definitely_unsupported_inputs(name: str, media: dict[str, int], kind: str | None) -> None:
    provider = provider_named("openai_compatible")
    assert unread(name, capabilities_of(name, provider), media) == kind


def test_unsupported_inputs_follow_name_and_operator() -> None:
    provider = provider_named("openai_compatible")
    named_by_us = capabilities_of("llava", provider, "gpt-4")
    assert named_by_us.inputs == {"text"}
    assert unread("llava", named_by_us, {"image": 1}) is None
    switched = apply_overrides(capabilities_of("gpt-4", provider), frozenset({("vision", True)}))
    assert unread("gpt-4", switched, {"image": 1}) is None


@pytest.mark.parametrize(
    ("name", "asked", "lowered"),
    [
        ("gpt-4o", 16_385, 16_384),
        ("gpt-4o", 16_384, None),
        ("gpt-4o", None, None),
        ("gpt-5-pro", 200_000, None),
        ("claude-3-5-sonnet-20241022", 8_192, None),
        ("claude-3-5-sonnet-20241022", 64_000, 8_192),
        # Servers of open models have limits of their own.
        ("deepseek-r1", 1_000_000, None),
        ("claude-of-next-year", 1_000_000, None),
        ("a-model-of-ours", 1_000_000, None),
    ],
)
def test_definitely_excessive_cap(name: str, asked: int | None, lowered: int | None) -> None:
    assert lowered_cap(name, capabilities_of(name, provider_named("openrouter")), asked) == lowered


def test_our_own_name_does_not_reveal_the_limit_behind_it() -> None:
    named_by_us = capabilities_of("llama", provider_named("vllm"), "gpt-4o")
    assert named_by_us.output_limit == 16_384
    assert lowered_cap("llama", named_by_us, 100_000) is None


def test_limit_is_never_below_our_own_default_request() -> None:
    for name in IDS:
        result = row(name)
        assert result.output_limit is None or (result.output_max or 0) <= result.output_limit
