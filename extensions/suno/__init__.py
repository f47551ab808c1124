"""Suno: songs, by servers with the API of Suno-API."""

from lib.extensions.extension import Extension

EXTENSION = Extension(
    app="extensions.suno",
    urls="extensions.suno.urls:URLS",
    service="extensions.suno.provider:SERVICE",
    service_rows="extensions.suno.rows:ROWS",
    service_pages="extensions.suno.reference:PAGES",
    media="extensions.suno.playground:PAGE",
    key_endpoints="extensions.suno.key_endpoints:ENDPOINTS",
)
