"""One file per provider: its addresses, its authentication, its dialect, its quirks, as data.

A channel names its provider by the name in PROVIDERS.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers import local, openai, openai_compatible
from gateway.providers.provider import Provider

PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {
        provider.name: provider
        for provider in (openai.PROVIDER, openai_compatible.PROVIDER, local.PROVIDER)
    }
)


class UnknownProvider(ValueError):
    """No provider has this name; the message lists those that there are."""


def provider_named(name: str) -> Provider:
    """The provider of a channel. Raises UnknownProvider."""
    provider = PROVIDERS.get(name)
    if provider is None:
        known = ", ".join(PROVIDERS)
        raise UnknownProvider(f"unknown provider {name[:64]!r}: it must be one of {known}")
    return provider
