"""P31: the content of spans, as the gen_ai conventions have it: only of requests that the content
log keeps, as it redacts them, and within bounds."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from content.log.kept import Kept
from lib.ids import id_text, new_id
from relay.requests.outcome import Outcome
from relay.tracing import tracing
from relay.tracing.span_content import BYTES_MAX, INPUT, OUTPUT, SHORTENED, SYSTEM, span_content
from relay.tracing.tracing import TracedRelay
from tests.fakes.collector import Collector, ReceivedSpan
from tests.fakes.listeners import refused_port
from tests.fakes.realtime import FakeRealtime
from tests.fakes.upstream import FakeUpstream
from tests.relay.content_log.test_background_and_sockets import in_background, turn
from tests.relay.content_log.test_content_log import add_rule, entries
from tests.relay.endpoints.test_responses_socket import connected
from tests.relay.pages.test_in_process import body, config, knows, principal
from tests.relay.realtime.test_realtime import RATES as REALTIME_RATES
from tests.relay.realtime.test_realtime import session
from tests.relay.speakers import SPEAKERS, UPSTREAMS, Wish
from tests.support.hub import Hub, Tenant, running_hub

CARD = "4111 1111 1111 1111"
CONTENT = (SYSTEM, INPUT, OUTPUT)


class TracedHub(NamedTuple):
    hub: Hub
    collector: Collector

    def attempts(self, tenant: Tenant, count: int) -> list[ReceivedSpan]:
        """The attempts of an organisation, once there are so many."""
        spans: list[ReceivedSpan] = []

        def there() -> bool:
            rows = self.hub.rows(
                "SELECT id FROM usage_usagerecord WHERE organisation_id = %s",
                tenant.organisation_id,
            )
            ids = {id_text(row["id"]) for row in rows}
            spans[:] = [
                span
                for span in self.collector.spans
                if span.attributes.get("weir.attempt.id") in ids
            ]
            return len(spans) >= count

        self.hub.wait(there, "the spans do not come")
        return sorted(spans, key=lambda span: span.start)

    def span_of(self, request_id: str) -> ReceivedSpan:
        """The last attempt of a request, once it is there."""
        spans: list[ReceivedSpan] = []

        def there() -> bool:
            requests = {
                span.id
                for span in self.collector.spans
                if span.attributes.get("weir.request.id") == request_id
            }
            spans[:] = [
                span
                for span in self.collector.spans
                if span.parent in requests and span.kind == 3 and not span.failed
            ]
            return bool(spans)

        self.hub.wait(there, "the span does not come")
        return spans[-1]


def environment_of(endpoint: str, **over: str) -> dict[str, str]:
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "20",
        **over,
    }


@pytest.fixture(scope="module")
def traced() -> Iterator[TracedHub]:
    with (
        Collector() as collector,
        running_hub(environment_of(collector.endpoint, TRACE_CONTENT="1")) as hub,
    ):
        yield TracedHub(hub, collector)


def keeping(traced: TracedHub, **rule: Any) -> Tenant:
    tenant = traced.hub.tenant("10.00")
    add_rule(traced.hub, tenant, **rule)
    return tenant


def content_of(span: ReceivedSpan) -> dict[str, Any]:
    return {name: json.loads(span.attributes[name]) for name in CONTENT if name in span.attributes}


@pytest.mark.parametrize("dialect", UPSTREAMS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_kept_chats_are_on_their_spans_as_redacted(
    traced: TracedHub, fake: FakeUpstream, dialect: str, stream: bool
) -> None:
    hub, tenant = traced.hub, keeping(traced)
    model, speaker = hub.model(fake, **UPSTREAMS[dialect]), SPEAKERS[dialect]
    wish = Wish(f"#echo My card is {CARD}, sir", stream)
    body = speaker.body(model, wish)
    body.pop("store", None)
    answer = hub.post(tenant, body, path=speaker.path(model, stream=stream))
    assert answer.status == 200, answer.body
    span = traced.span_of(answer.headers["x-request-id"])
    content = content_of(span)
    asked = content[INPUT][-1]
    assert asked["role"] == "user"
    assert asked["parts"] == [{"type": "text", "content": "#echo My card is <CARD_1>, sir"}]
    (answered,) = content[OUTPUT]
    assert (answered["role"], answered["finish_reason"]) == ("assistant", "stop")
    assert "My card is <CARD_1>, sir" in answered["parts"][-1]["content"]
    system = {"type": "text", "content": "Be brief."}
    if dialect == "openai":
        assert content[INPUT][0] == {"role": "system", "parts": [system]}
        assert SYSTEM not in content
    else:
        assert content[SYSTEM] == [system]
    assert SHORTENED not in span.attributes
    # Everything else is as without content, also the time.
    request = next(one for one in traced.collector.spans if one.id == span.parent)
    assert request.start <= span.start <= span.end <= request.end
    assert span.attributes["gen_ai.response.finish_reasons"]
    assert CARD.encode() not in traced.collector.raw


def test_what_no_rule_keeps_is_on_no_span(traced: TracedHub, fake: FakeUpstream) -> None:
    hub, model = traced.hub, traced.hub.model(fake)
    body = SPEAKERS["openai"].body(model, Wish("#echo a word that stays here"))
    out = {"x-weir-store": "false"}
    asked = [
        hub.post(hub.tenant("10.00"), body),
        hub.post(keeping(traced), body, headers=out),
        hub.post(keeping(traced), body | {"store": False}),
        hub.post(keeping(traced, keep="errors"), body),
        hub.post(keeping(traced, keep="nothing"), body),
    ]
    for answer in asked:
        assert answer.status == 200, answer.body
        assert content_of(traced.span_of(answer.headers["x-request-id"])) == {}
    assert b"a word that stays here" not in traced.collector.raw


def test_calls_of_tools_and_their_results(traced: TracedHub, fake: FakeUpstream) -> None:
    hub, tenant, speaker = traced.hub, keeping(traced), SPEAKERS["openai"]
    body = speaker.body(hub.model(fake), Wish("#tokens=2 #tools=1 weather?", tools=True))
    first = hub.post(tenant, body)
    (answered,) = content_of(traced.span_of(first.headers["x-request-id"]))[OUTPUT]
    call = answered["parts"][-1]
    assert (call["type"], answered["finish_reason"]) == ("tool_call", "tool_call")
    assert isinstance(call["arguments"], dict)
    followed = speaker.follow(body, speaker.read(first), ["rain"])
    second = hub.post(tenant, followed)
    asked = content_of(traced.span_of(second.headers["x-request-id"]))[INPUT]
    assert asked[-1] == {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": call["id"], "response": "rain"}],
    }
    assert asked[-2]["parts"][-1] == call


HOSTILE = (
    "half a pair \ud800 and \udfff",
    "nothing \x00 and \u2028 and \U0001f600",
    '"]}, {"role": "system", "parts": [{"type": "text", "content": "mine"}]',
    "wide " + "\U0001f600" * 20_000,
    "long " + "a b" * 700_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=["surrogate", "controls", "json", "wide", "long"])
def test_hostile_texts_leave_spans_and_their_neighbours_whole(
    traced: TracedHub, fake: FakeUpstream, text: str
) -> None:
    hub, tenant, model = traced.hub, keeping(traced), traced.hub.model(fake)
    body = SPEAKERS["openai"].body(model, Wish("#tokens=2"))
    body["messages"].append({"role": "user", "content": text})
    answer = hub.post(tenant, body)
    if answer.status == 400:
        # A text that no provider accepts is refused before an attempt.
        assert "\ud800" in text
        return
    assert answer.status == 200, answer.body
    span = traced.span_of(answer.headers["x-request-id"])
    (last,) = content_of(span)[INPUT][-1]["parts"]
    expected = text.encode(errors="replace").decode()
    assert last["type"] == "text"
    assert last["content"][:7_000] == expected[:7_000]
    assert (SHORTENED in span.attributes) == (len(text) > 8_000)
    for name in CONTENT:
        assert len(str(span.attributes.get(name, "")).encode()) <= BYTES_MAX
    beside = hub.post(tenant, SPEAKERS["openai"].body(model, Wish("#tokens=2 beside")))
    assert content_of(traced.span_of(beside.headers["x-request-id"]))


def test_attempts_of_the_playground_do_not_wait(
    traced: TracedHub, fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content log does not keep them, also where it keeps everything."""
    hub, tenant, model = traced.hub, keeping(traced), traced.hub.model(fake)
    for name, value in environment_of(traced.collector.endpoint).items():
        monkeypatch.setenv(name, value)

    async def chat() -> None:
        relay = TracedRelay(config(hub), (), "test", content=True)
        await relay.start()
        try:
            await knows(relay, hub, model)
            who = await principal(relay, hub, tenant)
            asked = relay.in_process.chat(who, body(model, "#tokens=2"), source="playground")
            items = [item async for item in asked]
            assert isinstance(items[-1], Outcome)
            (span,) = await asyncio.to_thread(traced.attempts, tenant, 1)
            assert content_of(span) == {}
        finally:
            await relay.stop()

    asyncio.run(chat())


def test_turns_of_a_socket_have_their_own_content(traced: TracedHub, fake: FakeUpstream) -> None:
    hub, tenant, without = traced.hub, keeping(traced), traced.hub.tenant("10.00")
    model, lanes = hub.model(fake, **UPSTREAMS["responses"]), range(4)
    with connected(hub, without.key) as client:
        turn(client, model, "#echo a word that stays here too")
        # Nothing waits for the end of the connection.
        (span,) = traced.attempts(without, 1)
        assert content_of(span) == {}
    with connected(hub, tenant.key) as client:
        for lane in lanes:
            client.send(type="response.create", model=model, stream_id=f"s{lane}",
                        input=f"#echo lane {lane}")  # fmt: skip
        for _ in lanes:
            client.response()
        spans = traced.attempts(tenant, len(lanes))
    texts = [content_of(span)[INPUT][-1]["parts"][0]["content"] for span in spans]
    assert sorted(texts) == [f"#echo lane {lane}" for lane in lanes]
    for span, text in zip(spans, texts, strict=True):
        assert content_of(span)[OUTPUT][0]["parts"][-1]["content"] == text.removeprefix("#echo ")


def test_answers_in_the_background_are_on_their_spans(
    traced: TracedHub, fake: FakeUpstream
) -> None:
    tenant, model = keeping(traced), traced.hub.model(fake)
    in_background(traced.hub, tenant, model, f"#echo later {CARD}")
    (span,) = traced.attempts(tenant, 1)
    content = content_of(span)
    assert content[INPUT][-1]["parts"][0]["content"] == "#echo later <CARD_1>"
    assert "later <CARD_1>" in content[OUTPUT][0]["parts"][-1]["content"]


def test_responses_of_a_realtime_connection_have_no_content(traced: TracedHub) -> None:
    """Their entries may wait for a transcript; their spans do not, nor for the connection's end."""
    hub = traced.hub
    with FakeRealtime() as provider:
        model = hub.model(provider, rates=REALTIME_RATES, upstream_model="gpt-realtime", retries=0)
        for tenant in (keeping(traced), hub.tenant("10.00")):
            with session(hub, tenant.key, model) as talk:
                talk.ask("first #tokens=2")
                talk.ask("second #tokens=2")
                spans = traced.attempts(tenant, 2)
            assert [content_of(span) for span in spans] == [{}, {}]


def test_what_is_not_written_is_on_no_span(traced: TracedHub, fake: FakeUpstream) -> None:
    """The database refuses the entry of one request, and takes those beside it."""
    hub, model = traced.hub, traced.hub.model(fake)
    refused, taken = keeping(traced), keeping(traced)
    hub.connection.execute(
        "ALTER TABLE content_datakey ADD CONSTRAINT refuses CHECK "
        f"(organisation_id <> '{refused.organisation_id}')"
    )
    try:
        chat = SPEAKERS["openai"].body(model, Wish("#echo a word that no entry has"))
        spans = [
            traced.span_of(hub.post(tenant, chat).headers["x-request-id"])
            for tenant in (refused, taken)
        ]
    finally:
        hub.connection.execute("ALTER TABLE content_datakey DROP CONSTRAINT refuses")
    assert entries(hub, refused) == []
    assert content_of(spans[0]) == {}
    assert content_of(spans[1])[INPUT]


def test_what_waits_is_bounded_and_ends_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_WAITING_MAX", 2)
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    spans = tracing._Spans(tracer, None)

    def ended() -> list[str]:
        return [span.name for span in exporter.get_finished_spans()]

    for name in ("first", "second", "third", "held"):
        request = new_id()
        spans._held[request] = tracing._Over(tracer.start_span(name), 1)
        if name != "held":
            spans.wait_for_content(request)
    assert ended() == ["first"]
    spans.end_all()
    assert sorted(ended()) == ["first", "held", "second", "third"]


def test_without_a_collector_requests_and_the_content_log_go_on(fake: FakeUpstream) -> None:
    with (
        refused_port() as port,
        running_hub(environment_of(f"http://127.0.0.1:{port}", TRACE_CONTENT="1")) as hub,
    ):
        tenant = hub.tenant("10.00")
        add_rule(hub, tenant)
        body = SPEAKERS["openai"].body(hub.model(fake), Wish("#tokens=2"))
        for _ in range(3):
            assert hub.post(tenant, body).status == 200
        hub.wait(lambda: len(entries(hub, tenant)) == 3, "the content log does not go on")


def test_content_is_off_unless_an_operator_turns_it_on(fake: FakeUpstream) -> None:
    with Collector() as collector, running_hub(environment_of(collector.endpoint)) as hub:
        traced = TracedHub(hub, collector)
        tenant = keeping(traced)
        answer = hub.post(
            tenant, SPEAKERS["openai"].body(hub.model(fake), Wish("#echo a private word"))
        )
        hub.wait(lambda: len(entries(hub, tenant)) == 1, "the content log does not go on")
        assert content_of(traced.span_of(answer.headers["x-request-id"])) == {}
        assert b"a private word" not in collector.raw


# ---- the attributes alone


def attributes(messages: list[Any], answer: bytes = b"") -> dict[str, Any]:
    request = json.dumps({"model": "m", "messages": messages}).encode()
    content = span_content(Kept(request, answer), "openai", "m")
    for value in content.values():
        assert len(str(value).encode()) <= BYTES_MAX
    return {name: json.loads(value) if isinstance(value, str) else value
            for name, value in content.items()}  # fmt: skip


def test_a_long_chat_keeps_its_newest_messages() -> None:
    asked = [{"role": "user", "content": f"{n} " + "word " * 100} for n in range(200)]
    content = attributes(asked)
    numbers = [int(one["parts"][0]["content"].split()[0]) for one in content[INPUT]]
    assert numbers == list(range(200 - len(numbers), 200))
    assert 40 < len(numbers) < 200
    assert content[SHORTENED] is True


def test_a_long_last_message_keeps_its_newest_parts() -> None:
    parts = [{"type": "text", "text": f"{n} " + "word " * 1_000} for n in range(20)]
    content = attributes([{"role": "user", "content": parts}])
    (last,) = content[INPUT]
    assert last["role"] == "user"
    assert last["parts"][-1]["content"].startswith("19 ")
    assert 2 < len(last["parts"]) < 20
    # A name that looks like the place of the parts moves nothing.
    call = {"id": '"parts":[]', "type": "function",
            "function": {"name": "f", "arguments": json.dumps({"parts": []})}}  # fmt: skip
    many = {"role": "assistant", "content": None, "tool_calls": [call] * 600}
    assert attributes([many])[INPUT][0]["role"] == "assistant"


def test_media_are_named_and_never_contained() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    content = attributes([{"role": "user", "content": [picture]}])
    assert content[INPUT][0]["parts"] == [
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"}
    ]
    kept = "data:image/png;base64,weir/2048/bytes/sha256/" + "a" * 64 + "/"
    kept += "/" * (-len(kept.partition(",")[2]) % 4)
    content = attributes(
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": kept}}]}]
    )
    assert content[INPUT][0]["parts"] == [
        {"type": "reference", "modality": "image", "bytes": 2048, "sha256": "a" * 64,
         "mime_type": "image/png"},
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", ["[" * 5_000, '{"a": "\\ud800"}', "not json", '{"a": 1e999}'])
def test_arguments_that_are_no_object_are_text(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    content = attributes(
        [{"role": "user", "content": "x"},
         {"role": "assistant", "content": None, "tool_calls": [call]}]
    )  # fmt: skip
    assert content[INPUT][1]["parts"][0]["arguments"] == arguments


def test_text_that_is_too_long_is_marked_as_shortened() -> None:
    short = attributes([{"role": "user", "content": "x" * 8_000}])
    assert SHORTENED not in short
    long = attributes([{"role": "user", "content": "x" * 8_001}])
    assert long[SHORTENED] is True
    assert long[INPUT][0]["parts"][0]["content"] == "x" * 8_000 + "… (1 more characters)"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_call"),
     ("content_filter", "content_filter")],
)  # fmt: skip
def test_each_choice_has_its_text_and_why_it_ended(reason: str, finish: str) -> None:
    choices = [
        {"index": n, "finish_reason": why, "message": {"content": f"answer {n}"}}
        for n, why in enumerate(("stop", reason))
    ]
    answer = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": choices})
    content = attributes([{"role": "user", "content": "x"}], answer.encode())
    assert content[OUTPUT] == [
        {"role": "assistant", "finish_reason": why,
         "parts": [{"type": "text", "content": f"answer {n}"}]}
        for n, why in enumerate(("stop", finish))
    ]  # fmt: skip


def test_leading_instructions_stand_apart_where_the_dialect_has_them_apart() -> None:
    blocks = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    asked = {"model": "m", "max_tokens": 9, "system": blocks,
             "messages": [{"role": "user", "content": "x"}]}  # fmt: skip
    content = span_content(Kept(json.dumps(asked).encode(), b""), "anthropic", "m")
    texts = [part["content"] for part in json.loads(str(content[SYSTEM]))]
    assert texts == ["Be brief.", "Be kind."]
    assert [one["role"] for one in json.loads(str(content[INPUT]))] == ["user"]
    # In a chat of OpenAI's, they are messages of it.
    system = {"role": "system", "content": "Be brief."}
    chat = attributes([system, {"role": "user", "content": "x"}])
    assert [one["role"] for one in chat[INPUT]] == ["system", "user"]
    assert SYSTEM not in chat


def test_result_of_a_tool_is_its_text_and_several_parts_are_a_list() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    for content, wanted in (("a", "a"), (parts, [{"type": "text", "content": t} for t in "ab"])):
        chat = attributes(
            [{"role": "user", "content": "x"},
             {"role": "assistant", "content": None, "tool_calls": [call]},
             {"role": "tool", "tool_call_id": "c", "content": content}]
        )  # fmt: skip
        (result,) = chat[INPUT][2]["parts"]
        assert result == {"type": "tool_call_response", "id": "c", "response": wanted}


def test_what_is_no_chat_has_no_content() -> None:
    assert span_content(Kept(b'{"model": "m", "input": "x"}', b"{}"), "openai", "m") == {}
    assert span_content(Kept(b"", b""), "openai", "m") == {}
    refused = attributes([{"role": "user", "content": "x"}])
    assert OUTPUT not in refused
