"""The codec in which a provider is spoken to. It loads the codec of every dialect, so it is apart
from a provider's data."""

from typing import Any

from dialects.chat.chat import Dialect
from dialects.codec import Codec
from dialects.endpoints.codecs import CODECS
from gateway.providers.provider import Provider


def codec_for(provider: Provider, dialect: Dialect) -> Codec[Any]:
    """Return the codec for requests to a provider in a dialect: its own form of the dialect, or the
    usual one. Raises NotOffered."""
    return provider.spoken(dialect).codec or CODECS[dialect]
