"""The rows of all task services."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from lib.extensions.installed import extend
from relay.endpoints.service_rows import ServiceRows

_ROWS: Final[dict[str, ServiceRows]] = {}
extend(_ROWS, "service_rows", ServiceRows, lambda rows: {rows.service.name: rows})
SERVICE_ROWS: Final[Mapping[str, ServiceRows]] = MappingProxyType(_ROWS)
