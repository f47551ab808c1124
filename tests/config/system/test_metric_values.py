"""Figures of `/metrics` in the unit of their names: seconds, bytes, dollars."""

import datetime as dt
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from config.jobs.queues import Queue
from config.models import ProcessReport
from config.system import metrics
from gateway.health.metric_labels import Total

STARTED = dt.datetime(2026, 11, 18, tzinfo=dt.UTC)
REPORT = ProcessReport(
    host="h", pid=7, role="web", version="1", reported_at=STARTED, started_at=STARTED,
    cpu_ms=61_500, cpu_percent=3, resident_bytes=5_000_000, open_fds=11, max_fds=1_024,
    connections=90, in_flight=3, loop_lag_us=4_400,
)  # fmt: skip


def values(families: Iterable[Any]) -> dict[str, float]:
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_process_reports_seconds_bytes_and_counts_under_their_names() -> None:
    assert values(metrics._processes([REPORT])) == {
        "weir_process_info": 1,
        "process_cpu_seconds_total": 61.5,
        "process_resident_memory_bytes": 5_000_000,
        "process_open_fds": 11,
        "process_max_fds": 1_024,
        "process_start_time_seconds": STARTED.timestamp(),
        "weir_process_connections": 90,
        "weir_process_requests_in_flight": 3,
        "weir_event_loop_lag_seconds": 0.0044,
    }
    unknown = ProcessReport(host="h", pid=8, role="worker", version="1", cpu_ms=1_000)
    assert values(metrics._processes([unknown])) == {
        "weir_process_info": 1, "process_cpu_seconds_total": 1,
    }  # fmt: skip


@pytest.mark.django_db
def test_queues_report_their_age_and_held_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only of holds: other work reserves nothing."""
    queues = [Queue("holds", 4, 12.5, 2_500_000_000), Queue("events", 6, 3.0, 999)]
    monkeypatch.setattr(metrics, "read_queues", lambda: queues)
    length, age, held, *_ = list(metrics._queues())
    assert [sample.value for sample in length.samples] == [4, 6]
    assert [sample.value for sample in age.samples] == [12.5, 3.0]
    assert [sample.value for sample in held.samples] == [2.5]


def test_late_job_is_one_and_a_job_without_success_has_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def state(task: str, late: bool, good_at: dt.datetime | None) -> Any:
        return SimpleNamespace(
            late=late, job=SimpleNamespace(task=task), run=SimpleNamespace(good_at=good_at)
        )

    states = [state("a", False, STARTED), state("b", True, None)]
    monkeypatch.setattr(metrics, "job_states", lambda: states)
    late, good = metrics._jobs()
    assert {sample.labels["job"]: sample.value for sample in late.samples} == {"a": 0, "b": 1}
    assert {sample.labels["job"]: sample.value for sample in good.samples} == {
        "a": STARTED.timestamp()
    }


def test_sums_and_bounds_of_histograms_are_seconds_and_charges_dollars() -> None:
    durations = (0,) * 4 + (2,) * 9 + (2,)
    totals = [
        Total("duration", ("m",), 3_200, durations),
        Total("charge", ("m",), 2_500_000_000, ()),
        Total("requests", ("m", "200"), 2, ()),
    ]
    told: dict[str, list[Any]] = {}
    for family in metrics._traffic(totals):
        for sample in family.samples:
            told.setdefault(sample.name, []).append(sample)
    (whole,) = told["weir_request_duration_seconds_sum"]
    assert whole.value == 3.2
    buckets = {one.labels["le"]: one.value for one in told["weir_request_duration_seconds_bucket"]}
    assert (buckets["1.0"], buckets["2.5"], buckets["+Inf"]) == (0, 2, 2)
    assert [one.value for one in told["weir_charge_usd_total"]] == [2.5]
    assert [one.labels for one in told["weir_requests_total"]] == [{"model": "m", "status": "200"}]
