"""A conversation as a file comes back as the same tree."""

import json
from typing import Any

import pytest

from lib import clock
from playground.chats.export_format import (
    ExportedConversation,
    ExportedMessage,
    Unusable,
    read_file,
    write_file,
    write_markdown,
)
from playground.chats.export_import import turn_of
from playground.models import Message, Run

CHAT = ExportedConversation(
    title="Rivers",
    model="m",
    settings={"system": "S"},
    leaf="3",
    turns=(
        ExportedMessage(
            "1", None, "user", "Hello", parts={"files": [{"id": "f", "name": "a.txt"}]}
        ),
        ExportedMessage("2", "1", "assistant", "Hi", model="m", outcome={"charge_nano": 5}),
        ExportedMessage(
            "3", "1", "assistant", "Hey", model="n", reasoning="hm", edited=True, column=1
        ),
    ),
    files={"f": ("a.txt", b"\x00bytes")},
    columns=({"model": "m", "settings": {}}, {"model": "n", "settings": {}}),
    folder="Lakes",
    archived=True,
    updated_at="2026-11-20T14:02:11+00:00",
)


def test_written_export_reads_the_same() -> None:
    assert read_file(json.loads(json.dumps(write_file(CHAT)))) == CHAT


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"weir_chat": 2}, "/weir_chat"),
        ({"messages": {}}, "/messages"),
        ({"messages": [{"id": "1", "role": "king", "content": ""}]}, "/messages/0/role"),
        ({"messages": [{"id": "1", "parent": "2", "role": "user"}]}, "/messages/0/parent"),
        ({"messages": [{"id": "1", "role": "user", "owner": 1}]}, "/messages/0/owner"),
        ({"messages": [{"id": "1", "role": "user", "parent": {}}]}, "/messages/0/parent"),
        *(
            (
                {"messages": [{"id": "1", "role": "assistant", "parts": {name: [item]}}]},
                f"/messages/0/parts/{name}/0/{place}",
            )
            for name, item, place in (
                ("calls", {"id": "c", "arguments": "{}"}, "name"),
                ("calls", {"id": "c", "name": "f", "arguments": {}}, "arguments"),
                ("results", {"call_id": "c", "name": "f"}, "content"),
                ("sources", {"url": 5}, "url"),
                ("summary", {}, "text"),
                ("files", {"id": []}, "id"),
            )
        ),
        (
            {"messages": [{"id": "1", "role": "user", "outcome": {"basis": []}}]},
            "/messages/0/outcome/basis",
        ),
        (
            {"messages": [{"id": "1", "role": "user", "outcome": {"head": 5}}]},
            "/messages/0/outcome/head",
        ),
        ({"files": {"f": {"name": "x", "data": "!"}}}, "/files/f/data"),
        ({"columns": [{"model": 1}]}, "/columns"),
        (
            {"messages": [{"id": "1", "role": "user", "parts": {"files": 1}}]},
            "/messages/0/parts/files",
        ),
        (
            {"messages": [{"id": "1", "role": "user", "outcome": {"charge_nano": "9"}}]},
            "/messages/0/outcome/charge_nano",
        ),
        (
            {"messages": [{"id": "1", "role": "user", "outcome": {"meters": {"in_text": -1}}}]},
            "/messages/0/outcome/meters/in_text",
        ),
    ],
)
def test_invalid_export_is_rejected_by_its_place(change: dict[str, Any], path: str) -> None:
    with pytest.raises(Unusable) as unusable:
        read_file(write_file(CHAT) | change)
    assert unusable.value.path == path


def test_chat_whose_messages_were_all_deleted_can_be_imported() -> None:
    """In a file of all chats, it made the others unreadable too."""
    chat = read_file(write_file(CHAT) | {"messages": [], "leaf": None, "title": ""})
    assert (chat.turns, chat.title) == ((), "–")


def test_unreadable_leaf_is_none() -> None:
    assert read_file(write_file(CHAT) | {"leaf": []}).leaf is None


def test_only_the_answer_of_a_run_has_its_cost() -> None:
    """Further answers of the same request are not charged again."""
    first, further = (Message(role="assistant", content=text) for text in "ab")
    run = Run(assistant_message=first, outcome={"charge_nano": 5})
    for message in (first, further):
        message.run, message.created_at = run, clock.now()
    assert [turn_of(message).outcome for message in (first, further)] == [{"charge_nano": 5}, {}]


def test_markdown_is_the_branch_to_be_read() -> None:
    calls = ExportedMessage("4", "3", "assistant", "", model="m", parts={
        "calls": [{"name": "f", "arguments": "```"}]})  # fmt: skip
    results = ExportedMessage(
        "5", "4", "tool", "", parts={"results": [{"name": "f", "content": "42"}]}
    )
    text = write_markdown("Rivers", [*CHAT.turns, calls, results], {"2": "$0.01"})
    assert text.startswith("# Rivers\n\n## You\n\n[a.txt]\n\nHello\n\n## m\n\nHi\n\n*$0.01*")
    assert "## n (edited)" in text
    assert "````\n```\n````" in text
    assert "## Tool f\n\n```\n42\n```" in text
