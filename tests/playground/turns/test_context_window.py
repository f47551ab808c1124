"""What is left out of a chat that is longer than its model's context: the oldest turns, whole."""

from dataclasses import replace
from typing import Any

import pytest

from content.prompts.settings import Settings
from gateway.providers.capabilities import UNKNOWN
from playground.turns.context_window import context_of, messages_left_out, text_tokens
from playground.turns.request import ChatMessage, build_request, context_for, left_out


def message(role: str, tokens: int, **parts: Any) -> ChatMessage:
    return ChatMessage(role, "abcd" * tokens, parts)


FOUR = [
    message("user", 100), message("assistant", 100),
    message("user", 100), message("assistant", 50), message("tool", 0), message("assistant", 50),
    message("user", 100), message("assistant", 100),
    message("user", 100),
]  # fmt: skip


@pytest.mark.parametrize(
    ("context_max", "left"),
    [
        (10_000, 0),
        (800, 0),  # exactly: 700, and an eighth for the answer
        (798, 2),
        (450, 6),  # a turn with tools goes as one
        (200, 8),
        (10, 8),  # the last turn always goes
    ],
)
def test_oldest_whole_turns_are_dropped_first(context_max: int, left: int) -> None:
    assert messages_left_out(FOUR, 0, context_max, None) == left


def test_room_is_kept_for_the_system_prompt_and_the_answer() -> None:
    assert messages_left_out(FOUR, 100, 800, None) == 2
    assert messages_left_out(FOUR, 0, 100_000, 99_400) == 0
    assert messages_left_out(FOUR, 0, 720, 10) == 0


def test_calls_and_their_results_need_room_too() -> None:
    calls = [{"id": "c", "name": "look", "arguments": "x" * 400}]
    results = [{"call_id": "c", "name": "look", "content": "y" * 800, "failed": False}]
    sizes = [
        text_tokens(message("assistant", 10)), text_tokens(message("assistant", 10, calls=calls)),
        text_tokens(message("tool", 10, results=results)),
    ]  # fmt: skip
    assert sizes[0] == 10
    assert 110 < sizes[1] < 150
    assert 210 < sizes[2] < 250


def test_context_parts_are_distinguished() -> None:
    picture = {"id": "1", "name": "a", "kind": "image", "media_type": "image/png", "size": 9,
               "facts": {"width": 512, "height": 512}}  # fmt: skip
    path = [*FOUR[:-1], message("user", 100, files=[picture])]
    assert context_of(path, 30) == (30, 600, 255, 100, 0, 0)
    assert context_of(path, 30, 2) == (30, 400, 255, 100, 1, 0)
    assert context_of(path, 30, 2).used == 785
    assert context_of([], 0).used == 0


def test_turns_are_dropped_only_where_chosen() -> None:
    small = replace(UNKNOWN, context_max=450)
    plain = build_request("m", FOUR, Settings(), small, {})
    assert len(plain["messages"]) == 8  # the results of no tools are none
    chosen = Settings(trim=True)
    assert left_out(FOUR, chosen, small) == 6
    assert left_out(FOUR, chosen, UNKNOWN) == 0
    assert len(build_request("m", FOUR, chosen, small, {})["messages"]) == 3
    assert context_for(FOUR, chosen, small).turns_left_out == 2
    assert context_for(FOUR, Settings(), small).used > 450
