"""How each kind of kept text is shown."""

from typing import Any

import pytest

from content.log.conversation import Piece
from content.log.kept import Kept
from content.log.story import Item
from playground.content_log.articles import (
    SHOWN_MAX,
    Articles,
    bodies_of,
    instructions_of,
    remarks_of,
)


def parts_of(*items: Item) -> list[dict[str, Any]]:
    return [part for article in Articles().of(items) for part in article["parts"]]


@pytest.mark.parametrize(
    ("role", "title"),
    [
        ("system", "System"),
        ("developer", "Developer"),
        ("user", "User"),
        ("assistant", "Answer"),
        ("tool", "Tool"),
        ("critic", "critic"),
    ],
)
def test_each_side_of_a_conversation_has_its_name(role: str, title: str) -> None:
    item = Item(role, Piece("text", "Hi"))
    assert [str(one["title"]) for one in Articles().of([item])] == [title]
    assert [str(one["title"]) for one in instructions_of([item])] == [title]


def test_items_of_one_side_in_a_row_are_one_article() -> None:
    said = [Item(role, Piece("text", role)) for role in ("user", "user", "assistant", "user")]
    shown = [(one["role"], len(one["parts"])) for one in Articles().of(said)]
    assert shown == [("user", 2), ("assistant", 1), ("user", 1)]


@pytest.mark.parametrize(
    ("piece", "shown"),
    [
        (Piece("text", "a *b*", "Ann"), {"kind": "text", "name": "Ann", "text": "a *b*"}),
        (Piece("refusal", "No."), {"kind": "text", "text": "No."}),
        (Piece("tool_call", '{"a":1}', "read"),
         {"kind": "tool_call", "name": "read", "text": '{\n  "a": 1\n}', "line": '{ "a": 1 }'}),
        (Piece("tool_call", "", "read"), {"kind": "tool_call", "name": "read", "text": "{}"}),
        (Piece("tool_call", '{"a', "read"), {"kind": "tool_call", "name": "read", "text": '{"a'}),
        (Piece("tool_result", "[1]", "read"),
         {"kind": "tool_result", "name": "read", "text": "[1]", "failed": False}),
        (Piece("tool_result", "No.", "read", failed=True),
         {"kind": "tool_result", "name": "read", "text": "No.", "failed": True}),
        (Piece("media", "https://x.example/a.png", "Image"),
         {"kind": "media", "icon": "image", "name": "Image"}),
        (Piece("media", "", "Audio", "audio/wav", 9),
         {"kind": "media", "icon": "file-text", "name": "Audio", "type": "audio/wav", "size": 9}),
        (Piece("media", "", "File"), {"kind": "media", "icon": "file-text", "name": "File"}),
        (Piece("media", "", "Video"), {"kind": "media", "icon": "file-text", "name": "Video"}),
        (Piece("media", "", "plan.pdf"),
         {"kind": "media", "icon": "file-text", "name": "plan.pdf"}),
        (Piece("other", "x"), {"kind": "other"}),
    ],
)  # fmt: skip
def test_each_kind_of_piece_is_shown(piece: Piece, shown: dict[str, Any]) -> None:
    (part,) = parts_of(Item("user", piece))
    assert part | shown == part


def test_each_thought_is_shown_before_its_piece() -> None:
    said = Item("assistant", Piece("reasoning", ""), ("First", "Second"))
    assert [(one["kind"], one["text"]) for one in parts_of(said)] == [
        ("reasoning", "First"), ("reasoning", "Second")]  # fmt: skip
    kinds = [one["kind"] for one in parts_of(said._replace(piece=Piece("text", "a")))]
    assert kinds == ["reasoning", "reasoning", "prose"]


def test_only_texts_of_answers_are_formatted() -> None:
    for role in ("system", "developer", "user", "tool"):
        assert [one["kind"] for one in parts_of(Item(role, Piece("text", "*a*")))] == ["text"]
    (prose,) = parts_of(Item("assistant", Piece("text", "*a*")))
    assert "<em>a</em>" in prose["html"]


def test_formatting_ends_where_a_page_has_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.content_log.articles.FORMATTED_MAX", 5)
    said = [Item("assistant", Piece("text", text)) for text in ("abc", "def", "gh", "i")]
    assert [one["kind"] for one in parts_of(*said)] == ["prose", "text", "prose", "text"]


def test_long_text_says_how_much_of_it_is_not_shown() -> None:
    for more in (0, 1):
        (part,) = parts_of(Item("user", Piece("text", "a" * (SHOWN_MAX + more))))
        assert (len(part["text"]), part["more"]) == (SHOWN_MAX, more)


def test_bodies_that_are_empty_are_left_out() -> None:
    whole = Kept(b"asked", b"said", final=b"ended")
    assert [(one["id"], one["text"]) for one in bodies_of(whole, "x")] == [
        ("x-request", "asked"), ("x-answer", "said"), ("x-final", "ended")]  # fmt: skip
    assert len({str(one["title"]) for one in bodies_of(whole, "x")}) == 3
    for kept, id in (
        (Kept(b"\xff"), "x-request"), (Kept(b"", b"\xff"), "x-answer"),
        (Kept(b"", final=b"\xff"), "x-final"),
    ):  # fmt: skip
        assert [one["id"] for one in bodies_of(kept, "x")] == [id]


@pytest.mark.parametrize(
    ("kept", "remarks"),
    [
        (Kept(b""), []),
        (Kept(b"", failures=("No.", "Never.")),
         ["Attempt 1 failed: No.", "Attempt 2 failed: Never."]),
        (Kept(b"", broken=True), ["The answer broke off. This is what had arrived."]),
        (Kept(b"", left_out=("request",)),
         ["The request was not kept, because it could not be masked."]),
        (Kept(b"", left_out=("answer",)),
         ["The answer was not kept, because it could not be masked."]),
    ],
)  # fmt: skip
def test_reader_learns_what_is_missing(kept: Kept, remarks: list[str]) -> None:
    assert remarks_of(kept) == remarks
