"""The pages of all task services, by the kind of their runs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lib.extensions.installed import extend
from playground.media.service import MediaService

_SERVICES: Final[dict[str, MediaService]] = {}
extend(_SERVICES, "media", MediaService, lambda service: {service.kind: service})
MEDIA_SERVICES: Final[Mapping[str, MediaService]] = MappingProxyType(_SERVICES)
