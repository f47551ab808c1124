"""Midjourney: pictures, by servers with the API of midjourney-proxy."""

from lib.extensions.extension import Extension

EXTENSION = Extension(
    app="extensions.midjourney",
    urls="extensions.midjourney.urls:URLS",
    service="extensions.midjourney.provider:SERVICE",
    service_rows="extensions.midjourney.rows:ROWS",
    service_pages="extensions.midjourney.reference:PAGES",
    media="extensions.midjourney.playground:PAGE",
    key_endpoints="extensions.midjourney.key_endpoints:ENDPOINTS",
)
