"""Every client dialect to every upstream dialect, whole and streamed: what is said, and what it
costs by the provider's own books.

The suite has a draw: of each test every client and every upstream in each form, forwarded and
translated, and of each pair of dialects some test in each form; `make chaos` has all.
"""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import (
    BOOKED,
    SPEAKERS,
    UPSTREAMS,
    Speaker,
    SpokenAnswer,
    Wish,
    frames,
    messages,
    spoken_at,
)
from tests.support.hub import Answer, Hub, Tenant
from tests.support.pairwise import slow_unless

pytestmark = pytest.mark.usefixtures("balanced_books")

IN, OUT = 1, 3
RATES = {
    "in_text": IN * 10**6, "in_cache_read": IN * 10**6, "in_image": IN * 10**6,
    "out_text": OUT * 10**6, "out_reasoning": OUT * 10**6,
}  # fmt: skip
CELLS = [(client, upstream) for client in SPEAKERS for upstream in UPSTREAMS]
# Who goes on with what another provider began, and at which of its models.
GOING_ON: list[tuple[str, str, dict[str, Any]]] = [
    *((client, first, {}) for client, first in CELLS if first != client),
    ("gemini", "anthropic", {"upstream_model": "gemini-3-pro-preview"}),
]
cells = pytest.mark.parametrize(("client", "upstream"), CELLS)
FORMS = {False: "plain", True: "stream"}
plain_and_streamed = pytest.mark.parametrize("stream", FORMS, ids=list(FORMS.values()))


def drawn(turn: int, client: str, upstream: str, stream: bool) -> bool:
    """Whether a cell stands in the suite, in the test whose turn it is."""
    places = list(SPEAKERS)
    apart = (places.index(upstream) - places.index(client)) % len(places)
    if apart == 0:
        return stream == bool(turn % 2)
    return apart == 1 + (turn + stream) % (len(places) - 1)


def drawn_cells(turn: int, *, forms: Sequence[bool] = (False, True)) -> pytest.MarkDecorator:
    """Every pair of dialects in each form."""
    return pytest.mark.parametrize(
        ("client", "upstream", "stream"),
        [
            pytest.param(
                *pair, stream, marks=slow_unless(drawn(turn, *pair, stream)),
                id=f"{'-'.join(pair)}-{FORMS[stream]}",
            )
            for stream in forms
            for pair in CELLS
        ],
    )  # fmt: skip


def open_model(hub: Hub, fake: FakeUpstream, upstream: str, **over: Any) -> str:
    return hub.model(fake, rates=RATES, **(UPSTREAMS[upstream] | over))


def send(
    hub: Hub,
    tenant: Tenant,
    speaker: Speaker,
    model: str,
    body: Any,
    stream: bool,
    *,
    tells_cost: bool = False,
) -> Answer:
    headers = {"x-weir-include-cost": "true"} if tells_cost else None
    return hub.post(tenant, body, path=speaker.path(model, stream=stream), headers=headers)


def objects_in(answer: Answer) -> list[dict[str, Any]]:
    """What an answer consists of: one object, or those of its stream."""
    if answer.headers["content-type"] == "application/vnd.amazon.eventstream":
        return [body for _, body in messages(answer.body)]
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return [answer.json()]
    return [json.loads(text) for _, text in frames(answer.body) if text != "[DONE]"]


def cost_nano_in(answer: Answer) -> Decimal:
    """The charge that an answer tells, which it does once."""
    usages = [
        one_objects_value.get("usage")
        or one_objects_value.get("usageMetadata")
        or one_objects_value.get("response", {}).get("usage")
        or one_objects_value.get("interaction", {}).get("usage")
        for one_objects_value in objects_in(answer)
    ]
    (cost,) = [usage["cost"] for usage in usages if usage and "cost" in usage]
    return Decimal(cost) * 10**9


def ask_speaker(
    hub: Hub, tenant: Tenant, speaker: Speaker, model: str, wish: Wish
) -> tuple[SpokenAnswer, Answer, dict[str, Any]]:
    body = speaker.body(model, wish)
    answer = send(hub, tenant, speaker, model, body, wish.stream)
    assert answer.status == 200, answer.body
    return speaker.read(answer), answer, body


def booked(
    hub: Hub, fake: FakeUpstream, answer: Answer, speaker: Speaker, upstream: str, stream: bool
) -> dict[str, Any]:
    """The fake's row; our record says the same to the token and to the nano."""
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    spoken = BOOKED[spoken_at(speaker.name, upstream)]
    assert (row["dialect"], row["unknown"]) == (spoken, [])
    usage, meters = row["usage"], record["meters"]
    body = {
        side: sum(count for name, count in meters.items() if name.startswith(side))
        for side in ("in_", "out_")
    }
    assert body == {"in_": usage["prompt_tokens"], "out_": usage["completion_tokens"]}
    # Amazon counts thoughts as output, and not by themselves.
    reasoning = 0 if spoken == "converse" else row["reasoning_tokens"]
    assert meters.get("out_reasoning", 0) == reasoning
    assert record["charge_nano"] == body["in_"] * IN + body["out_"] * OUT
    assert (record["status"], record["basis"], record["stream"]) == (200, "measured", stream)
    operation = speaker.operation
    if stream:
        streamed = {"generate_content": "stream_generate_content", "converse": "converse_stream"}
        operation = streamed.get(operation, operation)
    assert (record["dialect"], record["operation"]) == (speaker.name, operation)
    return row


@drawn_cells(0)
def test_text(hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool) -> None:
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#tokens=12 #lang=mixed #cached=2 good morning", stream)
    text, answer, _ = ask_speaker(hub, tenant, speaker, model, wish)
    assert text.text == expected_text("a", wish.text, 12, "mixed")
    assert (text.whole, text.error, text.calls) == (True, None, [])
    assert text.finish in ("stop", "completed", "end_turn", "STOP")
    row = booked(hub, fake, answer, speaker, upstream, stream)
    assert text.usage == (row["usage"]["prompt_tokens"], 12)
    # An alias hides what stands behind it. Amazon's dialect names no model.
    assert (f'"{model}"'.encode() in answer.body) == (client != "converse")
    assert f'"{UPSTREAMS[upstream]["upstream_model"]}"'.encode() not in answer.body


@drawn_cells(1)
def test_usage_includes_the_cost_when_asked(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    """Once, and in a frame like all others of its stream."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#tokens=12", stream))
    answer = send(hub, tenant, speaker, model, body, stream, tells_cost=True)
    text = speaker.read(answer)
    assert (text.whole, text.text) == (True, expected_text("a", "#tokens=12", 12))
    assert cost_nano_in(answer) == hub.record(answer.headers["x-request-id"])["charge_nano"] > 0
    if stream and client == "openai":
        objects = objects_in(answer)
        assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in objects}) == 1


@drawn_cells(1, forms=[True])
def test_stream_without_usage_includes_the_cost(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    """F25: beside our own count."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    body = speaker.body(model, Wish("#tokens=12 #usage=none", stream))
    answer = send(hub, tenant, speaker, model, body, stream, tells_cost=True)
    assert speaker.read(answer).whole
    assert cost_nano_in(answer) == hub.record(answer.headers["x-request-id"])["charge_nano"] > 0


@drawn_cells(2)
def test_end_by_length(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#tokens=50", stream, cap=20)
    text, answer, _ = ask_speaker(hub, tenant, speaker, model, wish)
    assert text.text == expected_text("a", wish.text, 20)
    assert text.finish in ("length", "incomplete", "max_tokens", "MAX_TOKENS")
    booked(hub, fake, answer, speaker, upstream, stream)


@drawn_cells(3)
def test_tools_in_two_phases(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    """Two calls at once with text before them, then their results."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#tokens=4 #tools=2 weather?", stream, tools=True)
    text, answer, body = ask_speaker(hub, tenant, speaker, model, wish)
    assert text.text == expected_text("a", wish.text, 4)
    assert [call.name for call in text.calls] == ["get_weather", "get_weather"]
    assert [call.arguments["n"] for call in text.calls] == [0, 1]
    assert all("上海" in call.arguments["city"] for call in text.calls)
    assert text.finish in ("tool_calls", "completed", "tool_use", "STOP", "requires_action")
    booked(hub, fake, answer, speaker, upstream, stream)

    followed = speaker.follow(body, text, ["21 degrees", "rain"])
    answer = send(hub, tenant, speaker, model, followed, stream)
    assert answer.status == 200, answer.body
    then = speaker.read(answer)
    assert (then.whole, then.calls) == (True, [])
    row = booked(hub, fake, answer, speaker, upstream, stream)
    assert row["results"] == ["21 degrees", "rain"]


LONG = [f"mcp__{'inventory_of_the_northern_warehouse_' * 3}_{n}" for n in (1, 2)]


@drawn_cells(3)
def test_long_tool_names_come_back_in_both_phases(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    """Names of up to Claude's 128 characters, alike in all that other providers take of them. The
    fake refuses what its dialect does not take."""
    if spoken_at(client, upstream) == client != "anthropic":
        pytest.skip(reason="a request that is forwarded is the provider's to judge")
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#tokens=0 #tools=2 weather?", stream, tools=True)
    first, second = LONG
    body = json.loads(json.dumps(speaker.body(model, wish)).replace("get_weather", first))
    _declare_another(body, first, second)
    answer = send(hub, tenant, speaker, model, body, stream)
    assert answer.status == 200, answer.body
    text = speaker.read(answer)
    assert [call.name for call in text.calls] == [first, second]
    followed = speaker.follow(body, text, ["21 degrees", "rain"])
    answer = send(hub, tenant, speaker, model, followed, stream)
    assert answer.status == 200, answer.body
    row = fake.wait_for_row(id_text(hub.record(answer.headers["x-request-id"])["id"]))
    assert row is not None
    assert row["results"] == ["21 degrees", "rain"]


def _declare_another(value: Any, name: str, other: str) -> None:
    """Repeat each declaration of a tool with another name."""
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, list):
            declared = [item for item in inner if f'"name": "{name}"' in json.dumps(item)]
            flat = [
                item for item in declared if not any(isinstance(v, list) for v in item.values())
            ]
            inner += [json.loads(json.dumps(item).replace(name, other)) for item in flat]
        if isinstance(inner, dict | list):
            _declare_another(inner, name, other)


@drawn_cells(4)
def test_reasoning(hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool) -> None:
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#reasoning=6 #tokens=5 think", stream, think=True)
    text, answer, _ = ask_speaker(hub, tenant, speaker, model, wish)
    assert len(text.reasoning.split()) == 6
    assert len(text.text.split()) == 5
    row = booked(hub, fake, answer, speaker, upstream, stream)
    assert row["reasoning_tokens"] == 6


@drawn_cells(5)
def test_seals_come_back_around_tools(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    """What a provider sealed reaches it again unchanged, in whichever dialect its client speaks;
    the fake refuses what is missing or wrong."""
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#reasoning=4 #tokens=0 #tools=1 #seals think", stream, tools=True, think=True)
    if upstream == "openai":
        wish.text = wish.text.replace("#seals ", "")
    text, answer, body = ask_speaker(hub, tenant, speaker, model, wish)
    assert len(text.calls) == 1
    booked(hub, fake, answer, speaker, upstream, stream)
    answer = send(hub, tenant, speaker, model, speaker.follow(body, text, ["rain"]), stream)
    assert answer.status == 200, answer.body
    row = booked(hub, fake, answer, speaker, upstream, stream)
    assert row["results"] == ["rain"]
    if upstream in ("anthropic", "gemini", "interactions"):
        assert row["seals"] == 1


@pytest.mark.parametrize(
    ("client", "first", "then", "stream"),
    [
        pytest.param(*going, stream, marks=slow_unless(stream == bool(turn % 2)))
        for stream in FORMS
        for turn, going in enumerate(GOING_ON)
    ],
)
def test_conversation_continues_at_another_provider(
    hub: Hub, fake: FakeUpstream, client: str, first: str, then: dict[str, Any], stream: bool
) -> None:
    """Coming back, a seal must fit the channel now used, or its thought
    is left out; also where the client's bytes go on, whose provider verifies what it is shown."""
    speaker, tenant = SPEAKERS[client], hub.tenant()
    wish = Wish("#reasoning=4 #tokens=3 #tools=1 think", stream, tools=True, think=True)
    text, _, body = ask_speaker(hub, tenant, speaker, open_model(hub, fake, first), wish)
    assert (len(text.calls), len(text.reasoning.split())) == (1, 4)
    model = open_model(hub, fake, client, **then)
    followed = speaker.follow(body, text, ["rain"])
    if "model" in followed:
        followed["model"] = model
    answer = send(hub, tenant, speaker, model, followed, stream)
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    # Google's models read each other's seals, in either of its dialects, and so do Claude's.
    kept = {client, first} == {"gemini", "interactions"}
    kept |= (client, first) == ("converse", "anthropic")
    assert (row["dialect"], row["results"], row["seals"]) == (BOOKED[client], ["rain"], kept)


@drawn_cells(6)
def test_structured_output(
    hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool
) -> None:
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    text, answer, _ = ask_speaker(hub, tenant, speaker, model, Wish("a trip", stream, schema=True))
    assert set(json.loads(text.text)) == {"city", "days"}
    booked(hub, fake, answer, speaker, upstream, stream)


@drawn_cells(7)
def test_image(hub: Hub, fake: FakeUpstream, client: str, upstream: str, stream: bool) -> None:
    speaker, tenant, model = SPEAKERS[client], hub.tenant(), open_model(hub, fake, upstream)
    wish = Wish("#tokens=3 what is this", stream, image=True)
    text, answer, _ = ask_speaker(hub, tenant, speaker, model, wish)
    assert text.text == expected_text("a", wish.text, 3)
    row = booked(hub, fake, answer, speaker, upstream, stream)
    (picture,) = row["media"]
    assert (picture["kind"], picture["type"]) == ("image", "image/png")
    assert picture["bytes"] > 60
