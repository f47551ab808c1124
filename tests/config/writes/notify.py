"""Writes of notify."""

from typing import Final

from notify.deliveries import deliveries
from notify.endpoints import endpoints
from tests.config.writes.world import Writes

WRITES: Final[Writes] = {
    "notify.deliveries.deliveries.send_again": lambda w: deliveries.send_again(w.alice, w.delivery),
    "notify.endpoints.endpoints.change_endpoint": lambda w: endpoints.change_endpoint(
        w.alice, w.endpoint, url="https://c.example/h"
    ),
    "notify.endpoints.endpoints.create_endpoint": lambda w: endpoints.create_endpoint(
        w.alice, w.people.acme, "https://b.example/h"
    ),
    "notify.endpoints.endpoints.remove_endpoint": lambda w: endpoints.remove_endpoint(
        w.alice, w.endpoint
    ),
    "notify.endpoints.endpoints.rotate_secret": lambda w: endpoints.rotate_secret(
        w.alice, w.endpoint
    ),
    "notify.endpoints.endpoints.send_test": lambda w: endpoints.send_test(w.alice, w.endpoint),
}
