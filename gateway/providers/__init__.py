"""One file per provider: its addresses, its authentication, its dialects and its quirks, as data.

A channel refers to its provider by a name in PROVIDERS. `models` is the catalogue of what models
can do, `targets` chooses the dialect of a request to a model, and `suffixes` parses the reasoning
setting in a model's name. How to add a provider: docs/guides/adding-a-provider.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers import (
    anthropic,
    azure_openai,
    bedrock,
    cerebras,
    cohere,
    deepinfra,
    deepseek,
    doubao,
    fireworks,
    gemini,
    gemini_interactions,
    glm,
    groq,
    jina,
    kimi,
    lm_studio,
    local,
    minimax,
    mistral,
    ollama,
    openai,
    openai_compatible,
    openai_metered,
    openrouter,
    perplexity,
    qwen,
    together,
    vertex,
    vllm,
    xai,
)
from gateway.providers.provider import Provider
from gateway.providers.task_services import TASK_SERVICES
from lib.extensions.installed import extend

_PROVIDERS: Final = {
    module.PROVIDER.name: module.PROVIDER
    for module in (
        openai,
        openai_compatible,
        openai_metered,
        anthropic,
        gemini,
        gemini_interactions,
        azure_openai,
        bedrock,
        vertex,
        deepseek,
        qwen,
        xai,
        mistral,
        glm,
        doubao,
        kimi,
        cohere,
        perplexity,
        jina,
        minimax,
        openrouter,
        groq,
        cerebras,
        together,
        fireworks,
        deepinfra,
        ollama,
        vllm,
        lm_studio,
        local,
    )
} | {service.provider.name: service.provider for service in TASK_SERVICES.values()}
extend(_PROVIDERS, "providers", Provider, lambda added: {one.name: one for one in added})
# In the order in which a form lists them.
PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(_PROVIDERS)


class UnknownProvider(ValueError):
    """No provider has this name; the message lists the known names."""


def provider_named(name: str) -> Provider:
    """Return the provider of a channel. Raises UnknownProvider."""
    provider = PROVIDERS.get(name)
    if provider is None:
        known = ", ".join(PROVIDERS)
        raise UnknownProvider(f"unknown provider {name[:64]!r}: it must be one of {known}")
    return provider
