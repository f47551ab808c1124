from typing import Any

import msgspec
import pytest

from dialects.chat.chat import (
    Audio,
    Base64,
    Dialect,
    File,
    FileId,
    Image,
    Message,
    OwnPart,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.events import Seal, Source
from dialects.errors.errors import RequestFault
from dialects.responses.items_encode import write_conversation
from tests.dialects.neutral import request

OWN = {"type": "web_search_call", "id": "ws_1"}


def write(*messages: Message, dialect: Dialect = "openai") -> list[dict[str, Any]]:
    return write_conversation(request(*messages, dialect=dialect))[1]


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (
            Image(Url("https://e.com/p"), "low"),
            {"type": "input_image", "image_url": "https://e.com/p", "detail": "low"},
        ),
        (
            Image(Base64("AA==", "image/png")),
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        ),
        (
            Audio(Base64("AA==", "audio/mpeg")),
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        ),
        (
            File(Url("https://e.com/f.pdf"), "f.pdf"),
            {"type": "input_file", "file_url": "https://e.com/f.pdf"},
        ),
        (
            File(Base64("AA==", "application/pdf"), "a.pdf"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,AA==",
            },
        ),
        (
            File(Base64("AA==", "text/csv")),
            {
                "type": "input_file",
                "filename": "file.csv",
                "file_data": "data:text/csv;base64,AA==",
            },
        ),
        (
            File(PlainText("é")),
            {
                "type": "input_file",
                "filename": "file.txt",
                "file_data": "data:text/plain;base64,w6k=",
            },
        ),
        (Refusal("no"), {"type": "input_text", "text": "no"}),
    ],
)
def test_part(part: Part, written: dict[str, Any]) -> None:
    assert write(Message("user", (part,))) == [
        {"type": "message", "role": "user", "content": [written]}
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Url("gs://bucket/p")),
        Image(FileId("f")),
        File(Url("gs://bucket/f")),
        File(FileId("f")),
        Audio(Url("https://e.com/a")),
        Audio(FileId("a")),
        Video(Url("https://e.com/v")),
        Video(Base64("AA==", "video/mp4")),
        ToolCall("c", "f", "{}"),
    ],
)
def test_inexpressible_part(part: Part) -> None:
    with pytest.raises(RequestFault) as caught:
        write(Message("user", (part,)))
    assert caught.value.kind == "unsupported_capability"


def test_a_stored_picture_is_known_to_its_own_dialect() -> None:
    (item,) = write(Message("user", (Image(FileId("f")),)), dialect="responses")
    assert item["content"] == [{"type": "input_image", "file_id": "f", "detail": "auto"}]


def test_system_texts_of_others_become_the_instructions() -> None:
    messages = (
        Message("system", (Text("a"), Text(""))),
        Message("user", (Text("hi"),)),
        Message("developer", (Text("b"),)),
    )
    instructions, items = write_conversation(request(*messages))
    assert instructions == "a\n\nb"
    assert items == [{"type": "message", "role": "user", "content": "hi"}]


def test_lone_system_texts_are_the_input() -> None:
    """The endpoint wants one; chat does not."""
    chat_request = request(Message("system", (Text("a"),)), Message("developer", (Text("b"),)))
    item = {"type": "message", "role": "system", "content": "a\n\nb"}
    assert write_conversation(chat_request) == ("", [item])


def test_system_items_of_its_own_stay_where_they_were() -> None:
    first = Message("system", (Text("a"),))
    late = Message("developer", (Text("b"), Text("c")))
    instructions, items = write_conversation(request(first, late, dialect="responses"))
    assert instructions == "a"
    assert [item["role"] for item in items] == ["developer"]
    assert write_conversation(request(late, first, dialect="responses"))[0] == ""


def test_the_turn_of_an_assistant_becomes_items_in_its_order() -> None:
    parts: tuple[Part, ...] = (
        Reasoning("mine", Seal("openai", "gAA", id="rs_1")),
        Reasoning("", Seal("openai", "gBB")),
        Reasoning("theirs", Seal("anthropic", "sig")),
        Reasoning("unsealed"),
        Text("a"),
        Audio(Base64("AA==", "audio/wav"), "spoken"),
        Audio(FileId("audio_1")),
        Refusal("no"),
        ToolCall("c", "f", ""),
        OwnPart("responses", OWN),
        OwnPart("anthropic", {"type": "server_tool_use"}),
        Image(Base64("AA==", "image/webp")),
        Image(Url("https://e.com/p")),
        Text("b"),
    )
    items = write(Message("assistant", parts, citations=(Source("u", "t", 7, 8),)))
    assert [item["type"] for item in items] == [
        "reasoning", "reasoning", "message", "function_call", "web_search_call",
        "image_generation_call", "message",
    ]  # fmt: skip
    assert items[0] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "mine"}],
        "encrypted_content": "gAA",
    }
    assert items[1] == {"type": "reasoning", "summary": [], "encrypted_content": "gBB"}
    assert items[2]["content"] == [
        {"type": "output_text", "text": "a", "annotations": []},
        {"type": "output_text", "text": "spoken", "annotations": []},
        {"type": "refusal", "refusal": "no"},
    ]
    assert items[3] == {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert items[5]["output_format"] == "webp"
    assert items[6]["content"] == [
        {
            "type": "output_text",
            "text": "b",
            "annotations": [
                {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "u", "title": "t"}
            ],
        }
    ]


def test_a_lone_text_is_a_string() -> None:
    assert write(Message("assistant", (Text("a"),)))[0]["content"] == "a"
    assert write(Message("assistant", (Refusal("a"),)))[0]["content"] == [
        {"type": "refusal", "refusal": "a"}
    ]
    placeless = Message("assistant", (Text("a"),), citations=(Source("u"),))
    assert write(placeless)[0]["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 0, "url": "u", "title": ""}
    ]


@pytest.mark.parametrize(
    ("parts", "output"),
    [
        ((), ""),
        ((Text("a"),), "a"),
        (
            (Text("a"), Image(Url("https://e.com/p"))),
            [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "https://e.com/p", "detail": "auto"},
            ],
        ),
    ],
)
def test_results(parts: tuple[Text | Image | File, ...], output: object) -> None:
    (item,) = write(Message("tool", (ToolResult("c", parts, failed=True),)))
    assert item == {"type": "function_call_output", "call_id": "c", "output": output}


def test_an_id_that_is_too_long_stays_the_same_in_each_request() -> None:
    """OpenAI accepts 64 characters. The result names the same call, and the cache still fits."""
    long, fits = "x" * 65, "y" * 64
    calls = Message("assistant", (ToolCall(long, "f", "{}"), ToolCall(fits, "f", "{}")))
    results = [Message("tool", (ToolResult(id_, ()),)) for id_ in (long, fits)]
    ids = [item["call_id"] for item in write(calls, *results)]
    assert ids[:2] == ids[2:]
    assert ids[1] == fits
    assert len(ids[0]) == len("call_") + 24
    other = msgspec.structs.replace(request(calls, dialect="openai"), request_id="another")
    assert write_conversation(other)[1][0]["call_id"] == ids[0]


def test_own_parts_of_a_user() -> None:
    parts = (OwnPart("responses", OWN), OwnPart("gemini", {}), Text("a"))
    assert write(Message("user", parts)) == [
        OWN,
        {"type": "message", "role": "user", "content": "a"},
    ]
    assert write(Message("user", ())) == []
