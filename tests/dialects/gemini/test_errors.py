import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.errors.errors import GEMINI_STATUSES, KINDS
from dialects.errors.kinds import ErrorKind
from dialects.gemini.errors import error_frame, read, read_object, render, status_of
from tests.dialects.exchanges import check_error, load_exchange
from tests.dialects.gemini.golden import EXPECTED, body_of


@pytest.mark.parametrize("key", EXPECTED["errors"])
def test_golden_error(key: str) -> None:
    answer = load_exchange(key)["response"]
    fault = read(answer["status"], answer["headers"], body_of(answer))
    check_error(fault, EXPECTED["errors"][key], answer)
    assert fault.code == ("INVALID_ARGUMENT" if fault.kind == "provider_rejected" else None)


# Kind, HTTP status, word.
TABLE: list[tuple[ErrorKind, int, str]] = [
    ("malformed_json", 400, "INVALID_ARGUMENT"),
    ("missing_parameter", 400, "INVALID_ARGUMENT"),
    ("invalid_type", 400, "INVALID_ARGUMENT"),
    ("invalid_value", 400, "INVALID_ARGUMENT"),
    ("context_length_exceeded", 400, "INVALID_ARGUMENT"),
    ("content_filtered", 400, "INVALID_ARGUMENT"),
    ("provider_rejected", 400, "INVALID_ARGUMENT"),
    ("unsupported_capability", 400, "INVALID_ARGUMENT"),
    ("authentication", 401, "UNAUTHENTICATED"),
    ("insufficient_balance", 402, "RESOURCE_EXHAUSTED"),
    ("permission", 403, "PERMISSION_DENIED"),
    ("model_not_found", 404, "NOT_FOUND"),
    ("task_not_found", 404, "NOT_FOUND"),
    ("route_not_found", 404, "NOT_FOUND"),
    ("method_not_allowed", 405, "INVALID_ARGUMENT"),
    ("request_timeout", 408, "DEADLINE_EXCEEDED"),
    ("conflict", 409, "ABORTED"),
    ("body_too_large", 413, "INVALID_ARGUMENT"),
    ("unsupported_media_type", 415, "INVALID_ARGUMENT"),
    ("headers_too_large", 431, "INVALID_ARGUMENT"),
    ("idempotency_mismatch", 400, "INVALID_ARGUMENT"),
    ("rate_limited", 429, "RESOURCE_EXHAUSTED"),
    ("upstream_rate_limited", 429, "RESOURCE_EXHAUSTED"),
    ("internal", 500, "INTERNAL"),
    ("upstream_error", 502, "INTERNAL"),
    ("upstream_unreachable", 502, "UNAVAILABLE"),
    ("upstream_auth", 502, "INTERNAL"),
    ("no_channel", 503, "UNAVAILABLE"),
    ("overloaded", 503, "UNAVAILABLE"),
    ("timeout", 504, "DEADLINE_EXCEEDED"),
    ("not_implemented", 501, "UNIMPLEMENTED"),
]


@pytest.mark.parametrize(("kind", "status", "word"), TABLE)
def test_rendering(kind: ErrorKind, status: int, word: str) -> None:
    want = {"error": {"code": status, "message": "m", "status": word}}
    assert status_of(kind) == status
    assert json.loads(render(kind, "m")) == want
    assert json.loads(render(kind, "m", array=True)) == [want]
    assert error_frame(kind, "m") == b"data: " + render(kind, "m") + b"\r\n\r\n"
    assert json.loads(error_frame(kind, "m", array=True)) == [want]
    assert json.loads(b"[{}" + error_frame(kind, "m", array=True, first=False)) == [{}, want]


def test_every_word_belongs_to_a_kind() -> None:
    assert GEMINI_STATUSES.keys() <= KINDS.keys()


@pytest.mark.parametrize(("wait_ms", "delay"), [(0, "1s"), (1_000, "1s"), (30_001, "31s")])
def test_a_wait_is_told_in_whole_seconds(wait_ms: int, delay: str) -> None:
    body = json.loads(render("rate_limited", "m", retry_after_ms=wait_ms))
    assert body["error"]["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    ]


def error(message: str = "m", *details: object, **members: object) -> bytes:
    return json.dumps({"error": {"message": message, "details": details, **members}}).encode()


def reason(word: str) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word}


@pytest.mark.parametrize(
    ("status", "body", "kind", "fault"),
    [
        (400, error("API key not valid. Please pass a valid API key."), "upstream_auth", "F5"),
        (400, error("x", reason("API_KEY_INVALID")), "upstream_auth", "F5"),
        (400, error("API_KEY_INVALID"), "upstream_auth", "F5"),
        (400, error("API key expired. Please renew the API key."), "upstream_auth", "F5"),
        (403, error("Your API key was reported as leaked."), "upstream_auth", "F5"),
        # What a client sent is quoted, and says nothing about our key or account.
        (400, error('Unknown name "API key not valid": Cannot find field.'),
         "provider_rejected", "F6"),
        (400, error('Invalid JSON payload received. Unknown name "enable billing"'),
         "provider_rejected", "F6"),
        (400, error("enable billing", {"fieldViolations": [{"field": "enable billing"}]}),
         "provider_rejected", "F6"),
        (400, error("Unable to submit request because `enable billing` functionDeclaration "
                    "`parameters.x` schema didn't specify the schema type field."),
         "provider_rejected", "F6"),
        (400, error("Unable to submit request because `BILLING_DISABLED` is unknown"),
         "provider_rejected", "F6"),
        (404, error("models/credits are exhausted is not found"), "upstream_error", "F7"),
        (400, error("account_id and credentials are unknown"), "provider_rejected", "F6"),
        (400, error("User location is not supported for the API use."), "upstream_auth", "F5"),
        (400, error("Please enable billing on your project."), "upstream_auth", "F9"),
        (400, error("Gemini API free tier is not available in your country. Please enable billing "
                    "on your project in Google AI Studio."), "upstream_auth", "F9"),
        (403, error("This API method requires billing to be enabled. Please enable billing on "
                    "project #1 by visiting x then retry."), "upstream_auth", "F9"),
        (403, error("Billing is not enabled for this project."), "upstream_auth", "F9"),
        (403, error("x", reason("SERVICE_DISABLED")), "upstream_auth", "F5"),
        (403, error("x", reason("BILLING_DISABLED")), "upstream_auth", "F9"),
        (403, error("You do not have permission to access the File x"), "provider_rejected", "F6"),
        (403, error("CachedContent not found (or permission denied)"), "provider_rejected", "F6"),
        (429, error("Your prepayment credits are depleted."), "upstream_auth", "F9"),
        (400, error("The input token count (9) exceeds the maximum number of tokens allowed (8)."),
         "context_length_exceeded", "F6"),
        (401, error(), "upstream_auth", "F5"),
        (402, error(), "upstream_auth", "F9"),
        (404, error(), "upstream_error", "F7"),
        (408, error(), "timeout", "F10"),
        (409, error(), "provider_rejected", "F6"),
        (413, error(), "body_too_large", "F6"),
        (422, error(), "provider_rejected", "F6"),
        (499, error(), "upstream_error", "F10"),
        (500, error("x", reason("API_KEY_INVALID")), "upstream_error", "F10"),
        (503, error(), "overloaded", "F10"),
        (301, b"", "upstream_error", "F21"),
        (502, b"<html>", "upstream_error", "F10"),
    ],
)  # fmt: skip
def test_kinds(status: int, body: bytes, kind: str, fault: str) -> None:
    got = read(status, {}, body)
    assert (got.kind, got.fault) == (kind, fault)
    assert got.status == (422 if status == 422 else KINDS[got.kind].status)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"error":{"message":"a\\n<b>c"}}', "a c"),
        (b'[{"error":{"message":"a"}}]', "a"),
        (b'{"error":"a"}', "a"),
        (b'{"message":"a"}', "a"),
        (b'{"error":{"message":"key AIzaSyA1234567890123456789"}}', "key ***"),
        (b'{"error":{"message":3}}', ""),
        (b'{"error":3}', ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_message_wherever_it_stands(body: bytes, detail: str) -> None:
    assert read(500, {}, body).detail == detail


@pytest.mark.parametrize(
    ("details", "param"),
    [
        ([{"fieldViolations": [{"field": "a.b"}]}], "a.b"),
        ([{}, {"fieldViolations": [3, {}, {"field": "c"}]}], "c"),
        ([{"fieldViolations": 3}, 4], None),
        (3, None),
    ],
)
def test_the_field_of_a_bad_request(details: Any, param: str | None) -> None:
    body = json.dumps({"error": {"details": details, "status": "X"}}).encode()
    fault = read(400, {}, body)
    assert (fault.param, fault.code) == (param, "X")


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOW_S = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("delay", "header", "wait_ms"),
    [
        ("31s", "7", 31_000),
        ("31.5s", None, 31_500),
        ("0.0005s", None, 0),
        ("9999s", None, 120_000),
        ("soon", "7", 7_000),
        ("-1s", "7", 7_000),
        (None, "7", 7_000),
        (None, format_datetime(NOW.replace(second=15), usegmt=True), 10_000),
        (None, None, None),
    ],
)
def test_wait(delay: str | None, header: str | None, wait_ms: int | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    details = [] if delay is None else [{"violations": []}, {"retryDelay": delay}]
    fault = read(429, headers, error("m", *details), now_s=NOW_S)
    assert fault.retry_after_ms == wait_ms
    assert fault.message.startswith("Rate Limit Reached: the provider's limit; retry in ")


def test_error_in_a_success_is_read_by_code_or_word() -> None:
    assert read_object(error(code=404)).fault == "F7"
    assert read_object(error(code=200, status="DEADLINE_EXCEEDED")).kind == "timeout"
    assert read_object(error(code="x", status="NEW")).kind == "upstream_error"


@given(st.integers(300, 599), st.binary(max_size=60), st.text(max_size=12))
def test_nothing_crashes_reading(status: int, body: bytes, wait: str) -> None:
    assert read(status, {"retry-after": wait}, body, now_s=NOW_S).kind in KINDS
    assert read_object(body).kind in KINDS
