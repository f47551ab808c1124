"""Pages of channels, models and prices."""

import datetime as dt
from typing import Final

from billing.models import PriceVersion
from tests.house.outlines.scenes.scene import Scene
from tests.isolation.world import World


def _price_that_ended(world: World) -> str:
    version = PriceVersion.objects.get(price__model="gpt-5")
    ended = version.valid_from - dt.timedelta(days=10)
    PriceVersion.objects.create(
        price=version.price, valid_from=ended - dt.timedelta(days=20), valid_to=ended,
        rates=version.rates, source="manual",
    )  # fmt: skip
    return f"/admin/prices/{version.price_id}"


SCENES: Final = (Scene("price with a version that ended", _price_that_ended, "operator"),)
