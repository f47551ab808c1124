"""How much the results of a provider's own tools add to the input, as data for a hold.

Providers publish no largest result of a search. The figures are the largest that are published or
were measured in public, with their source; a customer does not pay for more (I13).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from dialects.chat.hosted_tools import ToolName


class ToolResult(NamedTuple):
    """The input tokens of the result of one use: at most, and usually."""

    tokens_max: int
    tokens_usual: int


NO_RESULT: Final = ToolResult(0, 0)
# A large and an average web page (platform.claude.com, "Web fetch tool", 2026-11). They stand for
# the results of MCP servers as well, whose size nobody publishes.
PAGE: Final = ToolResult(25_000, 2_500)
# What programs write: nobody publishes its size, so that it counts as an average web page.
PROGRAM: Final = ToolResult(PAGE.tokens_usual, PAGE.tokens_usual)


@dataclass(frozen=True, slots=True)
class HostedToolData:
    """The results of a provider's tools. It reads a request at most `readings_max` times again, and
    at most `context_max` tokens each time; None if it publishes no limit."""

    results: Mapping[ToolName, ToolResult]
    readings_max: int | None = None
    context_max: int | None = None


# For a provider whose figures are unknown: OpenAI's figures for searches, without its limit.
UNPUBLISHED: Final = HostedToolData(
    {
        "web_search": ToolResult(20_000, 8_000),
        "web_fetch": PAGE,
        "url_context": PAGE,
        "file_search": ToolResult(16_000, 16_000),
        "code_execution": PROGRAM,
        "mcp": PAGE,
    }
)
