"""Mistral: its API accepts OpenAI's form with its own additional members (`mistral_form`).

Paths: Mistral's client for Python 2.5.1 (2026-06). Its moderations have no verdict, and its speech
has another form: both are not supported here.
"""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="mistral",
    label="Mistral",
    base_url="https://api.mistral.ai/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "embeddings": "/embeddings",
                "transcriptions": "/audio/transcriptions",
                "models": "/models",
            }
        )
    },
    # Mistral's only roles are system, user, assistant and tool.
    flags=frozenset({"mistral_form", "no_developer_role"}),
    unknown_like="mistral-",
)
