"""A bound of the web searches that a provider may make and bill for a request (I13)."""

from typing import Any, Final

from dialects.json.body import Body
from dialects.json.raw_json import dicts, value_of

# Where nobody bounds the searches of a request, that many are held for; what is above is not the
# customer's (I13).
SEARCHES_ASSUMED: Final = 10


def search_tools(body: Body) -> list[dict[str, Any]]:
    """The provider's own search tools of a request."""
    raw = body.value("tools")
    if raw is None or b"web_search" not in raw:
        return []
    tools = dicts(value_of(raw))
    return [tool for tool in tools if str(tool.get("type")).startswith("web_search")]


def most_searches(uses_max: Any, assumed: int = SEARCHES_ASSUMED) -> int:
    """The bound that a client wants; what is none bounds nothing."""
    return uses_max if type(uses_max) is int and uses_max >= 0 else assumed
