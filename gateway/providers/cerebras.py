"""Cerebras: fast inference of open models.

inference-docs.cerebras.ai, "OpenAI Compatibility" (2026-11), and its client for Python 1.67
(2026-01).
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="cerebras",
    label="Cerebras",
    base_url="https://api.cerebras.ai/v1",
    needs_secret=True,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "models": "/models",
            }
        )
    },
    # Only gpt-oss-120b supports the developer role, which it treats as the system's.
    flags=frozenset({"no_developer_role"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
