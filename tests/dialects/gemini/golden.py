"""Recorded answers of Google, and what each of them must be read as."""

import json
from pathlib import Path
from typing import Any

from dialects.chat.chat import Audio, Base64, ChatAnswer, Image, Reasoning, Text, ToolCall
from dialects.chat.events import Step
from dialects.gemini.stream.decode import Decoder
from dialects.usage.usage import Counts
from tests.dialects.exchanges import load_exchange

GOLDEN = Path(__file__).parents[2] / "golden" / "gemini"
EXPECTED: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())
ARRAY = "gemini_nonstream.json#stream_without_alt_sse"
SSE = "gemini_stream_thoughts_function_call.sse"
STREAMS = [SSE, ARRAY]
ANSWERS = [name for name in EXPECTED["codec"] if "#" in name]


def body_of(response: dict[str, Any]) -> bytes:
    if "raw_body" in response:
        return str(response["raw_body"]).encode()
    return json.dumps(response["body"], ensure_ascii=False).encode()


def load(key: str) -> bytes:
    if "#" in key:
        return body_of(load_exchange(key)["response"])
    return (GOLDEN / key).read_bytes()


def run(*chunks: bytes, translate: bool = False, choices: int = 1) -> list[Step]:
    decoder = Decoder(choices=choices, translate=translate, request_id="r")
    steps = [step for chunk in chunks for step in decoder.feed(chunk)]
    return steps + decoder.end()


def frame(*parts: object, finish: str | None = None, **more: Any) -> bytes:
    """One frame of a stream with one candidate."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    body = {"candidates": [candidate | more.pop("candidate", {})], **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\r\n\r\n"


def check_counts(counts: Counts | None, want: dict[str, int]) -> None:
    total = want["total"]
    assert counts == Counts(**{name: count for name, count in want.items() if name != "total"})
    assert counts is not None
    assert counts.total == total


def check_answer(answer: ChatAnswer, want: dict[str, Any]) -> None:
    """An answer of one choice against the words of the expectations."""
    (choice,) = answer.choices
    texts = [part.text for part in choice.parts if isinstance(part, Text)]
    thoughts = [part for part in choice.parts if isinstance(part, Reasoning)]
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    media = [part.source for part in choice.parts if isinstance(part, Image | Audio)]
    assert "".join(texts) == want["text"]
    assert "".join(part.text for part in thoughts) == want.get("reasoning", "")
    seals = [part.seal.value for part in thoughts if part.seal is not None]
    assert seals == ([want["seal"]] if "seal" in want else [])
    assert choice.finish == want["stop"]
    assert all(call.id.startswith("call_") for call in calls)
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (call["name"], json.loads(call["arguments"])) for call in want.get("tool_calls", [])
    ]
    assert [source.url for source in choice.citations] == want.get("citations", [])
    types = [source.media_type for source in media if isinstance(source, Base64)]
    assert types == want.get("media", [])
    check_counts(answer.counts, want["usage"])
