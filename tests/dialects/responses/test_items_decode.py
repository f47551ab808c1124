import json
from typing import Any

import pytest

from dialects.chat.chat import (
    Audio,
    Base64,
    File,
    FileId,
    Image,
    JsonObject,
    Message,
    OwnPart,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from dialects.chat.events import Seal, Source
from dialects.errors.errors import RequestFault
from dialects.responses.items_decode import read_mark, write_mark
from dialects.responses.request.decode import decode
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID

CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "ok"}


def read(*items: object, **members: object) -> tuple[Message, ...]:
    raw = json.dumps({"model": "m", "input": items} | members).encode()
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT).messages


def refusal(*items: object, **members: Any) -> tuple[str, str | None]:
    with pytest.raises(RequestFault) as caught:
        read(*items, **members)
    return caught.value.kind, caught.value.param


def user(*parts: object) -> dict[str, object]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("part", "neutral"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "output_text", "text": "a", "annotations": []}, Text("a")),
        (
            {"type": "input_image", "image_url": "https://e.com/p", "detail": "low"},
            Image(Url("https://e.com/p"), "low"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
            Image(Base64("AA==", "image/png")),
        ),
        ({"type": "input_image", "file_id": "f"}, Image(FileId("f"))),
        (
            {"type": "input_file", "file_url": "https://e.com/f.pdf"},
            File(Url("https://e.com/f.pdf")),
        ),
        (
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,AA==",
            },
            File(Base64("AA==", "application/pdf"), "a.pdf"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
            Audio(Base64("AA==", "audio/mpeg")),
        ),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        (
            {"type": "output_audio", "data": "AA==", "transcript": "hi"},
            Audio(Base64("AA==", "audio/wav"), "hi"),
        ),
        ({"type": "output_audio"}, Audio(Base64("", "audio/wav"))),
    ],
)
def test_part(part: object, neutral: Part) -> None:
    assert read(user(part)) == (Message("user", (neutral,)),)


@pytest.mark.parametrize(
    ("item", "messages"),
    [
        ({"role": "user", "content": "a"}, (Message("user", (Text("a"),)),)),
        ({"type": "message", "role": "user", "content": ""}, (Message("user", ()),)),
        ({"role": "developer", "content": "a"}, (Message("developer", (Text("a"),)),)),
        (
            {"role": "system", "content": [{"type": "input_text", "text": "a"}]},
            (Message("system", (Text("a"),)),),
        ),
        ({"role": "assistant", "content": "a"}, (Message("assistant", (Text("a"),)),)),
        (
            CALL,
            (Message("assistant", (ToolCall("c", "f", '{"a":1}'),)),),
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f"},
            (Message("assistant", (ToolCall("c", "f", ""),)),),
        ),
        (
            {"type": "web_search_call", "id": "w"},
            (
                Message(
                    "assistant", (OwnPart("responses", {"type": "web_search_call", "id": "w"}),)
                ),
            ),
        ),
        (
            {"type": "image_generation_call", "id": "i", "result": "AA=="},
            (Message("assistant", (Image(Base64("AA==", "image/png")),)),),
        ),
        (
            {
                "type": "reasoning",
                "id": "rs",
                "summary": [{"type": "summary_text", "text": "a"}, {"text": "b"}],
                "encrypted_content": "gAA",
            },
            (Message("assistant", (Reasoning("a\n\nb", Seal("openai", "gAA", id="rs")),)),),
        ),
        (
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "a"}],
            },
            (Message("assistant", (Reasoning("a"),)),),
        ),
        (
            {
                "type": "reasoning",
                "summary": [{"text": ""}, {"type": "summary_text", "text": "a"}],
                "content": [{"type": "reasoning_text", "text": "b"}],
            },
            (Message("assistant", (Reasoning("a"),)),),
        ),
        (
            {
                "type": "reasoning",
                "content": [{"type": "reasoning_text", "text": text} for text in "ab"],
            },
            (Message("assistant", (Reasoning("ab"),)),),
        ),
    ],
)
def test_item(item: object, messages: tuple[Message, ...]) -> None:
    assert read(item) == messages


def test_empty_items() -> None:
    empty = [{"type": "reasoning", "id": "rs"}, {"type": "image_generation_call", "result": None}]
    assert read(*empty, user()) == (Message("user", ()),)


def test_neighbouring_items_of_the_assistant_are_one_turn() -> None:
    thought = {"type": "reasoning", "summary": [{"text": "hm"}], "encrypted_content": "x"}
    message = {"role": "assistant", "content": [{"type": "output_text", "text": "Let me."}]}
    other = CALL | {"call_id": "d"}
    got = read(user(), thought, message, CALL, other, RESULT, RESULT | {"call_id": "d"}, message)
    assert [message.role for message in got] == ["user", "assistant", "tool", "tool", "assistant"]
    assert got[1].parts == (
        Reasoning("hm", Seal("openai", "x")),
        Text("Let me."),
        ToolCall("c", "f", '{"a":1}'),
        ToolCall("d", "f", '{"a":1}'),
    )
    assert got[2].parts == (ToolResult("c", (Text("ok"),)),)


def test_results() -> None:
    picture = {"type": "input_image", "image_url": "https://e.com/p"}
    file = {"type": "input_file", "file_url": "https://e.com/f"}
    output = [{"type": "input_text", "text": "see"}, picture, file]
    (_, message) = read(CALL, RESULT | {"output": output})
    assert message.parts == (
        ToolResult("c", (Text("see"), Image(Url("https://e.com/p")), File(Url("https://e.com/f")))),
    )
    assert read(CALL, RESULT | {"output": ""})[1].parts == (ToolResult("c", ()),)


def test_citations_count_from_the_beginning_of_the_turn() -> None:
    cited = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 2}
    text = {"type": "output_text", "text": "abc", "annotations": [cited, 3]}
    unknown = {"type": "url_citation", "url": "v", "title": 3, "start_index": 0, "end_index": 0}
    file = {"type": "file_citation", "file_id": "f"}
    got = read(
        {"role": "assistant", "content": [text, text]},
        {"role": "assistant", "content": [text | {"annotations": [unknown, file]}, text]},
        user({"type": "input_text", "text": "x"}),
    )
    assert got[0].citations == (
        Source("u", "t", 0, 2),
        Source("u", "t", 3, 5),
        Source("v"),
        Source("u", "t", 9, 11),
    )


@pytest.mark.parametrize(
    "seal",
    [
        Seal("openai", "gAA", id="rs"),
        Seal("anthropic", "sig"),
        Seal("anthropic", "data", redacted=True),
        Seal("gemini", "sig"),
    ],
)
def test_a_seal_travels_with_its_mark(seal: Seal) -> None:
    assert read_mark(write_mark(seal), "rs") == seal


def test_result_may_answer_an_unknown_call() -> None:
    got = read(RESULT, previous_response_id="resp_1")
    assert got == (Message("tool", (ToolResult("c", (Text("ok"),)),)),)


def test_references_are_looked_up() -> None:
    message: JsonObject = {"id": "msg_1", "role": "assistant", "content": "a"}
    reference = {"type": "item_reference", "id": "msg_1"}
    twice = (Message("assistant", (Text("a"), Text("a"))),)
    assert read(message, reference) == read(message, {"id": "msg_1"}) == twice
    assert refusal(reference) == ("unsupported_capability", "input[0].id")
    assert refusal(reference, message) == ("unsupported_capability", "input[0].id")
    assert refusal({"type": "item_reference"}) == ("missing_parameter", "input[0].id")


@pytest.mark.parametrize(
    ("item", "kind", "param"),
    [
        (3, "invalid_type", "input[0]"),
        ({"type": 3}, "invalid_type", "input[0].type"),
        ({"type": "odd"}, "invalid_value", "input[0].type"),
        ({"type": "message", "content": "a"}, "missing_parameter", "input[0].role"),
        ({"role": "tool", "content": "a"}, "invalid_value", "input[0].role"),
        ({"role": "user"}, "missing_parameter", "input[0].content"),
        ({"role": "user", "content": 3}, "invalid_type", "input[0].content"),
        (user(3), "invalid_type", "input[0].content[0]"),
        (user({}), "missing_parameter", "input[0].content[0].type"),
        (user({"type": "odd"}), "invalid_value", "input[0].content[0].type"),
        (user({"type": "input_text"}), "missing_parameter", "input[0].content[0].text"),
        (user({"type": "input_image"}), "missing_parameter", "input[0].content[0].image_url"),
        (
            {"role": "system", "content": [{"type": "input_image", "image_url": "https://e.com"}]},
            "invalid_value",
            "input[0].content[0].type",
        ),
        (
            {"type": "compaction", "encrypted_content": "x"},
            "unsupported_capability",
            "input[0].type",
        ),
        ({"type": "function_call", "name": "f"}, "missing_parameter", "input[0].call_id"),
        ({"type": "function_call", "call_id": "c"}, "missing_parameter", "input[0].name"),
        (RESULT, "invalid_type", "input[0].call_id"),
        (
            {"type": "image_generation_call", "result": "?"},
            "invalid_type",
            "input[0].result",
        ),
    ],
)
def test_item_refused(item: object, kind: str, param: str) -> None:
    assert refusal(item) == (kind, param)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (None, "missing_parameter"),
        (3, "invalid_type"),
        ([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}], "invalid_value"),
    ],
)
def test_output_refused(output: object, kind: str) -> None:
    assert refusal(CALL, RESULT | {"output": output}) == (kind, "input[1].output")
