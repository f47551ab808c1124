"""What is the responses dialect's own; what it shares is read as in the openai dialect's tests."""

import json
from typing import get_args

import pytest

from dialects.errors.errors import KINDS
from dialects.errors.kinds import ErrorKind
from dialects.responses.errors import error_frame, failed_error, read, read_object, render
from tests.dialects.exchanges import check_error, load_exchange
from tests.dialects.responses.golden import EXPECTED, body_of
from tests.support.openapi import check


@pytest.mark.parametrize("key", EXPECTED["errors"])
def test_golden_error(key: str) -> None:
    exchange = load_exchange(key)
    response = exchange["response"]
    got = read(response["status"], response["headers"], body_of(exchange))
    check_error(got, EXPECTED["errors"][key], response)
    if got.kind == "provider_rejected":
        assert got.code == response["body"]["error"]["code"]


@pytest.mark.parametrize("kind", get_args(ErrorKind))
def test_every_kind_is_rendered_as_documented(kind: ErrorKind) -> None:
    row = KINDS[kind]
    body = json.loads(render(kind, "m", param="p"))
    assert body == {"error": {"message": "m", "type": row.type, "param": "p", "code": row.code}}
    check(body, "openai", "ErrorResponse")
    name, data = error_frame(kind, "a\n\nb").decode().removesuffix("\n\n").split("\n")
    assert name == "event: error"
    document = json.loads(data.removeprefix("data: "))
    assert document == {
        "type": "error",
        "sequence_number": 0,
        "code": row.code or row.type,
        "message": "a\n\nb",
        "param": None,
    }
    check(document, "openai", "ResponseErrorEvent")
    failed = failed_error(kind, "m")
    assert failed.keys() == {"code", "message"}
    check(failed | {"guard_code": "own"}, "openai", "ResponseError")


def test_provider_code_may_replace_ours() -> None:
    assert json.loads(render("provider_rejected", "m", code="c"))["error"]["code"] == "c"


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
