"""What a connection holds, limits, records and ends with, without a provider."""

import json
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from dialects.errors.errors import RequestFault
from dialects.realtime.realtime import read_client_event, read_server_event, read_settings
from gateway.channel_order.channel_order import Route
from gateway.providers.models import find_row
from relay.downstream.limit_answers import ChannelFull, LimitReached
from relay.errors import DatabaseAway
from relay.health.channels_out import none_on
from relay.realtime.connection_holds import ConnectionHolds, EventRefused, RealtimeOver
from relay.realtime.conversation import Conversation
from relay.realtime.hold_sizes import FIRST_CONTEXT, ResponseBound, first_bound, response_bound
from relay.realtime.live.operation import backend_bound
from relay.realtime.live.stretches import StretchMeter
from relay.realtime.new_client_secret import new_secret
from relay.realtime.output_limit import OutputLimit
from relay.realtime.response import MeteredRequest, RunningResponses
from relay.realtime.talk_events import _item
from relay.requests.labels import Labels
from relay.requests.options import RequestOptions
from tests.relay.downstream.test_limit_answers import reached

# ---- how much is held


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        ({"in_text": 1, "out_text": 2}, {"in_text": 90, "out_text": 7}),
        # The dearest of what may be heard and said, whatever it is.
        ({"in_text": 1, "in_audio": 9, "in_image": 5, "out_text": 2, "out_audio": 8},
         {"in_audio": 90, "out_audio": 7}),
        ({"in_text": 9, "in_audio": 1, "out_text": 8, "out_audio": 2},
         {"in_text": 90, "out_text": 7}),
        ({"in_text": 1, "in_image": 5, "out_text": 2}, {"in_image": 90, "out_text": 7}),
        ({"in_audio": 1, "out_audio": 2}, None),
    ],
)  # fmt: skip
def test_response_holds_its_dearest_input_and_output(rates: Any, wanted: Any) -> None:
    bound = ResponseBound(90, 7)
    assert bound.bound(rates) == wanted
    assert bound.fixed(7).bound(rates) == wanted


def test_hold_grows_with_the_input_up_to_the_context_of_the_model() -> None:
    whole = ResponseBound(32_000, 4_096)
    assert whole.is_full
    part = whole.within(1_000)
    assert (part.context_tokens, part.output_tokens, part.is_full) == (1_000, 4_096, False)
    assert whole.within(32_000) == whole.within(99_000) == whole
    assert part.capped(5) == ResponseBound(1_000, 5, is_full=False)
    assert part.fixed(5)[:] == (1_000, 5, False)


def test_first_hold_is_of_a_short_talk_at_the_largest_model_that_may_answer() -> None:
    snapshot: Any = SimpleNamespace(routes_of=lambda _: [Route("a", "m", "unknown-model")])
    unknown = response_bound(snapshot, "m")
    assert unknown == ResponseBound(32_000, 4_096)
    assert first_bound(snapshot, "m") == unknown.within(FIRST_CONTEXT)
    known: Any = SimpleNamespace(routes_of=lambda _: [Route("a", "m", "gpt-realtime")])
    assert response_bound(known, "m").context_tokens >= 32_000
    # Its own name counts as well as those of its channels, also for what it delegates.
    of_name = find_row("gpt-4o")
    assert of_name is not None
    wanted = (of_name.context_max, of_name.output_max)
    assert response_bound(snapshot, "gpt-4o")[:2] == wanted != (32_000, 4_096)
    assert backend_bound(snapshot, "gpt-4o", None)[:2] == wanted
    assert backend_bound(snapshot, "gpt-4o", 50)[1] == 50
    assert backend_bound(snapshot, "gpt-4o", 10**9)[1] == of_name.output_max
    assert backend_bound(snapshot, "m", None)[:2] == (128_000, 16_384)


def test_conversation_has_the_cached_input_of_its_last_answer() -> None:
    conversation = Conversation()
    conversation.begin()
    conversation.end({
        "in_text": 1, "in_cache_read": 20, "in_audio": 300, "in_audio_cached": 4_000,
        "in_image": 50_000, "in_image_cached": 600_000, "out_text": 7, "out_audio": 80,
    })  # fmt: skip
    assert conversation.tokens_max == 654_408
    assert conversation.begin() == {"in_text": 28, "in_audio": 4_300, "in_image": 650_000}


def test_answer_that_read_less_leaves_the_conversation_as_long_as_it_was() -> None:
    conversation = Conversation()
    for in_text, tokens in ((900, 1_000), (20, 1_000), (900, 1_000), (950, 1_050)):
        conversation.begin()
        conversation.end({"in_text": in_text, "out_text": 100})
        assert conversation.tokens_max == tokens


def test_what_was_sent_is_counted_for_one_response_after_the_other() -> None:
    conversation, event = Conversation(), read_client_event(b'{"type":"conversation.item.create"}')
    for sent, tokens in ((300, 100), (300, 200), (0, 200), (600, 400)):
        conversation.note_sent(event, sent)
        assert conversation.tokens_max == tokens
        conversation.begin()
        assert conversation.tokens_max == tokens


def test_settings_that_name_no_format_leave_the_one_before() -> None:
    conversation = Conversation()
    sound = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 3_200}).encode()
    phone = b'{"type":"session.updated","session":{"input_audio_format":"g711_ulaw"}}'
    other = b'{"type":"session.updated","session":{"instructions":"Be brief."}}'
    for settings in (phone, other):
        conversation.note_settings(read_server_event(settings))
        before = conversation.tokens_max
        conversation.note_sent(read_client_event(sound), len(sound))
        # 2,400 bytes of 8 a millisecond.
        assert conversation.tokens_max == before + 3


@pytest.mark.parametrize("order", [("gpt-realtime", "gpt-4o"), ("gpt-4o", "gpt-realtime")])
def test_response_is_held_for_the_largest_model_that_may_answer(order: tuple[str, str]) -> None:
    routes = [Route(name, "m", upstream_model=cast(Any, name)) for name in order]
    bound = response_bound(cast(Any, SimpleNamespace(routes_of=lambda _: routes)), "m")
    each = [find_row(name) for name in order]
    assert bound.context_tokens == max(one.context_max or 0 for one in each if one)
    assert bound.output_tokens == max(one.output_max or 0 for one in each if one)
    assert len({one.context_max for one in each if one}) == 2


# ---- what a refused hold means


@pytest.mark.parametrize(
    ("error", "wait_s", "status"),
    [
        (LimitReached(reached(wait_ms=7_000), ""), 7.0, 429),
        (ChannelFull(reached(wait_ms=9_000)), 9.0, 429),
        # Nobody asks again in a shorter time.
        (LimitReached(reached(wait_ms=1), ""), 0.0, 429),
        (RequestFault("insufficient_balance", None, "no"), None, 402),
        (none_on("m", (), 0.0), None, 503),
        (DatabaseAway("away"), None, 503),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_limit_refuses_an_event_and_anything_else_ends_the_connection(
    error: Exception, wait_s: float | None, status: int
) -> None:
    holds: Any = SimpleNamespace(limited=None, _context=SimpleNamespace(time=lambda: 100.0))

    async def placing() -> None:
        raise error

    with pytest.raises((EventRefused, RealtimeOver)) as raised:
        await ConnectionHolds.granted(holds, placing())
    refused: Any = raised.value
    assert refused.error.status == status
    assert isinstance(refused, EventRefused) == (wait_s is not None)
    if wait_s is None:
        assert holds.limited is None
    else:
        until, told = holds.limited
        assert until >= 100.0 + wait_s
        assert until <= 100.0 + max(wait_s, 5.0)
        assert told == refused.error


# ---- a client secret


def test_secret_of_a_page_has_the_options_of_its_request_and_ends_with_its_key() -> None:
    options = RequestOptions(
        max_cost_nano=5, labels=Labels("search", ("beta",), "c-42"), session_cap_nano=7
    )
    for expires_at, ends_at in ((None, 1_000), (500.9, 500), (2_000.0, 1_000)):
        request: Any = SimpleNamespace(
            principal=SimpleNamespace(digest=b"digest", expires_at=expires_at)
        )
        secret = new_secret(request, options, {"type": "realtime"}, 1_000)
        assert secret.expires_at == ends_at
    assert (secret.digest, secret.session) == (b"digest", {"type": "realtime"})
    assert (secret.labels, secret.data_policy) == (options.labels, options.data_policy)
    assert (secret.max_cost_nano, secret.session_cap_nano) == (5, 7)


# ---- the output limit


class Socket:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def send(self, raw: bytes) -> None:
        self.sent.append(json.loads(raw))


def limited(*headers: tuple[bytes, bytes]) -> tuple[OutputLimit, Socket]:
    socket = Socket()
    invocation: Any = SimpleNamespace(headers=headers)
    return OutputLimit(invocation, cast(Any, socket)), socket


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ((), "max_output_tokens"),
        (((b"OpenAI-Beta", b"realtime=v1"),), "max_response_output_tokens"),
    ],
)
async def test_provider_is_told_the_lower_of_the_clients_limit_and_ours(
    headers: Any, name: str
) -> None:
    limit, socket = limited(*headers)
    update = b'{"type":"session.update","session":{"voice":"a"}}'
    settings: Any = SimpleNamespace(output_max=None)
    # Without a limit of ours, what the client says goes on as it came.
    assert limit.fit_settings(settings, update) == update
    await limit.set(200)
    await limit.set(200)
    assert [sent["session"][name] for sent in socket.sent] == [200]
    assert json.loads(limit.fit_settings(settings, update))["session"][name] == 200
    low = b'{"type":"session.update","session":{"%b":50}}' % name.encode()
    fitted = json.loads(limit.fit_settings(cast(Any, SimpleNamespace(output_max=50)), low))
    assert fitted["session"][name] == 50
    # What the client says nothing about stays as the client has set it.
    fitted = json.loads(limit.fit_settings(settings, update))
    assert fitted["session"] == {"voice": "a", name: 50}
    for asked, sent in ((None, 50), (100, 100), ("inf", 200), (300, 200)):
        wanted = {} if asked is None else {name: asked}
        event = {"type": "response.create", "response": wanted}
        fitted = json.loads(limit.fit_response(json.dumps(event).encode()))
        assert fitted["response"] == {name: sent}
    # The client's own limit comes back with the money.
    await limit.set(300)
    await limit.set(None)
    assert [sent["session"][name] for sent in socket.sent] == [200, 50, 50]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ((), "max_output_tokens"),
        (((b"openai-beta", b"realtime=v1"),), "max_response_output_tokens"),
    ],
)
async def test_client_keeps_its_limit_when_it_changes_another_setting(
    headers: Any, name: str
) -> None:
    limit, socket = limited(*headers)

    def update(session: dict[str, Any]) -> None:
        raw = json.dumps(session).encode()
        event = b'{"type":"session.update","session":%b}' % raw
        limit.fit_settings(read_settings(msgspec.Raw(raw)), event)

    update({name: 50})
    update({"voice": "a"})
    for tokens in (200, 20, 300, None):
        await limit.set(tokens)
        update({"voice": "b"})
    update({name: "inf"})
    update({"voice": "c"})
    for tokens in (200, None):
        await limit.set(tokens)
    sent = [event["session"][name] for event in socket.sent]
    assert sent == [50, 20, 50, 50, 200, "inf"]


async def test_unlimited_client_gets_the_models_maximum_back() -> None:
    limit, socket = limited()
    await limit.set(10)
    await limit.set(None)
    assert [sent["session"]["max_output_tokens"] for sent in socket.sent] == [10, "inf"]


# ---- responses that run, and what they say


def test_connection_is_at_rest_once_its_last_response_has_ended() -> None:
    running = RunningResponses()
    assert running.none_left.is_set()
    one, two = cast(Any, "one"), cast(Any, "two")
    running.begin("a", one)
    running.begin("b", two)
    assert not running.none_left.is_set()
    assert running.end("a") == one
    assert not running.none_left.is_set()
    running.end("b")
    assert running.none_left.is_set()
    assert list(running.ended) == ["a", "b"]


class Listener:
    """A page that shows what a connection costs."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def held(self, request_id: Any, nano: int) -> None:
        self.heard.append((request_id, nano))

    def settled(self, outcome: Any) -> None:
        self.heard.append(outcome)


def test_page_hears_of_each_hold_and_of_its_end_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, ids = Listener(), iter(("outcome", "again"))
    sink = SimpleNamespace(listener=listener)
    monkeypatch.setattr("relay.realtime.response.RealtimeSink", SimpleNamespace)
    watched: list[Any] = []
    context: Any = SimpleNamespace(
        downstream=SimpleNamespace(sink=sink), request_id=UUID(int=1), time=lambda: 9.0, began=0.0,
        parts=SimpleNamespace(ledger=SimpleNamespace(marks=SimpleNamespace(watch=watched.append))),
    )  # fmt: skip
    end = SimpleNamespace(outcome=None, upstream_request_id="")

    def settle(*_: Any) -> Any:
        end.outcome = next(ids)
        return end.outcome

    end.settle = settle
    admitted: Any = SimpleNamespace(hold=SimpleNamespace(size=SimpleNamespace(hold_nano=70)))
    request = MeteredRequest[Any, Any](context, admitted, cast(Any, "meter"), cast(Any, end), None)
    request.start("resp_1")
    # Its time runs from its own beginning, not from that of the connection.
    assert (context.began, request.id, end.upstream_request_id) == (9.0, "resp_1", "resp_1")
    assert watched == ["meter"]
    request.settle(None, cast(Any, None))
    request.settle(None, cast(Any, None))
    assert listener.heard == [(UUID(int=1), 70), "outcome"]
    hostile = MeteredRequest[Any, Any](context, admitted, cast(Any, "m"), cast(Any, end), None)
    hostile.start("é\n")
    assert end.upstream_request_id == "resp_1"


def test_minutes_are_marked_only_where_they_have_a_price() -> None:
    for rates, marked in (({"session_minutes": 1}, True), ({"in_text": 1}, False), (None, True)):
        price = None if rates is None else SimpleNamespace(version=SimpleNamespace(rates=rates))
        meter: Any = SimpleNamespace(
            _rated=price is None or "session_minutes" in price.version.rates, _marked_ms=0,
            stretch=SimpleNamespace(least_ms=30_000),
        )  # fmt: skip
        told = StretchMeter.mark(meter)
        assert (told is not None) == marked
        assert StretchMeter.mark(meter) is None


# ---- what is kept of a conversation


@pytest.mark.parametrize(
    ("item", "content"),
    [
        ({"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
         [{"type": "input_text", "text": "hi"}]),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "ho"}]},
         [{"type": "output_text", "text": "ho"}]),
        ({"role": "assistant", "content": [{"type": "output_audio", "transcript": "ho"}]},
         [{"type": "output_text", "text": "ho"}]),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]},
         [{"type": "input_image", "image_url": "data:x"}]),
        ({"content": [{"type": "input_text", "text": "hi"}]},
         [{"type": "input_text", "text": "hi"}]),
    ],
)  # fmt: skip
def test_message_of_a_talk_is_kept_as_responses_has_it(item: Any, content: Any) -> None:
    kept = _item({"type": "message", "id": "i", **item})
    assert kept == {"type": "message", "role": item.get("role", "user"), "content": content}


def test_sound_of_a_talk_is_kept_by_its_size_with_what_was_heard() -> None:
    part = {"type": "input_audio", "audio": "AAAA", "transcript": "hi"}
    sound, text = _item({"type": "message", "role": "user", "content": [part]})["content"]
    assert sound["type"] == "input_audio"
    assert "weir/3/bytes/" in sound["input_audio"]["data"]
    assert text == {"type": "input_text", "text": "hi"}
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    assert _item(call) == call
