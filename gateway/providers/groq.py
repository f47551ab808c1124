"""Groq: fast inference of open models.

console.groq.com/docs, "OpenAI Compatibility" and "Reasoning", and its client for Python (2026-08).
Its responses dialect is in beta and is not supported here.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="groq",
    label="Groq",
    base_url="https://api.groq.com/openai/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "models": "/models",
            }
        )
    },
    # Groq answers 400 to logprobs, top_logprobs, logit_bias and the name of a message.
    flags=frozenset({"no_logprobs", "no_message_names"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
