"""The HTTP client by which traces and metrics are sent: it trusts what the installation trusts."""

from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter

from lib.network.trust import trusted_context


class _TrustingAdapter(HTTPAdapter):
    """Connects with the installation's certificate authorities."""

    def init_poolmanager(self, *arguments: Any, **settings: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=trusted_context(), **settings)


def telemetry_session() -> Session:
    """A session for an exporter of OpenTelemetry."""
    session = Session()
    session.mount("https://", _TrustingAdapter())
    return session
