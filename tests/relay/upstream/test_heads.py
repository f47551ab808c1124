"""Which head of an upstream's answer is a success: every other one is a failure, not an answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from dialects.endpoints.codecs import CODECS
from relay.upstream.failures import UpstreamFailed
from relay.upstream.upstream import _check_head

JSON = "application/json"


async def failure_of(status: int, body: bytes = b"{}", **headers: str) -> str | None:
    pieces = iter([body])

    async def next_bytes() -> bytes:
        return next(pieces, b"")

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer: Any = SimpleNamespace(status=status, headers=named, next_bytes=next_bytes)
    request: Any = SimpleNamespace(
        codec=CODECS["openai"], content_type=JSON, others=frozenset({"audio/*"})
    )
    try:
        await _check_head(answer, request)
    except UpstreamFailed as failure:
        return failure.fault
    return None


@pytest.mark.parametrize("type", [JSON, "Application/JSON; charset=utf-8", "audio/mpeg"])
async def test_only_the_status_200_with_a_requested_type_is_an_answer(type: str) -> None:
    assert await failure_of(200, content_type=type) is None
    for status in (201, 202, 203, 206, 301, 307, 400, 404, 500):
        assert await failure_of(status, content_type=type) is not None, status
    for status in (204, 205):
        assert await failure_of(status, content_type=type) == "F24"


@pytest.mark.parametrize(
    ("body", "headers", "fault"),
    [
        (b" ", {"content_type": "text/html"}, "F24"),
        (b"<html>", {"content_type": "text/html"}, "F19"),
        (b"<html>", {}, "F19"),
        (b"{}", {"content_type": JSON, "content_encoding": "gzip"}, "F20"),
        (b"{}", {"content_type": JSON, "content_encoding": "Identity"}, None),
    ],
)
async def test_answer_of_another_kind_is_a_failure(
    body: bytes, headers: dict[str, str], fault: str | None
) -> None:
    assert await failure_of(200, body, **headers) == fault
