"""Fireworks AI: open models of many vendors, named accounts/fireworks/models/….

docs.fireworks.ai, "OpenAI compatibility", "Anthropic compatibility" and "Responses API" (2026-11).
Transcriptions have separate hosts there and are not supported.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="fireworks",
    label="Fireworks AI",
    base_url="https://api.fireworks.ai/inference/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "rerank": "/rerank",
                "models": "/models",
            }
        ),
        "responses": Spoken(paths={"responses": "/responses"}),
        "anthropic": Spoken(
            paths={"messages": "/messages"},
            headers={"anthropic-version": "2023-06-01"},
            passed_headers=("anthropic-version", "anthropic-beta"),
        ),
    },
    flags=frozenset({"top_k"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
