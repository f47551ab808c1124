import json
from base64 import b64encode
from typing import Any

import pytest

from dialects.anthropic.request.message_encode import lacks_own_thinking, write_conversation
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
    Role,
    Text,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from dialects.chat.events import Seal, Source
from dialects.chat.turns import OPENING
from dialects.errors.errors import RequestFault
from tests.dialects.neutral import request

OWN = Seal("anthropic", "s")
MARK = {"cache_control": {"type": "ephemeral"}}
LONG_MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def result(call_id: str, *parts: Any, **more: Any) -> Message:
    return Message("tool", (ToolResult(call_id, parts, **more),))


def system(*parts: Part) -> Message:
    return Message("system", parts)


OPENED = {"role": "user", "content": OPENING}


def written(*messages: Message, dialect: Dialect = "openai") -> list[dict[str, Any]]:
    """The turns, without the one that is put before those that begin with the assistant's."""
    turns = write_conversation(request(*messages, dialect=dialect))[1]
    return turns[1:] if turns[0] == OPENED else turns


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_the_first_turn_is_the_users(role: Role) -> None:
    turns = write_conversation(request(Message(role, (Text("a"),)), user(Text("b"))))[1]
    assert (turns[0] == OPENED) == (role == "assistant")
    assert turns[0]["role"] == "user"


def blocks(*parts: Part, dialect: Dialect = "openai") -> Any:
    (message,) = written(user(*parts), dialect=dialect)
    return message["content"]


def test_system_texts_are_joined_by_a_blank_line() -> None:
    chat_request = request(
        system(Text("a"), Text("")),
        user(Text("hi")),
        Message("developer", (Text("b"),)),
    )
    assert write_conversation(chat_request, "c") == (
        "a\n\nb\n\nc",
        [{"role": "user", "content": "hi"}],
    )


def test_marks_stay_on_system_texts() -> None:
    chat_request = request(
        system(Text("a"), Text("b", "5m"), Text("c", "1h"), Text("d")), user(Text("x"))
    )
    assert write_conversation(chat_request)[0] == [
        {"type": "text", "text": "a\n\nb"} | MARK,
        {"type": "text", "text": "c"} | LONG_MARK,
        {"type": "text", "text": "d"},
    ]
    chat_request = request(system(Text("a", "5m")), user(Text("x")))
    assert write_conversation(chat_request)[0] == [{"type": "text", "text": "a"} | MARK]


def test_lone_system_texts_become_the_users_words() -> None:
    assert write_conversation(request(system(Text("a")))) == (
        "",
        [{"role": "user", "content": "a"}],
    )


def test_a_conversation_must_say_something() -> None:
    with pytest.raises(RequestFault) as caught:
        written(system(Text(" ")), user(Text("")))
    assert (caught.value.kind, caught.value.param) == ("invalid_value", "messages")


def test_neighbouring_turns_are_merged_and_empty_ones_dropped() -> None:
    assert written(
        user(Text("a")),
        user(Text("b"), Text("")),
        assistant(Text(" \n")),
        user(Text("c")),
        assistant(Text("d \n")),
        assistant(Text("e \n")),
    ) == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "d \n"}, {"type": "text", "text": "e"}],
        },
    ]


def test_white_space_of_other_turns_stays() -> None:
    assert written(assistant(Text("a ")), user(Text("b ")))[0]["content"] == "a "
    calls = written(assistant(Text("a "), ToolCall("t", "f", "")))
    assert calls[0]["content"][0] == {"type": "text", "text": "a "}


def test_results_come_first_in_the_order_of_the_calls() -> None:
    assert written(
        assistant(ToolCall("t1", "f", '{"a":1}'), ToolCall("t.2", "g", "no json")),
        result("t.2", Text("two"), failed=True),
        result("t1", Text("a"), Image(Url("u")), cache="5m"),
        user(Text("go on")),
    ) == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "t_2", "name": "g", "input": {"_raw": "no json"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image", "source": {"type": "url", "url": "u"}},
                    ],
                }
                | MARK,
                {
                    "type": "tool_result",
                    "tool_use_id": "t_2",
                    "content": "two",
                    "is_error": True,
                },
                {"type": "text", "text": "go on"},
            ],
        },
    ]


def test_result_without_words() -> None:
    assert written(result("x y"))[0]["content"] == [{"type": "tool_result", "tool_use_id": "x_y"}]


def test_calls_never_share_an_id() -> None:
    messages = written(
        assistant(ToolCall("t.1", "f", ""), ToolCall("t:1", "f", "")),
        result("t:1", Text("b")),
        result("t.1", Text("a")),
    )
    calls = [block["id"] for block in messages[0]["content"]]
    assert calls[0] == "t_1"
    assert calls[1].startswith("toolu_")
    assert [block["tool_use_id"] for block in messages[1]["content"]] == calls


def test_parts_of_a_user() -> None:
    csv = b64encode("é".encode()).decode()
    assert blocks(
        Text("a", "1h"),
        Image(Base64("AA==", "image/png"), detail="low", cache="5m"),
        File(Base64("AA==", "application/pdf"), "a.pdf"),
        File(Base64(csv, "text/csv; charset=utf-8")),
        File(Base64(csv, "application/json"), cache="5m"),
        File(Base64("AA==", "image/png")),
        File(PlainText("words"), "t"),
        File(Url("u")),
        OwnPart("anthropic", {"type": "container_upload"}),
        OwnPart("gemini", {"x": 1}),
    ) == [
        {"type": "text", "text": "a"} | LONG_MARK,
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
        }
        | MARK,
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "a.pdf",
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "é"},
        }
        | MARK,
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
            "title": "t",
        },
        {"type": "document", "source": {"type": "url", "url": "u"}},
        {"type": "container_upload"},
    ]


def test_stored_files_are_only_known_to_their_own_provider() -> None:
    assert blocks(Image(FileId("f")), dialect="anthropic") == [
        {"type": "image", "source": {"type": "file", "file_id": "f"}}
    ]
    for part in (Image(FileId("f")), File(FileId("f"))):
        with pytest.raises(RequestFault) as caught:
            blocks(part)
        assert caught.value.kind == "unsupported_capability"


@pytest.mark.parametrize(
    "part",
    [
        Audio(Base64("AA==", "audio/wav")),
        Audio(Url("u")),
        Video(Url("u")),
        File(Base64("AA==", "application/zip")),
    ],
)
def test_inexpressible_parts_are_rejected(part: Part) -> None:
    with pytest.raises(RequestFault) as caught:
        blocks(part)
    assert (caught.value.kind, caught.value.param) == ("unsupported_capability", "messages")


def test_a_text_file_must_be_text() -> None:
    with pytest.raises(RequestFault) as caught:
        blocks(File(Base64("/w==", "text/plain")))
    assert caught.value.kind == "invalid_type"


def test_assistant_turn() -> None:
    encoded = written(
        assistant(
            Reasoning("mine"),
            Reasoning("", OWN),
            Reasoning("", Seal("anthropic", "d", redacted=True)),
            Reasoning("theirs", Seal("gemini", "g")),
            Reasoning("bare"),
            Refusal("no"),
            Audio(FileId("a"), "spoken"),
        ),
        user(Text("x")),
    )
    assert encoded[0]["content"] == [
        {"type": "thinking", "thinking": "mine", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "no"},
        {"type": "text", "text": "spoken"},
    ]


def test_citations_are_left_out() -> None:
    turn = Message("assistant", (Text("a"),), citations=(Source("u"),))
    assert written(turn, user(Text("x")))[0] == {"role": "assistant", "content": "a"}


def test_assistant_images_follow_as_user_text() -> None:
    drawn = Image(Url("u"))
    values = {"type": "image", "source": {"type": "url", "url": "u"}}
    call = ToolCall("t", "f", "")
    encoded = written(assistant(Text("a"), drawn, call), result("t", Text("r")), user(Text("b")))
    assert [block["type"] for block in encoded[0]["content"]] == ["text", "tool_use"]
    assert encoded[1]["content"][1:] == [values, {"type": "text", "text": "b"}]
    last = written(user(Text("x")), assistant(drawn))
    assert last[1:] == [{"role": "user", "content": [values]}]


@pytest.mark.parametrize(
    ("messages", "lacks"),
    [
        ((user(Text("a")),), False),
        ((assistant(Text("a")),), False),
        ((assistant(ToolCall("t", "f", "")),), True),
        ((assistant(Reasoning("a", Seal("gemini", "g")), ToolCall("t", "f", "")),), True),
        ((assistant(Reasoning("a", OWN), ToolCall("t", "f", "")),), False),
        ((assistant(ToolCall("t", "f", "")), result("t"), assistant(Text("b"))), False),
    ],
)
def test_thinking_that_led_to_calls(messages: tuple[Message, ...], lacks: bool) -> None:
    assert lacks_own_thinking(request(*messages)) is lacks


def test_written_messages_are_json() -> None:
    json.dumps(written(user(Text("a")), assistant(ToolCall("t", "f", '{"a":1}'))))
