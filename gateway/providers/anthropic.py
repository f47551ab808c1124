"""Anthropic."""

from typing import Final

from gateway.providers.hosted_tools import PAGE, PROGRAM, HostedToolData, ToolResult
from gateway.providers.provider import Auth, ChatTemplate, Provider, Spoken

HOSTED_TOOLS: Final = HostedToolData(
    {
        # Anthropic bills the results as input. Its example of one search has 7,345 tokens
        # (platform.claude.com, "Web search tool", 2026-11). Measured were up to 12,690 for a
        # request with one search, and 38,322 with two (huggingface.co, dataset
        # JOHNISKING/ai-agent-web-search-tokens, 2026).
        "web_search": ToolResult(13_000, 7_345),
        # platform.claude.com, "Web fetch tool", 2026-11; `max_content_tokens` limits it.
        "web_fetch": PAGE,
        "code_execution": PROGRAM,
        "mcp": PAGE,
    },
    # platform.claude.com, "Server tools", 2026-11: the loop pauses after 10 iterations.
    readings_max=10,
)
PROVIDER = Provider(
    name="anthropic",
    label="Anthropic",
    base_url="https://api.anthropic.com/v1",
    needs_secret=True,
    dialects={
        "anthropic": Spoken(
            paths={
                "messages": "/messages",
                "count_tokens": "/messages/count_tokens",
                "models": "/models",
            },
            auth=Auth("x-api-key"),
            # The only version in use (platform.claude.com/docs/en/api/versioning, 2026-10).
            headers={"anthropic-version": "2023-06-01"},
            passed_headers=("anthropic-version", "anthropic-beta"),
        )
    },
    hosted_tools=HOSTED_TOOLS,
    # What its own counter adds to one message (relay/counting/vocabularies.py).
    chat_template=ChatTemplate(start=3, message=4),
)
