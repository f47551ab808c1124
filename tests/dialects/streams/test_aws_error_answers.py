"""Errors for Amazon's clients: their names, headers, and the ends of streams."""

import json

import pytest

from dialects.errors.kinds import ErrorKind
from dialects.streams import aws_error_answers


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("invalid_value", "ValidationException"),
        ("rate_limited", "ThrottlingException"),
        ("insufficient_balance", "ServiceQuotaExceededException"),
        ("max_cost_exceeded", "ServiceQuotaExceededException"),
        ("model_not_found", "ResourceNotFoundException"),
        ("authentication", "UnrecognizedClientException"),
        ("timeout", "ModelTimeoutException"),
        ("overloaded", "ServiceUnavailableException"),
        ("upstream_error", "ModelErrorException"),
        ("upstream_auth", "ModelErrorException"),
        ("internal", "InternalServerException"),
    ],
)
def test_error_has_amazons_name(kind: ErrorKind, name: str) -> None:
    assert aws_error_answers.name_of(kind) == name
    body = json.loads(aws_error_answers.render(kind, "No.", request_id="r"))
    assert body == {"__type": name, "message": "No.", "request_id": "r"}


def test_wait_is_in_whole_seconds() -> None:
    plain = aws_error_answers.headers("rate_limited", "r", None)
    assert plain == {"x-amzn-errortype": "ThrottlingException", "x-amzn-requestid": "r"}
    waits = aws_error_answers.headers("rate_limited", "r", 1_500)
    assert waits == plain | {"retry-after": "2"}


def test_stream_ends_with_an_exception_that_clients_know() -> None:
    ends: tuple[tuple[ErrorKind, bytes], ...] = (
        ("rate_limited", b"throttlingException"), ("upstream_error", b"modelStreamErrorException"),
    )  # fmt: skip
    for kind, name in ends:
        frame = aws_error_answers.error_frame(kind, "No.", request_id="r")
        head, _, data = frame.partition(b"\n")
        assert head.endswith(name)
        assert json.loads(data.removeprefix(b"data: ")) == {"message": "No.", "request_id": "r"}
    for exception, told in (
        ("ValidationException", b"validationException"), ("", b"modelStreamErrorException"),
        ("AccessDeniedException", b"modelStreamErrorException"),
    ):  # fmt: skip
        assert told in aws_error_answers.exception(exception, "No.")
