"""Periodic jobs of the gateway. Each may run twice, late, or in several processes concurrently."""

from celery import shared_task
from django.db import connection
from psycopg import sql

from gateway.catalogue import model_changes
from gateway.channels.channel_tests import scheduled_tests
from gateway.health import rests, traffic
from gateway.media_tasks import media_tasks
from gateway.models import AnswerPiece, CachedAnswer, IdempotentAnswer, KeptState
from gateway.prices import previews
from gateway.prices.upstream_prices import upstream_prices
from gateway.provider_accounts.balances import balances
from gateway.provider_accounts.reconciliation.usage_reconciliation import sweep
from gateway.routing import shadow_answers

_BATCH = 1_000


@shared_task  # type: ignore[untyped-decorator]
def resolve_expired_holds() -> int:
    return sweep()


@shared_task  # type: ignore[untyped-decorator]
def drop_expired_state() -> int:
    return drop_expired() + media_tasks.drop_old_content()


def drop_expired() -> int:
    """Delete kept content after its retention (docs/promises.md, "Protocol state"). Return how many
    rows. Several processes may run this concurrently."""
    dropped = 0
    with connection.cursor() as cursor:
        for model in (KeptState, CachedAnswer, IdempotentAnswer, AnswerPiece):
            statement = sql.SQL(_DROP).format(sql.Identifier(model._meta.db_table))
            while True:
                cursor.execute(statement, [_BATCH])
                dropped += cursor.rowcount
                if cursor.rowcount < _BATCH:
                    break
    return dropped


_DROP = """
    DELETE FROM {0} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {0} WHERE expires_at <= now() LIMIT %s FOR UPDATE SKIP LOCKED))"""


@shared_task  # type: ignore[untyped-decorator]
def poll_media_tasks() -> int:
    return media_tasks.poll()


@shared_task  # type: ignore[untyped-decorator]
def count_traffic() -> bool:
    return traffic.count_new_records()


@shared_task  # type: ignore[untyped-decorator]
def note_rests() -> int:
    return rests.note_rests()


@shared_task  # type: ignore[untyped-decorator]
def drop_old_traffic() -> None:
    traffic.drop_old()
    shadow_answers.drop_old()


@shared_task  # type: ignore[untyped-decorator]
def test_channels() -> int:
    return scheduled_tests.work_off_schedule()


@shared_task  # type: ignore[untyped-decorator]
def go_on_with_channel_tests() -> int:
    return scheduled_tests.work_off_runs()


@shared_task  # type: ignore[untyped-decorator]
def check_models() -> int:
    return model_changes.work_off_schedule() + upstream_prices.work_off_schedule()


@shared_task  # type: ignore[untyped-decorator]
def check_balances() -> int:
    return balances.work_off_schedule()


@shared_task  # type: ignore[untyped-decorator]
def go_on_with_previews() -> int:
    return previews.work_off()
