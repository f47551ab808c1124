"""What webhooks and their events are called on pages."""

from urllib.parse import urlsplit

from django.utils.translation import gettext

from notify.deliveries.kinds import KINDS
from notify.models import WebhookEndpoint


def webhook_title(endpoint: WebhookEndpoint) -> str:
    """Return its name, or else the host of its URL."""
    return endpoint.name or urlsplit(endpoint.url).hostname or endpoint.url


def webhook_events(endpoint: WebhookEndpoint) -> str:
    """Return the titles of its events."""
    titles = [str(KINDS[name].title) if name in KINDS else name for name in endpoint.kinds]
    return ", ".join(titles) or gettext("All events")
