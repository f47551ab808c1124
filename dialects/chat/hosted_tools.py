"""The tools of a request that its provider runs itself. It runs them in a loop: the model asks for
some, reads the request again with their results, and may ask for more. Each reading is billed, and
the hold must cover all of them (I13).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

from dialects.json.raw_json import dicts, value_of

ToolName = Literal[
    "code_execution", "file_search", "mcp", "tool_search", "url_context", "web_fetch", "web_search"
]

# The uses that a hold covers if the request sets no limit; the customer does not pay for more
# (I13).
USES_ASSUMED: Final = 10
# The default number of sources of xAI's live search (docs.x.ai, 2025-10).
LIVE_SOURCES_ASSUMED: Final = 20
# Google reads at most so many addresses for a request, and runs code so often (ai.google.dev, "URL
# context" and "Code execution", 2026-11).
_USES_OF_GOOGLE: Final[Mapping[ToolName, int]] = {"url_context": 20, "code_execution": 5}
# The size of a piece of a file in OpenAI's vector stores (developers.openai.com, "Retrieval",
# 2026-11).
_CHUNK_TOKENS: Final = 800
_Tool = tuple[str, dict[str, Any]]
_Names = tuple[tuple[str, ToolName], ...]
_ANTHROPIC: Final[_Names] = (
    ("web_search", "web_search"),
    ("web_fetch", "web_fetch"),
    ("code_execution", "code_execution"),
    ("tool_search_tool", "tool_search"),
    ("mcp_toolset", "mcp"),
)
_RESPONSES: Final[_Names] = (
    ("web_search", "web_search"),
    ("file_search", "file_search"),
    ("code_interpreter", "code_execution"),
    ("shell", "code_execution"),
    ("mcp", "mcp"),
)
_GOOGLE: Final[_Names] = (
    ("google_search", "web_search"),
    ("googleSearch", "web_search"),
    ("url_context", "url_context"),
    ("urlContext", "url_context"),
    ("code_execution", "code_execution"),
    ("codeExecution", "code_execution"),
    ("mcp_server", "mcp"),
)


class HostedTool(NamedTuple):
    """A tool that the provider may use up to `uses` times, and bills as up to `searches` searches.
    `result_tokens` limits the result of one use; None if the request does not limit it."""

    name: ToolName
    uses: int
    searches: int = 0
    result_tokens: int | None = None


HostedTools = tuple[HostedTool, ...]


def most_uses(uses_max: Any, assumed: int = USES_ASSUMED) -> int:
    """Return the client's limit if it is valid, otherwise the assumed one."""
    return uses_max if type(uses_max) is int and uses_max >= 0 else assumed


def tools_of_messages(raw_tools: bytes, *, mcp_servers: bool) -> HostedTools:
    """Return the hosted tools of a request to Messages, given its member `tools`, and whether it
    names MCP servers."""
    hosted: list[HostedTool] = []
    filters = False
    for name, tool in _named(_typed(raw_tools), _ANTHROPIC):
        # A search for tools finds all that it needs (its results are tools of the request).
        uses = 1 if name == "tool_search" else most_uses(tool.get("max_uses"))
        searches = uses if name == "web_search" else 0
        hosted.append(HostedTool(name, uses, searches, _positive(tool.get("max_content_tokens"))))
        filters = filters or _runs_programs(name, tool)
    if filters:
        hosted.append(HostedTool("code_execution", USES_ASSUMED))
    if mcp_servers and all(tool.name != "mcp" for tool in hosted):
        # Older clients name the servers alone.
        hosted.append(HostedTool("mcp", USES_ASSUMED))
    return tuple(hosted)


def tools_of_responses(raw_tools: bytes, calls_max: bytes | None) -> HostedTools:
    """Return the hosted tools of a request to Responses, given its members `tools` and
    `max_tool_calls`."""
    uses, hosted = most_uses(value_of(calls_max)), []
    for name, tool in _named(_typed(raw_tools), _RESPONSES):
        pieces = _positive(tool.get("max_num_results"))
        tokens = None if pieces is None else pieces * _CHUNK_TOKENS
        hosted.append(HostedTool(name, uses, uses if name == "web_search" else 0, tokens))
    return tuple(hosted)


def tools_of_interactions(raw_tools: bytes) -> HostedTools:
    """Return the hosted tools of an interaction, given its member `tools`."""
    return _of_google(_typed(raw_tools))


def tools_of_gemini(raw_tools: bytes) -> HostedTools:
    """Return the hosted tools of a generateContent request, given its member `tools`, in which each
    tool is a member of its own."""
    tools = value_of(raw_tools)
    rows = [tools] if isinstance(tools, dict) else dicts(tools)
    return _of_google((kind, {}) for row in rows for kind in row)


def _of_google(tools: Iterable[_Tool]) -> HostedTools:
    hosted = []
    for name, _ in _named(tools, _GOOGLE):
        uses = _USES_OF_GOOGLE.get(name, USES_ASSUMED)
        hosted.append(HostedTool(name, uses, uses if name == "web_search" else 0))
    return tuple(hosted)


def _typed(raw_tools: bytes) -> Iterable[_Tool]:
    return ((str(tool.get("type")), tool) for tool in dicts(value_of(raw_tools)))


def _named(tools: Iterable[_Tool], names: _Names) -> Iterable[tuple[ToolName, dict[str, Any]]]:
    """Yield the tools whose kind begins with one of the names; kinds end in a date."""
    return (
        (name, tool) for kind, tool in tools for prefix, name in names if kind.startswith(prefix)
    )


def _runs_programs(name: ToolName, tool: dict[str, Any]) -> bool:
    """Return whether programs of the model filter what a tool of Anthropic finds: since the version
    of 2026, unless only the model itself may call it (platform.claude.com, "Web search tool",
    2026-11)."""
    return (
        name in ("web_search", "web_fetch")
        and "_2026" in str(tool.get("type"))
        and tool.get("allowed_callers") != ["direct"]
    )


def _positive(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None
