"""DeepInfra: open models of many vendors.

deepinfra.com/docs, "OpenAI API" (2026-11); docs.deepinfra.com, "Anthropic Messages" (2026-10).
"""

from collections.abc import Mapping

from dialects.chat.operation import Operation
from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken, paths_below

_OPENAI = "/v1/openai"
_MESSAGES = "/anthropic/v1/messages"


def _shape(paths: Mapping[Operation, str], path: str, query: str) -> Mapping[Operation, str]:
    """Return the paths. Anthropic's API is next to OpenAI's, not below it."""
    below = paths_below(paths, path, query)
    if "messages" not in paths:
        return below
    return {**below, "messages": path.removesuffix(_OPENAI) + _MESSAGES}


PROVIDER = Provider(
    name="deepinfra",
    label="DeepInfra",
    base_url="https://api.deepinfra.com/v1/openai",
    needs_secret=True,
    shape=_shape,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "models": "/models",
            }
        ),
        "anthropic": Spoken(
            paths={"messages": _MESSAGES},
            headers={"anthropic-version": "2023-06-01"},
            passed_headers=("anthropic-version", "anthropic-beta"),
        ),
    },
    flags=frozenset({"top_k"}),
    lifted=OWNER_FLAGS,
    own_search=False,
)
