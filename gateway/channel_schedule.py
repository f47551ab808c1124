"""Work on channels that is due by a schedule of each."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Final

from django.db.models import F, Q, QuerySet

from gateway.models import Channel
from lib import clock

_STEP_S: Final = 20.0


def claim_due(
    waiting: QuerySet[Channel], next_at: str, every: Callable[[Channel], dt.timedelta]
) -> Iterator[Channel]:
    """Channels whose time has come, the longest due first, for a while; each is claimed for this
    process by giving it its next time in the column `next_at`. Null there: it is due."""
    until = time.monotonic() + _STEP_S
    for channel in waiting.order_by(F(next_at).asc(nulls_first=True)):
        now = clock.now()
        mine = Channel.objects.filter(id=channel.id).filter(
            Q(**{next_at: None}) | Q(**{f"{next_at}__lte": now})
        )
        if mine.update(**{next_at: now + every(channel)}):
            yield channel
            if time.monotonic() > until:
                return
