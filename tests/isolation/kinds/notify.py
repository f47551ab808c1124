"""Whatever of notify an address names: webhooks, deliveries."""

from typing import Final

from accounts.access.actors import SYSTEM
from lib.ids import id_text, new_id
from notify.endpoints import endpoints
from tests.isolation.world import IN_ORGANISATION, Kind, Place, World, no_pair, of_installation
from tests.support import cast


def _webhook(world: World, at: Place) -> str:
    created, _ = endpoints.create_endpoint(SYSTEM, at.organisation, f"https://{at.word}.example/h")
    return id_text(created.id)


def _delivery(world: World, at: Place) -> str:
    created, _ = endpoints.create_endpoint(SYSTEM, at.organisation, f"https://{at.word}.example/d")
    return f"{id_text(created.id)}/{id_text(endpoints.send_test(SYSTEM, created).id)}"


def _operator_webhook(world: World, at: Place) -> str:
    url = f"https://example.com/{new_id()}"
    return id_text(endpoints.create_endpoint(cast.actor(world.dora), None, url)[0].id)


# Of an organisation or a team.
WEBHOOK: Final = Kind(
    "webhook", "webhooks.read", _webhook, wheres=IN_ORGANISATION, of_organisation=True
)
DELIVERY: Final = Kind(
    "delivery", "webhooks.read", _delivery, no_pair, wheres=IN_ORGANISATION, of_organisation=True
)
# Of the installation.
OPERATOR_WEBHOOK: Final = of_installation("operators' webhook", "channels.read", _operator_webhook)
