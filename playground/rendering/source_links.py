"""Addresses in what models write, as links."""

from collections.abc import Mapping
from urllib.parse import urlsplit


def describe_source(source: Mapping[str, str]) -> dict[str, str]:
    """Return a citation for its template. Only an http or https URL becomes a link."""
    url = source.get("url", "")
    parts = urlsplit(url) if url.startswith(("https://", "http://")) else None
    host = parts.netloc.rpartition("@")[2] if parts else ""
    return {**source, "safe_url": url if host else "", "host": host}
