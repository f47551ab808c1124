"""xAI (Grok). Its usage counts reasoning apart from the completion; the codec reads both forms."""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="xai",
    label="xAI (Grok)",
    base_url="https://api.x.ai/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(paths={"chat_completions": "/chat/completions", "models": "/models"})
    },
)
