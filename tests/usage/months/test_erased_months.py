"""P36: a month's file is older than an erasure, and comes back without the person's words."""

import datetime as dt
from pathlib import Path

from tests.support.beside import Beside
from tests.usage.months.test_months import (
    attach,
    beside,
    detach,
    month,
    month_after_at,
    problems,
    read_sums,
    site,
)

__all__ = ["beside", "site"]


def test_restored_month_lacks_the_words_of_an_erased_person(beside: Beside, tmp_path: Path) -> None:
    user = beside.call(plant_words)
    before = beside.call(read_sums)
    assert beside.call(detach, tmp_path / "month.zip") == []
    beside.call(mark_erased, user)
    beside.call(attach, tmp_path / "month.zip")
    assert beside.call(words_of_month, user) == set()
    assert beside.call(problems) == []
    assert beside.call(read_sums) == before


def plant_words() -> int:
    """Words in the requests of a person, whose id is returned. To be called beside the hub."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        span = {"from": dt.datetime.combine(month(), dt.time(), dt.UTC), "to": month_after_at()}
        cursor.execute(
            "SELECT min(user_id) FROM usage_usagerecord "
            "WHERE admitted_at >= %(from)s AND admitted_at < %(to)s",
            span,
        )
        ((user,),) = cursor.fetchall()
        cursor.execute(
            "UPDATE usage_usagerecord SET end_user = 'planted', message = 'planted' "
            "WHERE user_id = %(user)s AND admitted_at >= %(from)s AND admitted_at < %(to)s",
            {**span, "user": user},
        )
    assert words_of_month(user) == {"planted"}
    return int(user)


def words_of_month(user: int) -> set[str]:
    from usage.models import UsageRecord

    rows = UsageRecord.objects.filter(user_id=user, admitted_at__lt=month_after_at())
    results = {text for pair in rows.values_list("end_user", "message") for text in pair}
    return results - {""}


def mark_erased(user: int) -> None:
    from accounts.models import User
    from lib import clock

    User.objects.filter(pk=user).update(erased_at=clock.now())
