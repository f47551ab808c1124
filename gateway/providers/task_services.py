"""The task services, by the name that a task's row stores."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.providers import jimeng, kling, midjourney_proxy, suno_api
from gateway.providers.task_service import TaskService

TASK_SERVICES: Final[Mapping[str, TaskService]] = MappingProxyType(
    {module.SERVICE.name: module.SERVICE for module in (kling, jimeng, midjourney_proxy, suno_api)}
)
OWN_PRODUCTS: Final[Mapping[str, TaskService]] = MappingProxyType(
    {name: service for name, service in TASK_SERVICES.items() if service.product is not None}
)
"""Those whose models are for nothing else, by what models are asked for."""
