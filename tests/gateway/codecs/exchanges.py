"""Recorded exchanges with providers by file and id, and small bodies for tests."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.codecs.errors import RequestFault
from gateway.codecs.events import Broken, UpstreamError
from gateway.codecs.fold import AnswerFault

GOLDEN = Path(__file__).parents[2] / "golden"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "media" / "expected.json").read_text())
_FOLDERS = {"openai_media": "media", "openai_chat_nonstream": "openai"}


def exchange(key: str) -> tuple[bytes, bytes]:
    """The request and the answer of `file.json#id`, as JSON texts."""
    name, _, exchange_id = key.partition("#")
    stem = name.removesuffix(".json")
    folder = _FOLDERS.get(stem, stem.partition("_")[0])
    exchanges = json.loads((GOLDEN / folder / name).read_text())["exchanges"]
    found = next(item for item in exchanges if item["id"] == exchange_id)
    return (
        json.dumps(found["request"].get("body")).encode(),
        json.dumps(found["response"]["body"]).encode(),
    )


def wire(**members: object) -> bytes:
    return json.dumps(members).encode()


def refusal(caught: pytest.ExceptionInfo[RequestFault]) -> tuple[str, str | None]:
    return caught.value.kind, caught.value.param


def fault_of(caught: pytest.ExceptionInfo[AnswerFault]) -> str:
    event: UpstreamError | Broken = caught.value.event
    return event.fault if isinstance(event, Broken) else event.kind
