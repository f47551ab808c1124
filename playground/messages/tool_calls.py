"""The tool calls of an answer: their cards, and whether mock results answer them automatically."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext

from playground.conversations.conversations import rounds_before
from playground.models import Message, MessageRole, Run, RunState
from playground.panel.json_schema import check_answer, check_schema
from playground.panel.json_text import InvalidJson, parse_json

MOCK_ROUNDS_MAX: Final = 10
"""How many times mock results may answer automatically in one turn."""


@dataclass(frozen=True)
class ToolCallView:
    """A tool call for its card. `faults` are the places where its arguments do not match the tool's
    schema."""

    id: str
    name: str
    arguments: str
    faults: Sequence[str]
    mock: str
    always: bool


def calls_context(message: Message, run: Run | None) -> dict[str, Any]:
    """Build the context for the cards of a message's tool calls; {} without calls."""
    calls = message.parts.get("calls", ())
    if not calls:
        return {}
    tools = {tool["name"]: tool for tool in (run.settings if run else {}).get("tools", ())}
    cards = [_call(call, tools.get(call["name"], {})) for call in calls]
    answered = message.children.filter(role=MessageRole.TOOL, deleted_at=None).exists()
    always = not answered and message.state == RunState.DONE and all(card.always for card in cards)
    return {
        "calls": cards,
        "answered": answered,
        "automatic": always and rounds_before(message) < MOCK_ROUNDS_MAX,
    }


def _call(call: Mapping[str, str], tool: Mapping[str, Any]) -> ToolCallView:
    text, faults = call["arguments"] or "{}", []
    try:
        arguments = parse_json(text)
    except InvalidJson as fault:
        faults = [gettext("Not valid JSON: %(reason)s") % {"reason": fault.reason}]
    else:
        text = json.dumps(arguments, indent=2, ensure_ascii=False)
        if "parameters" in tool and not check_schema(tool["parameters"], strict=False):
            schema_faults = check_answer(arguments, tool["parameters"])
            faults = [f"{fault.path}: {fault.reason}" for fault in schema_faults]
    mock = tool.get("mock", "")
    if not isinstance(mock, str):
        mock = json.dumps(mock, indent=2, ensure_ascii=False)
    return ToolCallView(call["id"], call["name"], text, faults, mock, bool(tool.get("always")))
