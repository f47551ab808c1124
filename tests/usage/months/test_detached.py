"""Which detached months a reader of single requests lacks, and what they are told of them."""

import datetime as dt
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from usage.buckets.buckets import Span
from usage.models import DetachedMonth
from usage.months.detached import (
    RequestDetached,
    detached_on,
    detached_within,
    names_of,
    notice_text,
    refuse_detached,
)
from usage.reports import missing_months as missing
from usage.reports.missing_months import missing_months

pytestmark = pytest.mark.django_db

SEPTEMBER = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
OCTOBER = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
NOVEMBER = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)


@pytest.fixture
def october() -> DetachedMonth:
    return DetachedMonth.objects.create(
        month=OCTOBER.date(), first_id=UUID(int=10), end_id=UUID(int=20), from_at=OCTOBER,
        to_at=NOVEMBER, price_version_ids=[],
    )  # fmt: skip


@pytest.mark.parametrize(("id_", "away"), [(9, False), (10, True), (19, True), (20, False)])
def test_a_request_of_a_detached_month_is_refused_by_name(
    october: DetachedMonth, id_: int, away: bool
) -> None:
    if not away:
        refuse_detached(UUID(int=id_))
        return
    with pytest.raises(RequestDetached, match="requests of October 2026 have been in a file"):
        refuse_detached(UUID(int=id_))


@pytest.mark.parametrize(
    ("start_at", "end_at", "lacked"),
    [
        (None, None, True), (None, OCTOBER, False), (None, OCTOBER + TICK, True),
        (NOVEMBER, None, False), (NOVEMBER - TICK, None, True), (SEPTEMBER, OCTOBER, False),
        (OCTOBER, NOVEMBER, True),
    ],
)  # fmt: skip
def test_month_is_missing_in_its_own_time(
    october: DetachedMonth, start_at: Any, end_at: Any, lacked: bool
) -> None:
    assert bool(detached_within(Span(start_at, end_at))) is lacked


def test_last_day_of_some_months_is_in_one(october: DetachedMonth) -> None:
    first, last = dt.date(2026, 10, 1), dt.date(2026, 10, 31)
    day = dt.timedelta(days=1)
    assert detached_on(first - day, first) == detached_on(last, last + day) == [october]
    assert detached_on(first - day, first - day) == detached_on(last + day, last + day) == []


@pytest.mark.parametrize(("summed", "there"), [(True, False), (False, True), (False, False)])
def test_a_report_from_sums_or_a_sink_lacks_nothing(
    october: DetachedMonth, monkeypatch: pytest.MonkeyPatch, summed: bool, there: bool
) -> None:
    monkeypatch.setattr(missing, "are_summed", lambda scope, groups: summed)
    at: Any = SimpleNamespace(copy_of=lambda spans: there)
    asked: Any = SimpleNamespace(scope=None, spans=None, span=Span(OCTOBER, NOVEMBER))
    assert missing_months(asked, [], at) == ([] if summed or there else [october])


def test_messages_for_zero_one_and_two_missing_months(october: DetachedMonth) -> None:
    september = DetachedMonth(month=SEPTEMBER.date())
    assert notice_text([]) == ""
    assert notice_text([october]).startswith("The requests of October 2026 have been")
    assert "September 2026, October 2026" in notice_text([september, october])
    assert names_of([september, october]) == ["2026-09", "2026-10"]
