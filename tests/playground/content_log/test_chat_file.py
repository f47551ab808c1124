"""A chat request as a chat of the playground: each kind of message and each setting."""

import base64
from typing import Any

import pytest

from dialects.chat.chat import (
    Base64,
    ChatRequest,
    File,
    FunctionTool,
    Image,
    JsonSchema,
    Message,
    Part,
    PlainText,
    Reasoning,
    ReasoningSettings,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from playground.chats.export_format import ExportedConversation, ExportedMessage
from playground.content_log.chat_file import exported_chat
from playground.panel.settings import SYSTEM_MAX, TOOLS_MAX

GIF = b"GIF89a\x02\0\x03\0"
PICTURE = Base64(base64.b64encode(GIF).decode(), "image/gif")


def chat(*messages: Message, **over: Any) -> ExportedConversation:
    request = ChatRequest(
        dialect="openai", request_id="r", received_at=1, model="other", messages=messages, **over
    )
    return exported_chat("m", request)


def only(role: Any, *parts: Part) -> ExportedMessage:
    (turn,) = chat(Message(role, parts)).turns
    return turn


def test_messages_of_one_side_are_one_and_follow_each_other() -> None:
    sides: list[Any] = ["user", "developer", "user", "assistant", "assistant", "tool", "user"]
    said = chat(*(Message(role, (Text(str(n)),)) for n, role in enumerate(sides)))
    assert [(one.role, one.content, one.parent) for one in said.turns] == [
        ("user", "0\n\n1\n\n2", None),
        ("assistant", "3\n\n4", "m0"),
        ("tool", "", "m1"),
        ("user", "6", "m2"),
    ]
    assert (said.model, said.leaf) == ("m", "m3")


def test_what_is_said_before_the_first_turn_is_the_system_prompt() -> None:
    first = [Message("system", (Text("Be kind."),)), Message("developer", (Text("Be brief."),))]
    said = chat(*first, Message("user", (Text("Hi"),)), Message("system", (Text("Go on."),)))
    assert said.settings["system"] == "Be kind.\n\nBe brief."
    assert [one.content for one in said.turns] == ["Hi\n\nGo on."]
    alone = chat(*first)
    assert (alone.turns, alone.leaf) == ((), None)
    long = chat(Message("system", (Text("x" * (SYSTEM_MAX + 1)),)))
    assert long.settings["system"] == "x" * SYSTEM_MAX


@pytest.mark.parametrize(
    ("parts", "content", "reasoning"),
    [
        ((Reasoning("One"), Text("a"), Reasoning("Two"), Text("b")), "a\n\nb", "One\n\nTwo"),
        ((Refusal("No."),), "No.", ""),
        ((Text(""), Text("a")), "a", ""),
        ((Text("a\x00b"), Reasoning("c\x00d")), "ab", "cd"),
        ((File(PlainText("A file")), Image(Url("https://x.example/a.png"))), "A file", ""),
    ],
)
def test_texts_and_reasoning_stay_apart(
    parts: tuple[Part, ...], content: str, reasoning: str
) -> None:
    turn = only("assistant", *parts)
    assert (turn.content, turn.reasoning) == (content, reasoning)


def test_calls_and_results_of_tools_are_kept() -> None:
    calls = [ToolCall("c\x001", "f", '{"a": 1}'), ToolCall("c2", "g", "")]
    assert only("assistant", Text("a"), *calls).parts == {
        "calls": [
            {"id": "c1", "name": "f", "arguments": '{"a": 1}'},
            {"id": "c2", "name": "g", "arguments": ""},
        ]
    }
    results = [
        ToolResult("c1", (Text("one"), Text("two")), name="f"),
        ToolResult("c2", (), failed=True),
    ]
    assert only("tool", *results).parts == {
        "results": [
            {"call_id": "c1", "name": "f", "content": "one\n\ntwo", "failed": False},
            {"call_id": "c2", "name": "", "content": "", "failed": True},
        ]
    }
    assert only("assistant", Text("a")).parts == {}


def test_files_that_can_be_attached_are() -> None:
    broken = Base64("*", "image/png")
    no_file = Base64(base64.b64encode(b"a\0b").decode(), "application/x")
    said = chat(
        Message("user", (Image(PICTURE), Text("a"), Image(broken), File(no_file, "x.bin"))),
        Message("assistant", (Image(PICTURE), Text("b"))),
        Message("user", (File(PICTURE, "plan.gif"), Image(Url("https://x.example/a.png")))),
    )
    assert said.files == {"f0": ("image/gif", GIF), "f1": ("plan.gif", GIF)}
    assert [one.parts for one in said.turns] == [
        {"files": [{"id": "f0"}]}, {}, {"files": [{"id": "f1"}]}]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        *(({name: value}, {"params": {name: value}})
          for name, value in (("temperature", 0.0), ("top_p", 0.5), ("top_k", 3), ("seed", 0),
                              ("frequency_penalty", 0.5), ("presence_penalty", -0.5))),
        ({"output_cap": 77}, {"params": {"max_output": 77}}),
        ({"reasoning": ReasoningSettings(effort="low")}, {"params": {"reasoning_effort": "low"}}),
        ({"reasoning": ReasoningSettings(budget_tokens=9)}, {}),
        ({"output_form": JsonSchema({"type": "object"})}, {"schema": {"type": "object"}}),
        ({"output_form": JsonSchema({"type": "objet"})}, {}),
        ({"tools": (FunctionTool("f", "Reads", {"type": "object"}), FunctionTool("g" * 65),
                    FunctionTool("h"))},
         {"tools": [{"name": "f", "description": "Reads", "parameters": {"type": "object"}},
                    {"name": "h"}]}),
    ],
)  # fmt: skip
def test_each_setting_that_the_playground_has_is_kept(
    asked: dict[str, Any], stored: dict[str, Any]
) -> None:
    assert chat(Message("user", (Text("Hi"),)), **asked).settings == stored


def test_tools_beyond_the_most_are_left_out() -> None:
    tools = tuple(FunctionTool(f"f{n}") for n in range(TOOLS_MAX + 1))
    assert len(chat(Message("user", (Text("Hi"),)), tools=tools).settings["tools"]) == TOOLS_MAX
