"""The HTTP client that sends traces and metrics, with the installation's certificate
authorities.
"""

from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter

from lib.network.trust import trusted_context


class _TrustingAdapter(HTTPAdapter):
    """Connects with the installation's certificate authorities."""

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=trusted_context(), **settings)


def telemetry_client() -> Session:
    """Return the client of an OpenTelemetry exporter."""
    client = Session()
    client.mount("https://", _TrustingAdapter())
    return client
