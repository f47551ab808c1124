"""Scheduled work on channels."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from django.db.models import F, Model, Q, QuerySet

from lib import clock

_STEP_S: Final = 20.0
_Row = TypeVar("_Row", bound=Model)


def claim_due(
    waiting: QuerySet[_Row], next_at: str, every: Callable[[_Row], dt.timedelta]
) -> Iterator[_Row]:
    """Yield rows that are due, the longest overdue first, for a limited time. Each is claimed for
    this process by setting its next time in the column `next_at`; null there means due."""
    until = time.monotonic() + _STEP_S
    for row in waiting.order_by(F(next_at).asc(nulls_first=True)):
        now = clock.now()
        mine = waiting.model._default_manager.filter(pk=row.pk).filter(
            Q(**{next_at: None}) | Q(**{f"{next_at}__lte": now})
        )
        if mine.update(**{next_at: now + every(row)}):
            yield row
            if time.monotonic() > until:
                return
