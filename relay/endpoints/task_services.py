"""The rows of all task services."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lib.extensions.installed import extend
from relay.endpoints import jimeng_rows, kling_rows, suno_rows
from relay.endpoints.service_rows import ServiceRows

_ROWS: Final = {
    module.ROWS.service.name: module.ROWS for module in (kling_rows, jimeng_rows, suno_rows)
}
extend(_ROWS, "service_rows", ServiceRows, lambda rows: {rows.service.name: rows})
SERVICE_ROWS: Final[Mapping[str, ServiceRows]] = MappingProxyType(_ROWS)
