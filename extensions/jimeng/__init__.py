"""Jimeng: videos."""

from lib.extensions.extension import Extension

EXTENSION = Extension(
    service="extensions.jimeng.provider:SERVICE",
    service_rows="extensions.jimeng.rows:ROWS",
    service_pages="extensions.jimeng.reference:PAGES",
    key_endpoints="extensions.jimeng.key_endpoints:ENDPOINTS",
)
