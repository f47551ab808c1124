"""The JavaScript clients of clouds, unchanged but for their base URL, through every upstream:
Amazon's own for Converse, and Google's for Gemini on Vertex AI. Claude's for both clouds stand with
the library (test_javascript_clients.py)."""

import pytest

from lib.ids import parse_id
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import UPSTREAMS
from tests.relay.test_javascript_clients import (
    PLAIN,
    TEXTS,
    Seen,
    case_of,
    check_calls,
    run_client,
)
from tests.support.hub import Hub

upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)


@pytest.fixture(scope="module")
def converse_seen(hub: Hub, fake: FakeUpstream) -> Seen:
    return run_client(hub, fake, "converse.mjs")


@pytest.fixture(scope="module", params=["token", "key"])
def genai_seen(hub: Hub, fake: FakeUpstream, request: pytest.FixtureRequest) -> Seen:
    """By an access token for a project, and by an API key."""
    return run_client(hub, fake, "genai.mjs", request.param)


@upstreams
@pytest.mark.parametrize("name", ["plain", "stream", "image"])
def test_converse(converse_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(converse_seen, upstream, name)
    assert (case["text"], case["finish"], case["usage"][1]) == (PLAIN, "end_turn", 6)
    assert case["timed"]


@upstreams
@pytest.mark.parametrize("name", ["tools", "tools_stream"])
def test_converse_tools(converse_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(converse_seen, upstream, name)
    check_calls(case)
    assert (case["finish"], case["then"]["finish"]) == ("tool_use", "end_turn")


CONVERSE_ERRORS = {
    # Of the names that the service's model lacks, the client has the class of all.
    "wrong_key": ("BedrockRuntimeServiceException", 401),
    "wrong_model": ("ResourceNotFoundException", 404),
    "refused": ("ValidationException", 400),
    "throttled": ("ThrottlingException", 429),
}


@upstreams
@pytest.mark.parametrize("name", CONVERSE_ERRORS)
def test_converse_errors(converse_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(converse_seen, upstream, name)
    assert (case["kind"], case["status"]) == CONVERSE_ERRORS[name]
    assert parse_id(case["id"])


@upstreams
def test_converse_that_breaks_off_is_thrown(converse_seen: Seen, upstream: str) -> None:
    case = case_of(converse_seen, upstream, "broken")
    assert case["kind"] == "ModelStreamErrorException"
    assert "ended too early" in case["message"]
    assert case["text"] == expected_text("a", TEXTS["broken"], 3)


@upstreams
@pytest.mark.parametrize("name", ["plain", "stream"])
def test_gemini_of_vertex(genai_seen: Seen, upstream: str, name: str) -> None:
    case = case_of(genai_seen, upstream, name)
    assert (case["text"], case["finish"], case["usage"][1]) == (PLAIN, "STOP", 6)


@upstreams
def test_gemini_of_vertex_with_tools(genai_seen: Seen, upstream: str) -> None:
    case = case_of(genai_seen, upstream, "tools")
    assert [call["name"] for call in case["calls"]] == ["get_weather"] * 2
    assert [call["given"]["n"] for call in case["calls"]] == [0, 1]
    assert "rain 0 rain 1" in case["then"]["text"]
    assert case["then"]["finish"] == "STOP"


@upstreams
def test_gemini_of_vertex_is_counted(genai_seen: Seen, upstream: str) -> None:
    assert case_of(genai_seen, upstream, "count")["totalTokens"] >= 3


@upstreams
@pytest.mark.parametrize(
    ("name", "status"),
    [("wrong_key", 401), ("wrong_model", 404), ("refused", 400), ("throttled", 429)],
)
def test_gemini_of_vertex_errors(genai_seen: Seen, upstream: str, name: str, status: int) -> None:
    case = case_of(genai_seen, upstream, name)
    assert (case["kind"], case["status"]) == ("ApiError", status)


@upstreams
def test_gemini_of_vertex_that_breaks_off_is_thrown(genai_seen: Seen, upstream: str) -> None:
    case = case_of(genai_seen, upstream, "broken")
    assert case["kind"] == "ApiError"
    assert case["text"] == expected_text("a", TEXTS["broken"], 3)
