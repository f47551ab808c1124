"""Tools of the anthropic dialect that the client runs, offered to models of other dialects."""

import json
from typing import Any, get_args

import pytest
from anthropic.types.beta import BetaMemoryTool20250818Command

from dialects.anthropic.request.decode import decode
from dialects.chat.chat import Dialect, OwnTool
from dialects.translation import translate

BASH = {"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral"}}
EDITOR = {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool",
          "max_characters": 9}  # fmt: skip
MEMORY = {"type": "memory_20250818", "name": "memory"}


def ask(*tools: dict[str, Any], **members: Any) -> bytes:
    talk = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(talk | {"tools": list(tools)} | members).encode()


@pytest.mark.parametrize("upstream", ["openai", "responses", "gemini", "interactions"])
def test_client_tools_are_functions_elsewhere(upstream: Dialect) -> None:
    body = json.loads(translate(ask(BASH, EDITOR, MEMORY), "anthropic", upstream, "m").body)
    text = json.dumps(body["tools"])
    for tool in (BASH, EDITOR, MEMORY):
        assert f'"name": "{tool["name"]}"' in text
    assert "restart" in text
    assert "insert_text" in text
    assert "cache_control" not in text


def test_claude_gets_them_as_declared() -> None:
    body = json.loads(translate(ask(BASH, EDITOR, MEMORY), "anthropic", "anthropic", "c").body)
    assert body["tools"] == [BASH, EDITOR, MEMORY]


def test_call_and_result_have_the_form_of_any() -> None:
    done = translate(ask(BASH), "anthropic", "openai", "m")
    call = {"id": "call_1", "type": "function",
            "function": {"name": "bash", "arguments": '{"command":"ls"}'}}  # fmt: skip
    choice = {"index": 0, "finish_reason": "tool_calls",
              "message": {"role": "assistant", "content": None, "tool_calls": [call]}}  # fmt: skip
    whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m",
             "choices": [choice]}  # fmt: skip
    [block] = json.loads(done.answer(json.dumps(whole).encode()))["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "bash", {"command": "ls"})


def test_memory_has_the_members_of_the_official_client() -> None:
    """Each command of the SDK, and nothing else."""
    request = decode(ask(MEMORY), request_id="r", received_at=1)
    schema: Any = request.tools[0].schema  # type: ignore[union-attr]
    commands = get_args(get_args(BetaMemoryTool20250818Command)[0])
    names = [get_args(one.model_fields["command"].annotation)[0] for one in commands]
    assert sorted(schema["properties"]["command"]["enum"]) == sorted(names)
    members = {name for one in commands for name in one.model_fields}
    assert members == set(schema["properties"])


def test_earlier_versions_stay_claudes_own() -> None:
    """Their members differ."""
    old = {"type": "text_editor_20250124", "name": "str_replace_editor"}
    request = decode(ask(old), request_id="r", received_at=1)
    assert request.tools == (OwnTool("anthropic", old),)
