"""The table of tools that only one API has, tried cell by cell: every tool, from its own API to
models of each."""

import json
from typing import Any

import pytest

from dialects.chat.chat import Dialect, FunctionTool, OwnTool, WebSearch
from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.translation import translate
from reference.guides.tool_guide import APIS, RULES, ToolRule

SCHEMA = {"type": "object", "properties": {}}
# The members of tools besides their type, where they need any.
MEMBERS: dict[str, dict[str, Any]] = {
    "namespace": {"name": "n", "description": "d",
                  "tools": [{"type": "function", "name": "g", "parameters": SCHEMA}]},
    "custom": {"name": "edit"},
    "tool_search (client)": {"type": "tool_search", "execution": "client", "description": "d",
                             "parameters": SCHEMA},
    "shell": {"environment": {"type": "local"}},
    "file_search": {"vector_store_ids": ["v"]},
    "code_interpreter": {"container": {"type": "auto"}},
    "mcp": {"server_label": "s", "server_url": "https://mcp.example"},
    "computer_use_preview": {"display_width": 9, "display_height": 9, "environment": "linux"},
    "web_search_20250305": {"name": "web_search"},
    "text_editor_20250728": {"name": "str_replace_based_edit_tool"},
    "computer_20250124": {"name": "computer", "display_width_px": 9, "display_height_px": 9},
    "fileSearch": {"fileSearchStoreNames": ["s"]},
    "mcp_server": {"name": "s", "url": "https://mcp.example"},
}  # fmt: skip
CELLS = [(rule, name, upstream) for rule in RULES for name in rule.names for upstream in APIS]
LEFT_OUT = [cell for cell in CELLS if cell[0].fate_at(cell[2]) == "omitted"]


def name_cell(part: object) -> str:
    return part.dialect if isinstance(part, ToolRule) else str(part)


def declare(dialect: Dialect, name: str) -> dict[str, Any]:
    members = MEMBERS.get(name, {})
    match dialect:
        case "gemini":
            return {name: members}
        case "openai":
            return {"type": name, name: members}
        case "anthropic":
            return {"type": name, "name": name.rpartition("_2")[0]} | members
        case _:
            return {"type": name} | members


def function(dialect: Dialect) -> dict[str, Any]:
    own = {"name": "read", "description": "Read."}
    match dialect:
        case "gemini":
            return {"functionDeclarations": [own]}
        case "openai":
            return {"type": "function", "function": own | {"parameters": SCHEMA}}
        case "anthropic":
            return own | {"input_schema": SCHEMA}
        case _:
            return {"type": "function"} | own | {"parameters": SCHEMA}


def ask(dialect: Dialect, *tools: dict[str, Any], **members: Any) -> bytes:
    turn = {"role": "user", "content": "hi"}
    talk: dict[Dialect, dict[str, Any]] = {
        "openai": {"model": "m", "messages": [turn]},
        "responses": {"model": "m", "input": "hi"},
        "anthropic": {"model": "m", "max_tokens": 9, "messages": [turn]},
        "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        "interactions": {"model": "m", "input": "hi"},
    }
    return json.dumps(talk[dialect] | {"tools": list(tools)} | members).encode()


def fate(dialect: Dialect, upstream: Dialect, raw: bytes) -> str | None:
    """What the model is offered in place of the first tool."""
    try:
        done = translate(raw, dialect, upstream, "m", target=Target("m"))
    except RequestFault as fault:
        return "refused" if fault.kind == "unsupported_capability" else fault.kind
    dropped = [name for name in done.encoded.dropped if name.startswith("tools.")]
    tool = done.request.tools[0]
    if isinstance(tool, FunctionTool):
        assert tool.name.encode() in done.body
        return "function" if dialect != upstream else None
    if dropped:
        return "omitted"
    if isinstance(tool, WebSearch):
        return "search" if dialect != upstream else None
    assert isinstance(tool, OwnTool)
    return None


@pytest.mark.parametrize(("rule", "name", "upstream"), CELLS, ids=name_cell)
def test_cell_of_the_table(rule: ToolRule, name: str, upstream: Dialect) -> None:
    tool = declare(rule.dialect, name)
    raw = ask(rule.dialect, tool, function(rule.dialect))
    expected = rule.fate_at(upstream)
    assert fate(rule.dialect, upstream, raw) == expected


@pytest.mark.parametrize(("rule", "name", "upstream"), LEFT_OUT, ids=name_cell)
def test_dropped_tool_is_rejected_if_it_is_the_only_one(
    rule: ToolRule, name: str, upstream: Dialect
) -> None:
    """An answer without it would look as if it had used it. At Gemini, a search is possible where
    no function is declared."""
    got = fate(rule.dialect, upstream, ask(rule.dialect, declare(rule.dialect, name)))
    assert got == ("search" if upstream == "gemini" and rule.fate == "search" else "refused")


def test_every_api_has_its_rules() -> None:
    assert {rule.dialect for rule in RULES} == set(APIS)
    assert set().union(*(rule.names for rule in RULES)) >= MEMBERS.keys()
