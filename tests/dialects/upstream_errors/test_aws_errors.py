"""Bedrock's errors in the rows of the fault table."""

import json

import pytest

from dialects.upstream_errors import aws_errors

SKEW = "Signature expired: 20261125T100000Z is now earlier than 20261125T101500Z"


@pytest.mark.parametrize(
    ("status", "name", "text", "kind", "fault"),
    [
        (403, "AccessDeniedException", "User is not authorized", "upstream_auth", "F5"),
        (403, "UnrecognizedClientException", "The token is invalid", "upstream_auth", "F5"),
        (403, "InvalidSignatureException", "does not match", "upstream_auth", "F5"),
        (403, "ExpiredTokenException", "The token is expired", "upstream_auth", "F5"),
        (400, "ExpiredTokenException", "The token is expired", "upstream_auth", "F5"),
        (403, "AccessDeniedException", "You don't have access to the model with the specified "
         "model ID.", "upstream_error", "F7"),
        (403, "AccessDeniedException", "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: "
         "A valid payment instrument must be provided.", "upstream_auth", "F9"),
        (429, "ThrottlingException", "Too many tokens", "upstream_rate_limited", "F8"),
        (400, "ServiceQuotaExceededException", "Quota", "upstream_rate_limited", "F8"),
        (429, "ModelNotReadyException", "Not ready", "overloaded", "F10"),
        (404, "ResourceNotFoundException", "Not found", "upstream_error", "F7"),
        (400, "ValidationException", "The provided model identifier is invalid.",
         "upstream_error", "F7"),
        (400, "ValidationException", "Invocation of model ID x with on-demand throughput isn't "
         "supported. Retry with an inference profile.", "upstream_error", "F7"),
        (400, "ValidationException", "Malformed input request", "provider_rejected", "F6"),
        (400, "ValidationException", "Input is too long for requested model.",
         "context_length_exceeded", "F6"),
        (400, "ValidationException", "Output blocked by content filtering policy",
         "content_filtered", "F6"),
        (413, "RequestEntityTooLargeException", "Too large", "body_too_large", "F6"),
        (408, "ModelTimeoutException", "Timed out", "timeout", "F10"),
        (424, "ModelErrorException", "The model failed", "upstream_error", "F10"),
        (500, "InternalServerException", "Oops", "upstream_error", "F10"),
        (503, "ServiceUnavailableException", "Busy", "overloaded", "F10"),
        (502, "", "", "upstream_error", "F10"),
        (302, "", "", "upstream_error", "F21"),
    ],
)  # fmt: skip
def test_read(status: int, name: str, text: str, kind: str, fault: str) -> None:
    body = json.dumps({"message": text}).encode()
    error = aws_errors.read(status, {"x-amzn-errortype": f"{name}:http://internal/"}, body)
    assert (error.kind, error.fault, error.detail) == (kind, fault, text)
    typed = json.dumps({"__type": f"com.amazon.coral.service#{name}", "Message": text}).encode()
    again = aws_errors.read(status, {}, typed)
    assert (again.kind, again.fault, again.detail) == (kind, fault, text)


def test_wrong_clock_is_reported_to_the_operator() -> None:
    body = json.dumps({"message": SKEW}).encode()
    error = aws_errors.read(403, {"x-amzn-errortype": "InvalidSignatureException"}, body)
    assert (error.fault, error.detail) == ("F5", f"{SKEW}; set the clock of this server right")
    assert SKEW not in error.message


def test_the_signed_request_is_not_repeated() -> None:
    text = "It does not match.\n\nThe Canonical String was\n'x-amz-security-token:SESSION'"
    body = json.dumps({"message": text}).encode()
    error = aws_errors.read(403, {"x-amzn-errortype": "InvalidSignatureException"}, body)
    assert error.detail == "It does not match."


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        ("throttlingException", "upstream_rate_limited", "F8"),
        ("serviceUnavailableException", "overloaded", "F10"),
        ("modelTimeoutException", "timeout", "F10"),
        ("modelStreamErrorException", "upstream_error", "F10"),
        ("internalServerException", "upstream_error", "F10"),
        ("validationException", "provider_rejected", "F6"),
        ("somethingNew", "upstream_error", "F10"),
    ],
)
def test_exceptions_of_a_stream(name: str, kind: str, fault: str) -> None:
    error = aws_errors.read_exception(name, b'{"message":"no"}')
    assert (error.kind, error.fault, error.detail) == (kind, fault, "no")
    assert aws_errors.read_exception(name, b"<html>").kind == kind


def test_the_wait_of_the_header_is_kept() -> None:
    headers = {"x-amzn-errortype": "ThrottlingException", "retry-after": "3"}
    assert aws_errors.read(429, headers, b"{}", 0).retry_after_ms == 3_000
