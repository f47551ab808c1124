"""Errors of providers by their status, code and message, as each dialect reads them.
`errors.txt` has what came of them when it was recorded."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from dialects.anthropic.bedrock import BedrockMessagesCodec
from dialects.codec import Codec
from dialects.endpoints.codecs import CODECS
from dialects.media.task_upstream_errors import MiniMaxErrors
from dialects.upstream_errors.upstream_errors import UpstreamFault
from tests.support.golden_texts import GoldenTexts
from tests.support.module_data import text_of

TEXTS: Final = GoldenTexts(Path(__file__).with_name("errors.txt"))
READERS: Final[dict[str, Codec[Any]]] = {
    **{str(name): codec for name, codec in CODECS.items()},
    "bedrock": BedrockMessagesCodec(),
    "minimax": MiniMaxErrors(),
}
STATUSES: Final = (
    302, 400, 401, 402, 403, 404, 408, 413, 415, 416, 418, 422, 424, 429, 499, 500, 502, 503, 504,
    529,
)  # fmt: skip
MESSAGES: Final = (
    "", "prompt is too long: 9 tokens", "This model's maximum context length is 9 tokens",
    "The input token count (9) exceeds the maximum", "Your credit balance is too low",
    "Output blocked by content filtering policy", "Incorrect API key provided: sk-abcdefgh12345678",
    "API key not valid. Please pass a valid API key.", "You don't have access to the model",
    "Signature expired: 2026 is now earlier", "Please provide a valid payment instrument",
    "CachedContent not found", "tools is not supported by this model", "This is not a chat model",
)  # fmt: skip
WORDS: Final = (
    "context_length_exceeded", "exceed_context_size_error", "content_filter", "invalid_prompt",
    "insufficient_quota", "1113", "Arrearage", "invalid_api_key", "permission_error",
    "rate_limit_exceeded", "overloaded_error", "billing_error", "server_error", "model_not_found",
    "DataInspectionFailed", "invalid_request_error", "400", "429", "503",
)  # fmt: skip
AMAZONS: Final = (
    "ValidationException", "AccessDeniedException", "ThrottlingException",
    "ServiceQuotaExceededException", "ModelNotReadyException", "ModelTimeoutException",
    "ExpiredTokenException", "com.amazon#InternalServerException:http", "WarpException",
)  # fmt: skip
BODIES: Final = (
    b"", b"{", b"[]", b'{"error": "no"}', b'{"message": "no"}', b'[{"error": {"message": "no"}}]',
    b'{"error": {"message": 5, "code": 5, "type": [], "param": {}}}',
    b'{"error": {"message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}',
    b'{"error": {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "7s"}]}}',
    b'{"error": {"message": "m", "details": [{"reason": "API_KEY_INVALID", "@type":'
    b' "type.googleapis.com/google.rpc.ErrorInfo"}]}}',
    b'{"error": {"message": "m", "details": [{"reason": "BILLING_DISABLED"}]}}',
    b'{"error": {"message": "m", "details": [{"fieldViolations": [5, {"field": "a.b"}]}]}}',
    b'{"base_resp": {"status_code": 1008, "status_msg": "m"}}',
    b'{"base_resp": {"status_code": 1002, "status_msg": "m"}}',
    b'{"ResponseMetadata": {"Error": {"Message": "m"}}}',
    b'{"detail": "m"}', b'{"object": "error", "message": "m", "code": 404}',
)  # fmt: skip
HEADERS: Final[tuple[dict[str, str], ...]] = (
    {}, {"retry-after": "7"}, {"retry-after": "1.5"}, {"retry-after-ms": "250", "retry-after": "7"},
    {"retry-after": "Thu, 01 Jan 1970 00:00:30 GMT"}, {"retry-after": "soon"},
    {"retry-after": "99999"}, {"retry-after": "Thu, 01 Jan 1970 00:00:05 GMT"},
    {"anthropic-ratelimit-requests-remaining": "0",
     "anthropic-ratelimit-requests-reset": "1970-01-01T00:00:40Z"},
    {"anthropic-ratelimit-tokens-remaining": "3",
     "anthropic-ratelimit-tokens-reset": "1970-01-01T00:00:40Z"},
)  # fmt: skip


def bodies() -> Iterator[tuple[str, dict[str, str], bytes]]:
    for message in MESSAGES:
        yield message, {}, json.dumps({"error": {"message": message}, "message": message}).encode()
    for word in WORDS:
        for name in ("code", "type"):
            error = {"message": "m", name: word, "param": "p"}
            yield f"{name} {word}", {}, json.dumps({"error": error}).encode()
    for name in AMAZONS:
        yield name, {"x-amzn-errortype": name}, b'{"message": "m"}'
    for raw in BODIES:
        yield raw.decode(), {}, raw


def fate(fault: UpstreamFault) -> str:
    named = [f"{name}={value}" for name in ("code", "param") if (value := getattr(fault, name))]
    return " ".join([fault.kind, fault.fault, *named])


def by_status(codec: Codec[Any], headers: dict[str, str], raw: bytes) -> dict[int, str]:
    found = dict[int, str]()
    for status in STATUSES:
        fault = codec.read_error(status, headers, raw, 10)
        shown = f" as {fault.status}" if fault.status != status else ""
        found[status] = f"{fate(fault)}{shown}"
    return found


def lines(codec: Codec[Any]) -> Iterator[str]:
    """Each error, by those statuses at which it is another than one without any words."""
    usual = by_status(codec, {}, b"")
    yield from (f"{status}: {why}" for status, why in usual.items())
    for title, headers, raw in bodies():
        read = defaultdict[str, list[int]](list)
        for status, why in by_status(codec, headers, raw).items():
            if why != usual[status]:
                read[why].append(status)
        inside = codec.read_error_object(raw)
        rows = "; ".join(f"{why}: {', '.join(map(str, known))}" for why, known in read.items())
        yield f"{title} · {rows} · inside: {fate(inside)} {inside.status} · {inside.message}"
    for given in HEADERS:
        yield f"{given} {codec.read_error(429, given, b'{}', 10).retry_after_ms}"
    yield text_of(codec.read_error(429, HEADERS[1], b'{"error": {"message": "slow"}}', 10))


@pytest.mark.parametrize("reader", READERS)
def test_error_is_read_by_its_status_code_and_message(reader: str) -> None:
    TEXTS.check(reader, {reader: "\n".join(lines(READERS[reader]))})
