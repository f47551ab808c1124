"""P22: every background job at the edges of a month, of a year and of summer time, and once again
at the same moment: what has been done, posted or reported is not done again."""

import base64
import datetime as dt
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from accounts.models import AuditEvent
from billing.models import Invoice, LedgerEntry, Posting, SubscriptionCharge
from config.celery import app
from lib import clock
from notify.models import Delivery
from outbox.models import Fact
from tests.config.test_hostile import live, run_every_job
from tests.config.writes.world import World, world

__all__ = ["world"]

_INSTANT: Final = dt.timedelta(microseconds=1)
ONCE: Final = (AuditEvent, Delivery, Fact, Invoice, LedgerEntry, Posting, SubscriptionCharge)


def edges() -> dict[str, dt.datetime]:
    """Moments of the last weeks at which calendars go wrong."""
    month = clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    new_year = month.replace(month=1)
    return {
        "last instant of a month": month - _INSTANT,
        "first instant of a month": month,
        "last instant of a year": new_year - _INSTANT,
        "first instant of a year": new_year,
        "hour that is there twice": dt.datetime(
            2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1
        ),
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("edge", edges())
def test_every_job_runs_and_does_its_work_once(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch, edge: str
) -> None:
    settings.WEIR_KEK = base64.b64encode(bytes(32)).decode()
    # What a job is woken for is done at once: no broker is here.
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    live(world.people, "https://127.0.0.1/")
    at = edges()[edge]
    monkeypatch.setattr(clock, "now", lambda: at)
    assert run_every_job() == {}
    done = {model.__name__: model.objects.count() for model in ONCE}
    assert run_every_job() == {}
    assert {model.__name__: model.objects.count() for model in ONCE} == done
