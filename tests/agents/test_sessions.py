"""The coding agents as they are published, at models of each wire format."""

import hashlib

import pytest

from tests.agents.cell import HELD_AT, Cell, answers, has_tools, is_compaction, printed_answer
from tests.fakes.media import picture

pytestmark = pytest.mark.agents

PROMPT = "Say hello to the otter."
NEXT_PROMPT = "Say goodbye to the heron."
LAST_PROMPT = "Say good night to the willow."
# Most of the window that opencode is told of, and that Codex takes unknown models to have.
FULL = 250_000
# Gemini CLI counts a resumed session by its letters: these are more than 1 % of its window.
LONG = " ".join(f"The otter swam to stone {stone}." for stone in range(2_000))


def test_plain_turn(cell: Cell) -> None:
    cell.say()
    answer = printed_answer(cell.ask(PROMPT))
    turns = [turn for turn in cell.turns() if has_tools(turn)]
    assert PROMPT in "\n".join(turns[-1]["heard"])
    assert answer in answers(turns[-1])


def test_tool_turn(cell: Cell) -> None:
    word = cell.note("note.txt")
    cell.say(cell.agent.read(cell.terminal.work / "note.txt"))
    assert word in cell.ask("What does note.txt say?").printed
    assert word in " ".join(cell.turns()[-1]["results"])


def test_parallel_tools(cell: Cell) -> None:
    words = [cell.note(name) for name in ("first.txt", "second.txt")]
    cell.say(*(cell.agent.read(cell.terminal.work / name) for name in ("first.txt", "second.txt")))
    run = cell.ask("What do first.txt and second.txt say?")
    results = cell.turns()[-1]["results"]
    assert len(results) >= len(words)
    for word in words:
        assert word in run.printed
        assert word in " ".join(results)


def test_image(cell: Cell) -> None:
    content = picture("otter")
    (cell.terminal.work / "picture.png").write_bytes(content)
    cell.say()
    printed_answer(cell.ask(*cell.agent.look))
    digest = hashlib.sha256(content).hexdigest()
    seen = [medium for turn in cell.turns() for medium in turn["media"]]
    assert {medium["kind"] for medium in seen} == {"image"}
    assert [medium["sha256"] for medium in seen] == [digest] * len(seen)


def test_interrupted_turn(cell: Cell) -> None:
    cell.say(directives=f"#hold={HELD_AT}")
    cell.interrupt(PROMPT)
    cell.fake.wait_for(lambda totals: totals["open"] == totals["holding"] == 0, seconds=30)
    cut = [turn for turn in cell.turns() if has_tools(turn)]
    assert [(turn["outcome"], turn["emitted"]) for turn in cut] == [("cut", HELD_AT)]


def test_resumed_session(cell: Cell) -> None:
    cell.say()
    answer = printed_answer(cell.ask(PROMPT))
    printed_answer(cell.resume(NEXT_PROMPT))
    heard = cell.turns()[-1]["heard"]
    assert PROMPT in "\n".join(heard)
    assert f"assistant: {answer}" in heard
    assert NEXT_PROMPT in heard[-1]


def test_compaction(cell: Cell) -> None:
    if cell.agent.settings:
        cell.terminal.set(*cell.agent.settings)
    cell.say()
    first = printed_answer(cell.ask(f"{PROMPT} {LONG}"))
    cell.say(directives=f"#prompt={FULL}")
    second = printed_answer(cell.resume(NEXT_PROMPT))
    if cell.agent.compact:
        cell.resume(cell.agent.compact)
    printed_answer(cell.resume(LAST_PROMPT))
    turns = cell.turns()
    asked = ["\n".join(turn["heard"]) for turn in turns if is_compaction(turn)]
    assert any(PROMPT in text and first in text for text in asked)
    last = "\n".join(turns[-1]["heard"])
    assert LAST_PROMPT in last
    assert not (first in last and second in last)
