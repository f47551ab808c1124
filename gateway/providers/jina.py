"""Jina: models that rank and embed (api.jina.ai, 2026-10); none of them chats at this address."""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="jina",
    label="Jina AI",
    base_url="https://api.jina.ai/v1",
    needs_secret=True,
    dialects={"openai": Spoken(paths={"embeddings": "/embeddings", "rerank": "/rerank"})},
)
