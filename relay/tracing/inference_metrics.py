"""The client metrics of the gen_ai conventions, sent over OTLP: tokens, durations, first chunks and
the time between chunks, for each attempt at a provider.
"""

from collections.abc import Mapping
from typing import Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Histogram, Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.util.types import AttributeValue

from relay.tracing.telemetry_client import telemetry_client

Attributes = Mapping[str, AttributeValue]

SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
TOKENS: Final = tuple(4**power for power in range(14))
USAGE: Final = "gen_ai.client.token.usage"
DURATION: Final = "gen_ai.client.operation.duration"
FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
PER_CHUNK: Final = "gen_ai.client.operation.time_per_output_chunk"


class InferenceMetrics:
    """Metrics of attempts. The SDK limits the number of series."""

    def __init__(self, meter: Meter) -> None:
        self._tokens = meter.create_histogram(
            USAGE, "{token}", "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )  # fmt: skip
        self._duration = _in_seconds(meter, DURATION, "GenAI operation duration.")
        self._first_chunk = _in_seconds(
            meter, FIRST_CHUNK, "Time from sending a request to the first chunk of its stream."
        )
        self._per_chunk = _in_seconds(
            meter, PER_CHUNK, "Time from one chunk of a stream to the next one."
        )

    def record_chunk(self, seconds: float, attributes: Attributes) -> None:
        self._per_chunk.record(seconds, attributes)

    def record_first_chunk(self, seconds: float, attributes: Attributes) -> None:
        self._first_chunk.record(seconds, attributes)

    def record_duration(self, seconds: float, attributes: Attributes, error: str | None) -> None:
        ended = dict(attributes) if error is None else {**attributes, "error.type": error}
        self._duration.record(seconds, ended)

    def record_tokens(self, tokens_in: int, tokens_out: int, attributes: Attributes) -> None:
        self._tokens.record(tokens_in, {**attributes, "gen_ai.token.type": "input"})
        self._tokens.record(tokens_out, {**attributes, "gen_ai.token.type": "output"})


def meter_provider(resource: Resource) -> MeterProvider:
    """Return the provider of meters. The environment variables OTEL_* say where and how often
    metrics are sent."""
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(session=telemetry_client()))
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False)


def _in_seconds(meter: Meter, name: str, description: str) -> Histogram:
    return meter.create_histogram(
        name, "s", description, explicit_bucket_boundaries_advisory=SECONDS
    )
