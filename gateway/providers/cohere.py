"""Cohere: rerank by its own API, everything else by its OpenAI-compatible API.

docs.cohere.com, "Compatibility API" and "Rerank v2" (2026-10).
"""

from collections.abc import Mapping

from dialects.chat.operation import Operation
from gateway.providers.provider import Provider, Spoken, paths_below


def _shape(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    """Return the paths of both APIs, which are separate. A channel's base URL may lead to
    either."""
    return paths_below(paths, path.removesuffix("/compatibility/v1").removesuffix("/v2"), query)


PROVIDER = Provider(
    name="cohere",
    label="Cohere",
    base_url="https://api.cohere.ai",
    default_path="",
    shape=_shape,
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/compatibility/v1/chat/completions",
                "embeddings": "/compatibility/v1/embeddings",
                "rerank": "/v2/rerank",
            }
        )
    },
)
