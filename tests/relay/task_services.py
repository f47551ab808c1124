"""Models of the task services: their names are those of the actions, and no test can choose."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

import pytest

from tests.fakes.task_server import TaskServer
from tests.support.hub import Hub, Tenant

# 0.10 USD a call.
CALL_NANO = 100_000_000
RATES = {"requests": CALL_NANO * 10**6}
# A button that opens a dialog; its answer has the price.
FREE = "mj_custom_zoom"


def serve(hub: Hub, provider: TaskServer, name: str, models: Sequence[str]) -> None:
    """One channel of a provider with all of its accounts, for these models at that price."""
    unique = f"{name} {secrets.token_hex(6)}"
    channel_id = hub.channel(models[0], provider.url, provider.keys, provider=name, name=unique)
    for model in models[1:]:
        hub.connection.execute(
            "INSERT INTO gateway_route (channel_id, model, upstream_model) VALUES (%s, %s, '')",
            [channel_id, model],
        )
    for model in models:
        price(hub, model)
    # Whoever lists the alias knows what was there before it.
    hub.alias(f"knows-{secrets.token_hex(6)}", models[0])


def price(hub: Hub, model: str) -> None:
    """Once for the session: nobody else's models have these names."""
    hub.connection.execute(
        "INSERT INTO billing_price (model, kind, channel, service_tier, hours) "
        "VALUES (%s, 'charge', '', '', '') ON CONFLICT DO NOTHING",
        [model],
    )
    hub.connection.execute(
        "INSERT INTO billing_priceversion (price_id, valid_from, rates, source) "
        "SELECT id, now() - interval '1 day', %s, 'test' FROM billing_price WHERE model = %s "
        "AND NOT EXISTS (SELECT FROM billing_priceversion v WHERE v.price_id = billing_price.id)",
        [json.dumps({"meters": {"requests": 0} if model == FREE else RATES}), model],
    )


def quick(first: Any, *others: Any) -> list[Any]:
    """Values of a parameter, of which only the first is tried in every run."""
    return [first, *(pytest.param(*_values(one), marks=pytest.mark.slow) for one in others)]


def _values(one: Any) -> tuple[Any, ...]:
    return one if isinstance(one, tuple) else (one,)


def holds(hub: Hub, tenant: Tenant) -> list[str]:
    """How the tenant's holds stand, in their order."""
    rows = hub.rows(
        "SELECT state FROM billing_hold WHERE organisation_id = %s ORDER BY id",
        tenant.organisation_id,
    )
    return [row["state"] for row in rows]


def spent(hub: Hub, tenant: Tenant) -> int:
    """In nano."""
    revenue: int = hub.balance(tenant)["revenue"]
    return revenue
