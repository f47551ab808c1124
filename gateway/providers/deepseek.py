"""DeepSeek. Its models' differences are in the table of models."""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="deepseek",
    label="DeepSeek",
    # The path /v1 and no path are equivalent (api-docs.deepseek.com, 2026-10).
    base_url="https://api.deepseek.com/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(paths={"chat_completions": "/chat/completions", "models": "/models"})
    },
)
