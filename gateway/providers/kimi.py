"""Moonshot (Kimi). In mainland China: https://api.moonshot.cn/v1"""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="kimi",
    label="Moonshot (Kimi)",
    base_url="https://api.moonshot.ai/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(paths={"chat_completions": "/chat/completions", "models": "/models"})
    },
)
