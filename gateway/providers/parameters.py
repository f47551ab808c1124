"""The parameters of a request in the openai dialect that a model supports, according to the
catalogue."""

from gateway.providers.capabilities import Capabilities

# Owners whose APIs lack these parameters (the owners' references, 2026-10).
_NO_SEED = frozenset({"anthropic", "bytedance", "zhipu"})
_CHOICES = frozenset({"openai", "google"})
_LOGPROBS = frozenset({"openai", "deepseek"})


def supported_parameters(can: Capabilities) -> tuple[str, ...]:
    """Return the supported parameters, sorted. Others are dropped with a note, or refused."""
    return tuple(sorted({"max_tokens", "max_completion_tokens", *_sampling(can), *_forms(can)}))


def _sampling(can: Capabilities) -> set[str]:
    names = set() if can.owner in _NO_SEED else {"seed"}
    if "no_sampling" in can.flags:
        return names
    names |= {"temperature", "top_p"}
    if "top_k" in can.flags or can.owner in ("anthropic", "google"):
        names.add("top_k")
    if "no_penalties_no_stop" not in can.flags:
        names.add("stop")
        names |= set() if can.owner == "anthropic" else {"frequency_penalty", "presence_penalty"}
    if can.search != "web_search_options":
        names |= {"n"} if can.owner in _CHOICES else set()
        names |= {"logprobs", "top_logprobs"} if can.owner in _LOGPROBS else set()
    return names


def _forms(can: Capabilities) -> set[str]:
    names = {"tools", "tool_choice"} if can.tools else set()
    if can.tools and can.parallel_tools and "no_parallel_tools" not in can.flags:
        names.add("parallel_tool_calls")
    if can.json != "none":
        names.add("response_format")
    if can.may_think and "no_reasoning_effort" not in can.flags:
        names.add("reasoning_effort")
    if "verbosity" in can.traits:
        names.add("verbosity")
    searches = can.search is not None or "search_by_responses" in can.traits
    if searches and "no_web_search_options" not in can.flags:
        names.add("web_search_options")
    if "audio_output" in can.flags:
        names |= {"modalities", "audio"}
    return names
