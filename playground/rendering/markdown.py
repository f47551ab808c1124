r"""Render a model's Markdown to safe HTML. The text is untrusted.

Three defences are layered: the parser accepts no HTML, the output is built here rather than taken
from the text, and an allow-list (nh3) removes anything else. Math is converted with its brackets
removed, and has its own allow-list, because converters pass markup in `\text{}` and URLs in
`\href{}`. Images are never loaded, because their URL could send the chat to a third party.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

import nh3
from latex2mathml import exceptions as latex_errors
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from playground.rendering.block_splitter import BlockEvent, BlockSplitter, Closed
from playground.rendering.structured import JsonSplitter
from playground.rendering.unfinished_markdown import (
    OPENED,
    draw_unfinished,
    drawable_part,
    is_in_open_link,
)


@dataclass(frozen=True, slots=True)
class MarkdownLabels:
    """Labels of the renderer in the reader's language. `copy_icon` is ready HTML."""

    image_from: str = "Image from %s · Open"
    copy: str = "Copy"
    copy_code: str = "Copy code"
    copy_icon: str = ""
    preview: str = "Preview"
    footnote: str = "Footnote %s"


PLAIN_ABOVE = 100_000
"""A block of prose longer than this many characters is shown unformatted."""

STRETCH = 16
PIECE_LINES = 40
"""How many lines of code form a piece, which a browser lays out independently."""

_NEWLINE_AFTER = 1_500
_SPACE_AFTER = 3_000
_ANYWHERE_AFTER = 4_000
_LEVEL_IN_ITEM = 2
_HIGHLIGHT_ABOVE = 200_000
_HIGHLIGHT_LINE_ABOVE = 5_000
_MATH_ABOVE = 2_000
_MATH_DEPTH_MAX = 40


def render_block(
    source: str, labels: MarkdownLabels, block: str, *, loose: bool = False, first_code: int = 0
) -> str:
    """Render a closed block as sanitised HTML. `block` is the id of its message and its number, as
    in M-3, from which the ids inside are made. Its code blocks are numbered from `first_code`.
    `loose` renders a list as a loose list."""
    if len(source) > PLAIN_ABOVE and not source.lstrip().startswith(("```", "~~~")):
        texts = "".join(piece_of_text(escape_text(text)) for text in prose_pieces(source))
        return f"{_PLAIN}{texts}</p>\n"
    tokens = _markdown().parse(source, env := {"labels": labels})
    if loose:
        _loosen(tokens)
    return _add_copy_buttons(_clean(tokens, env, block), labels, block, first_code)


def render_open_block(
    source: str, labels: MarkdownLabels, block: str, *, loose: bool = False, first_code: int = 0
) -> str:
    """Render an open block, or one part of it, like `render_block`. Markup that is open at the end
    is rendered as if closed."""
    source = drawable_part(source)
    if len(source) > PLAIN_ABOVE:
        return render_block(source, labels, block, loose=loose, first_code=first_code)
    tokens = _markdown(unfinished=True).parse(source, env := {"labels": labels})
    if loose:
        _loosen(tokens)
    return _add_copy_buttons(_clean(tokens, env, block), labels, block, first_code)


def render_open_text(source: str, labels: MarkdownLabels, block: str) -> tuple[str, str]:
    """Render the text of an unfinished paragraph, and return the open marks at its end."""
    env: dict[str, Any] = {"labels": labels}
    tokens = _markdown(unfinished=True).parseInline(source, env)
    return _clean(tokens, env, block), "".join(env.get(OPENED, ()))


def _loosen(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.level == _LEVEL_IN_ITEM and token.type.startswith("paragraph_"):
            token.hidden = False


def _clean(tokens: Sequence[Token], env: dict[str, Any], block: str) -> str:
    """Return the sanitised HTML of tokens."""
    renderer = _markdown().renderer
    html: str = nh3.clean(renderer.render(tokens, _markdown().options, env), **_WALL)
    return _add_note_links(html.replace("&nbsp;", "\xa0"), env["labels"], block)


Splitter = BlockSplitter | JsonSplitter


def splitter_of(*, structured: bool) -> Splitter:
    """Return the splitter for an answer; `structured` means that it is JSON, not Markdown."""
    return JsonSplitter() if structured else BlockSplitter(begins_block)


def render_whole(
    text: str, labels: MarkdownLabels, message: str, *, structured: bool = False
) -> str:
    """Render a whole answer. `message` is its id, the prefix of every id inside."""
    splitter = splitter_of(structured=structured)
    events: list[BlockEvent] = [*splitter.feed(text), *splitter.end()]
    return join_stretches(
        [closed_html(event, labels, message) for event in events if isinstance(event, Closed)]
    )


def join_stretches(blocks: Sequence[str]) -> str:
    """Wrap every sixteen blocks in an element, because a browser's work for a change grows with the
    number of siblings."""
    starts = range(0, len(blocks), STRETCH)
    return "".join(stretch("".join(blocks[start : start + STRETCH])) for start in starts)


def stretch(blocks: str) -> str:
    """Wrap up to `STRETCH` blocks in an element."""
    return f'<div class="stretch">{blocks}</div>'


def code_in(text: str, block: int, number: int) -> tuple[str, str] | None:
    """Return language and text of a code block of an answer, or None. Code blocks are numbered
    within each block."""
    splitter = BlockSplitter(begins_block)
    for event in (*splitter.feed(text), *splitter.end()):
        if isinstance(event, Closed) and event.number == block:
            codes = [token for token in _markdown().parse(event.source) if token.type == "fence"]
            if number < len(codes):
                return _language(codes[number]), codes[number].content
    return None


def closed_html(block: Closed, labels: MarkdownLabels, message: str) -> str:
    """Return a closed block's element for its place in the answer."""
    inside = render_block(block.source, labels, f"{message}-{block.number}")
    return f'<div id="{block_id(message, block.number)}" data-b="{block.number}">{inside}</div>'


def block_id(message: str, number: int) -> str:
    """Return the id of a block of an answer."""
    return f"block-{message}-{number}"


def begins_block(block: str, line: str) -> bool:
    """Return whether a line after `block` (which ends with a newline) begins a new top-level
    block."""
    tokens: list[Token] = []
    markdown = _markdown()
    markdown.block.parse(block + line, markdown, {}, tokens)
    first = block.count("\n")
    return any(
        token.level == 0 and token.map is not None and token.map[0] == first
        for token in reversed(tokens)
    )


def escape_text(text: str) -> str:
    """Escape text for an element's content. Carriage returns are encoded, because a stream of lines
    would lose them."""
    return escape(text, quote=False).replace("\r", "&#13;")


# Math -------------------------------------------------------------------------------------------

_REFUSED = re.compile(
    r"\\(?:href|style|class|unicode|cssId|html\w*|url|includegraphics)(?![A-Za-z])"
)
# The converter gets arbitrary text. It raises its own errors, and passes on those of the functions
# it calls.
_CONVERTER_ERRORS: tuple[type[Exception], ...] = (
    *(error for error in vars(latex_errors).values() if isinstance(error, type)),
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError, StopIteration,
)  # fmt: skip
_LESS, _GREATER = "\ue000", "\ue001"
_MATH_TAGS = {
    "math", "mrow", "mi", "mo", "mn", "mtext", "ms", "mspace", "mfrac", "msqrt", "mroot", "mstyle",
    "msub", "msup", "msubsup", "munder", "mover", "munderover", "mmultiscripts", "mprescripts",
    "mpadded", "mphantom", "menclose", "mtable", "mtr", "mtd",
}  # fmt: skip
_MATH_ATTRIBUTES = {
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": {"stretchy", "fence", "form", "separator", "accent", "movablelimits", "largeop"},
    "mspace": {"width"},
    "mstyle": {"displaystyle", "scriptlevel"},
    "mfrac": {"linethickness"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "menclose": {"notation"},
    "mtable": {"columnalign"},
    "mtd": {"columnalign"},
}
_MATH_VALUE = re.compile(r"[a-z ]{0,40}|-?[0-9]{0,2}(?:\.[0-9]{1,4})?(?:em|px)?")


def render_math(latex: str, *, display: bool) -> str:
    """Return LaTeX as MathML with nothing but math, or its source as code if it is not valid
    math."""
    source = latex.replace(_LESS, "").replace(_GREATER, "")
    as_code = f"<code>{escape_text(latex)}</code>"
    if len(source) > _MATH_ABOVE or _REFUSED.search(source) or _depth(source) > _MATH_DEPTH_MAX:
        return as_code
    hidden = source.replace("<", _LESS).replace(">", _GREATER)
    try:
        mathml = convert(hidden, display="block" if display else "inline")
    except _CONVERTER_ERRORS:
        return as_code
    for sign, entity in ((_LESS, "&lt;"), (_GREATER, "&gt;")):
        mathml = mathml.replace(f"<mi>{sign}</mi>", f"<mo>{entity}</mo>").replace(sign, entity)
    clean = nh3.clean(
        mathml,
        tags=_MATH_TAGS,
        attributes=_MATH_ATTRIBUTES,
        attribute_filter=_math_attribute,
        url_schemes=set(),
        link_rel=None,
    )
    return clean if clean.startswith("<math") else as_code


def _math_attribute(tag: str, name: str, value: str) -> str | None:
    return value if _MATH_VALUE.fullmatch(value) else None


def _depth(latex: str) -> int:
    deepest = depth = 0
    for letter in latex:
        depth += (letter in "{[(") - (letter in "}])")
        deepest = max(deepest, depth)
    return deepest + latex.count("\\begin") + latex.count("\\left")


def _bracket_math(state: StateInline, silent: bool) -> bool:
    """Parse `\\( … \\)` and `\\[ … \\]`, which many models write for math."""
    opening = state.src[state.pos : state.pos + 2]
    if opening not in ("\\(", "\\["):
        return False
    closing = "\\)" if opening == "\\(" else "\\]"
    # Limit the search, so that many openings without an end do not cost quadratic time.
    end = state.src.find(closing, state.pos + 2, state.pos + _MATH_ABOVE)
    if end < 0:
        return False
    content = state.src[state.pos + 2 : end]
    if not content.strip():
        return False
    if not silent:
        kind = "math_inline" if opening == "\\(" else "math_inline_double"
        state.push(kind, "math", 0).content = content
    state.pos = end + 2
    return True


# Footnotes --------------------------------------------------------------------------------------

# A word is a footnote reference only after its footnote: otherwise [^abc] is a character class.
_NOTE = re.compile(r"\[\^(?:([0-9]{1,3})|[A-Za-z][A-Za-z0-9_-]{0,29})\]")
_NOTE_TO = re.compile(r"[\w.,;:!?)\]}\"'”’»。，；：！？）」』*_`]")
_NOTE_MARK = re.compile(r'<sup class="(note|note-mark)">([A-Za-z0-9_-]+)</sup>')


def _footnote(state: StateInline, silent: bool) -> bool:
    """Parse `text[^1]`, and `[^1]: note` at the start of a line. Notes stay where they were
    written, because the blocks of an answer are rendered separately."""
    match = _NOTE.match(state.src, state.pos, state.posMax)
    if match is None or state.linkLevel or is_in_open_link(state):
        return False
    before = state.src[state.pos - 1 : state.pos] if state.pos else "\n"
    is_mark = before == "\n" and state.src.startswith(":", match.end())
    if not (is_mark or match[1] or _NOTE_TO.match(before)):
        return False
    if not silent:
        token = state.push("footnote", "sup", 0)
        token.content, token.hidden = match[0][2:-1], is_mark
    state.pos = match.end() + is_mark
    return True


def _note(self: RendererHTML, tokens: Sequence[Token], index: int, *rest: Any) -> str:
    kind = "note-mark" if tokens[index].hidden else "note"
    return f'<sup class="{kind}">{tokens[index].content}</sup>'


def _add_note_links(html: str, labels: MarkdownLabels, block: str) -> str:
    """After sanitising, give each footnote its id, and link each reference to it."""
    if '<sup class="note' not in html:
        return html
    message = block.rpartition("-")[0]

    def linked(match: re.Match[str]) -> str:
        kind, name = match.groups()
        id, label = f"note-{message}-{name}", escape(labels.footnote.replace("%s", name, 1))
        if kind == "note-mark":
            return f'<sup class="note" id="{id}">{name}</sup>'
        return f'<sup class="note"><a href="#{id}" aria-label="{label}">{name}</a></sup>'

    return _NOTE_MARK.sub(linked, html)


# Markdown ---------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _markdown(*, unfinished: bool = False) -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": True, "breaks": True})
    markdown.enable(["table", "strikethrough", "linkify"])
    # A link definition would change earlier blocks, which are already closed.
    markdown.disable("reference")
    markdown.validateLink = _allowed_link  # type: ignore[method-assign]
    if markdown.linkify is not None:
        markdown.linkify.set({"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
    dollarmath_plugin(
        markdown,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        allow_blank_lines=False,
        double_inline=True,
    )
    markdown.inline.ruler.before("escape", "bracket_math", _bracket_math)
    markdown.inline.ruler.before("link", "footnote", _footnote)
    markdown.core.ruler.after("inline", "task_signs", _task_signs)
    markdown.core.ruler.after("task_signs", "long_paragraphs", _long_paragraphs)
    markdown.core.ruler.push("directions", _directions)
    for name, rule in _RENDER_RULES.items():
        markdown.add_render_rule(name, rule)
    if unfinished:
        draw_unfinished(markdown)
    return markdown


def _allowed_link(url: str) -> bool:
    return re.match(r"(?i)(?:https?://|mailto:)[^\s]", url) is not None


def _task_signs(state: StateCore) -> None:
    """Replace `- [x]` with a character, because a checkbox that cannot be ticked would only
    confuse."""
    for item, inline in zip(state.tokens, state.tokens[2:], strict=False):
        if item.type != "list_item_open" or inline.type != "inline" or not inline.children:
            continue
        first = inline.children[0]
        sign = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}.get(first.content[:4])
        if first.type == "text" and sign:
            first.content = sign + first.content[4:]


def _directions(state: StateCore) -> None:
    """Set the direction of each block by its first letter. The content gets no direction, because
    the block would then ignore its letters; the page's style does the rest."""
    for token in state.tokens:
        if token.level == 0 and token.type in _DIRECTED:
            token.attrSet("dir", "auto")


_DIRECTED = {
    "paragraph_open", "heading_open", "bullet_list_open", "ordered_list_open", "blockquote_open",
    "table_open",
}  # fmt: skip


def _long_paragraphs(state: StateCore) -> None:
    """Split a paragraph that is longer than a piece, because browsers lay out a run of text as a
    whole."""
    for opening, inline in pairwise(state.tokens):
        long = len(inline.content) > _ANYWHERE_AFTER and inline.children
        if opening.type == "paragraph_open" and long:
            inline.children = list(_pieces_of(inline.children or []))


def _pieces_of(children: Sequence[Token]) -> Iterator[Token]:
    """Yield inline tokens with the pieces around them. Each piece ends where no emphasis or link is
    open."""
    size = depth = 0
    cut = (Token("piece_close", "span", -1), Token("piece_open", "span", 1))
    yield cut[1]
    for token in children:
        depth += token.nesting
        apart = not depth and token.nesting == 0
        if apart and (
            size >= _ANYWHERE_AFTER or (token.type == "softbreak" and size >= _NEWLINE_AFTER)
        ):
            yield from cut
            size = 0
            if token.type == "softbreak":
                continue
        if not apart or token.type != "text":
            size += len(token.content)
            yield token
            continue
        *full, remainder = prose_pieces(token.content, size)
        for text in full:
            yield Token("text", "", 0, content=text)
            yield from cut
        size = len(remainder) if full else size + len(remainder)
        yield Token("text", "", 0, content=remainder)
    yield cut[0]


def prose_pieces(text: str, size: int = 0) -> list[str]:
    """Split text into pieces. The first one continues a piece of `size` characters; the last is not
    full."""
    pieces, start = [], 0
    while end := end_of_prose(size, text, start):
        pieces.append(text[start:end])
        start, size = end, 0
    return [*pieces, text[start:]]


def end_of_prose(size: int, text: str, start: int) -> int:
    """Return where in `text`, from `start` on, a piece of `size` characters ends, or 0 for nowhere:
    at the first newline after 1,500 characters, the first space after 3,000, or at 4,000 if there
    is neither, as in Chinese."""
    ends = [start + _ANYWHERE_AFTER - size]
    for sign, after in (("\n", _NEWLINE_AFTER), (" ", _SPACE_AFTER)):
        at = text.find(sign, max(start, start + after - 1 - size))
        if at >= 0:
            ends.append(at + 1)
    return min(ends) if min(ends) <= len(text) else 0


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _heading(self: RendererHTML, tokens: Sequence[Token], index: int, *args: Any) -> str:
    # The page uses the first two levels itself, for its title and for the heading of each message.
    level = min(int(tokens[index].tag[1]) + 2, 6)
    if tokens[index].nesting < 0:
        return f"</h{level}>\n"
    return f'<h{level} dir="auto">' if tokens[index].attrGet("dir") else f"<h{level}>"


def _link(self: RendererHTML, tokens: Sequence[Token], index: int, *args: Any) -> str:
    href = str(tokens[index].attrGet("href") or "")
    if not href:  # the URL is not complete yet
        return "<a>"
    return f'<a href="{escape(href)}" title="{escape(_host(href))}">'


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    source = str(token.attrGet("src") or "")
    labels: MarkdownLabels = env["labels"]
    alt = self.renderInlineAsText(token.children or [], options, env)
    label = labels.image_from.replace("%s", _host(source), 1)
    before = f"{escape(alt)} " if alt else ""
    return f'{before}<a class="chip" href="{escape(source)}">{escape(label)}</a>'


def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, *args: Any) -> str:
    language = _language(tokens[index])
    return _figure(language, "".join(_split_code(_highlight(tokens[index].content, language))))


def _language(fence: Token) -> str:
    words = fence.info.split()
    return words[0] if words else ""


def _figure(language: str, code: str) -> str:
    return (
        f'<figure class="code"><figcaption><span>{escape(language[:40])}</span></figcaption>'
        f'<pre tabindex="0"><code>{code}</code></pre></figure>\n'
    )


def open_figure(language: str, pieces: str, labels: MarkdownLabels, block: str) -> str:
    """Render a code block in progress as `render_block` would render it when closed. `pieces` are
    from `piece_of_text`."""
    return _add_copy_buttons(_figure(language, pieces), labels, block)


def pieces_in_figure(html: str) -> tuple[str, list[str]]:
    """Split the HTML of a code block by `render_block` into the markup around its pieces, and the
    pieces. Return ("", []) for anything else."""
    head, *pieces = html.split(_PIECE)
    if not pieces or not head.startswith("<figure") or html.count("<figure") > 1:
        return "", []
    last, _, tail = pieces.pop().rpartition("</span></code>")
    return f"{head}</code>{tail}", [*(piece.removesuffix("</span>") for piece in pieces), last]


def pieces_in_paragraph(html: str) -> tuple[str, list[str]]:
    """Split the HTML of a long paragraph by `render_block` into its opening tag and the pieces.
    Return ("", []) for anything else."""
    head, *pieces = html.split(_PIECE)
    if (
        head not in (PARAGRAPH, _PLAIN)
        or html.count("</p>") > 1
        or not html.endswith(_END_OF_PIECES)
    ):
        return "", []
    last = pieces.pop().removesuffix(_END_OF_PIECES)
    return head, [*(piece.removesuffix("</span>") for piece in pieces), last]


def piece_of_text(html: str) -> str:
    """Render one piece of a code block or of a paragraph."""
    return f"{_PIECE}{html}</span>"


PARAGRAPH: Final = '<p dir="auto">'
_PIECE = '<span class="piece">'
_END_OF_PIECES = "</span></p>\n"
_PLAIN = '<p class="plain-text" dir="auto">'
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def _split_code(code: str) -> list[str]:
    """Split code into pieces of whole lines, so that a browser can skip the layout of invisible
    pieces. Pygments closes every span at the end of its line, so no span is split."""
    lines = _LINE.findall(code) or [""]
    starts = range(0, len(lines), PIECE_LINES)
    return [piece_of_text("".join(lines[start : start + PIECE_LINES])) for start in starts]


def _highlight(code: str, language: str) -> str:
    long = len(code) > _HIGHLIGHT_ABOVE or any(
        len(line) > _HIGHLIGHT_LINE_ABOVE for line in code.split("\n")
    )
    if not language or long:
        return escape_text(code)
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape_text(code)
    return _UNCOLOURED.sub(r"\1", highlight(code, lexer, _FORMATTER))


def _table_open(self: RendererHTML, tokens: Sequence[Token], index: int, *args: Any) -> str:
    # The table scrolls inside its own box, which the keyboard must reach.
    direction = ' dir="auto"' if tokens[index].attrGet("dir") else ""
    return f'<table tabindex="0"{direction}>'


def _cell_open(self: RendererHTML, tokens: Sequence[Token], index: int, *args: Any) -> str:
    """Set the alignment by a class, because the page's policy forbids inline styles."""
    tag, style = tokens[index].tag, str(tokens[index].attrGet("style") or "")
    aligned = next((word for word in _ALIGNED if style.endswith(word)), "")
    return f'<{tag} class="{_ALIGNED[aligned]}">' if aligned else f"<{tag}>"


_ALIGNED = {"right": "end", "center": "middle"}


def _math(display: bool, block: bool = False) -> Any:
    def rule(self: RendererHTML, tokens: Sequence[Token], index: int, *args: Any) -> str:
        html = render_math(tokens[index].content.strip(), display=display)
        return f'<p class="math">{html}</p>\n' if block else html

    return rule


PREVIEWED: Final = {"html": "text/html", "svg": "image/svg+xml"}
"""Languages of code that a page can also render, and their media types."""

_FORMATTER: HtmlFormatter[str] = HtmlFormatter(nowrap=True)
# The Pygments token classes that the pages colour. Dropping the others saves three quarters of the
# elements.
_COLOURED = {
    "k", "kn", "kd", "kc", "kr", "kt", "kp", "ow", "s", "s1", "s2", "sb", "sc", "sd", "se", "sh",
    "si", "sr", "ss", "sx", "sa", "dl", "c", "c1", "cm", "ch", "cp", "cpf", "cs", "m", "mb", "mf",
    "mh", "mi", "mo", "il", "nf", "nc", "nb", "nt", "na", "nd", "fm", "bp", "no", "gi", "gd",
}  # fmt: skip
_PLAIN_NAMES = sorted({name for name in STANDARD_TYPES.values() if name} - _COLOURED)
_UNCOLOURED = re.compile(f'<span class="(?:{"|".join(_PLAIN_NAMES)})">([^<]*)</span>')
_RENDER_RULES = {
    "heading_open": _heading,
    "heading_close": _heading,
    "link_open": _link,
    "image": _image,
    "fence": _fence,
    "code_block": _fence,
    "table_open": _table_open,
    "th_open": _cell_open,
    "td_open": _cell_open,
    "math_inline": _math(False),
    "math_inline_double": _math(True),
    "math_block": _math(True, block=True),
    "footnote": _note,
    "piece_open": lambda *args: _PIECE,
    "piece_close": lambda *args: "</span>",
}

# Sanitising -------------------------------------------------------------------------------------

_TAGS = {
    "p", "br", "hr", "h3", "h4", "h5", "h6", "em", "strong", "s", "a", "code", "pre",
    "blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "span", "figure",
    "figcaption", "sup",
}  # fmt: skip
_WALL: dict[str, Any] = {
    "tags": _TAGS | _MATH_TAGS,
    "attributes": {
        "a": {"href", "title"},
        "ol": {"start"},
        "pre": {"tabindex"},
        "table": {"tabindex"},
        **_MATH_ATTRIBUTES,
    },
    "tag_attribute_values": {
        tag: {"dir": {"auto"}}
        for tag in ("p", "h3", "h4", "h5", "h6", "ul", "ol", "blockquote", "table")
    },
    "allowed_classes": {
        "span": _COLOURED | {"piece"},
        "a": {"chip"},
        "figure": {"code"},
        "sup": {"note", "note-mark"},
        "p": {"math"},
        "th": {"end", "middle"},
        "td": {"end", "middle"},
    },
    "set_tag_attribute_values": {"a": {"target": "_blank"}},
    "url_schemes": {"http", "https", "mailto"},
    "link_rel": "noopener noreferrer nofollow",
}


def _add_copy_buttons(html: str, labels: MarkdownLabels, block: str, first_code: int = 0) -> str:
    """After sanitising, give each code block an id, a copy button, and a preview button. The markup
    that is searched for can only come from this module."""
    if "<figcaption>" not in html:
        return html
    parts = html.split('</span></figcaption><pre tabindex="0">')
    out = [parts[0]]
    for number, part in enumerate(parts[1:], first_code):
        id = f"code-{block}-{number}"
        button = (
            f'<button class="btn copy needs-js" data-kind="ghost" data-size="sm" type="button" '
            f'data-copy="#{id}" aria-label="{escape(labels.copy_code)}">'
            f"{labels.copy_icon}<span>{escape(labels.copy)}</span></button>"
        )
        if parts[number - first_code].rpartition("<span>")[2] in PREVIEWED:
            button = (
                '<button class="btn preview needs-js" data-kind="ghost" data-size="sm"'
                f' type="button" aria-pressed="false" data-preview="{id}">'
                f"{escape(labels.preview)}</button>{button}"
            )
        out.append(f'</span>{button}</figcaption><pre tabindex="0" id="{id}">{part}')
    return "".join(out)
