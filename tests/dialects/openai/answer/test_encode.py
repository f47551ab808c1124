import json

import msgspec
import pytest
from hypothesis import given

from dialects.chat.chat import (
    ChatAnswer,
    FileId,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Url,
)
from dialects.chat.events import FinishReason, Seal
from dialects.chat.fold import AnswerFault
from dialects.openai.answer.decode import decode
from dialects.openai.answer.encode import encode
from tests.dialects.exchanges import load_exchange
from tests.dialects.neutral import RECEIVED_AT, answer, openai_answers, request
from tests.dialects.openai.golden import ANSWERS, EXPECTED, body_of

CALL = ToolCall("c", "f", "{}")


@given(openai_answers())
def test_written_answer_reads_the_same(chat_answer: ChatAnswer) -> None:
    read = decode(encode(chat_answer, request()), translate=True).fold()
    assert read == msgspec.structs.replace(
        chat_answer, id=read.id, created=RECEIVED_AT, usage=read.usage
    )


def test_the_answer_is_ours_and_the_model_the_providers() -> None:
    body = json.loads(encode(answer(Text("a")), request()))
    assert body["id"].startswith("chatcmpl-")
    assert (body["object"], body["created"], body["model"]) == (
        "chat.completion",
        RECEIVED_AT,
        "m-1",
    )
    assert body["usage"]["total_tokens"] == 0
    assert not {"service_tier", "system_fingerprint"} & set(body)
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "a", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    nameless = msgspec.structs.replace(answer(), model="")
    assert json.loads(encode(nameless, request()))["model"] == "m"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("pause", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        (None, None),
    ],
)
def test_finish(reason: FinishReason | None, word: str | None) -> None:
    body = json.loads(encode(answer(finish=reason), request()))
    assert body["choices"][0]["finish_reason"] == word


def test_the_old_form_is_answered_in_the_old_form() -> None:
    chat_request = request(legacy_functions=True)
    chat_answer = answer(CALL, ToolCall("d", "g", "{}"), finish="tool_calls")
    (choice,) = json.loads(encode(chat_answer, chat_request))["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in choice["message"]


@pytest.mark.parametrize(
    ("parts", "member", "value"),
    [
        ((Reasoning("a"), Text("b"), Reasoning("c")), "reasoning_content", "ac"),
        ((Text("a"), Refusal("b")), "refusal", "b"),
        ((), "content", None),
        ((Image(Url("u")), Image(FileId("i"))), "images",
         [{"type": "image_url", "image_url": {"url": url}} for url in "ui"]),
        ((Reasoning("", Seal("gemini", "g")), CALL), "tool_calls",
         [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
           "extra_content": {"google": {"thought_signature": "g"}}}]),
    ],
)  # fmt: skip
def test_message(parts: tuple[Part, ...], member: str, value: object) -> None:
    (choice,) = json.loads(encode(answer(*parts), request()))["choices"]
    assert choice["message"][member] == value


@pytest.mark.parametrize("key", [key for key in ANSWERS if "completion" not in key])
def test_golden_answers_survive(key: str) -> None:
    want = EXPECTED["codec"][key]
    first = decode(body_of(load_exchange(key)["response"]), translate=True).fold()
    assert len(first.choices) == len(want["choices"])
    second = decode(encode(first, request()), translate=True).fold()
    assert second.choices == first.choices
    assert second.counts == first.counts
    assert (second.model, second.fingerprint) == (first.model, first.fingerprint)


@pytest.mark.parametrize("raw", [b"", b'{"error":{"message":"x"}}'])
def test_malformed_answer(raw: bytes) -> None:
    with pytest.raises(AnswerFault):
        decode(raw, translate=True).fold()
