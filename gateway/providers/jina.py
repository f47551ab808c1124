"""Jina: rerank and embedding models (api.jina.ai, 2026-10). There are no chat models at this
address."""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="jina",
    label="Jina AI",
    base_url="https://api.jina.ai/v1",
    needs_secret=True,
    dialects={"openai": Spoken(paths={"embeddings": "/embeddings", "rerank": "/rerank"})},
)
