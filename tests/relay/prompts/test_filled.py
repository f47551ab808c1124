"""What a saved prompt adds to a body, and what the body keeps of its own, without a hub."""

import json
from typing import Any

import pytest

from content.prompts.settings import Settings
from dialects.json.body import read_body
from relay.prompts.prompts import _edits

TOOL = {"name": "f", "parameters": {"type": "object"}}


def filled(
    body: dict[str, Any], settings: Settings, text: str = "", dialect: Any = "openai"
) -> dict[str, Any]:
    read = read_body(json.dumps(body).encode())
    flags = frozenset[str]()
    whole: dict[str, Any] = json.loads(read.splice(_edits(read, settings, text, flags, dialect)))
    return whole


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
def test_cap_of_the_body_replaces_that_of_the_prompt_by_whatever_name(own: str) -> None:
    for given in ("max_tokens", "max_completion_tokens"):
        settings = Settings(raw={given: 900, "temperature": 0.5})
        assert filled({own: 5}, settings) == {own: 5, "temperature": 0.5}
    assert filled({"messages": []}, Settings(raw={"max_tokens": 900}))["max_tokens"] == 900


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": "Hi"}]])
def test_instructions_of_the_prompt_come_first(messages: list[Any]) -> None:
    result = filled({"messages": messages}, Settings(), "Be brief.")
    assert result["messages"] == [{"role": "system", "content": "Be brief."}, *messages]
    assert filled({"messages": messages}, Settings(), " ")["messages"] == messages


def test_instructions_of_prompt_and_body_are_both_sent() -> None:
    body = {"input": "Hi", "instructions": "Speak French."}
    result = filled(body, Settings(), "Be brief.", "responses")
    assert result["instructions"] == "Be brief.\n\nSpeak French."
    assert filled({"input": "Hi"}, Settings(), "Be brief.", "responses")["instructions"] == (
        "Be brief."
    )


def test_instructions_are_marked_for_the_providers_cache_if_the_prompt_says_so() -> None:
    marked = Settings(params={"cache": "on"})
    first = filled({"messages": []}, marked, "Be brief.")["messages"][0]["content"]
    assert first == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    # A prompt whose body was written by hand says all of it there.
    written = Settings(params={"cache": "on"}, raw={"temperature": 1})
    assert filled({"messages": []}, written, "Be brief.")["messages"][0]["content"] == "Be brief."


@pytest.mark.parametrize("dialect", ["openai", "responses"])
def test_limit_of_cost_of_the_prompt_applies_in_each_dialect(dialect: str) -> None:
    settings = Settings(max_cost="0.01", raw={"temperature": 0.5})
    body: dict[str, Any] = {"messages": []} if dialect == "openai" else {"input": "Hi"}
    result = filled(body, settings, dialect=dialect)
    assert (result["max_cost"], result["temperature"]) == ("0.01", 0.5)
    assert filled(body | {"max_cost": "0.5"}, settings, dialect=dialect)["max_cost"] == "0.5"


@pytest.mark.parametrize("dialect", ["openai", "responses"])
def test_tools_of_the_body_replace_those_of_the_prompt_with_their_choice(dialect: str) -> None:
    settings = Settings(tools=[TOOL], tool_choice="required", serial=True)
    base: dict[str, Any] = {"messages": []} if dialect == "openai" else {"input": "Hi"}
    result = filled(base, settings, dialect=dialect)
    assert (result["tool_choice"], result["parallel_tool_calls"]) == ("required", False)
    own = filled(base | {"tools": []}, settings, dialect=dialect)
    assert own == base | {"tools": []}
