"""Whatever a model says, nothing of it can act: not whole, nor at any moment while it streams."""

import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from dialects.chat.events import Event, ReasoningDelta, TextDelta
from lib.process.server_sent import server_sent
from playground.rendering.markdown import MarkdownLabels, render_block, render_math, render_whole
from playground.rendering.open_block import render_so_far
from playground.rendering.render import AnswerLabels, AnswerPainter, storable
from tests.playground.hostile import HOSTILE

TAGS = {
    "p", "br", "hr", "h3", "h4", "h5", "h6", "em", "strong", "s", "a", "code", "pre", "blockquote",
    "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "span", "figure", "figcaption",
    "button", "div", "details", "summary", "math", "mrow", "mi", "mo", "mn", "mtext", "ms",
    "mspace", "mfrac", "msqrt", "mroot", "mstyle", "msub", "msup", "msubsup", "munder", "mover",
    "munderover", "mmultiscripts", "mprescripts", "mpadded", "mphantom", "menclose", "mtable",
    "mtr", "mtd", "hx-partial", "sup",
}  # fmt: skip
ATTRIBUTES = {
    "href", "title", "target", "rel", "class", "id", "type", "aria-label", "tabindex", "start",
    "display", "mathvariant", "stretchy", "fence", "form", "separator", "accent", "movablelimits",
    "largeop", "width", "displaystyle", "scriptlevel", "linethickness", "accentunder", "notation",
    "columnalign", "hx-target", "hx-swap", "hx-ignore", "data-b", "data-kind",
    "data-copy", "data-size", "dir", "data-preview", "aria-pressed",
}  # fmt: skip
NOTE = r"#note-M-[A-Za-z0-9_-]{1,30}"
SWAPS = {"beforeend", "innerHTML", "outerHTML", "delete"}
PLACE = re.compile(
    r"#(?:blocks|block|text|think|think-text|think-head|wait)-M(?:-\d+)?"
    r"(?:>(?:p|ul|ol|table|tbody|figure|pre|code|:nth-child\(\d+\)))*"
)
LABELS = AnswerLabels()


class Judge(HTMLParser):
    """Raises at the first thing that could act or reach out."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, (tag, name)
            if name == "href":
                assert re.match(rf"(https?://|mailto:)|{NOTE}$", value or ""), value
            if name == "hx-target":
                assert tag == "hx-partial"
                assert PLACE.fullmatch(value or ""), value
            if name == "hx-swap":
                assert value in SWAPS
            if name == "width":
                assert re.fullmatch(r"-?\d{0,2}(\.\d+)?(em|px)?", value or ""), value
        results = dict(attrs)
        if tag == "sup":
            assert results["class"] == "note"
            assert results.keys() <= {"class", "id"}
        if tag == "a" and not re.fullmatch(NOTE, results.get("href") or ""):
            assert results["rel"] == "noopener noreferrer nofollow"
            assert results["target"] == "_blank"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")


def judge(html: str) -> None:
    judge = Judge(convert_charrefs=True)
    judge.feed(html)
    judge.close()


def frames(pieces: Iterator[str], kind: type[TextDelta] | type[ReasoningDelta]) -> Iterator[str]:
    painter = AnswerPainter("M", LABELS)
    for piece in pieces:
        events: list[Event] = [kind(0, piece)]
        yield painter.paint(events).html
    yield painter.end().html


def test_the_corpus_is_big_enough() -> None:
    assert len(HOSTILE) >= 60
    assert len(set(HOSTILE)) == len(HOSTILE)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_executes_in_the_whole_answer(text: str) -> None:
    judge(render_whole(storable(text), MarkdownLabels(), "M"))
    judge(render_block(storable(text), MarkdownLabels(), "M-0"))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_single_character_frames_cannot_act_or_add_stream_lines(text: str) -> None:
    for html in frames(iter(text), TextDelta):
        judge(html)
        message = server_sent(html, id="7")
        assert message.startswith("id: 7\n")
        assert message.endswith("\n\n")
        body = message.removeprefix("id: 7\n").removesuffix("\n\n")
        assert "\r" not in body
        assert all(line.startswith("data: ") for line in body.split("\n"))
        assert "\n".join(line.removeprefix("data: ") for line in body.split("\n")) == html


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_executes_in_thoughts_of_single_characters(text: str) -> None:
    for html in frames(iter(text), ReasoningDelta):
        judge(html)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("n", range(len(HOSTILE)))
def test_nothing_executes_in_any_frame_however_split(n: int, step: int) -> None:
    """Cut in two at each place in the slow lane, at each seventh here, of each text at others."""
    text = HOSTILE[n]
    for kind in (TextDelta, ReasoningDelta):
        for cut in range(1 + n % step, len(text), step):
            for html in frames(iter([text[:cut], text[cut:]]), kind):
                judge(html)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_executes_in_the_text_so_far(text: str) -> None:
    for cut in range(0, len(text), 3):
        judge(render_so_far(storable(text[:cut]), MarkdownLabels(), "M"))


def test_a_footnote_is_a_link_to_its_note() -> None:
    text = "Blue.[^1] See[^a-b] `[^1]`\n\n[^1]: Because *light*.\n[^a-b]: More.\n"
    html = render_whole(text, MarkdownLabels(), "M")
    judge(html)
    link = '<sup class="note"><a href="#note-M-{0}" aria-label="Footnote {0}">{0}</a></sup>'
    assert f"Blue.{link.format(1)} See{link.format('a-b')} <code>[^1]</code>" in html
    assert '<sup class="note" id="note-M-1">1</sup> Because <em>light</em>.<br>' in html
    assert '<sup class="note" id="note-M-a-b">a-b</sup> More.' in html


@pytest.mark.parametrize(
    "text",
    ["[^abc]+", "a [^a-z] b", "x[^]", "x[^<b>]", 'x[^a"b]', "x[^1234]", "`a[^1]`", "[^a](b)"],
)
def test_invalid_footnote_stays_as_written(text: str) -> None:
    html = render_whole(text, MarkdownLabels(), "M")
    judge(html)
    assert "<sup" not in html


def test_math_stays_math() -> None:
    assert render_math("a<b", display=False) == (
        '<math display="inline"><mrow><mi>a</mi><mo>&lt;</mo><mi>b</mi></mrow></math>'
    )
    assert "<mtext>1&lt;2</mtext>" in render_math(r"\text{1<2}", display=True)
    assert render_math(r"\href{x}{y}", display=False) == r"<code>\href{x}{y}</code>"
    assert "99999999" not in render_math(r"\hspace{99999999em}", display=False)


def test_an_image_is_a_chip_that_names_its_host() -> None:
    html = render_block("![a](https://img.example/x.png)", MarkdownLabels(), "M")
    assert "<img" not in html
    assert 'class="chip" href="https://img.example/x.png"' in html
    assert ">Image from img.example · Open</a>" in html


@pytest.mark.parametrize("info", ["python", 'python title="a.py"', "python {1,3}"])
def test_code_is_coloured_by_class_and_can_be_copied(info: str) -> None:
    html = render_block(f"```{info}\nimport os\n```", MarkdownLabels(), "M-3")
    assert "<figcaption><span>python</span>" in html
    assert '<span class="kn">import</span>' in html
    assert 'data-copy="#code-M-3-0"' in html
    assert '<pre tabindex="0" id="code-M-3-0">' in html


LONG = (
    "[" * 30_000, "*a **b" * 5_000, "$a " * 9_000, "\\(" * 9_000, "`" * 20_000, "> " * 4_000 + "a",
    "| a " * 5_000 + "\n" + "|---" * 5_000, "![" * 9_000, "<" * 30_000, "http://" * 3_000,
    "*a " * 8_000, "**bold " * 4_000, "_id " * 6_000, "[*a " * 6_000, "> " + "*a " * 4_000,
    "- " + "*a " * 4_000, "# " + "*a " * 4_000, "|a|\n|-|\n|" + "*a " * 4_000,
)  # fmt: skip


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_long_hostile_block_is_rendered_quickly(text: str) -> None:
    began = time.process_time()
    render_block(text, MarkdownLabels(), "M")
    assert time.process_time() - began < 3


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_long_hostile_block_grows_quickly(text: str) -> None:
    began = time.process_time()
    render_so_far(text, MarkdownLabels(), "M")
    assert time.process_time() - began < 3
    painter = AnswerPainter("M", LABELS)
    for start in range(0, len(text), 500):
        began = time.process_time()
        painter.paint([TextDelta(0, text[start : start + 500])])
        assert time.process_time() - began < 3


def test_many_open_marks_are_no_emphasis() -> None:
    assert render_so_far("*a " * 20, MarkdownLabels(), "M").count("<em>") == 20
    assert "<em>" not in render_so_far("*a " * 21, MarkdownLabels(), "M")
