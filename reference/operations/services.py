"""The pages of all task services."""

from typing import Final

from reference.operations import jimeng_pages, kling_pages, midjourney_pages, suno_pages
from reference.operations.service_pages import ServicePages

SERVICE_PAGES: Final[tuple[ServicePages, ...]] = tuple(
    module.PAGES for module in (kling_pages, jimeng_pages, midjourney_pages, suno_pages)
)
