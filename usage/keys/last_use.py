"""The use of keys: spending in the month, and the time, address and client of the last use."""

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db.models import prefetch_related_objects
from django.utils.translation import gettext

from accounts.access import access
from accounts.access.actors import Actor
from accounts.key_uses.last_uses import PLAYGROUND
from accounts.models import Key
from accounts.secrets.key_lookup import last_use
from lib import clock
from usage.filters.visibility import Where, run, visible
from usage.rollups.levels import since, summed


class KeyUse(NamedTuple):
    """`spent_nano` is the summed spending of the calendar month (UTC). `address` is "" if it is
    unknown or the actor may not see it."""

    spent_nano: int
    last_at: dt.datetime | None = None
    address: str = ""
    client: str = ""

    @property
    def client_name(self) -> str:
        return gettext("Playground") if self.client == PLAYGROUND else self.client


def use_of_keys(actor: Actor, keys: Sequence[Key]) -> dict[UUID, KeyUse]:
    """Return the use of each of these keys, as far as the actor may see it."""
    prefetch_related_objects(keys, "uses")
    may_see = access.scope_of(actor, "usage.read") is not None
    spent = _month_spending(actor, [key.id for key in keys]) if keys and may_see else {}
    return {key.id: _use_of(actor, key, spent.get(key.id, 0)) for key in keys}


def _use_of(actor: Actor, key: Key, spent_nano: int) -> KeyUse:
    use = last_use(key)
    if use is None:
        return KeyUse(spent_nano)
    address = use.address if access.may_see_address(actor, key) else ""
    return KeyUse(spent_nano, use.at, address, use.client)


def _month_spending(actor: Actor, key_ids: Sequence[UUID]) -> dict[UUID, int]:
    now = clock.now()
    text, parameters = visible(actor, "usage.read")
    where = Where(f"{text} AND r.key_id = ANY (%(keys)s)", {**parameters, "keys": list(key_ids)})
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = summed(where, [since(month)])
    return dict(run(_SPENT.format(rows=rows.text), rows.parameters))


_SPENT = "SELECT r.key_id, sum(r.charge_nano)::bigint FROM {rows} r GROUP BY r.key_id"
