"""OpenAI."""

from typing import Final

from gateway.providers.hosted_tools import PAGE, PROGRAM, HostedToolData, ToolResult
from gateway.providers.provider import ChatTemplate, Provider, Quirk, Spoken

HOSTED_TOOLS: Final = HostedToolData(
    {
        # OpenAI bills the results as input, for some models as 8,000 tokens each
        # (developers.openai.com, "Pricing", 2026-11). Measured were 5,000 to 20,000.
        "web_search": ToolResult(20_000, 8_000),
        # 20 pieces of 800 tokens (developers.openai.com, "Retrieval", 2026-11).
        "file_search": ToolResult(16_000, 16_000),
        "code_execution": PROGRAM,
        "mcp": PAGE,
    },
    # developers.openai.com, "Web search", 2026-11: even for models with a larger context.
    context_max=128_000,
)  # OpenAI's cookbook, "How to count tokens with tiktoken".
CHAT_TEMPLATE: Final = ChatTemplate(start=3, message=4)

PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    base_url="https://api.openai.com/v1",
    needs_secret=True,
    # developers.openai.com/api/docs/deprecations; the official client openai 3.51 states the same.
    note="OpenAI shut down its Videos API on 2026-09-24. "
    "For servers that offer it, choose “OpenAI-compatible server”.",
    # developers.openai.com/api/docs/guides/websocket-mode
    quirks=frozenset({Quirk.RESPONSES_SOCKETS}),
    hosted_tools=HOSTED_TOOLS,
    chat_template=CHAT_TEMPLATE,
    # Paths: OpenAI's OpenAPI description 2.3.0.
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "moderations": "/moderations",
                "image_generations": "/images/generations",
                "image_edits": "/images/edits",
                "image_variations": "/images/variations",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "realtime": "/realtime?model={model}",
                "live": "/live/sessions",
                "models": "/models",
            },
            passed_headers=("openai-beta",),
        ),
        "responses": Spoken(
            paths={
                "responses": "/responses",
                "responses_compact": "/responses/compact",
                "responses_input_tokens": "/responses/input_tokens",
            },
            passed_headers=("openai-beta",),
        ),
    },
)
