"""The rows of all task services."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from relay.endpoints import jimeng_rows, kling_rows, midjourney_rows, suno_rows
from relay.endpoints.service_rows import ServiceRows

SERVICE_ROWS: Final[Mapping[str, ServiceRows]] = MappingProxyType(
    {
        module.ROWS.service.name: module.ROWS
        for module in (kling_rows, jimeng_rows, midjourney_rows, suno_rows)
    }
)
