"""A page that has applied every frame shows what a page shows that comes in between, or late."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialects.chat.events import (
    Event,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStart,
)
from lib.process.server_sent import server_sent
from playground.rendering.html_changes import partial
from playground.rendering.markdown import MarkdownLabels, render_whole
from playground.rendering.open_block import Code, Pieces, Prose, render_so_far
from playground.rendering.render import (
    AnswerLabels,
    AnswerPainter,
    Frame,
    growing_call_html,
    storable,
)

LABELS = AnswerLabels()
PARTIAL = re.compile(
    r'<hx-partial hx-target="#([^"]+)" hx-swap="(\w+)">(.*?)</hx-partial>', re.DOTALL
)
VOID = {"br", "hr"}


class Element:
    """One element of the page, with what stands in it."""

    def __init__(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag, self.attrs = tag, attrs
        self.inside: list[Element | str] = []

    def html(self) -> str:
        inside = "".join(child if isinstance(child, str) else child.html() for child in self.inside)
        return f"<{self.tag} {self.attrs}>{inside}</{self.tag}>"

    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text() for child in self.inside)

    def find(self, id: str) -> "tuple[Element, Element] | None":
        """The element of that id and its parent."""
        for child in self.inside:
            if isinstance(child, Element):
                if ("id", id) in child.attrs:
                    return self, child
                match = child.find(id)
                if match:
                    return match
        return None

    def select(self, selector: str) -> "tuple[Element, Element] | None":
        """The element that a target names, and its parent: `id>tag>:nth-child(2)`."""
        id, *steps = selector.split(">")
        match = self.find(id)
        for step in steps:
            if match is None:
                return None
            inside = [child for child in match[1].inside if isinstance(child, Element)]
            nth = re.fullmatch(r":nth-child\((\d+)\)", step)
            candidates = (
                inside[int(nth[1]) - 1 :]
                if nth
                else [child for child in inside if child.tag == step]
            )
            match = (match[1], candidates[0]) if candidates else None
        return match


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", [])
        self.path = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, attrs)
        self.path[-1].inside.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop().tag == tag

    def handle_data(self, data: str) -> None:
        inside = self.path[-1].inside
        if inside and isinstance(inside[-1], str):
            data = str(inside.pop()) + data
        inside.append(data)


def read(html: str) -> Element:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader.root


def apply(page: Element, frame: str) -> None:
    """What static/js/stream.js does."""
    assert PARTIAL.sub("", frame) == ""
    for target, swap, html in PARTIAL.findall(frame):
        place = page.select(target)
        assert place is not None, f"no {target} for {html!r}"
        parent, element = place
        content = read(html).inside
        if swap == "delete":
            parent.inside.remove(element)
        elif swap == "innerHTML":
            element.inside = content
        elif swap == "outerHTML":
            at = parent.inside.index(element)
            parent.inside[at : at + 1] = content
        else:
            assert swap == "beforeend"
            for child in content:
                if (
                    isinstance(child, str)
                    and element.inside
                    and isinstance(element.inside[-1], str)
                ):
                    child = str(element.inside.pop()) + child
                element.inside.append(child)


def fresh_page() -> Element:
    return read('<div id="think-M"></div><div id="blocks-M"><p id="wait-M"></p></div>')


def blocks_of(page: Element) -> str:
    match = page.find("blocks-M")
    assert match
    return "".join(child if isinstance(child, str) else child.html() for child in match[1].inside)


def as_html(html: str) -> str:
    return "".join(child if isinstance(child, str) else child.html() for child in read(html).inside)


TEXTS = st.lists(
    st.sampled_from(
        ["word ", "two\nlines\n", "\n\n", "# head\n", "```py\nx = 1\n", "```\n", "- item\n", "<b>",
         "| a |\n|---|\n", "$x^2$ ", "**b", "`", "1. ", "a" * 400 + " ", "line\n" * 300, "&amp;",
         "| b |\n", "  - inner\n", "\n2. two\n", "* * *\n", "10. ten\n", "x[^1] ",
         "[^1]: note\n", "y[^", "n]", "   - in\n",
         "水" * 1_500, "# a\n# b\n" * 20, "- one\n  ```\n  x\n  ```\n"]
    ),
    max_size=12,
)  # fmt: skip


def without_gaps(html: str) -> str:
    """Line breaks between the items of a list and rows of a table show nothing."""
    return re.sub(r"\n+(?=</?(?:ul|ol|li|table|thead|tbody|tr)\b)", "\n", html)


@settings(deadline=None)
@given(TEXTS)
@example(["  - inner\n", "- one\n  ```\n  x\n  ```\n", "word "])
def test_applied_frames_equal_the_page_of_that_moment(pieces: list[str]) -> None:
    painter, page, text = AnswerPainter("M", LABELS), fresh_page(), ""
    for piece in pieces:
        text += piece
        apply(page, painter.paint([TextDelta(0, piece)]).html)
        page_text = without_gaps(blocks_of(page).replace("<p [('id', 'wait-M')]></p>", ""))
        assert page_text == without_gaps(as_html(render_so_far(text, MarkdownLabels(), "M")))
    apply(page, painter.end().html)
    page_text = without_gaps(blocks_of(page).replace("<p [('id', 'wait-M')]></p>", ""))
    assert page_text == without_gaps(as_html(render_whole(text, MarkdownLabels(), "M")))


def test_a_long_paragraph_is_closed_piece_by_piece() -> None:
    """What a browser has to lay out at once stays small, and nothing of the text is lost."""
    source = "A *word* of [it](https://a.example) and `more`. " * 900
    painter, page = AnswerPainter("M", LABELS), fresh_page()
    apply(page, painter.paint([TextDelta(0, source)]).html)
    closing = painter.end().html
    changes = PARTIAL.findall(closing)
    assert len(changes) > 10
    drawn = [len(read(html).text()) for _, swap, html in changes if swap != "delete"]
    assert max(drawn) <= 4_000
    apply(page, closing)
    assert blocks_of(page) == as_html(render_whole(source, MarkdownLabels(), "M"))
    page_text = read(render_whole(source, MarkdownLabels(), "M")).text()
    assert page_text.split() == ("A word of it and more. " * 900).split()


@pytest.mark.parametrize(("line", "word"), [("--:", "end"), (":-:", "middle"), (":--", "")])
def test_column_is_aligned_as_its_table_says(line: str, word: str) -> None:
    html = render_whole(f"| a |\n|{line}|\n| 1 |\n", MarkdownLabels(), "M")
    attribute = f' class="{word}"' if word else ""
    assert f"<th{attribute}>a</th>" in html
    assert f"<td{attribute}>1</td>" in html


def paint(events: Iterable[Event]) -> list[Frame]:
    painter = AnswerPainter("M", LABELS)
    return [painter.paint([event]) for event in events]


def test_reasoning_and_text_are_separate() -> None:
    page = fresh_page()
    for frame in paint([ReasoningDelta(0, "a<"), ReasoningDelta(0, "b"), TextDelta(0, "c")]):
        apply(page, frame.html)
    thought = page.find("think-text-M")
    assert thought
    assert thought[1].text() == "a<b"
    assert "c" in blocks_of(page)


def test_frame_contains_its_text() -> None:
    frames = paint([TextDelta(0, "a\x00\ud800"), ReasoningDelta(0, "r"), RefusalDelta(0, "no")])
    assert [(frame.text, frame.reasoning) for frame in frames] == [
        ("a\ufffd?", ""),
        ("", "r"),
        ("no", ""),
    ]


def test_other_choices_and_other_events_are_not_shown() -> None:
    frames = paint([TextDelta(1, "b"), ReasoningDelta(1, "b"), Finish(0, "stop")])
    assert [frame.html + frame.text + frame.reasoning for frame in frames] == ["", "", ""]


@pytest.mark.parametrize("kind", [Prose, Code])
@settings(deadline=None)
@given(st.text(alphabet="ab \n", max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_block_parts_do_not_depend_on_the_splits(
    kind: type[Pieces], text: str, cuts: list[int]
) -> None:
    text *= 20
    edges = [0, *sorted(cut * 17 % (len(text) + 1) for cut in cuts), len(text)]

    def place(page: Element) -> Element:
        match = page.find("x")
        assert match
        return match[1]

    def pieces(parts: Iterable[str]) -> list[str]:
        growing, page = kind("x"), read(f'<div id="x">{kind("x").html()}</div>')
        for part in parts:
            growing.grow(part)
            apply(page, growing.changes())
        complete = read(f'<div id="x">{growing.html()}</div>')
        assert place(page).html() == place(complete).html()
        return [child.text() for child in place(page).inside if isinstance(child, Element)]

    cut = [text[a:b] for a, b in pairwise(edges)]
    assert pieces(cut) == pieces([text]) == pieces(text)
    assert "".join(pieces(cut)) == text
    assert all(len(piece) <= 4_000 and piece.count("\n") <= 1_500 for piece in pieces(cut))


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("A **bold", "<p>A <strong>bold</strong></p>"),
        ("A **bold*", "<p>A <strong>bold</strong></p>"),
        ("A *b **c", "<p>A <em>b <strong>c</strong></em></p>"),
        ("A ~~gone", "<p>A <s>gone</s></p>"),
        ("A ", "<p>A</p>"),
        ("A **", "<p>A</p>"),
        ("So 2*3 and a_b", "<p>So 2*3 and a_b</p>"),
        ("See `a *b", "<p>See <code>a *b</code></p>"),
        ("See `a` or `b", "<p>See <code>a</code> or <code>b</code></p>"),
        ("See [the *text", "<p>See <a>the <em>text</em></a></p>"),
        ("See [the text](https://a.exam", "<p>See <a>the text</a></p>"),
        ("A **b [c *d", "<p>A <strong>b <a>c <em>d</em></a></strong></p>"),
        ("See https://a.example/and/on", "<p>See https://a.example/and/on</p>"),
        ("See ![a picture](https://a.exa", "<p>See </p>"),
        ("# Of **we", "<h3>Of <strong>we</strong></h3>"),
        ("> Said *he", "<blockquote>\n<p>Said <em>he</em></p>\n</blockquote>"),
        ("- one\n- **two", "<ul>\n<li>one</li>\n<li><strong>two</strong></li>\n</ul>"),
        ("- one\n  - **in",
         "<ul>\n<li>one\n<ul>\n<li><strong>in</strong></li>\n</ul>\n</li>\n</ul>"),
        ("3. one\n\n4. tw", "<ol start=3>\n<li>\n<p>one</p>\n</li>\n<li>\n<p>tw</p>\n</li>\n</ol>"),
        ("| a |\n|---|\n| 1 |\n| **2",
         "<table><thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n</tr>\n"
         "<tr>\n<td><strong>2</strong></td>\n</tr>\n</tbody>\n</table>"),
        ("| a | b |\n|--", ""),
        ("$$x^2", "<p class=math><code>$$x^2</code></p>"),
    ],
)  # fmt: skip
def test_open_parts_are_drawn_as_if_closed(text: str, drawn: str) -> None:
    page, painter = fresh_page(), AnswerPainter("M", LABELS)
    for letter in text:
        apply(page, painter.paint([TextDelta(0, letter)]).html)
    match = page.find("block-M-0")
    assert match
    assert markup(match[1]).strip() == drawn


def markup(element: Element) -> str:
    """What stands in it, of the attributes those that tell apart."""
    out = ""
    for child in element.inside:
        if isinstance(child, str):
            out += child
            continue
        attributes = "".join(
            f" {name}={value}" for name, value in child.attrs if name in ("class", "start")
        )
        out += f"<{child.tag}{attributes}>{markup(child)}</{child.tag}>"
    return out


@pytest.mark.parametrize(
    "text",
    ["A **bold word**, an *emphasis of `code` in it*, and ~~more~~ at the end.",
     "# A *heading*\n\n> and a **quotation** of it\n\nend",
     "- one **two**\n  - three *four*\n- five `six`\n\nend",
     "See [it](https://a.example/b) or https://c.example/d now, and __that__ too."],
    ids=range(4),
)  # fmt: skip
def test_drawing_only_grows(text: str) -> None:
    """No letter that was shown goes away again, or is drawn as something else."""
    page, painter, before = fresh_page(), AnswerPainter("M", LABELS), ""
    for letter in text:
        apply(page, painter.paint([TextDelta(0, letter)]).html)
        match = page.find("blocks-M")
        if page.find("wait-M") or match is None:
            continue
        page_text = re.sub(r"</\w+>|\n|<a>", "", markup(match[1]))
        assert page_text.startswith(before), (before, page_text)
        before = page_text.rstrip()


@pytest.mark.parametrize(
    "text",
    ["- one\n- two\n\nend", "1. a\n\n2. b\n\nend", "| a |\n|---|\n| 1 |\n| 2 |\n\nend",
     "```py\n" + "x = 1\n" * 100 + "```\n\nend"],
)  # fmt: skip
def test_closing_a_block_keeps_its_drawing(text: str) -> None:
    painter = AnswerPainter("M", LABELS)
    changes = "".join(painter.paint([TextDelta(0, letter)]).html for letter in text)
    assert ('#block-M-0" hx-swap="innerHTML"') not in changes


REL = 'target="_blank" rel="noopener noreferrer nofollow"'
LINK = f'<a href="https://x.example/b?c=1&amp;d" title="x.example" {REL}>'
CHIP = f'<a class="chip" href="https://x.example/b.png" {REL}>Image from x.example · Open</a>'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[a *b*](https://x.example/b?c=1&d)", f"<p>{LINK}a <em>b</em></a></p>"),
        ("<https://u@x.example:8443/p>",
         f'<p><a href="https://u@x.example:8443/p" title="x.example" {REL}>'
         "https://u@x.example:8443/p</a></p>"),
        ("[a](mailto:x@y.example)", f'<p><a href="mailto:x@y.example" title="" {REL}>a</a></p>'),
        ("[a](/b)", "<p>[a](/b)</p>"),
        ("[a](javascript:b)", "<p>[a](javascript:b)</p>"),
        ("![a *b*](https://x.example/b.png)", f"<p>a b {CHIP}</p>"),
        ("![](https://x.example/b.png)", f"<p>{CHIP}</p>"),
        *((f"{'#' * level} a", f"<h{shown}>a</h{shown}>")
          for level, shown in ((1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (6, 6))),
        ("####### a", "<p>####### a</p>"),
        ("> a", "<blockquote>\n<p>a</p>\n</blockquote>"),
        ("3. a\n4. b", '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>'),
        ("a\nb", "<p>a<br>\nb</p>"),
        ("***", "<hr>"),
        ("~~a~~ **b** *c* `d`",
         "<p><s>a</s> <strong>b</strong> <em>c</em> <code>d</code></p>"),
    ],
)  # fmt: skip
def test_each_form_of_markdown_has_its_element(text: str, html: str) -> None:
    drawn = render_whole(text, LABELS.markdown, "M").replace(' dir="auto"', "")
    inside = drawn.removeprefix('<div class="stretch"><div id="block-M-0" data-b="0">')
    assert inside.removesuffix("</div></div>").strip() == html


def test_a_message_of_the_stream() -> None:
    assert server_sent("a\nb", id="3.1") == "id: 3.1\ndata: a\ndata: b\n\n"
    assert server_sent("") == "data: \n\n"


def test_one_change_of_the_page() -> None:
    assert partial("x", "y", "delete") == (
        '<hx-partial hx-target="#x" hx-swap="delete">y</hx-partial>'
    )


@pytest.mark.parametrize(
    ("text", "kept"), [("a\x00b", "a\ufffdb"), ("\ud83d", "?"), ("🌊 水", "🌊 水")]
)
def test_storable_text(text: str, kept: str) -> None:
    assert storable(text) == kept


def test_growing_call_is_text_in_every_frame() -> None:
    """P15: its name, its first piece, the pieces behind it, and the page that comes in between."""
    evil = "<img src=x onerror=alert(1)>"
    start = ToolCallStart(0, 0, "c", f"name{evil}")
    first, later = ToolArgumentsDelta(0, 0, f"first{evil}"), ToolArgumentsDelta(0, 0, evil)
    painter = AnswerPainter("M", LABELS)
    frames = [painter.paint([start, first]).html, painter.paint([later]).html]
    frames.append(growing_call_html("M", 0, f"name{evil}", f"first{evil}{evil}"))
    for html in frames:
        assert "<img" not in html
        assert "&lt;img" in html
    assert frames[0].count("&lt;img") == 2
