"""The effect of each request member on the price, by the types of the vendors' clients.

    condition  it requests other terms (dialects/usage/price_conditions.py)
    meter      it affects what is counted, and on which meters: the answer's usage reports that
    part       it lets other models or steps answer, whose usage is priced separately
    (dialects/anthropic/steps.py)
    review     it may cause charges that no usage reports, or without a published price: a request
               that asks for it at a listed price is refused (`unpriced_members`)
    free       it changes the answer, but no price

A test compares the tables with the clients' own types, so that a vendor's new member is classified
before an update is accepted. An unknown tool is refused like one under `review`; a later version of
a known tool, which differs only in the date in its name, counts as the known one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from dialects.json.body import Body
from dialects.json.raw_json import dicts, members_of, value_of

Role = Literal["condition", "meter", "part", "review", "free"]


def _table(**groups: str) -> Mapping[str, Role]:
    return {name: role for role, names in groups.items() for name in names.split()}  # type: ignore[misc]


CHAT: Final = _table(
    condition="service_tier",
    meter="""messages max_tokens max_completion_tokens n modalities audio tools functions prediction
        reasoning_effort response_format verbosity web_search_options prompt_cache_key
        prompt_cache_options prompt_cache_retention model""",
    free="""frequency_penalty function_call logit_bias logprobs metadata moderation
        parallel_tool_calls presence_penalty safety_identifier seed stop store stream_options
        temperature tool_choice top_logprobs top_p user""",
)
RESPONSES: Final = _table(
    condition="service_tier",
    meter="""input instructions max_output_tokens max_tool_calls previous_response_id conversation
        prompt reasoning text tools prompt_cache_key prompt_cache_options prompt_cache_retention
        model context_management truncation image background""",
    free="""access_programs include metadata moderation parallel_tool_calls safety_identifier store
        stream_options temperature tool_choice top_logprobs top_p user""",
)
MESSAGES: Final = _table(
    condition="service_tier speed inference_geo",
    meter="""messages system max_tokens tools thinking output_config cache_control container
        mcp_servers model thread""",
    part="fallbacks compaction context_management",
    review="fallback_credit_token billing_policy",
    free="""betas diagnostics metadata stop_sequences temperature tool_choice top_k top_p stream
        user_profile_id workspace_id""",
)
GENERATE: Final = _table(
    condition="service_tier",
    meter="""system_instruction candidate_count max_output_tokens response_modalities
        media_resolution thinking_config tools cached_content image_config speech_config
        audio_timestamp generation_output_config response_schema response_json_schema""",
    review="model_selection_config routing_config",
    free="""audio_transcription_config automatic_continuation automatic_function_calling
        continuation_token enable_enhanced_civic_answers frequency_penalty http_options labels
        logprobs model_armor_config presence_penalty response_logprobs response_mime_type
        safety_settings seed should_return_http_response stop_sequences store temperature
        tool_config top_k top_p""",
)
INTERACTIONS: Final = _table(
    condition="service_tier",
    meter="""input system_instruction generation_config response_format response_mime_type
        response_modalities tools cached_content previous_interaction_id model background""",
    free="continuation_token environment labels safety_settings store stream webhook_config",
)
# The tools that a request may name, by their type or member: what they cost besides their tokens.
RESPONSES_TOOLS: Final = _table(
    meter="web_search web_search_2025_08_26 web_search_preview web_search_preview_2025_03_11",
    review="image_generation file_search code_interpreter shell",
    free="""function computer computer_use_preview mcp programmatic_tool_calling local_shell custom
        namespace tool_search apply_patch""",
)
MESSAGES_TOOLS: Final = _table(
    meter="""web_search_20250305 web_search_20260209 web_search_20260318 code_execution_20250522
        code_execution_20250825 code_execution_20260120 code_execution_20260521""",
    part="advisor_20260301",
    free="""custom bash_20241022 bash_20250124 browser_toolset_20260801 memory_20250818
        computer_20241022 computer_20250124 computer_20251124 computer_toolset_20260801
        text_editor_20241022 text_editor_20250124 text_editor_20250429 text_editor_20250728
        web_fetch_20250910 web_fetch_20260209 web_fetch_20260309 web_fetch_20260318
        tool_search_tool_bm25_20251119 tool_search_tool_bm25 tool_search_tool_regex_20251119
        tool_search_tool_regex mcp_toolset""",
)
GENERATE_TOOLS: Final = _table(
    meter="google_search google_search_retrieval",
    review="""enterprise_web_search exa_ai_search parallel_ai_search google_maps file_search
        retrieval""",
    free="code_execution computer_use function_declarations mcp_servers url_context",
)
INTERACTIONS_TOOLS: Final = _table(
    meter="google_search",
    review="google_maps file_search retrieval",
    free="function code_execution computer_use mcp_server url_context",
)

_DATE: Final = re.compile(r"(_\d+)+$")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_NAME_MAX: Final = 60


def unpriced_members(dialect: str, body: Body) -> list[str]:
    """Return the members and tools in a request of this dialect that may cause charges which nobody
    can compute.
    """
    if dialect == "anthropic":
        unpriced = [name for name in _REVIEWED[dialect] if body.value(name) is not None]
        return unpriced + _unpriced_tools(body, MESSAGES_TOOLS)
    if dialect == "responses":
        return _unpriced_tools(body, RESPONSES_TOOLS)
    if dialect == "interactions":
        return _unpriced_tools(body, INTERACTIONS_TOOLS)
    if dialect == "gemini":
        return _unpriced_of_gemini(body)
    if dialect == "converse":
        return _unpriced_of_converse(body)
    return []


def _names_under_review(table: Mapping[str, Role]) -> tuple[str, ...]:
    return tuple(name for name, role in table.items() if role == "review")


_REVIEWED: Final = {
    "anthropic": _names_under_review(MESSAGES),
    "gemini": _names_under_review(GENERATE),
}


def _unpriced_tools(body: Body, table: Mapping[str, Role]) -> list[str]:
    raw = body.value("tools")
    if raw is None:
        return []
    kinds = {
        kind: None for tool in dicts(value_of(raw)) if isinstance(kind := tool.get("type"), str)
    }
    return _select_unpriced(kinds, table)


def _select_unpriced(names: Iterable[str], table: Mapping[str, Role]) -> list[str]:
    return [name[:_NAME_MAX] for name in names if _role(name, table) == "review"]


def _unpriced_of_gemini(body: Body) -> list[str]:
    """Return the unpriced members of Google's requests, which may use either spelling of each
    name."""
    config: dict[str, Any] = {}
    for name in ("generationConfig", "generation_config"):
        config |= members_of(body.value(name))
    asked = {_snake(name) for name in (*body.members, *config)}
    unpriced = [name for name in _REVIEWED["gemini"] if name in asked]
    tools = value_of(body.value("tools"))
    rows = [tools] if isinstance(tools, dict) else dicts(tools)
    return unpriced + _select_unpriced(
        dict.fromkeys(_snake(name) for row in rows for name in row), GENERATE_TOOLS
    )


def _unpriced_of_converse(body: Body) -> list[str]:
    """Return the tools of Amazon's own, which are charged by the call."""
    tools = dicts(members_of(body.value("toolConfig")).get("tools"))
    return ["systemTool"] if any("systemTool" in tool for tool in tools) else []


def _role(name: str, table: Mapping[str, Role]) -> Role:
    if name in table:
        return table[name]
    plain = _DATE.sub("", name)
    alike = (role for known, role in table.items() if _DATE.sub("", known) == plain)
    return next(alike, "review")


def _snake(name: str) -> str:
    return _CAPITAL.sub(r"_\1", name).lower()
