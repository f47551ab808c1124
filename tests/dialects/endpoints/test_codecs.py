"""What the codecs of all dialects have in common."""

import json
from typing import Any, get_args

import pytest

from dialects.chat.chat import Dialect
from dialects.codec import Target
from dialects.endpoints.codecs import CODECS
from dialects.errors.kinds import ErrorKind

# An upstream's error inside a 200 by which only its own words tell what it is.
LIMITED: dict[Dialect, dict[str, Any]] = {
    "openai": {"type": "rate_limit_exceeded"},
    "responses": {"code": "rate_limit_exceeded"},
    "anthropic": {"type": "rate_limit_error"},
    "gemini": {"code": 429, "status": "RESOURCE_EXHAUSTED"},
    "interactions": {"code": "rate_limit_exceeded"},
    "converse": {"__type": "com.amazon#ThrottlingException"},
}


def test_every_dialect_has_a_codec_of_its_name() -> None:
    assert {name: codec.name for name, codec in CODECS.items()} == {d: d for d in get_args(Dialect)}


@pytest.mark.parametrize("dialect", LIMITED)
def test_error_inside_an_answer_is_read_by_its_own_words(dialect: Dialect) -> None:
    """F23."""
    error = LIMITED[dialect] | {"message": "slow down"}
    fault = CODECS[dialect].read_error_object(json.dumps(error).encode())
    assert (fault.kind, fault.fault, fault.detail) == ("upstream_rate_limited", "F8", "slow down")


@pytest.mark.parametrize("dialect", LIMITED)
@pytest.mark.parametrize(
    ("status", "kind"), [(429, "upstream_rate_limited"), (413, "body_too_large")]
)
def test_error_without_words_is_read_by_its_status(
    dialect: Dialect, status: int, kind: ErrorKind
) -> None:
    fault = CODECS[dialect].read_error(status, {"retry-after": "3"}, b"{}", 0)
    assert (fault.kind, fault.status, fault.retry_after_ms) == (kind, status, 3_000)


@pytest.mark.parametrize("dialect", LIMITED)
def test_error_of_a_stream_has_the_message_and_the_guard(dialect: Dialect) -> None:
    codec = CODECS[dialect]
    frame = codec.error_frame("content_filtered", "Not this.", "r", Target(), "secrets")
    whole = codec.render(
        "content_filtered", "Not this.", param=None, code=None, request_id="r", wait_ms=None,
        target=Target(), guard_code="secrets",
    )  # fmt: skip
    for written in (frame, whole):
        assert b"Not this." in written
        assert b"secrets" in written
