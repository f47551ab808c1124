"""An upper bound of a request's web searches, in any form that a provider of this dialect accepts.
The rules of all providers are combined: the hold is placed before a provider is chosen, and a
channel may be another gateway, behind which any of them answers.
"""

from typing import Final

from dialects.chat.steps import SEARCHES_ASSUMED, most_searches
from dialects.json.raw_json import members_of
from dialects.openai.request.read import ChatFacts

# The default number of sources of xAI's live search (docs.x.ai, 2025-10).
LIVE_SOURCES_ASSUMED: Final = 20
_MEMBERS: Final = frozenset(
    {"web_search_options", "search_parameters", "parameters", "enable_search", "tools"}
)


def searches_max(facts: ChatFacts) -> int:
    """Return the total of what OpenAI, xAI, Qwen, and GLM or Kimi would search."""
    body = facts.body
    if body.members.keys().isdisjoint(_MEMBERS):
        return 0
    # OpenAI's search models search once for each choice.
    most = facts.choices if body.value("web_search_options") is not None else 0
    # xAI
    if (live := body.value("search_parameters")) is not None:
        parameters = members_of(live)
        results_max = parameters.get("max_search_results")
        most += (
            0
            if parameters.get("mode") == "off"
            else most_searches(results_max, LIVE_SOURCES_ASSUMED)
        )
    # Qwen
    own = members_of(body.value("parameters"))
    if own.get("enable_search") or body.value("enable_search") == b"true":
        most += SEARCHES_ASSUMED
    # GLM and Kimi
    return most + SEARCHES_ASSUMED * (b"web_search" in (body.value("tools") or b""))
