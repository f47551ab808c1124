from typing import Any

import pytest

from dialects.chat.chat import (
    Audio,
    Base64,
    File,
    FileId,
    Image,
    Message,
    Part,
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
from dialects.json.members import Members
from dialects.openai.message_decode import read_messages


def read(*messages: object) -> tuple[Message, ...]:
    return read_messages(Members({"messages": list(messages)}), "r")


def user(part: object) -> Part:
    (message,) = read({"role": "user", "content": [part]})
    return message.parts[0]


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("part", "read_as"),
    [
        ({"type": "text", "text": ""}, Text("")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", "5m")),
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
         Text("a", "1h")),
        ({"type": "image_url", "image_url": {"url": "https://a.org/b", "detail": "low"}},
         Image(Url("https://a.org/b"), "low")),
        ({"type": "image_url", "image_url": "data:image/png;base64,AA=="},
         Image(Base64("AA==", "image/png"))),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
         Audio(Base64("AA==", "audio/mpeg"))),
        ({"type": "input_audio", "input_audio": {"data": "https://a.org/b.wav"}},
         Audio(Url("https://a.org/b.wav"))),
        ({"type": "file", "file": {"file_id": "file-1", "filename": "a.pdf"}},
         File(FileId("file-1"), "a.pdf")),
        ({"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}},
         File(Base64("AA==", "text/csv"))),
        ({"type": "file", "file": {"file_data": "AA==", "filename": "a.txt"}},
         File(Base64("AA==", "text/plain"), "a.txt")),
        ({"type": "video_url", "video_url": {"url": "https://a.org/b"}},
         Video(Url("https://a.org/b"))),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
    ],
)  # fmt: skip
def test_part(part: object, read_as: Part) -> None:
    assert user(part) == read_as


def test_roles() -> None:
    got = read(
        {"role": "system", "content": "s", "name": "n"},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    )
    assert got == (
        Message("system", (Text("s"),), "n"),
        Message("developer", (Text("d"),)),
        Message("user", ()),
        Message("assistant", (ToolCall("c", "f", "{}"),)),
        Message("tool", (ToolResult("c", (Text("r"),)),)),
    )


def test_assistant_in_full() -> None:
    (message,) = read(
        {
            "role": "assistant",
            "content": "t",
            "reasoning_content": "why",
            "refusal": "no",
            "audio": {"id": "a1"},
            "images": [{"type": "image_url", "image_url": {"url": "https://a.org/b"}}],
            "annotations": [
                {"type": "url_citation", "url_citation": {"url": "u", "title": "t",
                 "start_index": 0, "end_index": 1}},
                {"type": "url_citation", "url_citation": {"url": "v", "end_index": 0}},
                {"type": "file"},
            ],
            "tool_calls": [CALL],
        }
    )  # fmt: skip
    assert message.parts == (
        Reasoning("why"),
        Text("t"),
        Refusal("no"),
        Audio(FileId("a1")),
        Image(Url("https://a.org/b")),
        ToolCall("c", "f", "{}"),
    )
    assert message.citations == (Source("u", "t", 0, 1), Source("v"))


def test_old_form_calls_get_ids_that_their_results_find() -> None:
    got = read(
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "function_call": {"name": "f"}},
        {"role": "function", "name": "f", "content": "2"},
    )
    ids = [part.id for m in got for part in m.parts if isinstance(part, ToolCall)]
    answered = [part.call_id for m in got for part in m.parts if isinstance(part, ToolResult)]
    assert ids == answered
    assert len(set(ids)) == 2
    assert all(id_.startswith("call_") for id_ in ids)


def sealed(*extras: Any, text: str = "abcd") -> tuple[Part, ...]:
    calls = [CALL | {"id": f"c{i}", "extra_content": extra} for i, extra in enumerate(extras)]
    message = {"role": "assistant", "content": "t", "reasoning": text, "tool_calls": calls}
    return tuple(part for part in read(message)[0].parts if not isinstance(part, ToolCall))


def entry(characters: object, value: object = None, **more: object) -> dict[str, object]:
    return {"characters": characters, "value": value, **more}


@pytest.mark.parametrize(
    ("extras", "parts"),
    [
        ([{"google": {"thought_signature": "g"}}, {"google": {"thought_signature": "h"}}],
         (Reasoning("abcd"), Text("t"), Reasoning("", Seal("gemini", "g")),
          Reasoning("", Seal("gemini", "h")))),
        ([{"anthropic": {"reasoning": [entry(3, "s"), entry(0, "x", redacted=True)]}}],
         (Reasoning("abc", Seal("anthropic", "s")), Reasoning("", Seal("anthropic", "x", True)),
          Reasoning("d"), Text("t"))),
        ([{"openai": {"reasoning": [entry(1), entry(3, "s", id="rs_1")]}}],
         (Reasoning("a"), Reasoning("bcd", Seal("openai", "s", id="rs_1")), Text("t"))),
        ([{}, {"anthropic": {"reasoning": [entry(4, "s")]}}],
         (Text("t"), Reasoning("abcd", Seal("anthropic", "s")))),
        ([{"anthropic": {"reasoning": [entry(5, "s")]}, "google": {"thought_signature": "g"}}],
         (Reasoning("abcd"), Text("t"), Reasoning("", Seal("gemini", "g")))),
        ([{"anthropic": {"reasoning": [3, entry("x"), entry(-1, 4)]}, "google": 5}],
         (Reasoning("abcd"), Text("t"))),
        ([7], (Reasoning("abcd"), Text("t"))),
        ([{"anthropic": {"reasoning": 1}, "openai": 2, "google": {"thought_signature": 3}}],
         (Reasoning("abcd"), Text("t"))),
    ],
)  # fmt: skip
def test_seals(extras: list[Any], parts: tuple[Part, ...]) -> None:
    assert sealed(*extras) == parts


@pytest.mark.parametrize(
    ("messages", "kind", "param"),
    [
        (None, "missing_parameter", "messages"),
        ("hi", "invalid_type", "messages"),
        ([], "invalid_value", "messages"),
        (["hi"], "invalid_type", "messages[0]"),
        ([{}], "missing_parameter", "messages[0].role"),
        ([{"role": "robot"}], "invalid_value", "messages[0].role"),
        ([{"role": "user", "content": 3}], "invalid_type", "messages[0].content"),
        ([{"role": "user", "content": [{}]}], "missing_parameter", "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "x"}]}], "invalid_value",
         "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "missing_parameter",
         "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}],
         "invalid_type", "messages[0].content[0].image_url.url"),
        ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A",
           "format": "wav"}}]}], "invalid_type", "messages[0].content[0].input_audio.data"),
        ([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}],
         "invalid_value", "messages[0].content[0]"),
        ([{"role": "tool", "content": "a"}], "missing_parameter", "messages[0].tool_call_id"),
        ([{"role": "tool", "content": "a", "tool_call_id": "x"}], "invalid_type",
         "messages[0].tool_call_id"),
        ([{"role": "function", "content": "a"}], "missing_parameter", "messages[0].name"),
        ([{"role": "function", "content": "a", "name": "f"}], "invalid_type", "messages[0].name"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], "missing_parameter",
         "messages[0].tool_calls[0].function"),
        ([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}],
         "missing_parameter", "messages[0].tool_calls[0].id"),
    ],
)  # fmt: skip
def test_refusal(messages: Any, kind: str, param: str) -> None:
    with pytest.raises(RequestFault) as raised:
        read_messages(Members({"messages": messages}), "r")
    assert (raised.value.kind, raised.value.param) == (kind, param)
