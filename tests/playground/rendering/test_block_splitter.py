"""However a text is cut, its blocks are the same, and together they render as the whole does."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from playground.rendering.block_splitter import (
    BlockEvent,
    BlockSplitter,
    Closed,
    Grown,
    Opened,
    Parted,
)
from playground.rendering.markdown import (
    MarkdownLabels,
    begins_block,
    closed_html,
    join_stretches,
    render_block,
    render_whole,
)

LABELS = MarkdownLabels()


def split(*pieces: str) -> list[BlockEvent]:
    splitter = BlockSplitter(begins_block)
    events: list[BlockEvent] = []
    for piece in pieces:
        events += splitter.feed(piece)
    return events + splitter.end()


def sources(*pieces: str) -> list[str]:
    return [event.source for event in split(*pieces) if isinstance(event, Closed)]


def kinds(text: str) -> list[str]:
    return [event.kind for event in split(text) if isinstance(event, Opened)]


def join_blocks(*pieces: str) -> dict[int, str]:
    texts: dict[int, str] = {}
    for event in split(*pieces):
        if isinstance(event, Grown):
            texts[event.number] = texts.get(event.number, "") + event.text
    return texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\n\ntwo", ["one\n\n", "two"]),
        ("one\ntwo\n\n\n\nthree\n\n", ["one\ntwo\n\n\n\n", "three\n\n"]),
        ("# Title\ntext", ["# Title\n", "text"]),
        ("10. a\n   - b\n11. c", ["10. a\n", "   - b\n", "11. c"]),
        ("- a\n* b\n  * c", ["- a\n", "* b\n  * c"]),
        ("text\n# Title\nmore", ["text\n", "# Title\n", "more"]),
        ("text\n```py\na\n\nb\n```\nmore", ["text\n", "```py\na\n\nb\n```\n", "more"]),
        ("```\nnever closed\n\n# no title", ["```\nnever closed\n\n# no title"]),
        ("~~~\n```\n~~~\nx", ["~~~\n```\n~~~\n", "x"]),
        ("- a\n\n- b\n\n  deeper\n\nend", ["- a\n\n- b\n\n  deeper\n\n", "end"]),
        ("1. a\n   ```\n   code\n\n   more\n   ```\n2. b\n\nend",
         ["1. a\n   ```\n   code\n\n   more\n   ```\n2. b\n\n", "end"]),
        ("    code\n\n    code\n\ntext", ["    code\n\n    code\n\n", "text"]),
        ("> a\n\n> b", ["> a\n\n", "> b"]),
        ("| a |\n|---|\n| 1 |\n\ntext", ["| a |\n|---|\n| 1 |\n\n", "text"]),
        ("$$\n# no title\n$$\n\ntext", ["$$\n# no title\n$$\n\n", "text"]),
        ("", []),
        ("\n\n \n", []),
        ("a\r\n\r\nb\rc", ["a\n\n", "b\nc"]),
    ],
)  # fmt: skip
def test_block_ends(text: str, expected: list[str]) -> None:
    assert sources(text) == expected


def test_kinds_of_blocks() -> None:
    text = "text\n\n# head\n\n- item\n\nx\n\n> said\n\n| a |\n\n$$\nx\n$$\n\n```py x\nc\n```\n"
    assert kinds(text) == ["para", "heading", "list", "para", "quote", "table", "math", "code"]
    assert Opened(7, "code", "py") in split(text)


def test_paragraph_closes_when_the_next_one_starts() -> None:
    splitter = BlockSplitter(begins_block)
    assert splitter.feed("One.\n\n") == [Opened(0, "para"), Grown(0, "One.\n")]
    assert splitter.feed("T") == [Closed(0, "One.\n\n"), Opened(1, "para"), Grown(1, "T")]


def test_possible_mark_is_held_until_certain() -> None:
    splitter = BlockSplitter(begins_block)
    splitter.feed("text\n")
    assert splitter.feed("``") == []
    assert splitter.feed("x`") == []  # may still be an info string: two backticks are no fence
    assert splitter.feed("\n") == [Grown(0, "``x`\n")]


def test_an_open_fence_shows_its_code_and_neither_of_its_marks() -> None:
    assert join_blocks("```py\na = 1\n``\n```\n")[0] == "a = 1\n``\n"


def test_shown_text_is_the_text_without_marks_and_blank_lines() -> None:
    text = "One *two*.\nThree\n\n- a\n\n- b\n\nEnd"
    assert join_blocks(text) == {0: "One *two*.\nThree\n", 1: "- a\n- b\n", 2: "End"}


def parts(text: str) -> list[tuple[str, bool]]:
    return [(event.source, event.loose) for event in split(text) if isinstance(event, Parted)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n- b\n- c", [("- a\n", False), ("- b\n", False)]),
        ("1. a\n\n2. b\n3. c", [("1. a\n\n", True), ("2. b\n", False)]),
        ("- a\n  - b\n  - c\n- d", [("- a\n  - b\n  - c\n", False)]),
        ("10. a\n    - b\n11. c", [("10. a\n    - b\n", False)]),
        ("- a\n - b", [("- a\n", False)]),
        ("- a\n* b\n* c", [("* b\n", False)]),
        ("- a\n  *b*\n", []),
        ("| a |\n|---|\n| 1 |\n| 2 |", [("| a |\n|---|\n", False), ("| 1 |\n", False),
                                        ("| 2 |", False)]),
        ("| a |\n| b |\n|---|\n", []),
        ("> - a\n> - b", []),
    ],
)  # fmt: skip
def test_part_ends_within_a_block(text: str, expected: list[tuple[str, bool]]) -> None:
    assert parts(text) == expected


LINES = st.sampled_from(
    [
        "", "", "", "word", "two words", "**bold** x", "# head", "#not", "```", "```py", "~~~",
        "````", "- a", "* b", "1. one", "2) two", "-", "---", "***", "===", "  - nested",
        "   ```", "  ```", "  deeper", "    code", "\tcode", "> said", ">", "| a | b |",
        "|---|---|",
        "$$", "$$x$$", "- $$", "$a$", "\\[", "\\]", "<b>html</b>", "<!--", "-->", "[a]: /x",
        "[a]", "1986 was", "`code`", "_it_", " x", "   # head", "+ ", "你好", "a  ", "a\\",
    ]
)  # fmt: skip
TEXTS = st.lists(LINES, max_size=14).map("\n".join)


@settings(deadline=None)
@given(TEXTS)
@example("- ```\n  a\ntext\n  ```\n\nb\n  ```\n\nc")
@example("- $$\n  a\n# h\n$$")
def test_closed_blocks_together_render_as_the_whole(text: str) -> None:
    together = render_block(text, LABELS, "id")
    parts = [render_block(source, LABELS, "id") for source in sources(text)]
    # The ids of code blocks count from the block, so they are left out of the comparison.
    assert "".join(map(without_ids, parts)) == without_ids(together)


def without_ids(html: str) -> str:
    return "".join(
        part.split('"', 1)[-1] if number else part
        for number, part in enumerate(html.replace('data-copy="#', 'id="').split('id="'))
    )


@settings(deadline=None)
@given(st.one_of(TEXTS, st.text(alphabet="`~#-*+1.)>|$\\[]_ \n\r\tax好")), st.data())
def test_any_split_gives_the_same_blocks_and_the_same_shown_text(
    text: str, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert sources(*pieces) == sources(text)
    assert join_blocks(*pieces) == join_blocks(text)
    assert sources(*text) == sources(text)
    assert [event for event in split(*text) if isinstance(event, Parted)] == [
        event for event in split(text) if isinstance(event, Parted)
    ]


@settings(deadline=None)
@given(TEXTS)
def test_only_the_open_block_grows(text: str) -> None:
    number, opened = 0, False
    for event in split(*text):
        if isinstance(event, Opened):
            assert (event.number, opened) == (number, False)
            opened = True
        else:
            assert (event.number, opened) == (number, True)
            if isinstance(event, Closed):
                number, opened = number + 1, False
    assert not opened


@pytest.mark.parametrize(
    "line",
    ["- a\n\n", "- a\n1. b\n", "- a\n  $$\n1. b\n", "- ```\n* b\n",
     "1. a\n   ```\n   x\n   ```\n", "    code\n\n", "word\n\n", "> a\n", "$$\n# h\n",
     "- a\nlazy\n```x\n", "```\n", "| a |\n", "**a**\n", "[" * 40 + "\n", "*_`" * 20 + "\n"],
)  # fmt: skip
def test_work_grows_linearly_with_the_text(line: str) -> None:
    characters = 0

    def counting(block: str, next_line: str) -> bool:
        nonlocal characters
        characters += len(block)
        return begins_block(block, next_line)

    splitter = BlockSplitter(counting)
    text = line * (10_000 // len(line))
    for start in range(0, len(text), 7):
        splitter.feed(text[start : start + 7])
    splitter.end()
    assert characters < 16 * len(text)


def test_rendering_whole_is_rendering_the_blocks() -> None:
    closed = [event for event in split("# a\n\nb\n```\nc\n```") if isinstance(event, Closed)]
    assert render_whole("# a\n\nb\n```\nc\n```", LABELS, "m") == join_stretches(
        [closed_html(block, LABELS, "m") for block in closed]
    )
