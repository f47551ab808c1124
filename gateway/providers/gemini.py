"""Google's Gemini API. Its key is sent in a header, because a query would appear in logs."""

from collections.abc import Mapping
from typing import Final

from dialects.chat.operation import Operation
from gateway.providers.hosted_tools import PAGE, PROGRAM, HostedToolData, ToolResult
from gateway.providers.provider import Auth, Provider, Spoken, paths_below

_AUTH: Final = Auth("x-goog-api-key")
# The revision of the API that dialects/interactions implements. Google's own client sends the same.
INTERACTIONS: Final = Spoken(
    paths={"interactions": "/interactions", "models": "/models"},
    auth=_AUTH,
    headers={"api-revision": "2026-05-20"},
)
HOSTED_TOOLS: Final = HostedToolData(
    {
        # "Retrieved context provided by Grounding with Google Search is not charged as input
        # tokens" (ai.google.dev, "Pricing", 2026-11). Where the usage counts it anyway, it is
        # charged, so that as much is held as OpenAI bills for a search.
        "web_search": ToolResult(8_000, 0),
        # Billed as input (ai.google.dev, "URL context", 2026-11).
        "url_context": PAGE,
        "code_execution": PROGRAM,
        "mcp": PAGE,
    }
)
# Live sessions are beside the versions of the API (google-genai 3.3, live.py).
_LIVE: Final = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


def _shape(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    urls = dict(paths_below(paths, path, query))
    if "bidi_generate_content" in urls:
        urls["bidi_generate_content"] = path.removesuffix("/v1beta") + _LIVE
    return urls


PROVIDER = Provider(
    name="gemini",
    label="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    needs_secret=True,
    shape=_shape,
    dialects={
        "gemini": Spoken(
            paths={
                "generate_content": "/models/{model}:generateContent",
                "stream_generate_content": "/models/{model}:streamGenerateContent?alt=sse",
                "gemini_count_tokens": "/models/{model}:countTokens",
                "embed_content": "/models/{model}:embedContent",
                "batch_embed_contents": "/models/{model}:batchEmbedContents",
                # Veo (ai.google.dev, "Generate videos with Veo 3.1", 2026-10).
                "veo_videos": "/models/{model}:predictLongRunning",
                "video_tasks": "",
                "bidi_generate_content": "",
                "models": "/models",
            },
            auth=_AUTH,
        ),
        "interactions": INTERACTIONS,
    },
    # The requested name of the picture model, and its real one.
    aliases={"nano-banana-pro": "gemini-3-pro-image-preview"},
    hosted_tools=HOSTED_TOOLS,
    # Upper limits for a hold, from the token guide (ai.google.dev, 2026-10): pictures in tiles, an
    # hour of sound at 32 tokens a second, a thousand pages at 258 tokens, an hour of film at 300.
    media_tokens_max={"image": 50_000, "audio": 115_200, "file": 258_000, "video": 1_080_000},
)
