"""vLLM: open models on the customer's own machines.

Dialects and paths: docs.vllm.ai, "Online Serving", version 0.32 (2026-10). An older server that
supports only the openai dialect needs the provider openai_compatible.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="vllm",
    label="vLLM",
    base_url="http://127.0.0.1:8000/v1",
    needs_secret=False,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "rerank": "/rerank",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "models": "/models",
            }
        ),
        "responses": Spoken(paths={"responses": "/responses"}),
        "anthropic": Spoken(
            paths={"messages": "/messages", "count_tokens": "/messages/count_tokens"},
            headers={"anthropic-version": "2023-06-01"},
            passed_headers=("anthropic-version", "anthropic-beta"),
        ),
    },
    flags=frozenset({"top_k"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
