"""What is stored of streams of pictures and sound, and how results of tools and lines are read."""

import datetime as dt
import json
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from content.log.conversation import conversation_of
from content.log.folding import Folded, fold_stream, in_foreground
from content.log.kept import Kept
from content.log.lines import line_of
from content.log.media import is_text_type
from content.log.names import Names
from lib.ids import id_text


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def folded(*events: dict[str, Any], operation: str = "transcriptions") -> Folded | None:
    return fold_stream(
        frames(*events), b"{}", dialect="openai", operation=operation, model="m", request_id="r",
        received_at=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "last"),
    [
        ("transcriptions", {"type": "transcript.text.done", "text": "Hello"}),
        ("image_generations", {"type": "image_generation.completed", "b64_json": "AA=="}),
        ("image_edits", {"type": "image_edit.completed", "b64_json": "AA=="}),
    ],
)
def test_last_event_of_media_is_the_whole(operation: str, last: dict[str, Any]) -> None:
    read = folded({"type": "partial", "delta": "Hel"}, last, operation=operation)
    assert read is not None
    assert (json.loads(read.answer), read.broken) == (last, False)


def test_transcript_that_broke_off_is_kept_as_far_as_it_came() -> None:
    deltas = [{"type": "transcript.text.delta", "delta": one} for one in ("Hel", "lo")]
    read = folded(*deltas, {"type": "error", "error": {"message": "No."}})
    assert read is not None
    assert json.loads(read.answer) == {"text": "Hello"}
    assert (read.broken, read.error, read.cut) == (True, "No.", ("Hello",))
    alone = folded({"type": "error", "error": {"message": "No."}})
    assert alone is not None
    assert (alone.broken, alone.error) == (True, "No.")
    assert folded({"type": "transcript.text.segment"}) is None
    assert folded({"type": "x"}, operation="unknown") is None


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("", True),
        ("text/event-stream; charset=utf-8", True),
        ("application/json", True),
        ("Application/Octet-Stream", False),
        ("audio/mpeg", False),
        ("image/png", False),
    ],
)
def test_sound_and_pictures_are_no_text(content_type: str, text: bool) -> None:
    assert is_text_type(content_type) is text


def test_request_in_the_background_is_read_as_one_in_the_foreground() -> None:
    read = json.loads(in_foreground(b'{"model":"m","background":true}'))
    assert ("background" in read, read["model"]) == (False, "m")
    for raw in (b'{"model":"m","background":false}', b'{"model":"m"}'):
        assert in_foreground(raw) == raw


@pytest.mark.parametrize("failed", [True, False])
def test_failed_result_of_a_tool_says_so(failed: bool) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": failed}
    call = {"type": "tool_use", "id": "t", "name": "pay", "input": {}}
    body = {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Pay"}, {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ],
    }  # fmt: skip
    turns = conversation_of(Kept(json.dumps(body | {"model": "m"}).encode()), "anthropic", "m")
    assert turns is not None
    (piece,) = [one for turn in turns for one in turn.pieces if one.kind == "tool_result"]
    assert (piece.text, piece.name, piece.failed) == ("no", "pay", failed)


def test_line_names_who_asked_and_when() -> None:
    team, key, gone, session = (uuid.UUID(int=n) for n in (1, 2, 3, 4))
    names = Names({team: "core"}, {key: "ci"}, {5: "bob@example.org"})
    entry: Any = SimpleNamespace(
        request_id=uuid.UUID(int=9), session_id=session, team_id=team, key_id=key, user_id=5,
        created_at=dt.datetime(2026, 11, 30, 12, 0, 0, 5000, tzinfo=dt.UTC), model="m",
        dialect="openai", operation="chat_completions", status=200,
    )  # fmt: skip
    kept = Kept(b"asked", b"\xff", stream=True, broken=True, left_out=("request",), final=b"{}")
    line = line_of(entry, kept, names)
    assert line == {
        "request_id": id_text(entry.request_id), "session_id": id_text(session),
        "created_at": "2026-11-30T12:00:00.005Z", "model": "m", "dialect": "openai",
        "operation": "chat_completions", "status": 200, "team": "core", "key": id_text(key),
        "key_name": "ci", "person": "bob@example.org", "stream": True, "broken": True,
        "left_out": ["request"], "request": "asked", "answer": "\ufffd", "error": "",
        "failures": [], "final": "{}",
    }  # fmt: skip
    entry.session_id, entry.user_id, entry.team_id, entry.key_id = None, None, gone, gone
    other = line_of(entry, kept, names)
    assert {one: other[one] for one in ("session_id", "person", "team", "key", "key_name")} == {
        "session_id": None, "person": None, "team": "", "key": id_text(gone), "key_name": "",
    }  # fmt: skip
    entry.user_id = 6
    assert line_of(entry, kept, names)["person"] == ""
