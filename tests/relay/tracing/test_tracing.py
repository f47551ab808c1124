"""Traces: what a collector gets of a chat, and that nothing of them is there while they are off."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from websockets.sync.client import connect

from lib.ids import id_text
from tests.fakes.collector import Collector, ReceivedSpan
from tests.fakes.realtime import FakeRealtime
from tests.fakes.upstream import FakeUpstream
from tests.fakes.videos import FakeVideos
from tests.relay.asking import ask
from tests.relay.media.test_videos import video_model
from tests.relay.realtime.test_realtime import RATES as REALTIME_RATES
from tests.relay.realtime.test_realtime import Talk, records
from tests.support.hub import RATES, ROOT, Hub, running_hub

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET_WORDS = "a very private question"
CONVENTIONS = {
    value
    for module in (gen_ai_attributes, error_attributes, http_attributes, server_attributes)
    for value in vars(module).values()
    if isinstance(value, str)
}


def spans_of(hub: Hub, collector: Collector, trace: str, count: int) -> list[ReceivedSpan]:
    """The spans of a trace, once there are so many, in the order in which they began."""
    results: list[ReceivedSpan] = []

    def there() -> bool:
        results[:] = [span for span in collector.spans if span.trace == trace]
        return len(results) >= count

    hub.wait(there, "the spans do not come")
    return sorted(results, key=lambda span: span.start)


def test_collector_gets_a_chat_with_both_attempts(
    fake: FakeUpstream, other_fake: FakeUpstream, tmp_path: Path
) -> None:
    headers = tmp_path / "otlp_headers"
    headers.write_text("x-tenant=traces\n")
    with Collector() as collector:
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(headers),
            "OTEL_SERVICE_NAME": "",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "TRACE_CHANNELS": "trusted",
            "LOG_FORMAT": "json",
        }
        with running_hub(environment) as hub:
            tenant, model = hub.tenant(), "traced"
            hub.price(model, RATES)
            hub.channel(model, fake.url, fake.key)
            hub.channel(model, other_fake.url, other_fake.key, priority=1, name="trusted")
            hub.know(model)
            answer = hub.post(
                tenant,
                ask(model, f"{SECRET_WORDS} #a.fault=F10 #tokens=5", stream=True),
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "x-canary": "canary-of-mine"},
            )
            assert answer.status == 200, answer.body
            request_id = answer.headers["x-request-id"]
            record = hub.record(request_id)
            spans = spans_of(hub, collector, TRACE, 6)
            check_spans(spans, model, request_id, record)
            check_upstream(fake, other_fake, spans)
            refused = hub.post(
                tenant, ask("no-such"), headers={"traceparent": f"00-{'b' * 32}-{PARENT}-01"}
            )
            assert refused.status == 404
            request, settlement = spans_of(hub, collector, "b" * 32, 2)
            assert (request.failed, settlement.name) == (True, "settlement")
            for line in hub.log().splitlines():
                assert {"time", "level", "logger", "message"} <= set(json.loads(line)), line
        for private in (SECRET_WORDS, tenant.key, fake.key, "canary-of-mine"):
            assert private.encode() not in collector.raw
        assert collector.headers[0]["x-tenant"] == "traces"


def test_realtime_session_is_one_trace_with_a_span_per_response() -> None:
    with Collector() as collector, FakeRealtime() as provider:
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "TRACE_CHANNELS": "*",
        }
        with running_hub(environment) as hub:
            tenant = hub.tenant()
            model = hub.model(provider, rates=REALTIME_RATES, upstream_model="gpt-realtime")
            url = hub.url.replace("http", "ws") + f"/v1/realtime?model={model}"
            headers = {
                "authorization": f"Bearer {tenant.key}",
                "traceparent": f"00-{TRACE}-{PARENT}-01",
            }
            with connect(url, additional_headers=headers, compression=None) as socket:
                assert socket.response is not None
                session = socket.response.headers["x-request-id"]
                talk = Talk(socket)
                talk.ask(f"{SECRET_WORDS} #tokens=3")
                talk.ask("again #tokens=4")
            first, second = records(hub, tenant, 2)
            spans = spans_of(hub, collector, TRACE, 7)
            named = [span for span in spans if span.name == "GET realtime"]
            responses = [span for span in spans if span.name == "realtime gpt-realtime"]
            assert (len(spans), len(named), len(responses)) == (7, 1, 2)
            assert {span.parent for span in spans} == {PARENT, named[0].id}
            attributes = named[0].attributes
            assert (attributes["http.response.status_code"], attributes["weir.request.id"]) == (
                101,
                session,
            )
            assert attributes["gen_ai.conversation.id"] == session
            for span, record in zip(responses, (first, second), strict=True):
                assert span.attributes["weir.attempt.id"] == id_text(record["id"])
                used = record["meters"]["out_text"]
                assert span.attributes["gen_ai.usage.output_tokens"] == used
                assert not span.failed
            assert responses[0].attributes["server.address"] == "127.0.0.1"
            sent = f"00-{TRACE}-{responses[0].id}-01"
            assert provider.sessions[-1].headers["traceparent"] == sent
        assert SECRET_WORDS.encode() not in collector.raw


def test_accepted_video_ends_the_span_of_its_attempt() -> None:
    """The worker settles it much later, in another process."""
    with Collector() as collector, FakeVideos() as provider:
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        with running_hub(environment) as hub:
            tenant, model = hub.tenant(), video_model(hub, provider)
            answer = hub.post(
                tenant,
                {"model": model, "prompt": SECRET_WORDS, "seconds": "8", "size": "1280x720"},
                path="/v1/videos",
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
            )
            assert answer.status == 200, answer.body
            request, admission, attempt = spans_of(hub, collector, TRACE, 3)
            assert (request.parent, admission.name) == (PARENT, "admission")
            assert (attempt.name, attempt.parent) == ("videos sora-2", request.id)
            assert attempt.attributes["server.address"] == "127.0.0.1"
            assert "weir.basis" not in attempt.attributes
            assert not attempt.failed
        assert SECRET_WORDS.encode() not in collector.raw


def check_spans(
    spans: list[ReceivedSpan], model: str, request_id: str, record: dict[str, object]
) -> None:
    request, admission, failed, second, answered, settlement = spans
    assert [span.name for span in spans] == [
        "POST chat_completions", "admission", "chat fake", "admission", "chat fake", "settlement",
    ]  # fmt: skip
    assert (request.parent, request.kind) == (PARENT, 2)
    assert {span.parent for span in spans[1:]} == {request.id}
    assert (failed.kind, answered.kind) == (3, 3)
    attributes = request.attributes
    assert attributes["weir.request.id"] == request_id
    assert attributes["http.response.status_code"] == 200
    assert attributes["gen_ai.request.model"] == model
    assert admission.attributes["weir.verdict"] == second.attributes["weir.verdict"] == "admitted"
    # The first is resolved by the transaction that admits the second.
    assert admission.end <= failed.start
    assert failed.end <= answered.start
    assert failed.attributes["error.type"] == "upstream_error"
    assert [failed.failed, answered.failed, request.failed] == [True, False, False]
    assert (failed.attributes["weir.attempt.number"], answered.attributes["weir.why"]) == (
        1,
        "failover",
    )
    meters = record["meters"]
    assert isinstance(meters, dict)
    assert answered.attributes["gen_ai.usage.input_tokens"] == meters["in_text"]
    assert answered.attributes["gen_ai.usage.output_tokens"] == meters["out_text"] == 5
    assert answered.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert answered.attributes["gen_ai.provider.name"] == "openai_compatible"
    assert answered.attributes["server.address"] == "127.0.0.1"
    assert settlement.attributes["weir.charge_nano"] == record["charge_nano"]
    assert settlement.start >= answered.start
    assert request.resource["service.name"] == "weir"
    names = {name for span in spans for name in span.attributes if not name.startswith("weir.")}
    assert names <= CONVENTIONS


def check_upstream(fake: FakeUpstream, other_fake: FakeUpstream, spans: list[ReceivedSpan]) -> None:
    """The context goes on to the channel that the operator named, and to no other."""
    (first,) = [row for row in fake.books() if SECRET_WORDS in (row["body"] or "")]
    (second,) = [row for row in other_fake.books() if SECRET_WORDS in (row["body"] or "")]
    assert "traceparent" not in first["headers"]
    assert second["headers"]["traceparent"] == f"00-{TRACE}-{spans[4].id}-01"


@pytest.mark.parametrize("exporter", ["", pytest.param("none", marks=pytest.mark.slow)])
def test_tracing_is_absent_while_disabled(exporter: str) -> None:
    """The relay is then made of the very classes that it is made of without this file."""
    program = (
        "import asyncio, sys\nfrom config.asgi import relay\n"
        "async def parts():\n"
        "    return relay._new_life().parts\n"
        "made = asyncio.run(parts())\n"
        "names = [m for m in sys.modules if m.startswith('opentelemetry.sdk')"
        " or m.startswith('opentelemetry.exporter') or m == 'relay.tracing.tracing']\n"
        "print(names, type(relay).__name__, type(made.ledger).__name__,"
        " type(made.ledger._recovery).__name__, type(made.upstreams).__name__)"
    )
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": exporter, "DATABASE_URL": "postgresql:///"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] Relay LedgerWriter LedgerRecovery Upstreams"
