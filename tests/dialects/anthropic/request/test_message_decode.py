import json
from typing import Any

import pytest

from dialects.anthropic.request.decode import decode
from dialects.chat.chat import (
    Base64,
    File,
    FileId,
    Image,
    Message,
    OwnPart,
    Part,
    PlainText,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from dialects.chat.events import Seal, Source
from dialects.errors.errors import RequestFault

CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"b": "é", "a": 1}}
MARK = {"cache_control": {"type": "ephemeral"}}
LONG_MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def messages(*items: object, **members: object) -> tuple[Message, ...]:
    raw = json.dumps({"model": "m", "max_tokens": 9, "messages": items, **members}).encode()
    return decode(raw, request_id="r", received_at=1).messages


def user(*blocks: object) -> tuple[Message, ...]:
    return messages({"role": "user", "content": list(blocks)})


def parts(*blocks: object) -> tuple[Part, ...]:
    (message,) = user(*blocks)
    return message.parts


def assistant(*blocks: object) -> Message:
    (message,) = messages({"role": "assistant", "content": list(blocks)})
    return message


def text(value: str, **more: object) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def test_content_is_a_string_or_blocks() -> None:
    assert messages({"role": "user", "content": "hi"}) == (Message("user", (Text("hi"),)),)
    assert messages({"role": "user", "content": ""}) == (Message("user", ()),)
    assert messages({"role": "assistant", "content": []}) == (Message("assistant", ()),)
    assert user() == (Message("user", ()),)


def test_system_is_the_first_message() -> None:
    hi = {"role": "user", "content": "hi"}
    assert messages(hi, system="be")[0] == Message("system", (Text("be"),))
    decoded_messages = messages(hi, system=[text("a", **MARK), text("b")])
    assert decoded_messages[0] == Message("system", (Text("a", "5m"), Text("b")))
    assert [m.role for m in messages(hi, system="")] == ["user"]
    later = {"role": "system", "content": [text("c")]}
    assert messages(hi, later)[1] == Message("system", (Text("c"),))


def test_marks_for_the_cache() -> None:
    assert parts(text("a", **MARK), text("b", **LONG_MARK)) == (Text("a", "5m"), Text("b", "1h"))


def test_pictures() -> None:
    data = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    assert parts(
        {"type": "image", "source": data, **MARK},
        {"type": "image", "source": {"type": "url", "url": "u"}},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
    ) == (Image(Base64("AA==", "image/png"), cache="5m"), Image(Url("u")), Image(FileId("f")))


def test_documents() -> None:
    def document(source: object, **more: object) -> dict[str, Any]:
        return {"type": "document", "source": source, **more}

    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AA=="}
    plain = {"type": "text", "media_type": "text/plain", "data": "words"}
    inner = {"type": "content", "content": [text("x"), {"type": "image", "source": pdf}]}
    assert parts(
        document(pdf, title="a.pdf", context="from me", **MARK),
        document(plain),
        document({"type": "url", "url": "u"}),
        document({"type": "content", "content": "words"}, title="t"),
        document(inner),
    ) == (
        Text("from me"),
        File(Base64("AA==", "application/pdf"), "a.pdf", "5m"),
        File(PlainText("words")),
        File(Url("u")),
        File(PlainText("words"), "t"),
        Text("x"),
        Image(Base64("AA==", "application/pdf")),
    )


def test_client_search_results_are_text() -> None:
    members = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [text("a"), text("b")],
    }
    assert parts(members | MARK) == (Text("t\ns\na\nb", "5m"),)
    assert parts({"type": "search_result", "content": [text("a")]}) == (Text("a"),)


def test_tool_results_are_messages_of_their_own() -> None:
    result = {"type": "tool_result", "tool_use_id": "t"}
    decoded_messages = messages(
        {"role": "assistant", "content": [CALL]},
        {
            "role": "user",
            "content": [
                text("before"),
                result | {"content": "12", "is_error": True} | MARK,
                result | {"content": [text("a"), {"type": "tool_reference", "tool_name": "x"}]},
                result,
                result | {"content": ""},
                text("after"),
            ],
        },
    )
    assert decoded_messages[1:] == (
        Message("user", (Text("before"),)),
        Message("tool", (ToolResult("t", (Text("12"),), failed=True, cache="5m"),)),
        Message("tool", (ToolResult("t", (Text("a"),)),)),
        Message("tool", (ToolResult("t", ()),)),
        Message("tool", (ToolResult("t", ()),)),
        Message("user", (Text("after"),)),
    )


def test_assistant_turn() -> None:
    own = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert assistant(
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "thinking", "thinking": "", "signature": "gemini:g"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "redacted_thinking", "data": "d"},
        text("x"),
        own,
        CALL,
    ).parts == (
        Reasoning("a", Seal("anthropic", "s")),
        Reasoning("", Seal("gemini", "g")),
        Reasoning("b"),
        Reasoning("", Seal("anthropic", "d", redacted=True)),
        Text("x"),
        OwnPart("anthropic", own),
        ToolCall("t", "f", '{"b":"é","a":1}'),
    )


def test_citations_of_a_turn() -> None:
    place = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "q"}
    document = {"type": "page_location", "document_index": 0, "cited_text": "q"}
    turn = assistant(text("ab"), CALL, text("cde", citations=[place, document]))
    assert turn.citations == (Source("u", "t", 2, 5, "q"),)
    assert turn.parts[2] == Text("cde")


@pytest.mark.parametrize(
    ("block", "kind", "param"),
    [
        ({}, "missing_parameter", "messages[0].content[0].type"),
        ({"type": "future"}, "invalid_value", "messages[0].content[0].type"),
        ({"type": "tool_use"}, "invalid_value", "messages[0].content[0].type"),
        ({"type": "text"}, "missing_parameter", "messages[0].content[0].text"),
        ({"type": "image"}, "missing_parameter", "messages[0].content[0].source"),
        (
            {"type": "image", "source": {"type": "ftp"}},
            "invalid_value",
            "messages[0].content[0].source.type",
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "x", "data": "?"}},
            "invalid_type",
            "messages[0].content[0].source.data",
        ),
        (
            {"type": "tool_result", "tool_use_id": "x"},
            "invalid_type",
            "messages[0].content[0].tool_use_id",
        ),
        (3, "invalid_type", "messages[0].content[0]"),
    ],
)
def test_refused_block(block: object, kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        user(block)
    assert (caught.value.kind, caught.value.param) == (kind, param)


@pytest.mark.parametrize(
    ("message", "kind", "param"),
    [
        ({"content": "x"}, "missing_parameter", "messages[0].role"),
        ({"role": "tool", "content": "x"}, "invalid_value", "messages[0].role"),
        ({"role": "user"}, "missing_parameter", "messages[0].content"),
        ({"role": "user", "content": 3}, "invalid_type", "messages[0].content"),
        ({"role": "assistant", "content": [{"type": "tool_use", "id": ""}]}, "missing_parameter",
         "messages[0].content[0].id"),
        ({"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "f"}]},
         "missing_parameter", "messages[0].content[0].input"),
    ],
)  # fmt: skip
def test_refused_message(message: object, kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as caught:
        messages(message)
    assert (caught.value.kind, caught.value.param) == (kind, param)
