"""Pages of the room notify."""

import datetime as dt
from typing import Final

from accounts.access.actors import SYSTEM
from lib import clock
from lib.ids import id_text
from notify.endpoints import endpoints
from notify.models import WebhookEndpoint
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World
from tests.support import cast


def _made_by_a_key_that_ended(world: World) -> str:
    """A chat, whose key was revoked, with a delivery that waits."""
    made, _ = endpoints.create_endpoint(SYSTEM, world.acme, "https://hooks.example/secret-path")
    key, _ = cast.make_key(world.core, "nightly deploy", user=world.places["colleague"].user)
    endpoints.send_test(SYSTEM, made)
    key.revoked_at = clock.now() - dt.timedelta(days=5)
    key.save()
    WebhookEndpoint.objects.filter(id=made.id).update(
        key=key, service="slack", name="Alerts", kinds=["budget.reached", "topup.failed"]
    )
    return f"/o/acme/webhooks/{id_text(made.id)}"


def _webhooks(world: World) -> str:
    return "/o/acme/webhooks?q=nothing"


SCENES: Final = (
    Scene("webhook of a chat, whose key was revoked", _made_by_a_key_that_ended),
    Scene("webhook of a chat, whose key was revoked", _made_by_a_key_that_ended, "custom auditor"),
    Scene("webhooks that are only read", _webhooks, "custom auditor"),
)
