"""Kling: videos."""

from lib.extensions.extension import Extension

EXTENSION = Extension(
    service="extensions.kling.provider:SERVICE",
    service_rows="extensions.kling.rows:ROWS",
    service_pages="extensions.kling.reference:PAGES",
    key_endpoints="extensions.kling.key_endpoints:ENDPOINTS",
)
