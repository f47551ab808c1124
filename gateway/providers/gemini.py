"""Google's Gemini API. Its key is sent in a header, because a query would appear in logs."""

from typing import Final

from gateway.providers.provider import Auth, Provider, Spoken

_AUTH: Final = Auth("x-goog-api-key")
# The revision of the API that dialects/interactions implements. Google's own client sends the same.
INTERACTIONS: Final = Spoken(
    paths={"interactions": "/interactions", "models": "/models"},
    auth=_AUTH,
    headers={"api-revision": "2026-05-20"},
)
PROVIDER = Provider(
    name="gemini",
    label="Google Gemini",
    base_url="https://generativelanguage.googleapis.com/v1beta",
    needs_secret=True,
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
                "models": "/models",
            },
            auth=_AUTH,
        ),
        "interactions": INTERACTIONS,
    },
    # The requested name of the picture model, and its real one.
    aliases={"nano-banana-pro": "gemini-3-pro-image-preview"},
    # Upper limits for a hold, from the token guide (ai.google.dev, 2026-10): pictures in tiles, an
    # hour of sound at 32 tokens a second, a thousand pages at 258 tokens, an hour of film at 300.
    media_tokens_max={"image": 50_000, "audio": 115_200, "file": 258_000, "video": 1_080_000},
)
