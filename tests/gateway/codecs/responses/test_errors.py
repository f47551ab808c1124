import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.errors import KINDS, ErrorKind
from gateway.codecs.responses.errors import failed_code, frame, read, read_object, render
from tests.gateway.codecs.responses.golden import EXPECTED, body_of, load_exchange
from tests.openapi import check


@pytest.mark.parametrize("key", EXPECTED["errors"])
def test_golden_error(key: str) -> None:
    want = EXPECTED["errors"][key]
    exchange = load_exchange(key)
    response = exchange["response"]
    got = read(response["status"], response["headers"], body_of(exchange))
    assert (got.kind, got.status) == (want["kind"], want["http"])
    wait_s = want.get("retry_after_s")
    assert got.retry_after_ms == (None if wait_s is None else round(wait_s * 1000))
    assert "<" not in got.message
    assert "sk-" not in got.message
    if got.kind == "provider_rejected":
        assert got.message == f"API request failed: {response['body']['error']['message']}"
        assert got.code == response["body"]["error"]["code"]


@pytest.mark.parametrize("kind", get_args(ErrorKind))
def test_every_kind_is_rendered_as_the_table_says(kind: ErrorKind) -> None:
    row = KINDS[kind]
    body = json.loads(render(kind, "m", param="p"))
    assert body == {"error": {"message": "m", "type": row.type, "param": "p", "code": row.code}}
    check(body, "openai", "ErrorResponse")
    name, data = frame(kind, "a\n\nb").decode().removesuffix("\n\n").split("\n")
    assert name == "event: error"
    told = json.loads(data.removeprefix("data: "))
    assert told == {
        "type": "error",
        "sequence_number": 0,
        "code": row.code or row.type,
        "message": "a\n\nb",
        "param": None,
    }
    check(told, "openai", "ResponseErrorEvent")
    assert failed_code(kind) in ("server_error", "rate_limit_exceeded", "invalid_prompt")


def test_the_code_of_the_provider_may_stand_for_ours() -> None:
    assert json.loads(render("provider_rejected", "m", code="c"))["error"]["code"] == "c"
    assert b'"code":"c"' in frame("provider_rejected", "m", code="c")


@pytest.mark.parametrize(
    ("status", "error", "kind", "fault"),
    [
        (400, {"type": "exceed_context_size_error", "code": 400}, "context_length_exceeded", "F6"),
        (400, {"code": "content_policy_violation"}, "content_filtered", "F6"),
        (400, {"innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content_filtered", "F6"),
        (400, {"code": "invalid_api_key"}, "upstream_auth", "F5"),
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


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error"}, "upstream_error"),
        ({"code": "rate_limit_exceeded"}, "upstream_rate_limited"),
        ({"code": "invalid_prompt"}, "content_filtered"),
        ({"code": "bio_policy"}, "content_filtered"),
        ({"code": "failed_to_download_image"}, "provider_rejected"),
        ({"code": "vector_store_timeout"}, "upstream_error"),
        ({"code": "data_residency_mismatch"}, "upstream_auth"),
        ({"type": "error", "code": "503"}, "overloaded"),
        ({"type": "error", "error": {"type": "invalid_request_error"}}, "provider_rejected"),
        ({"code": 401}, "upstream_auth"),
        ("text", "upstream_error"),
    ],
)
def test_error_inside_an_answer(error: object, kind: str) -> None:
    assert read_object(json.dumps(error).encode()).kind == kind


def test_context_error_keeps_its_parameter() -> None:
    body = {"error": {"code": "context_length_exceeded", "param": "input", "message": "long"}}
    got = read(400, {}, json.dumps(body).encode())
    assert (got.param, got.code, got.message) == ("input", None, "API request failed: long")


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
        ({"retry-after": "soon"}, None),
        ({"retry-after": format_datetime(NOW.replace(second=15), usegmt=True)}, 10_000),
        ({"retry-after": "2", "retry-after-ms": "1200"}, 1_200),
    ],
)
def test_wait(headers: dict[str, str], wait_ms: int | None) -> None:
    got = read(429, headers, b"", now_s=NOW_S)
    assert got.retry_after_ms == wait_ms
    assert got.message.startswith("Rate Limit Reached: the provider's limit; retry in ")


@given(st.integers(300, 599), st.binary(max_size=60), st.text(max_size=12))
def test_nothing_crashes_reading(status: int, body: bytes, wait: str) -> None:
    assert read(status, {"retry-after": wait}, body, now_s=NOW_S).kind in KINDS
    assert read_object(body).kind in KINDS
