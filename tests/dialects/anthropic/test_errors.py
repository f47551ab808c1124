import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.anthropic.errors import (
    error_frame,
    headers,
    read,
    read_object,
    render,
    status_of,
)
from dialects.errors.errors import ANTHROPIC_TYPES, KINDS
from dialects.errors.kinds import ErrorKind
from tests.dialects.anthropic.golden import EXPECTED, body_of
from tests.dialects.exchanges import check_error, load_exchange


@pytest.mark.parametrize("key", EXPECTED["errors"])
def test_golden_error(key: str) -> None:
    exchange = load_exchange(key)
    response = exchange["response"]
    got = read(response["status"], response["headers"], body_of(exchange))
    check_error(got, EXPECTED["errors"][key], response)


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("malformed_json", 400, "invalid_request_error"),
        ("missing_parameter", 400, "invalid_request_error"),
        ("invalid_type", 400, "invalid_request_error"),
        ("invalid_value", 400, "invalid_request_error"),
        ("context_length_exceeded", 400, "invalid_request_error"),
        ("content_filtered", 400, "invalid_request_error"),
        ("provider_rejected", 400, "invalid_request_error"),
        ("unsupported_capability", 400, "invalid_request_error"),
        ("authentication", 401, "authentication_error"),
        ("key_conflict", 401, "authentication_error"),
        ("insufficient_balance", 402, "billing_error"),
        ("max_cost_exceeded", 402, "billing_error"),
        ("model_unpriced", 402, "billing_error"),
        ("permission", 403, "permission_error"),
        ("model_not_found", 404, "not_found_error"),
        ("task_not_found", 404, "not_found_error"),
        ("route_not_found", 404, "not_found_error"),
        ("method_not_allowed", 405, "invalid_request_error"),
        ("request_timeout", 408, "invalid_request_error"),
        ("conflict", 409, "invalid_request_error"),
        ("body_too_large", 413, "request_too_large"),
        ("unsupported_media_type", 415, "invalid_request_error"),
        ("headers_too_large", 431, "invalid_request_error"),
        ("idempotency_mismatch", 400, "invalid_request_error"),
        ("rate_limited", 429, "rate_limit_error"),
        ("upstream_rate_limited", 429, "rate_limit_error"),
        ("internal", 500, "api_error"),
        ("not_implemented", 501, "api_error"),
        ("upstream_error", 502, "api_error"),
        ("upstream_unreachable", 502, "api_error"),
        ("upstream_auth", 502, "api_error"),
        ("upstream_truncated", 502, "api_error"),
        ("upstream_malformed", 502, "api_error"),
        ("no_channel", 529, "overloaded_error"),
        ("overloaded", 529, "overloaded_error"),
        ("server_shutting_down", 529, "overloaded_error"),
        ("timeout", 504, "timeout_error"),
    ],
)
def test_taxonomy(kind: ErrorKind, status: int, word: str) -> None:
    assert status_of(kind) == status
    assert json.loads(render(kind, "m", request_id="01K")) == {
        "type": "error",
        "error": {"type": word, "message": "m"},
        "request_id": "01K",
    }


def test_rejected_thread_uses_the_clients_known_word() -> None:
    error = json.loads(render("thread_unsupported", "thread is not supported"))["error"]
    assert error["type"] == "invalid_request_error"
    assert error["details"] == {
        "error_code": "thread_unsupported_request",
        "unsupported": ["message_threads"],
    }


def test_every_listed_kind_exists() -> None:
    assert set(ANTHROPIC_TYPES) <= set(KINDS)


def test_request_id_is_null_before_there_is_one() -> None:
    assert json.loads(render("internal", "m"))["request_id"] is None


def test_frame_is_one_event_for_any_message() -> None:
    raw = error_frame("overloaded", "a\n\nb", request_id="r")
    assert raw.startswith(b"event: error\ndata: {")
    assert raw.count(b"\n") == 3
    assert json.loads(raw.partition(b"data: ")[2]) == json.loads(
        render("overloaded", "a\n\nb", request_id="r")
    )


def test_headers_name_the_request_and_whole_seconds() -> None:
    assert headers("r") == {"request-id": "r"}
    assert headers("r", 0) == {"request-id": "r", "retry-after": "1"}
    assert headers("r", 1_001) == {"request-id": "r", "retry-after": "2"}


@pytest.mark.parametrize(
    ("status", "error", "kind", "fault"),
    [
        (400, {"message": "prompt is too long: 9 tokens"}, "context_length_exceeded", "F6"),
        (400, {"message": "Output blocked by content filtering policy"}, "content_filtered", "F6"),
        (400, {"type": "billing_error"}, "upstream_auth", "F9"),
        (402, {}, "upstream_auth", "F9"),
        (403, {}, "upstream_auth", "F5"),
        (404, {}, "upstream_error", "F7"),
        (408, {}, "timeout", "F10"),
        (409, {}, "provider_rejected", "F6"),
        (413, {}, "body_too_large", "F6"),
        (422, {}, "provider_rejected", "F6"),
        (500, {"type": "overloaded_error"}, "overloaded", "F10"),
        (502, {}, "upstream_error", "F10"),
        (503, {}, "overloaded", "F10"),
        (302, {}, "upstream_error", "F21"),
        (
            404,
            {"message": "No endpoints found that support image input"},
            "unsupported_capability",
            "F39",
        ),
        (
            500,
            {"message": "this model is missing data required for image input"},
            "unsupported_capability",
            "F39",
        ),
        (400, {"message": "this model does not support image input"}, "provider_rejected", "F6"),
    ],
)
def test_reading(status: int, error: object, kind: str, fault: str) -> None:
    got = read(status, {}, json.dumps({"error": error}).encode())
    assert (got.kind, got.fault) == (kind, fault)
    assert got.status == (422 if status == 422 else KINDS[got.kind].status)
    assert (got.code, got.param) == (None, None)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"error":"text"}', "text"),
        (b'{"message":"text"}', "text"),
        (b'{"error":{"message":7}}', ""),
        (b'{"error":{"message":"key sk-ant-REDACTED"}}', "key ***"),
        (b"[]", ""),
        (b"", ""),
        (b"\xff", ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_body_of_any_form(body: bytes, detail: str) -> None:
    assert read(400, {}, body).detail == detail


def test_wait_is_given_in_seconds() -> None:
    got = read(429, {"retry-after-ms": "1200", "retry-after": "2"}, b"")
    assert (got.retry_after_ms, got.message) == (
        1200,
        "Rate Limit Reached: the provider's limit; retry in 2 s",
    )


@pytest.mark.parametrize(
    ("limits", "wait_ms"),
    [
        ({"requests-remaining": "0", "requests-reset": "1970-01-01T00:00:17Z"}, 7_000),
        (
            {
                "requests-remaining": "0",
                "requests-reset": "1970-01-01T00:00:05Z",
                "input-tokens-remaining": "0",
                "input-tokens-reset": "1970-01-01T00:00:12+00:00",
            },
            2_000,
        ),
        ({"tokens-remaining": "5", "tokens-reset": "1970-01-01T00:00:17Z"}, None),
        ({"tokens-remaining": "0", "tokens-reset": "soon"}, None),
        ({"tokens-remaining": "0", "tokens-reset": "9999-01-01T00:00:00Z"}, 120_000),
        ({}, None),
    ],
)
def test_wait_of_a_limit_that_is_used_up(limits: dict[str, str], wait_ms: int | None) -> None:
    named = {f"anthropic-ratelimit-{name}": value for name, value in limits.items()}
    assert read(429, named, b"", now_s=10).retry_after_ms == wait_ms
    assert read(429, named, b"").retry_after_ms is None
    assert read(429, {**named, "retry-after": "3"}, b"", now_s=10).retry_after_ms == 3_000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (b'{"type":"overloaded_error"}', "overloaded"),
        (b'{"type":"error","error":{"type":"rate_limit_error"}}', "upstream_rate_limited"),
        (b'{"type":"invalid_request_error"}', "provider_rejected"),
        (b'{"type":"authentication_error"}', "upstream_auth"),
        (b'{"type":"timeout_error"}', "timeout"),
        (b'{"type":"new_error"}', "upstream_error"),
        (b'{"type":3}', "upstream_error"),
    ],
)
def test_error_inside_an_answer(error: bytes, kind: str) -> None:
    assert read_object(error).kind == kind


@given(st.integers(300, 599), st.binary(max_size=80), st.text(max_size=9))
def test_no_bytes_crash_the_reader(status: int, body: bytes, wait: str) -> None:
    assert read(status, {"retry-after": wait}, body, now_s=5).kind in KINDS
    assert read_object(body).kind in KINDS
