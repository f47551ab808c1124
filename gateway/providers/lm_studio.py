"""LM Studio: open models on the customer's own machine.

Dialects and paths: lmstudio.ai/docs/developer, "OpenAI Compatibility Endpoints" and "Anthropic
Compatibility Endpoints" (2026-04). It requires a key only if its server is configured to.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="lm_studio",
    label="LM Studio",
    base_url="http://127.0.0.1:1234/v1",
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
    flags=frozenset({"top_k"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
