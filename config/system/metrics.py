"""`/metrics`: the state of the installation in the Prometheus text format. Every process answers
for all of them, because the counts are in the database, derived from the books
(`gateway/health/traffic.py`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from billing.currency.money import NANO_PER_USD
from config.jobs.queues import read_queues
from config.jobs.runs import job_states
from config.models import ProcessReport
from config.processes.processes import read_processes
from content.sinks.sinks import used_content_sinks
from gateway.health.figures import ChannelFigures
from gateway.health.histogram_bounds import DURATION_MS, FIRST_TOKEN_MS
from gateway.health.metric_labels import Total, limit_names
from gateway.health.reports import CONDITIONS, ChannelTroubles
from gateway.health.traffic import (
    content_dropped,
    count_new_records,
    damaged_records,
    guards_passed,
    log_lines_dropped,
    read_totals,
    requests_shed,
)
from gateway.models import Channel
from usage.books import findings, full_walk


class _Counter(NamedTuple):
    name: str
    help: str
    labels: Sequence[str]
    per_unit: int = 1


COUNTERS: Final = {
    "requests": _Counter(
        "weir_requests", "Requests that ended, by HTTP status.", ("model", "status")
    ),
    "attempts": _Counter(
        "weir_attempts",
        "Attempts by channel and outcome: ok, or the kind of the error.",
        ("channel", "outcome"),
    ),
    "tokens": _Counter(
        "weir_tokens", "Tokens by meter: in_text, in_cache_read, out_text, …", ("model", "meter")
    ),
    "charge": _Counter(
        "weir_charge_usd",
        "The amount that customers were charged, in USD.",
        ("model",),
        per_unit=NANO_PER_USD,
    ),
}
HISTOGRAMS: Final = {
    "first_token": (
        "weir_time_to_first_token_seconds",
        "Time from a request to the first content of its answer, if the answer has content.",
        FIRST_TOKEN_MS,
    ),
    "duration": ("weir_request_duration_seconds", "How long requests took.", DURATION_MS),
}


PROCESS_FIGURES: Final[Sequence[tuple[str, str, Callable[[ProcessReport], float | None]]]] = (
    ("process_cpu_seconds", "User and system CPU time.", lambda report: report.cpu_ms / 1000),
    ("process_resident_memory_bytes", "Resident memory.", lambda report: report.resident_bytes),
    ("process_open_fds", "Open file descriptors.", lambda report: report.open_fds),
    ("process_max_fds", "The limit of open file descriptors.", lambda report: report.max_fds),
    (
        "process_start_time_seconds",
        "When the process started, in seconds since 1 January 1970 (UTC).",
        lambda report: report.started_at.timestamp() if report.started_at else None,
    ),
    (
        "weir_process_connections",
        "Open connections of clients to a web process.",
        lambda report: report.connections,
    ),
    (
        "weir_process_requests_in_flight",
        "Requests that a web process is answering, streams and sessions included.",
        lambda report: report.in_flight,
    ),
    (
        "weir_event_loop_lag_seconds",
        "How long a step of a request waits for its turn in a web process, in seconds, on average. "
        "If the lag of a busy process stays above OVERLOAD_WAIT_SECONDS (0.035 by default), the "
        "process rejects requests.",
        lambda report: _seconds(report.loop_lag_us),
    ),
)


def metrics_text() -> bytes:
    """Return all metrics as of now. Requests that have ended are counted first."""
    count_new_records()
    registry = CollectorRegistry()
    registry.register(_Collector())
    return generate_latest(registry)


class _Collector:
    def collect(self) -> Iterable[Metric]:
        yield from _traffic(limit_names(read_totals()))
        yield CounterMetricFamily(
            "weir_requests_shed",
            "Requests rejected because a web process was too busy. No other metric counts them.",
            value=requests_shed(),
        )
        yield CounterMetricFamily(
            "weir_log_lines_dropped",
            "Log lines dropped because the log was not read in time.",
            value=log_lines_dropped(),
        )
        yield CounterMetricFamily(
            "weir_content_log_dropped",
            "Requests and bodies that the content log did not keep, although a rule selects them. "
            "They were too large (over 8 MiB with the answer), could not be masked, or could not "
            "be written in time.",
            value=content_dropped(),
        )
        yield CounterMetricFamily(
            "weir_guards_passed",
            "Failures of guards after which texts passed unchecked, because a policy allows it.",
            value=guards_passed(),
        )
        yield CounterMetricFamily(
            "weir_damaged_records",
            "Records of spools and journals that could not be read. The log names the file.",
            value=damaged_records(),
        )
        yield from _channels()
        yield from _queues()
        yield from _jobs()
        yield from _findings()
        yield from _processes(read_processes())

    def describe(self) -> Iterable[Metric]:
        return []


def _traffic(totals: Sequence[Total]) -> Iterator[Metric]:
    for family, counter in COUNTERS.items():
        metric = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
        for total in totals:
            if total.family == family:
                metric.add_metric(total.labels, total.value / counter.per_unit)
        yield metric
    for family, (name, text, bounds_ms) in HISTOGRAMS.items():
        histogram = HistogramMetricFamily(name, text, labels=("model",))
        bounds = [*(str(bound / 1000) for bound in bounds_ms), "+Inf"]
        for total in totals:
            if total.family == family:
                buckets = list(zip(bounds, total.counts, strict=True))
                histogram.add_metric(total.labels, buckets, total.value / 1000)
        yield histogram


def _channels() -> Iterator[Metric]:
    """Yield the state and the running requests of every enabled channel: an alert on a channel
    that has no state here would never fire. Only operators create channels, and one that is deleted
    is left out, so the number of labels cannot grow by requests."""
    state = GaugeMetricFamily(
        "weir_channel_state",
        "1 for the state of a channel, 0 for all other states: good, half_open (a few requests "
        "test the channel after a pause), models_out (models are paused), keys_out (all keys are "
        "paused), limited (by a limit or spend cap of the channel), open (the breaker pauses the "
        "channel). If processes report different states, the worst counts.",
        labels=("channel", "state"),
    )
    running = GaugeMetricFamily(
        "weir_channel_requests_in_flight",
        "Requests that a channel is answering, over all processes.",
        labels=("channel",),
    )
    troubles, in_flight = ChannelTroubles(), ChannelFigures().in_flight_by_channel()
    enabled = Channel.objects.filter(enabled=True).order_by("priority", "name")
    for channel in enabled.only("name", "enabled"):
        status = troubles.of(channel).status
        condition = status.condition if status else "good"
        for name in CONDITIONS:
            state.add_metric((channel.name, name), name == condition)
        running.add_metric((channel.name,), in_flight[channel.id])
    yield from (state, running)


def _queues() -> Iterator[Metric]:
    length = GaugeMetricFamily(
        "weir_queue_length",
        "How many items wait in a queue, such as open holds, holds that wait for a review, due "
        "events and deliveries, price previews, or late usage.",
        labels=("queue",),
    )
    age = GaugeMetricFamily(
        "weir_queue_oldest_age_seconds",
        "How long the oldest item of a queue has waited.",
        labels=("queue",),
    )
    held = GaugeMetricFamily("weir_held_usd", "Money reserved by open holds.")
    for queue in read_queues():
        length.add_metric((queue.name,), queue.length)
        age.add_metric((queue.name,), queue.oldest_s)
        if queue.name == "holds":
            held.add_metric((), queue.nano / NANO_PER_USD)
    yield from (length, age, held)
    expired = CounterMetricFamily(
        "weir_content_sink_expired",
        "Requests of the content log that expired before they were sent to the record sink.",
        labels=("queue",),
    )
    for sink in used_content_sinks():
        expired.add_metric((sink.name,), sink.backlog().expired)
    yield expired


def _findings() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "weir_ledger_findings_open",
        "Ledger findings that are not acknowledged.",
        value=findings.open_count(),
    )
    walked = GaugeMetricFamily(
        "weir_ledger_walked_timestamp_seconds",
        "When the last walk through the whole ledger ended.",
    )
    complete_at = full_walk.complete_at()
    if complete_at is not None:
        walked.add_metric((), complete_at.timestamp())
    yield walked


def _jobs() -> Iterator[Metric]:
    late = GaugeMetricFamily(
        "weir_job_late", "1 if a background job has not succeeded in time.", labels=("job",)
    )
    good_at = GaugeMetricFamily(
        "weir_job_last_success_timestamp_seconds",
        "When a background job last succeeded.",
        labels=("job",),
    )
    for state in job_states():
        late.add_metric((state.job.task,), state.late)
        if state.run.good_at is not None:
            good_at.add_metric((state.job.task,), state.run.good_at.timestamp())
    yield from (late, good_at)


def _processes(reports: Sequence[ProcessReport]) -> Iterator[Metric]:
    """Yield what each process reported, under the names that client libraries of Prometheus use. A
    figure that a process does not report has no sample."""
    info = GaugeMetricFamily(
        "weir_process_info",
        "1 for each process, with its version.",
        labels=("role", "process", "version"),
    )
    for report in reports:
        info.add_metric((report.role, str(report), report.version), 1)
    yield info
    for name, text, value_of in PROCESS_FIGURES:
        metric = _family_of(name)(name, text, labels=("role", "process"))
        for report in reports:
            if (value := value_of(report)) is not None:
                metric.add_metric((report.role, str(report)), value)
        yield metric


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1_000_000


def _family_of(name: str) -> type[CounterMetricFamily | GaugeMetricFamily]:
    return CounterMetricFamily if name == "process_cpu_seconds" else GaugeMetricFamily
