"""Together AI: open models of many vendors.

docs.together.ai, "OpenAI compatibility" and "Rerank" (2026-11). It supports the responses dialect
for few models only, so it is not used here.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="together",
    label="Together AI",
    base_url="https://api.together.ai/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "rerank": "/rerank",
                "image_generations": "/images/generations",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "models": "/models",
            }
        )
    },
    flags=frozenset({"top_k"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
