from typing import Any

import pytest

from dialects.chat.chat import (
    Audio,
    Base64,
    Dialect,
    File,
    FileId,
    Flag,
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
)
from dialects.chat.events import Seal, Source
from dialects.errors.errors import RequestFault
from dialects.openai.message_encode import SealWriter, write_calls, write_messages
from tests.dialects.neutral import request

A, B = Text("a"), Text("b")
CALL = ToolCall("c", "f", "")
CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PICTURE = Image(Base64("AA==", "image/png"))


def write(*messages: Message, flags: tuple[Flag, ...] = (), dialect: Dialect = "anthropic") -> Any:
    return write_messages(request(*messages, dialect=dialect), frozenset(flags))


def test_system_texts_of_other_dialects_are_joined_in_front() -> None:
    messages = (Message("user", (A,)), Message("developer", (A, B)), Message("system", (B,)))
    assert write(*messages) == [
        {"role": "system", "content": "a\n\nb\n\nb"},
        {"role": "user", "content": "a"},
    ]
    assert write(*messages, flags=("developer_role",))[0]["role"] == "developer"
    roles = [message["role"] for message in write(*messages, dialect="openai")]
    assert roles == ["user", "system", "system"]
    assert write(Message("system", (Text(""),)), messages[0]) == [{"role": "user", "content": "a"}]


def test_marks_stay_where_supported() -> None:
    messages = (Message("system", (Text("a", "1h"),)), Message("user", (Text("b", "5m"),)))
    assert write(*messages) == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    system, user = write(*messages, flags=("cache_control",))
    assert system["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert user["content"][0]["cache_control"] == {"type": "ephemeral"}


def test_pictures_of_results_follow_all_results() -> None:
    calls = Message("assistant", (CALL, ToolCall("d", "g", '{"a":1}')))
    first = Message("tool", (ToolResult("c", (A, PICTURE), failed=True),))
    second = Message("tool", (ToolResult("d", ()),))
    written = write(calls, first, second, Message("user", (B,)))
    assert [m["role"] for m in written] == ["assistant", "tool", "tool", "user", "user"]
    assert written[0]["content"] is None
    assert written[1] == {"role": "tool", "tool_call_id": "c", "content": "a"}
    assert written[3]["content"][0]["type"] == "image_url"
    assert write(calls, first)[-1]["role"] == "user"


def test_assistant() -> None:
    parts = (Reasoning("r"), A, B, Refusal("no"), Audio(Base64("", "audio/wav"), id="x"), PICTURE)
    (written,) = write(Message("assistant", parts, citations=(Source("u"),)))
    assert written == {
        "role": "assistant",
        "content": "ab",
        "refusal": "no",
        "audio": {"id": "x"},
    }
    (written,) = write(Message("assistant", (Audio(Base64("", "audio/wav")),)))
    assert written == {"role": "assistant", "content": None}
    assert write(Message("assistant", ())) == [{"role": "assistant", "content": ""}]


def test_deepseek_gets_its_reasoning_back_with_calls_only() -> None:
    rule: tuple[Flag, ...] = ("reasoning_content_rule",)
    (written,) = write(Message("assistant", (Reasoning("r"), CALL)), flags=rule)
    assert written["reasoning_content"] == "r"
    (written,) = write(Message("assistant", (CALL,)), flags=rule)
    assert written["reasoning_content"] == ""
    (written,) = write(Message("assistant", (Reasoning("r"), A)), flags=rule)
    assert "reasoning_content" not in written


def test_file() -> None:
    (message,) = write(Message("user", (File(FileId("f"), "n"),)), dialect="openai")
    assert message["content"] == [{"type": "file", "file": {"file_id": "f", "filename": "n"}}]


def test_text_document_is_sent_as_text() -> None:
    """A `file` holds PDF alone at OpenAI, and nothing at models that read text only."""
    words = File(PlainText("é"), "t")
    (message,) = write(Message("user", (words, A)), dialect="anthropic")
    assert message["content"] == [{"type": "text", "text": "é"}, {"type": "text", "text": A.text}]
    (message,) = write(Message("user", (words,)), dialect="anthropic")
    assert message["content"] == "é"
    assistant_message = Message("assistant", (CALL,))
    encoded = write(
        assistant_message, Message("tool", (ToolResult("c", (words,)),)), dialect="anthropic"
    )
    assert encoded[1:] == [{"role": "tool", "tool_call_id": "c", "content": "é"}]


def test_results_of_another_dialect_follow_their_calls() -> None:
    """Gemini's clients may say something before the results, and those of responses anywhere."""
    result = Message("tool", (ToolResult("c", (B,)),))
    assistant_message = Message("assistant", (CALL,))
    encoded = write(assistant_message, Message("user", (A,)), result, dialect="gemini")
    assert [message["role"] for message in encoded] == ["assistant", "tool", "user"]
    encoded = write(assistant_message, Message("user", (A,)), result, dialect="openai")
    assert [message["role"] for message in encoded] == ["assistant", "user", "tool"]


@pytest.mark.parametrize(
    ("source", "name", "expected"),
    [
        (Base64("AA==", "application/pdf"), "", "file.pdf"),
        (Base64("AA==", "text/csv"), "", "file.csv"),
        (Base64("AA==", "application/zip"), "", "file.pdf"),
        (Base64("AA==", "application/pdf"), "letter.pdf", "letter.pdf"),
    ],
)
def test_a_file_of_another_dialect_has_a_name(source: Base64, name: str, expected: str) -> None:
    """Without one OpenAI answers: Missing required parameter file_id (langchainjs#9512, 2025)."""
    message = Message("user", (File(source, name),))
    (written,) = write_messages(request(message, dialect="anthropic"), frozenset())
    assert written["content"][0]["file"]["filename"] == expected


def test_file_stored_at_another_provider_is_rejected() -> None:
    message = Message("user", (File(FileId("file_1")),))
    with pytest.raises(RequestFault) as raised:
        write_messages(request(message, dialect="anthropic"), frozenset())
    assert raised.value.kind == "unsupported_capability"


def test_user_refusals_are_text_and_foreign_parts_dropped() -> None:
    own = OwnPart("anthropic", {"type": "search_result"})
    (message,) = write(Message("user", (Refusal("no"), own)))
    assert message["content"] == [{"type": "text", "text": "no"}]
    assert write(Message("user", (own,))) == [{"role": "user", "content": ""}]


@pytest.mark.parametrize(
    "part", [Image(FileId("f")), Audio(FileId("f")), File(Url("https://a.org"))]
)
def test_inexpressible_parts_are_rejected(part: Part) -> None:
    with pytest.raises(RequestFault) as raised:
        write(Message("user", (part,)))
    assert raised.value.kind == "unsupported_capability"


SIGNED = Reasoning("why", Seal("anthropic", "s"))
HIDDEN = Reasoning("", Seal("openai", "x", True, "rs_1"))
GOOGLE = Reasoning("hm", Seal("gemini", "g"))


@pytest.mark.parametrize(
    ("parts", "extra"),
    [
        ((CALL,), {}),
        ((Reasoning("a"), CALL), {}),
        ((SIGNED, A, CALL), {"anthropic": {"reasoning": [{"characters": 3, "value": "s"}]}}),
        ((Reasoning("a"), HIDDEN, CALL), {"openai": {"reasoning": [
            {"characters": 1}, {"characters": 0, "value": "x", "redacted": True, "id": "rs_1"}]}}),
        ((GOOGLE, CALL), {"google": {"thought_signature": "g"}}),
    ],
)  # fmt: skip
def test_seals_attach_to_the_next_call(parts: tuple[Part, ...], extra: dict[str, Any]) -> None:
    expected = CALLED | {"extra_content": extra} if extra else CALLED
    assert write_calls(parts, others=True) == [expected]
    assert write_calls((*parts, CALL), others=True)[1] == CALLED
    kept = "google" in extra
    assert write_calls(parts) == [expected if kept else CALLED]
    assert write_calls(parts, google=False) == [CALLED]


def test_seal_is_used_once() -> None:
    writer = SealWriter()
    writer.add_reasoning("ab")
    writer.add_seal(Seal("anthropic", "s"))
    assert writer.next_extra_content() == {
        "anthropic": {"reasoning": [{"characters": 2, "value": "s"}]}
    }
    assert writer.next_extra_content() == {}
