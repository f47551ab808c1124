"""The lines of notify: webhooks."""

from typing import Final

from tests.isolation.kinds.notify import DELIVERY, OPERATOR_WEBHOOK, WEBHOOK
from tests.isolation.table.route import Route, at, sends

PAGES: Final[dict[str, Route]] = {
    # The organisation
    "webhooks": at("webhooks.read"),
    "webhook_create": at("webhooks.write", body=sends(url="https://made.example/h")),
    "webhook": at("webhooks.read", WEBHOOK),
    "webhook_edit": at("webhooks.write", WEBHOOK),
    "webhook_rotate": at("webhooks.write", WEBHOOK),
    "webhook_test": at("webhooks.write", WEBHOOK),
    "webhook_remove": at("webhooks.write", WEBHOOK),
    "delivery_repeat": at("webhooks.write", DELIVERY),
    # The installation: for everybody else it does not exist
    "operator_alerts": at("channels.read"),
    "operator_alert_create": at("channels.write", body=sends(url="https://made.example/h")),
    "operator_alert_edit": at("channels.write", OPERATOR_WEBHOOK),
    "operator_alert_test": at("channels.write", OPERATOR_WEBHOOK),
    "operator_alert_remove": at("channels.write", OPERATOR_WEBHOOK),
}

OPERATIONS: Final[dict[str, Route]] = {
    # The organisation
    "GET /webhooks": at("webhooks.read"),
    "POST /webhooks": at("webhooks.write", body=sends(url="https://made.example/h")),
    "GET /webhooks/{id}": at("webhooks.read", WEBHOOK),
    "PATCH /webhooks/{id}": at("webhooks.write", WEBHOOK),
    "DELETE /webhooks/{id}": at("webhooks.write", WEBHOOK),
    "POST /webhooks/{id}/rotate": at("webhooks.write", WEBHOOK),
    "POST /webhooks/{id}/test": at("webhooks.write", WEBHOOK),
    "GET /webhooks/{id}/deliveries": at("webhooks.read", WEBHOOK),
    "POST /webhooks/{id}/deliveries/{delivery}/send": at("webhooks.write", DELIVERY),
    # The installation
    "GET /operator-webhooks": at("channels.read"),
    "POST /operator-webhooks": at("channels.write", body=sends(url="https://made.example/h")),
    "POST /operator-webhooks/{id}/test": at("channels.write", OPERATOR_WEBHOOK),
    "GET /operator-webhooks/{id}": at("channels.read", OPERATOR_WEBHOOK),
    "PATCH /operator-webhooks/{id}": at("channels.write", OPERATOR_WEBHOOK),
    "DELETE /operator-webhooks/{id}": at("channels.write", OPERATOR_WEBHOOK),
}  # fmt: skip
