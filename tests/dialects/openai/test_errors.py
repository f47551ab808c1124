import json
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import KINDS
from dialects.openai.errors import error_frame, read, read_object, render
from tests.dialects.exchanges import check_error, load_exchange
from tests.dialects.openai.golden import EXPECTED, body_of


@pytest.mark.parametrize("key", EXPECTED["errors"])
def test_golden_error(key: str) -> None:
    response = load_exchange(key)["response"]
    got = read(response["status"], response["headers"], body_of(response))
    check_error(got, EXPECTED["errors"][key], response)
    if got.kind == "provider_rejected":
        assert got.code == response["body"]["error"]["code"]


def test_render_has_exactly_four_members() -> None:
    assert json.loads(render("invalid_value", "m", param="p")) == {
        "error": {
            "message": "m",
            "type": "invalid_request_error",
            "param": "p",
            "code": "invalid_value",
        }
    }
    assert json.loads(render("provider_rejected", "m", code="c"))["error"]["code"] == "c"
    assert json.loads(render("malformed_json", "m"))["error"]["code"] is None


def test_not_implemented_body_is_fixed_with_the_requests_id() -> None:
    assert render("not_implemented", "This API is not implemented.", request_id="R") == (
        b'{"error":{"message":"This API is not implemented.","type":"not_implemented_error",'
        b'"param":null,"code":"not_implemented"},"request_id":"R"}'
    )


def test_frame_is_one_event_for_any_message() -> None:
    raw = error_frame("upstream_error", "a\n\nb")
    assert raw.startswith(b"data: {")
    assert raw.count(b"\n") == 2


GOOGLES = "type.googleapis.com/google.rpc.ErrorInfo"


@pytest.mark.parametrize(
    ("status", "error", "kind", "fault"),
    [
        (400, {"type": "exceed_context_size_error", "code": 400}, "context_length_exceeded", "F6"),
        (400, {"code": "content_policy_violation"}, "content_filtered", "F6"),
        (400, {"innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content_filtered", "F6"),
        (400, {"code": "invalid_api_key"}, "upstream_auth", "F5"),
        (400, {"type": "Arrearage", "code": "Arrearage"}, "upstream_auth", "F9"),
        (429, {"type": "exceeded_current_quota_error"}, "upstream_auth", "F9"),
        (429, {"code": "1113"}, "upstream_auth", "F9"),
        (400, "Incorrect API key provided: ab***yz.", "upstream_auth", "F5"),
        (400, "Unknown name: Incorrect API key provided", "provider_rejected", "F6"),
        (422, "Incorrect API key provided: ab***yz.", "provider_rejected", "F6"),
        (
            400,
            {"details": [{"@type": GOOGLES, "reason": "API_KEY_INVALID"}]},
            "upstream_auth",
            "F5",
        ),
        (400, {"details": [{"@type": GOOGLES, "reason": "other"}]}, "provider_rejected", "F6"),
        # Google's words of anybody else say nothing about our account.
        (400, {"details": [{"reason": "API_KEY_INVALID"}]}, "provider_rejected", "F6"),
        (400, {"message": "Please enable billing", "details": []}, "provider_rejected", "F6"),
        (
            400,
            {"message": "Please enable billing", "details": [{"@type": "other"}, 3]},
            "provider_rejected",
            "F6",
        ),
        (402, {}, "upstream_auth", "F9"),
        (404, {}, "upstream_error", "F7"),
        (408, {}, "timeout", "F10"),
        (409, {}, "provider_rejected", "F6"),
        (413, {}, "body_too_large", "F6"),
        (422, {}, "provider_rejected", "F6"),
        (500, {"type": "overloaded_error"}, "overloaded", "F10"),
        (500, {"code": "rate_limit_exceeded"}, "upstream_rate_limited", "F8"),
        (504, {}, "timeout", "F10"),
        (529, {}, "overloaded", "F10"),
        (301, {}, "upstream_error", "F21"),
    ],
)
def test_reading(status: int, error: object, kind: str, fault: str) -> None:
    got = read(status, {}, json.dumps({"error": error}).encode())
    assert (got.kind, got.fault) == (kind, fault)
    assert got.status == (422 if status == 422 else KINDS[got.kind].status)


def test_context_error_keeps_its_parameter() -> None:
    body = {"error": {"code": "context_length_exceeded", "param": "messages", "message": "long"}}
    got = read(400, {}, json.dumps(body).encode())
    assert (got.param, got.code, got.message) == ("messages", None, "API request failed: long")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"error":"text"}', "text"),
        (b'[{"error":{"message":"text"}}]', "text"),
        (b'{"message":"text"}', "text"),
        (b'{"error":{"message":7}}', ""),
        (b"[]", ""),
        (b"3", ""),
        (b"", ""),
        (b"\xff", ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_message_wherever_it_stands(body: bytes, detail: str) -> None:
    assert read(500, {}, body).detail == detail


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW_S = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 1.5 "}, 1_500),
        ({"retry-after": "9999"}, 120_000),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": format_datetime(NOW.replace(second=15), usegmt=True)}, 10_000),
        ({"retry-after": format_datetime(NOW.replace(year=2020), usegmt=True)}, 0),
        ({"retry-after": format_datetime(NOW.replace(year=2030), usegmt=True)}, 120_000),
        ({"retry-after": "Mon, 99 Jan 2026 00:00:00 GMT"}, None),
        ({"retry-after": "2", "retry-after-ms": "1200"}, 1_200),
        ({"retry-after": "2", "retry-after-ms": "0.4"}, 1),
        ({"retry-after": "2", "retry-after-ms": "0"}, 0),
        ({"retry-after": "2", "retry-after-ms": "x"}, 2_000),
    ],
)
def test_wait(headers: dict[str, str], wait_ms: int | None) -> None:
    got = read(429, headers, b"", now_s=NOW_S)
    assert got.retry_after_ms == wait_ms
    assert got.message.startswith("Rate Limit Reached: the provider's limit; retry in ")


def test_a_date_without_a_clock_is_no_wait() -> None:
    assert read(429, {"retry-after": format_datetime(NOW, usegmt=True)}, b"").retry_after_ms is None


@given(st.integers(300, 599), st.binary(max_size=60), st.text(max_size=12))
def test_nothing_crashes_reading(status: int, body: bytes, wait: str) -> None:
    assert read(status, {"retry-after": wait}, body, now_s=NOW_S).kind in KINDS
    assert read_object(body).kind in KINDS
