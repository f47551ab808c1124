"""Tools of the responses dialect that other dialects do not have: declared, called, answered."""

import json
from typing import Any

import pytest

from dialects.chat.chat import FunctionTool, OwnPart, OwnTool, Text, ToolCall, ToolResult
from dialects.chat.events import Finish, ToolArgumentsDelta, ToolCallEnd, ToolCallStart
from dialects.errors.errors import RequestFault
from dialects.responses.request.decode import decode
from dialects.responses.stream.encode import Encoder
from tests.dialects.neutral import RECEIVED_AT, REQUEST_ID

READ = {"type": "function", "name": "read", "description": "Read.", "parameters": {}}
EDIT = {"type": "custom", "name": "edit"}
NAMESPACE = {"type": "namespace", "name": "files", "description": "Files.", "tools": [READ, EDIT]}
SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Find tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}
FOUND = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers.",
    "tools": [{"type": "function", "name": "find", "defer_loading": True}],
}


def read(tools: list[Any], items: list[Any] | str = "hi", **members: Any) -> Any:
    raw = json.dumps({"model": "m", "input": items, "tools": tools} | members).encode()
    return decode(raw, request_id=REQUEST_ID, received_at=RECEIVED_AT)


def answer(tools: list[Any], name: str, *arguments: str, end: bool = True) -> dict[str, Any]:
    """The item of an answer in which the model calls one function."""
    encoder = Encoder(read(tools))
    encoder.feed(ToolCallStart(0, 0, "call_1", name))
    for text in arguments:
        encoder.feed(ToolArgumentsDelta(0, 0, text))
    if end:
        encoder.feed(ToolCallEnd(0, 0))
    encoder.feed(Finish(0, "tool_calls"))
    encoder.end()
    (item,) = encoder.response["output"]
    return dict(item)


def test_a_namespace_is_offered_as_its_tools() -> None:
    got = read([NAMESPACE])
    assert [(tool.name, tool.description) for tool in got.tools] == [
        ("files__read", "Files.\n\nRead."),
        ("files__edit", None),
    ]
    assert Encoder(got).response["tools"] == [NAMESPACE]


def test_namespace_calls_return_as_declared() -> None:
    called = answer([NAMESPACE], "files__read", '{"a":', "1}")
    assert (called["type"], called["namespace"], called["name"]) == (
        "function_call",
        "files",
        "read",
    )
    assert called["arguments"] == '{"a":1}'
    called = answer([NAMESPACE], "files__edit", '{"input":"text"}')
    assert (called["type"], called["namespace"], called["name"]) == (
        "custom_tool_call",
        "files",
        "edit",
    )
    assert called["input"] == "text"


@pytest.mark.parametrize(
    ("tool", "arguments", "item"),
    [
        (
            SEARCH,
            {"query": "crm"},
            {"type": "tool_search_call", "execution": "client", "arguments": {"query": "crm"}},
        ),
        (
            {"type": "local_shell"},
            {"command": ["ls", "-l"]},
            {
                "type": "local_shell_call",
                "action": {"type": "exec", "command": ["ls", "-l"], "env": {}},
            },
        ),
        (
            {"type": "shell", "environment": {"type": "local"}},
            {"commands": ["ls"], "timeout_ms": 5},
            {
                "type": "shell_call",
                "action": {"commands": ["ls"], "timeout_ms": 5, "max_output_length": None},
            },
        ),
        (
            {"type": "apply_patch"},
            {"type": "delete_file", "path": "a"},
            {"type": "apply_patch_call", "operation": {"type": "delete_file", "path": "a"}},
        ),
    ],
)
def test_a_client_tool_is_called_in_its_own_item_and_read_back(
    tool: dict[str, Any], arguments: dict[str, Any], item: dict[str, Any]
) -> None:
    (offered,) = read([tool]).tools
    assert isinstance(offered, FunctionTool)
    text = json.dumps(arguments)
    called = answer([tool], offered.name, text[:5], text[5:])
    expected = item | {"call_id": "call_1", "status": "completed", "id": called["id"]}
    assert {name: called[name] for name in expected} == expected
    # The next turn's history is what the model said.
    (message,) = read([tool], [called]).messages
    (call,) = message.parts
    assert isinstance(call, ToolCall)
    assert (call.id, call.name) == ("call_1", offered.name)
    assert arguments.items() <= json.loads(call.arguments).items()


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "null", "[" * 5000])
@pytest.mark.parametrize("kind", ["local_shell", "shell", "apply_patch"])
def test_non_object_arguments_run_nothing(kind: str, text: str) -> None:
    called = answer([{"type": kind}], kind, text)
    action: dict[str, Any] = called["action"] if "action" in called else called["operation"]
    assert not action.get("command")
    assert not action.get("commands")
    assert not action.get("path")


def test_a_call_that_was_cut_runs_nothing() -> None:
    called = answer([{"type": "shell"}], "shell", '{"commands":["rm', end=False)
    assert called["action"]["commands"] == []


def test_the_outputs_of_client_tools_are_results() -> None:
    calls = [
        {"type": "shell_call", "call_id": "1", "action": {"commands": ["ls"]}},
        {"type": "local_shell_call", "call_id": "2", "action": {"type": "exec", "command": ["a"]}},
        {
            "type": "apply_patch_call",
            "call_id": "3",
            "operation": {"type": "delete_file", "path": "a"},
        },
    ]
    printed = [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    outputs = [
        {"type": "shell_call_output", "call_id": "1", "output": printed},
        {"type": "local_shell_call_output", "id": "2", "output": "out"},
        {
            "type": "apply_patch_call_output",
            "call_id": "3",
            "status": "failed",
            "output": "no file",
        },
    ]
    results = [message.parts[0] for message in read([], [*calls, *outputs]).messages[1:]]
    assert results == [
        ToolResult("1", (Text(json.dumps(printed, separators=(",", ":"))),)),
        ToolResult("2", (Text("out"),)),
        ToolResult("3", (Text("no file"),), failed=True),
    ]


def test_an_output_must_answer_a_call() -> None:
    with pytest.raises(RequestFault) as raised:
        read([], [{"type": "shell_call_output", "call_id": "1", "output": []}])
    assert raised.value.kind == "invalid_type"


def test_tools_found_by_a_search_are_offered_once() -> None:
    call = {
        "type": "tool_search_call",
        "call_id": "c",
        "execution": "client",
        "arguments": {"query": "crm"},
    }
    results = {
        "type": "tool_search_output",
        "call_id": "c",
        "execution": "client",
        "tools": [FOUND],
    }
    again = [call | {"call_id": "d"}, results | {"call_id": "d"}]
    got = read([SEARCH], [call, results, *again])
    assert [tool.name for tool in got.tools] == ["tool_search", "crm__find"]
    (result,) = got.messages[1].parts
    assert result == ToolResult("c", (Text("Tools found: crm__find"),))


def test_tools_added_by_the_developer_are_offered() -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [NAMESPACE]}
    got = read([], [{"role": "user", "content": "hi"}, added])
    assert [tool.name for tool in got.tools] == ["files__read", "files__edit"]
    assert len(got.messages) == 1


def test_a_namespaced_call_of_the_history_has_its_offered_name() -> None:
    call = {
        "type": "function_call",
        "call_id": "1",
        "namespace": "files",
        "name": "read",
        "arguments": "{}",
    }
    (message,) = read([NAMESPACE], [call]).messages
    assert message.parts == (ToolCall("1", "files__read", "{}"),)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "function", "name": "read", "namespace": "files"}, ("files__read",)),
        ({"type": "shell"}, ("shell",)),
        ({"type": "apply_patch"}, ("apply_patch",)),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "shell"}, {"type": "apply_patch"}],
            },
            ("shell", "apply_patch"),
        ),
    ],
)
def test_a_choice_of_a_client_tool_is_one_of_its_function(
    choice: dict[str, Any], names: tuple[str, ...]
) -> None:
    tools = [NAMESPACE, {"type": "shell"}, {"type": "apply_patch"}]
    got = read(tools, tool_choice=choice)
    assert got.tool_choice.names == names
    if choice["type"] != "allowed_tools":
        assert Encoder(got).response["tool_choice"] == choice


@pytest.mark.parametrize("kind", ["image_generation", "web_search", "file_search"])
def test_hosted_tool_cannot_be_forced(kind: str) -> None:
    with pytest.raises(RequestFault) as raised:
        read([{"type": kind}], tool_choice={"type": kind})
    assert raised.value.kind == "unsupported_capability"


def test_hosted_tools_and_items_stay_dialect_specific() -> None:
    """Containers of the provider, its own search for tools: nothing a client runs."""
    tools: list[dict[str, Any]] = [
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "tool_search"},
        {"type": "mcp", "server_label": "x"},
    ]
    searched = {"type": "tool_search_call", "execution": "server", "arguments": {}}
    results = {"type": "tool_search_output", "execution": "server", "tools": [FOUND]}
    got = read(tools, [searched, results])
    assert got.tools[:3] == tuple(OwnTool("responses", tool) for tool in tools)
    assert got.messages[0].parts == (
        OwnPart("responses", searched),
        OwnPart("responses", results),
    )


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "namespace", "name": "a b", "tools": [READ]},
        {"type": "namespace", "tools": [READ]},
        {"type": "namespace", "name": "a", "tools": [{"type": "shell"}]},
        {"type": "namespace", "name": "a", "tools": [READ, READ]},
        {"type": "namespace", "name": "a", "tools": "x"},
        {"type": "shell", "environment": "local"},
    ],
)
def test_senseless_declaration_is_rejected(tool: dict[str, Any]) -> None:
    with pytest.raises(RequestFault):
        read([tool])
