"""What webhooks, their events and the responses to them are called on pages."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext

from lib.sentences import join_words
from notify.deliveries.results import result_text
from notify.events.kinds import KINDS
from notify.models import WebhookEndpoint


def webhook_title(endpoint: WebhookEndpoint) -> str:
    """Return its name, or else the host of its URL."""
    return endpoint.name or urlsplit(endpoint.url).hostname or endpoint.url


def webhook_events(endpoint: WebhookEndpoint) -> str:
    """Return the titles of its events."""
    titles = [str(KINDS[name].title) if name in KINDS else name for name in endpoint.kinds]
    return join_words(titles) or gettext("All events")


def response_text(attempt: Mapping[str, Any]) -> str:
    """Return the status of the response to an attempt. Without a response, or if a chat service
    refused the message with status 200, return what went wrong."""
    status, error = attempt.get("status"), attempt.get("error", "")
    return result_text(error) if error and (not status or status < 300) else str(status or "")
