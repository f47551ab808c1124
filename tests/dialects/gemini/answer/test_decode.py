import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chat.chat import (
    Audio,
    Base64,
    ChatAnswer,
    Choice,
    FileId,
    Image,
    Reasoning,
    ReasoningSettings,
    Refusal,
    Text,
    Url,
)
from dialects.chat.events import Broken, Finish, Seal, TextDelta, TokenLogprob, UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.gemini.answer.decode import decode
from dialects.gemini.answer.encode import encode
from dialects.usage.usage import Counts
from tests.dialects import neutral
from tests.dialects.gemini.golden import ANSWERS, EXPECTED, check_answer, load

REQUEST = neutral.request(dialect="gemini")


def encoded_body(answer: ChatAnswer, **fields: Any) -> dict[str, Any]:
    request = neutral.request(dialect="gemini", **fields)
    body: dict[str, Any] = json.loads(encode(answer, request))
    return body


@pytest.mark.parametrize("key", ANSWERS)
def test_golden_answer(key: str) -> None:
    raw, want = load(key), EXPECTED["codec"][key]
    answer = decode(raw)
    assert (answer.error, answer.broken) == (None, None)
    translated = decode(raw, translate=True).fold()
    check_answer(translated, want)
    check_answer(
        decode(encode(translated, REQUEST), translate=True).fold(),
        want | {"usage": no_search(want["usage"])},
    )


def no_search(usage: dict[str, int]) -> dict[str, int]:
    """What was searched for is not told on: a client of another upstream sees the sources."""
    return {name: count for name, count in usage.items() if name != "searches"}


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"", "F24"),
        (b" \n", "F24"),
        (b"{}", "F24"),
        (b"[]", "F24"),
        (b'{"candidates":[]}', "F24"),
        (b"<html>", "F15"),
        (b"\xff", "F16"),
        (b"3", "F15"),
        (b"{", "F15"),
        (b'[{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}', "F15"),
        (b"[1]", "F15"),
        (b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}x', "F15"),
        (b'{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}\xff', "F16"),
        (b'{"a":"\xff"}', "F16"),
    ],
)
def test_broken_answer(raw: bytes, fault: Any) -> None:
    assert decode(raw).broken == fault
    with pytest.raises(AnswerFault) as caught:
        decode(raw, translate=True).fold()
    assert caught.value.event == Broken(fault)


def test_complete_answer_needs_no_reason() -> None:
    answer = decode(b' {"candidates":[{"content":{"parts":[{"text":"a"}]}}]}\n')
    assert answer.events == [TextDelta(0, "a")]
    assert (answer.usage, answer.text_bytes, answer.reasoning_bytes) == (None, 1, 0)


def test_error_in_a_success() -> None:
    raw = b'[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]'
    answer = decode(raw)
    assert answer.error is not None
    assert answer.error.kind == "upstream_rate_limited"
    with pytest.raises(AnswerFault) as caught:
        decode(raw, translate=True).fold()
    assert isinstance(caught.value.event, UpstreamError)


def test_ids_of_calls_come_from_the_request_or_the_answer() -> None:
    def ids(raw: bytes, request_id: str) -> str:
        (part,) = decode(raw, request_id=request_id, translate=True).fold().choices[0].parts
        call_id: str = part.id  # type: ignore[union-attr]
        return call_id

    call = (
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}}]}}],"responseId":"%s"}'
    )
    first, second = call % b"one", call % b"two"
    assert ids(first, "r") == ids(second, "r") != ids(second, "s")
    assert ids(first, "") == ids(first, "") != ids(second, "")


@pytest.mark.parametrize(
    ("part", "reason"), [({"text": "a"}, "stop"), ({"functionCall": {"name": "f"}}, "tool_calls")]
)
def test_whole_answer_without_a_reason_is_finished(part: dict[str, Any], reason: str) -> None:
    raw = json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode()
    assert decode(raw, translate=True).fold().choices[0].finish == reason
    assert not any(isinstance(event, Finish) for event in decode(raw).events)


def test_a_whole_answer() -> None:
    answer = neutral.answer(
        Reasoning("hm", Seal("gemini", "S")),
        Refusal("no"),
        Audio(Base64("AA==", "")),
        Audio(Base64("", "audio/wav"), "said"),
        Image(Url("https://x", "image/png")),
        Image(FileId("f")),
        counts=Counts(input=2, output=3, reasoning=1),
    )
    assert encoded_body(answer) == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "no", "thoughtSignature": "S"},
                        {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
                        {"fileData": {"mimeType": "image/png", "fileUri": "https://x"}},
                    ],
                    "role": "model",
                },
                "finishReason": "SAFETY",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 2,
            "candidatesTokenCount": 2,
            "totalTokenCount": 5,
            "thoughtsTokenCount": 1,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 2}],
        },
        "modelVersion": "m-1",
        "responseId": encoded_body(answer)["responseId"],
    }


def test_an_answer_without_content_and_counts() -> None:
    bare = encoded_body(neutral.answer(finish="content_filter"))
    assert bare["candidates"] == [{"finishReason": "SAFETY", "index": 0}]
    assert bare["usageMetadata"]["totalTokenCount"] == 0
    cut = encoded_body(neutral.answer(Text("a"), finish=None))
    assert "finishReason" not in cut["candidates"][0]


def test_likelihoods_and_seals_without_a_part() -> None:
    choice = Choice(
        index=0,
        parts=(
            Reasoning("", Seal("gemini", "S")),
            Reasoning("", Seal("gemini", "T")),
            Reasoning("a", Seal("anthropic", "U")),
            Reasoning("b", Seal("openai", "V")),
        ),
        finish="stop",
        logprobs=(TokenLogprob("a", -1.0),),
    )
    answer = ChatAnswer(id="", model="", created=0, choices=(choice,))
    (candidate,) = encoded_body(answer)["candidates"]
    assert [part["text"] for part in candidate["content"]["parts"]] == ["", "a", "b", ""]
    assert candidate["logprobsResult"]["chosenCandidates"][0]["token"] == "a"
    hidden = encoded_body(answer, reasoning=ReasoningSettings(shown=False))["candidates"][0]
    assert [part["text"] for part in hidden["content"]["parts"]] == ["", "", ""]
    assert encoded_body(answer)["modelVersion"] == "m"


@given(st.binary(max_size=80))
def test_no_bytes_crash(raw: bytes) -> None:
    decode(raw)
    decode(b"[" + raw)
