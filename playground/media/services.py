"""The pages of all task services, by the kind of their runs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from playground.media import midjourney, music
from playground.media.service import MediaService

MEDIA_SERVICES: Final[Mapping[str, MediaService]] = MappingProxyType(
    {module.PAGE.kind: module.PAGE for module in (music, midjourney)}
)
