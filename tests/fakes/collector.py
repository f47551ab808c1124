"""An OpenTelemetry collector: takes spans and metrics over OTLP (HTTP, protobuf) and keeps them."""

import gzip
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


class ReceivedSpan(NamedTuple):
    """One span; ids are hexadecimal, `parent` is empty where it has none, times are nanoseconds of
    the clock. `kind` is 1 internal, 2 server, 3 client; `failed` whether its status is an error."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


class ReceivedPoint(NamedTuple):
    """One point of a histogram, cumulative since its process began."""

    metric: str
    unit: str
    bounds: tuple[float, ...]
    values: int
    sum: float
    attributes: Mapping[str, Any]


class Collector:
    """`with Collector() as collector:` listens at `endpoint` as long as the context lasts."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.points: list[ReceivedPoint] = []
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                status = 200
                if self.path == "/v1/traces":
                    collector.take(body, {k.lower(): v for k, v in self.headers.items()})
                elif self.path == "/v1/metrics":
                    collector.take_metrics(body)
                else:
                    status = 404
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        self.raw += body
        self.headers.append(headers)
        for group in request.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        ReceivedSpan(
                            span.name,
                            span.kind,
                            span.trace_id.hex(),
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                            span.start_time_unix_nano,
                            span.end_time_unix_nano,
                            span.status.code == 2,
                            _attributes(span.attributes),
                            resource,
                        )
                    )

    def take_metrics(self, body: bytes) -> None:
        """Keep the latest points; each export has all of them."""
        request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        self.raw += body
        self.points = [
            ReceivedPoint(
                metric.name,
                metric.unit,
                tuple(point.explicit_bounds),
                point.count,
                point.sum,
                _attributes(point.attributes),
            )
            for group in request.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
            for point in metric.histogram.data_points
        ]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _attributes(inputs: Any) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in inputs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return None if kind is None else getattr(value, kind)
