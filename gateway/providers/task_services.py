"""The task services, by the name that a task's row stores."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers.task_service import TaskService
from lib.extensions.installed import extend

_SERVICES: Final[dict[str, TaskService]] = {}
extend(_SERVICES, "service", TaskService, lambda service: {service.name: service})
TASK_SERVICES: Final[Mapping[str, TaskService]] = MappingProxyType(_SERVICES)
OWN_PRODUCTS: Final[Mapping[str, TaskService]] = MappingProxyType(
    {name: service for name, service in TASK_SERVICES.items() if service.product is not None}
)
"""Those whose models are for nothing else, by what models are asked for."""
