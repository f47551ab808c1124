"""Qwen at Alibaba Cloud (DashScope), in its compatible mode.

Outside mainland China: https://dashscope-intl.aliyuncs.com/compatible-mode/v1
"""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="qwen",
    label="Alibaba Cloud (Qwen)",
    base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
    needs_secret=True,
    # Paths: help.aliyun.com, "OpenAI compatible" for chat and for embeddings (2026-10).
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "embeddings": "/embeddings",
                "models": "/models",
            }
        )
    },
    # It has one API for all models: the keys of `parameters` go to the top level.
    flags=frozenset({"params_object"}),
)
