"""Spans and metrics of attempts follow the gen_ai semantic conventions, by the facts of those."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from dialects.chat.chat import Dialect
from gateway.providers import PROVIDERS
from relay.tracing import inference_metrics
from relay.tracing.observer import ObservedAnswer
from relay.tracing.sent_parameters import chat_parameters, embedding_parameters
from relay.tracing.tracing import _PROVIDERS, _usage
from tests.fakes.collector import Collector, ReceivedPoint, ReceivedSpan
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, running_hub

CONVENTIONS: Final = yaml.safe_load(Path(__file__).with_name("genai_conventions.yaml").read_text())
SPANS: Final[dict[str, dict[str, str]]] = (
    CONVENTIONS["spans"]["inference"] | CONVENTIONS["spans"]["embeddings"]
)
METRICS: Final[dict[str, dict[str, Any]]] = CONVENTIONS["metrics"]
# What no span has, although the conventions recommend it.
LEFT_OUT: Final = {
    "gen_ai.request.stop_sequences": "a text of the client (P31)",
    "gen_ai.conversation.compacted": "a provider does not say so",
}
TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "string": str, "int": int, "double": (int, float), "boolean": bool, "string[]": list,
}  # fmt: skip
OPENAI: Final = {
    "max_completion_tokens": 9, "n": 2, "temperature": 0.5, "top_p": 1, "top_k": 4, "seed": 7,
    "frequency_penalty": 0, "presence_penalty": -1, "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x"}},
    "conversation": {"id": "conv_1"}, "stop": ["private"], "messages": [{"content": "private"}],
}  # fmt: skip
GEMINI: Final = {
    "contents": [{"parts": [{"text": "private"}]}],
    "generationConfig": {
        "maxOutputTokens": 9, "candidateCount": 2, "temperature": 0.5, "topP": 1, "topK": 4,
        "seed": 7, "frequencyPenalty": 0, "presencePenalty": -1,
        "responseMimeType": "application/json", "thinkingConfig": {"thinkingLevel": "low"},
        "stopSequences": ["private"],
    },
}  # fmt: skip


def check_span(attributes: dict[str, Any]) -> None:
    """Each attribute is one of the conventions, and of its type."""
    for name, value in attributes.items():
        if not name.startswith("weir."):
            assert name in SPANS, name
            assert isinstance(value, TYPES[SPANS[name]["type"]]), (name, value)


def names_of(level: str) -> set[str]:
    return {name for name, row in SPANS.items() if row["level"] == level}


# ---- requests


@pytest.mark.parametrize(("dialect", "body"), [("openai", OPENAI), ("gemini", GEMINI)])
def test_request_parameters_follow_the_conventions(dialect: Dialect, body: dict[str, Any]) -> None:
    results = dict(chat_parameters(json.dumps(body).encode(), dialect))
    check_span(results)
    assert results.pop("gen_ai.conversation.id", "conv_1") == "conv_1"
    assert results == {
        "gen_ai.request.max_tokens": 9, "gen_ai.request.choice.count": 2,
        "gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 1, "gen_ai.request.top_k": 4,
        "gen_ai.request.seed": 7, "gen_ai.request.frequency_penalty": 0,
        "gen_ai.request.presence_penalty": -1, "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
    }  # fmt: skip
    assert "private" not in str(results)


@pytest.mark.parametrize(
    ("dialect", "body", "wanted"),
    [
        # One choice is what everybody asks for.
        ("openai", {"n": 1}, {}),
        ("openai", {"n": 3}, {"gen_ai.request.choice.count": 3}),
        ("gemini", {"generationConfig": {"candidateCount": 1}}, {}),
        ("openai", {"max_tokens": 3, "max_completion_tokens": 9}, {"gen_ai.request.max_tokens": 9}),
        ("anthropic", {"max_tokens": 3, "output_config": {"effort": "high"}},
         {"gen_ai.request.max_tokens": 3, "gen_ai.request.reasoning.level": "high"}),
        ("responses", {"max_output_tokens": 4, "reasoning": {"effort": "low"},
                       "text": {"format": {"type": "json_schema"}}, "conversation": "conv_2"},
         {"gen_ai.request.max_tokens": 4, "gen_ai.request.reasoning.level": "low",
          "gen_ai.output.type": "json", "gen_ai.conversation.id": "conv_2"}),
        ("gemini", {"generationConfig": {"responseMimeType": "text/plain", "topK": 4}},
         {"gen_ai.output.type": "text", "gen_ai.request.top_k": 4}),
        ("interactions", {"generation_config": {"max_output_tokens": 5, "top_p": 0.1, "seed": 2,
                                                "temperature": 0.3, "thinking_level": "low"}},
         {"gen_ai.request.max_tokens": 5, "gen_ai.request.top_p": 0.1, "gen_ai.request.seed": 2,
          "gen_ai.request.temperature": 0.3, "gen_ai.request.reasoning.level": "low"}),
        ("converse", {"inferenceConfig": {"maxTokens": 6, "temperature": 0.2, "topP": 0.9}},
         {"gen_ai.request.max_tokens": 6, "gen_ai.request.temperature": 0.2,
          "gen_ai.request.top_p": 0.9}),
        ("openai", [], {}),
    ],
)  # fmt: skip
def test_parameters_are_read_where_each_dialect_has_them(
    dialect: Dialect, body: Any, wanted: dict[str, Any]
) -> None:
    results = dict(chat_parameters(json.dumps(body).encode(), dialect))
    check_span(results)
    assert results == wanted


def test_responses_messages_and_embeddings_record_the_same_facts() -> None:
    responses = b'{"max_output_tokens": 5, "reasoning": {"effort": "high"}, "n": 1,'
    responses += b' "text": {"format": {"type": "text"}}}'
    assert chat_parameters(responses, "responses") == {
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.reasoning.level": "high",
        "gen_ai.output.type": "text",
    }
    messages = b'{"max_tokens": 5, "output_config": {"effort": "low"}}'
    assert chat_parameters(messages, "anthropic") == {
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.reasoning.level": "low",
    }
    vectors = embedding_parameters(b'{"input": "x", "dimensions": 64, "encoding_format": "base64"}')
    check_span(dict(vectors))
    assert vectors["gen_ai.embeddings.dimension.count"] == 64
    for broken in (b"{", b'{"temperature": "hot"}', b"[]"):
        assert chat_parameters(broken, "openai") == {}
        assert embedding_parameters(b"[]") == {}


# ---- answers


class Pieces:
    """An answer of these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def next_bytes(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


async def observed(*pieces: bytes, streamed: bool) -> tuple[str, str, int]:
    """What an answer calls itself and its model, and how many chunks came after the first."""
    gaps: list[float] = []
    answer = ObservedAnswer(
        Pieces(*pieces),  # type: ignore[arg-type]
        sent_at=0.0,
        streamed=streamed,
        on_chunk=gaps.append,
    )
    while await answer.next_bytes():
        pass
    answer.identify()
    assert (answer.first_chunk_s is not None) == bool(pieces)
    return answer.id, answer.model, len(gaps)


FRAMES: Final = (
    (b'data: {"id":"chatcmpl-1","model":"m-1","choices":[]}\n\n', "chatcmpl-1", "m-1"),
    (
        b'event: x\ndata: {"type":"response.created","response":{"id":"r","model":"m"}}\n\n',
        "r",
        "m",
    ),
    (b'event: message_start\ndata: {"message":{"id":"msg_1","model":"c"}}\n\n', "msg_1", "c"),
    (b'data: {"candidates":[],"responseId":"g","modelVersion":"v"}\r\n\r\n', "g", "v"),
    (b": comment\n\ndata: [DONE]\n\n", "", ""),
)


@pytest.mark.parametrize(("frame", "id", "model"), FRAMES)
async def test_stream_is_recognised_by_its_first_frame_however_cut(
    frame: bytes, id: str, model: str
) -> None:
    for cut in range(1, len(frame)):
        result = await observed(frame[:cut], frame[cut:], b"data: {}\n\n", streamed=True)
        assert result == (id, model, 2), cut


async def test_whole_answer_is_recognised_by_its_members() -> None:
    body = (
        b'{"choices":[{"message":{"tool_calls":[{"id":"call_1"}]}}],"id":"chatcmpl-2","model":"m"}'
    )
    assert await observed(body[:30], body[30:], streamed=False) == ("chatcmpl-2", "m", 0)
    for unreadable in (b"not JSON", b'{"id":"\xff"}'):
        assert await observed(unreadable, streamed=False) == ("", "", 0)
        assert await observed(b"data: %b\n\n" % unreadable, streamed=True) == ("", "", 0)
    assert await observed(streamed=False) == ("", "", 0)


# ---- usage, providers, instruments


def test_tokens_are_distinguished_and_summed() -> None:
    meters = {
        "in_text": 1, "in_cache_read": 2, "in_cache_write_5m": 4, "in_cache_write_1h": 8,
        "in_audio": 16, "out_text": 32, "out_reasoning": 64, "searches": 128,
    }  # fmt: skip
    result = _usage(meters)
    check_span(result)
    assert result["gen_ai.usage.input_tokens"] == 31
    assert result["gen_ai.usage.cache_creation.input_tokens"] == 12
    assert result["gen_ai.usage.output_tokens"] == 96


def test_well_known_providers_have_their_name() -> None:
    known = set(CONVENTIONS["values"]["gen_ai.provider.name"])
    assert set(_PROVIDERS.values()) <= known
    assert set(_PROVIDERS) <= set(PROVIDERS)
    responses = {_PROVIDERS.get(name, name) for name in PROVIDERS}
    assert {
        "openai",
        "anthropic",
        "azure.ai.openai",
        "aws.bedrock",
        "gcp.gemini",
        "x_ai",
        "moonshot_ai",
        "mistral_ai",
        "groq",
        "perplexity",
    } <= responses
    assert {"deepseek", "cohere"} <= responses


def test_boundaries_are_those_of_the_conventions() -> None:
    assert list(inference_metrics.TOKENS) == METRICS[inference_metrics.USAGE]["boundaries"]
    for name in (
        inference_metrics.DURATION,
        inference_metrics.FIRST_CHUNK,
        inference_metrics.PER_CHUNK,
    ):
        assert list(inference_metrics.SECONDS) == METRICS[name]["boundaries"]


# ---- what a collector gets


def test_a_collector_gets_spans_and_metrics_by_the_conventions(fake: FakeUpstream) -> None:
    with Collector() as collector:
        environment = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_METRIC_EXPORT_INTERVAL": "50",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }
        with running_hub(environment) as hub:
            tenant, model = hub.tenant(), hub.model(fake)
            body = ask(
                model, "a private word #tokens=20 #delay_ms=20", stream=True, temperature=0.5
            )
            assert hub.post(tenant, body | {"max_tokens": 50, "seed": 3}).status == 200
            assert hub.post(tenant, ask(model, "#tokens=3")).status == 200
            streamed, whole = attempts_of(hub, collector, 2)
            points = points_of(hub, collector)
        for span in (streamed, whole):
            check_span(dict(span.attributes))
            assert names_of("required") <= span.attributes.keys()
            assert span.attributes["gen_ai.response.id"].startswith("chatcmpl-")
            assert span.attributes["gen_ai.response.model"]
        assert streamed.attributes["gen_ai.request.temperature"] == 0.5
        assert streamed.attributes["gen_ai.request.max_tokens"] == 50
        assert streamed.attributes["gen_ai.request.seed"] == 3
        assert streamed.attributes["gen_ai.request.stream"] is True
        assert streamed.attributes["gen_ai.response.time_to_first_chunk"] > 0
        for name in ("gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"):
            assert name not in whole.attributes
        check_points(points)
        assert b"a private word" not in collector.raw
        used = {
            point.attributes["gen_ai.token.type"]: (point.values, point.sum)
            for point in points
            if point.metric == inference_metrics.USAGE
        }
        assert used["output"] == (2, 23)
        assert used["input"][0] == 2


def attempts_of(hub: Hub, collector: Collector, count: int) -> list[ReceivedSpan]:
    """The client spans, in the order in which they began."""
    results: list[ReceivedSpan] = []

    def there() -> bool:
        results[:] = [span for span in collector.spans if span.name == "chat fake"]
        return len(results) >= count

    hub.wait(there, "the spans do not come")
    return sorted(results, key=lambda span: span.start)


def points_of(hub: Hub, collector: Collector) -> list[ReceivedPoint]:
    """The points of metrics, once both requests are in them."""

    def there() -> bool:
        durations = [p for p in collector.points if p.metric == inference_metrics.DURATION]
        return sum(point.values for point in durations) >= 2

    hub.wait(there, "the metrics do not come")
    return collector.points


def check_points(points: list[ReceivedPoint]) -> None:
    assert {point.metric for point in points} == set(METRICS)
    for point in points:
        row = METRICS[point.metric]
        assert (point.unit, list(point.bounds)) == (row["unit"], row["boundaries"])
        assert point.attributes.keys() <= row["attributes"].keys(), point
        for name, level in row["attributes"].items():
            if level == "required" or name in ("gen_ai.request.model", "server.port"):
                assert name in point.attributes, (point.metric, name)


def test_omissions_have_a_reason() -> None:
    """Each recommended attribute is told somewhere above, or named here."""
    source = Path("relay/tracing")
    text = "".join((source / name).read_text() for name in ("tracing.py", "sent_parameters.py"))
    for level in ("required", "conditionally_required", "recommended"):
        for name in names_of(level):
            assert (f'"{name}"' in text) != (name in LEFT_OUT), name
