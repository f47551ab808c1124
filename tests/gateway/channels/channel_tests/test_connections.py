"""The test of a channel whose models answer in sessions, at a provider that fails in each way."""

from collections.abc import Iterator
from typing import Any

import pytest

from accounts.access.actors import SYSTEM
from billing.models import Posting
from billing.prices.conditions import PriceKey
from billing.prices.prices import set_price
from gateway.channels.channel_tests import scheduled_tests
from gateway.channels.channel_tests.calls import ChannelCheck
from gateway.channels.channel_tests.channel_test import check_channel, target_of, try_model
from gateway.channels.channel_tests.variants import STAGES
from gateway.channels.channels import create_channel
from gateway.models import Channel
from gateway.settings.installation import save_settings
from lib import clock
from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.live import FakeLive
from tests.fakes.realtime import FakeRealtime
from usage.models import Attempt, UsageRecord

pytestmark = pytest.mark.django_db

SESSION = STAGES["realtime"]


@pytest.fixture(autouse=True)
def loopback(db: None) -> None:
    save_settings(SYSTEM, egress_allow=["127.0.0.1/32"])


@pytest.fixture
def realtime() -> Iterator[FakeRealtime]:
    with FakeRealtime() as provider:
        yield provider


@pytest.fixture
def live() -> Iterator[FakeLive]:
    with FakeLive() as provider:
        provider.script = "#say=200"
        yield provider


@pytest.fixture
def google() -> Iterator[FakeGeminiLive]:
    with FakeGeminiLive() as provider:
        yield provider


def channel_to(provider: FakeRealtime | FakeLive | FakeGeminiLive, **more: Any) -> Channel:
    kind, model = "openai_compatible", "gpt-realtime"
    if isinstance(provider, FakeGeminiLive):
        kind, model = "gemini", "gemini-3.1-flash-live-preview"
    elif isinstance(provider, FakeLive):
        model = "gpt-live-1"
    fields: Any = {
        "provider": kind,
        "base_url": provider.url,
        "keys": [provider.key],
        "models": {"spoken": model},
        "timeouts": {"connect": 1.0, "first_content": 1.0, "total": 10.0},
        **more,
    }
    return create_channel(SYSTEM, f"sessions of {kind} {model}", fields)


def reached(result: ChannelCheck) -> list[str]:
    return [stage["name"] for stage in result.stages if stage["ok"]]


def set_cost(channel: Channel, rates: dict[str, int]) -> None:
    key = PriceKey("spoken", "cost", channel.name)
    set_price(SYSTEM, key, clock.now(), {"meters": rates}, source="test")


def test_a_realtime_session_answers_one_turn(realtime: FakeRealtime) -> None:
    channel = channel_to(realtime)
    set_cost(channel, {"in_text": 10**6, "out_text": 10**7})
    result = check_channel(SYSTEM, channel, "spoken", "realtime")
    assert (result.ok, reached(result)) == (True, list(SESSION)), result
    (session,) = realtime.sessions
    assert session.path == "/v1/realtime?model=gpt-realtime"
    (usage,) = session.responses
    told = {"in_text": usage["input_tokens"], "out_text": usage["output_tokens"]}
    assert result.meters == told
    assert result.cost_nano == told["in_text"] + 10 * told["out_text"]
    for rows in (Posting.objects, Attempt.objects, UsageRecord.objects):
        assert not rows.exists()


def test_a_live_session_is_charged_by_its_time(live: FakeLive) -> None:
    """It is closed when the model speaks, and its last report is awaited."""
    channel = channel_to(live)
    set_cost(channel, {"session_minutes": 50_000})
    result = check_channel(SYSTEM, channel, "spoken", "live")
    assert (result.ok, reached(result)) == (True, list(STAGES["live"])), result
    (session,) = live.sessions
    assert session.start["model"] == "gpt-live-1"
    assert session.received[-1]["type"] == "session.close"
    assert result.meters == {"session_minutes": 16_666_667}
    assert result.cost_nano == 50_000_000 // 60


def test_a_gemini_live_session_answers_one_turn(google: FakeGeminiLive) -> None:
    channel = channel_to(google)
    set_cost(channel, {"in_text": 10**6, "out_text": 10**7})
    result = check_channel(SYSTEM, channel, "spoken", "realtime")
    assert (result.ok, reached(result)) == (True, list(SESSION)), result
    (call,) = google.calls
    assert call.setup == {"model": "models/gemini-3.1-flash-live-preview"}
    assert call.headers["x-goog-api-key"] == google.key
    (usage,) = call.usages
    assert result.meters == {
        "in_text": usage["promptTokenCount"],
        "out_text": usage["responseTokenCount"],
    }
    assert result.cost_nano == usage["promptTokenCount"] + 10 * usage["responseTokenCount"]
    assert call.ended.wait(10)
    assert call.closed == 1000


def test_sessions_are_what_a_test_of_all_channels_asks_for(
    live: FakeLive, google: FakeGeminiLive
) -> None:
    """A model that answers in sessions only has no streamed answer to fail at."""
    channel_to(google)
    spoken = channel_to(live)
    scheduled_tests.start_run(SYSTEM, "streamed")
    assert scheduled_tests.work_off_runs() == 2
    assert [(one.last_test or {})["ok"] for one in Channel.objects.all()] == [True, True]
    spoken.refresh_from_db()
    assert (spoken.last_test or {})["variant"] == "live"
    assert try_model(target_of(spoken), "spoken", "gpt-live-1").ok


def test_a_realtime_session_that_fails(realtime: FakeRealtime) -> None:
    realtime.refuses = 401, {"error": {"message": "Incorrect API key provided"}}, {}
    result = check_channel(SYSTEM, channel_to(realtime), "spoken", "realtime")
    assert (result.fault, result.status, reached(result)[-1]) == ("key", 401, "connect")
    assert "Incorrect API key" in result.body


# what is said -> the fault, and the last stage that passed
OF_REALTIME = {
    "#fault=close@0": ("broken", "accept"),
    "#fault=bye@2": ("broken", "answer"),
    "#fault=silent@2": ("timeout", "answer"),
    "#fault=garbage@2": ("broken", "answer"),
    "#fault=big@2": ("broken", "answer"),
    "#fault=failed": ("failed", "answer"),
    "#fault=nousage": ("no_usage", "answer"),
    "#fault=lie": ("no_usage", "answer"),
}


@pytest.mark.parametrize("said", OF_REALTIME)
def test_each_failure_of_a_realtime_turn(realtime: FakeRealtime, said: str) -> None:
    realtime.script = said
    result = check_channel(SYSTEM, channel_to(realtime), "spoken", "realtime")
    assert (result.fault, reached(result)[-1]) == OF_REALTIME[said], result


OF_GEMINI = {
    "#fault=close@0": ("broken", "accept"),
    "#fault=bye@2": ("broken", "answer"),
    "#fault=silent@2": ("timeout", "answer"),
    "#fault=garbage@2": ("broken", "answer"),
    "#fault=nousage": ("no_usage", "answer"),
}


@pytest.mark.parametrize("said", OF_GEMINI)
def test_each_failure_of_a_gemini_live_turn(google: FakeGeminiLive, said: str) -> None:
    google.script = said
    result = check_channel(SYSTEM, channel_to(google), "spoken", "realtime")
    assert (result.fault, reached(result)[-1]) == OF_GEMINI[said], result


CLOSES = {
    "model": (1008, "models/x is not found for API version v1beta, or is not supported for bidi"),
    "key": (1008, "Your API key was reported as leaked."),
    "wrong key": (1007, "API key not valid. Please pass a valid API key."),
    "limited": (1011, "You exceeded your current quota"),
    "rejected": (1007, "Request contains an invalid argument."),
    "unavailable": (1011, "Internal error encountered."),
}


@pytest.mark.parametrize("fault", CLOSES)
def test_a_setup_that_google_refuses(google: FakeGeminiLive, fault: str) -> None:
    """Google tells errors by the code and reason of a close."""
    google.refuses = CLOSES[fault]
    result = check_channel(SYSTEM, channel_to(google), "spoken", "realtime")
    assert (result.fault, reached(result)[-1]) == (fault.removeprefix("wrong "), "connect"), result
    assert CLOSES[fault][1] in result.body


def test_a_wrong_key_of_google_is_not_shown(google: FakeGeminiLive) -> None:
    channel = channel_to(google, keys=["AIza-wrong-provider-key-0123"])
    result = check_channel(SYSTEM, channel, "spoken", "realtime")
    assert (result.fault, result.status) == ("key", 401)
    assert "AIza-wrong-provider-key-0123" not in str(Channel.objects.get().last_test)


OF_LIVE: dict[str, dict[str, Any]] = {
    "key": {"type": "authentication_error", "code": None, "message": "no such key"},
    "model": {"type": "not_found_error", "code": "model_not_found", "message": "no such model"},
    "rejected": {"type": "invalid_request_error", "code": "unknown", "message": "no such setting"},
}


@pytest.mark.parametrize("fault", OF_LIVE)
def test_a_live_session_that_is_refused(live: FakeLive, fault: str) -> None:
    live.refuses = {**OF_LIVE[fault], "param": None}
    result = check_channel(SYSTEM, channel_to(live), "spoken", "live")
    assert (result.fault, reached(result)[-1]) == (fault, "connect"), result
    assert OF_LIVE[fault]["message"] in result.body


# what is said -> the fault, and the last stage that passed
OF_LIVE_TURN = {
    "": ("timeout", "accept"),
    "#fault=close": ("broken", "accept"),
    "#fault=garbage": ("broken", "accept"),
    "#fault=big": ("broken", "accept"),
    "#fault=expired": ("broken", "accept"),
    "#say=200 #fault=bye": ("broken", "answer"),
}


@pytest.mark.parametrize("said", OF_LIVE_TURN)
def test_each_failure_of_a_live_turn(live: FakeLive, said: str) -> None:
    live.script = said
    result = check_channel(SYSTEM, channel_to(live), "spoken", "live")
    assert (result.fault, reached(result)[-1]) == OF_LIVE_TURN[said], result


@pytest.mark.parametrize("told", [{}, {"seconds": -1}, {"seconds": "two"}])
def test_a_live_session_without_its_time(live: FakeLive, told: dict[str, Any]) -> None:
    live.tells = told
    result = check_channel(SYSTEM, channel_to(live), "spoken", "live")
    assert (result.fault, reached(result)[-1]) == ("no_usage", "answer")


def test_a_model_in_a_form_that_its_provider_does_not_offer(google: FakeGeminiLive) -> None:
    result = check_channel(SYSTEM, channel_to(google), "spoken", "live")
    assert (result.fault, reached(result)) == ("configuration", [])


def test_an_address_without_sessions(live: FakeLive) -> None:
    live.refuses_handshake = 404
    result = check_channel(SYSTEM, channel_to(live), "spoken", "live")
    assert (result.fault, result.status, reached(result)[-1]) == ("model", 404, "connect")
