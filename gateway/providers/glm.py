"""Zhipu (GLM). Outside mainland China: https://api.z.ai/api/paas/v4"""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="glm",
    label="Zhipu (GLM)",
    base_url="https://open.bigmodel.cn/api/paas/v4",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={"chat_completions": "/chat/completions", "embeddings": "/embeddings"}
        )
    },
)
