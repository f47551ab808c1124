"""OpenRouter: models of many owners behind one API in OpenAI's form. It also supports the anthropic
dialect at the same address (openrouter.ai/docs, 2026-10). Its responses dialect is in beta and is
not supported here."""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="openrouter",
    label="OpenRouter",
    base_url="https://openrouter.ai/api/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "models": "/models",
            }
        ),
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
