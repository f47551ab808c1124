"""Ollama: open models on the customer's own machine.

Dialects and paths: docs.ollama.com, version 0.40 (2026-10). An older server that supports only the
openai dialect needs the provider openai_compatible.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="ollama",
    label="Ollama",
    base_url="http://127.0.0.1:11434/v1",
    needs_secret=False,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
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
    lifted=OWNER_FLAGS,
    own_search=False,
)
