"""P28: what a request may name that brings about charges nobody can compute is found by the tables,
over all of their rows."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dialects.json import request_members
from dialects.json.body import read_body
from dialects.json.request_members import (
    GENERATE,
    GENERATE_TOOLS,
    INTERACTIONS_TOOLS,
    MESSAGES,
    MESSAGES_TOOLS,
    RESPONSES,
    RESPONSES_TOOLS,
    unpriced_members,
)


def found(dialect: str, body: Mapping[str, Any]) -> list[str]:
    return unpriced_members(dialect, read_body(json.dumps(body).encode()))


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def bodies() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Dialect, name, role, and a body that names it."""
    rows: list[tuple[str, str, str, dict[str, Any]]] = []
    for dialect, table in (("openai", request_members.CHAT), ("responses", RESPONSES),
                           ("anthropic", MESSAGES)):  # fmt: skip
        rows += [(dialect, name, role, {name: {}}) for name, role in table.items()]
    for spelled in (str, camel):
        rows += [("gemini", name, role, {"generationConfig": {spelled(name): {}}})
                 for name, role in GENERATE.items()]  # fmt: skip
        rows += [("gemini", name, role, {"tools": [{spelled(name): {}}]})
                 for name, role in GENERATE_TOOLS.items()]  # fmt: skip
    for dialect, table in (("responses", RESPONSES_TOOLS), ("anthropic", MESSAGES_TOOLS),
                           ("interactions", INTERACTIONS_TOOLS)):  # fmt: skip
        rows += [(dialect, name, role, {"tools": [{"type": name}]}) for name, role in table.items()]
    return rows


@pytest.mark.parametrize(
    ("dialect", "name", "role", "body"), bodies(), ids=[" ".join(row[:2]) for row in bodies()]
)
def test_every_row_of_the_tables(dialect: str, name: str, role: str, body: dict[str, Any]) -> None:
    assert found(dialect, body) == ([name] if role == "review" else [])


@pytest.mark.parametrize("dialect", ["responses", "anthropic", "gemini", "interactions"])
def test_unlisted_tool_is_found(dialect: str) -> None:
    tool: dict[str, Any] = {"type": "holo_scan"} if dialect != "gemini" else {"holoScan": {}}
    assert found(dialect, {"tools": [tool, tool]}) == ["holo_scan"]


def test_tools_that_amazon_runs_are_found() -> None:
    own, spec = {"systemTool": {"name": "nova_grounding"}}, {"toolSpec": {"name": "f"}}
    assert found("converse", {"toolConfig": {"tools": [spec, own, own]}}) == ["systemTool"]
    assert found("converse", {"toolConfig": {"tools": [spec, 5]}}) == []
    assert found("openai", {"tools": [own]}) == found("converse", {"toolConfig": 5}) == []


def test_a_later_version_of_a_known_tool_is_as_the_known_one() -> None:
    kinds = ["web_search_20270101", "text_editor_20270101", "bash_20270101"]
    assert found("anthropic", {"tools": [{"type": kind} for kind in kinds]}) == []
    kinds = ["web_search_2027_01_01", "web_search_preview_2027_01_01"]
    assert found("responses", {"tools": [{"type": kind} for kind in kinds]}) == []


def test_malformed_tools_are_left_to_the_provider() -> None:
    odd: list[Any] = [None, 5, "x", [5, None], [{"name": "f"}], [{"type": 5}], {}]
    for tools in odd:
        assert found("anthropic", {"tools": tools}) == []
        assert found("responses", {"tools": tools}) == []
