"""The pages of all task services."""

from typing import Final

from lib.extensions.installed import extend
from reference.operations import jimeng_pages, kling_pages, suno_pages
from reference.operations.service_pages import ServicePages

_ADDED: Final[dict[str, ServicePages]] = {}
extend(_ADDED, "service_pages", ServicePages, lambda pages: {pages.name: pages})
SERVICE_PAGES: Final[tuple[ServicePages, ...]] = (
    *_ADDED.values(),
    *(module.PAGES for module in (kling_pages, jimeng_pages, suno_pages)),
)
