"""Markdown in progress: open markup at its end is rendered as if it were closed.

``**bold`` is bold before its end arrives, code is code, and a link shows its text until its URL is
complete, so the page does not jump when the end arrives. A mark that never gets an end is rendered
literally once the block is closed.
"""

import re
from functools import partial
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_core.linkify import linkify as link_addresses
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.linkify import linkify as link_address
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

OPENED: Final = "opened"
"""The key of a parser's env that holds the marks open at the end, outermost first."""
_AT_END: Final = "at_end"
_LINK: Final = "link"

# Characters that do not yet decide what follows.
_UNDECIDED = re.compile(r"(?:[*_~`\\!\[$]+|&#?\w{0,30}|\[\^[\w-]{0,30}\]?)$")
_ADDRESS = re.compile(r"https?:/?/?\S*$")
_LONG: Final = 2_000
_OPEN_MAX: Final = 20
"""How many marks may be open. More are no emphasis, and would all be parsed again with each
piece."""


def drawable_part(source: str) -> str:
    """Return the part of a block's Markdown that can be rendered now. The end of a long block
    advances in steps, so that rendering it repeatedly is not quadratic."""
    if len(source) > _LONG:
        source = source[: len(source) & -(1 << (len(source).bit_length() - 5))]
    return _UNDECIDED.sub("", source)


def draw_unfinished(markdown: MarkdownIt) -> None:
    """Make a parser treat every text as unfinished."""
    markdown.core.ruler.at("inline", partial(_inline, markdown))
    markdown.core.ruler.at("linkify", _link_addresses)
    markdown.inline.ruler.at("linkify", _link_address)
    markdown.inline.ruler.before("backticks", "open_code", _open_code)
    markdown.inline.ruler.after("link", "open_link", partial(_open_link, markdown))
    markdown.inline.ruler.before("image", "open_image", _open_image)
    markdown.inline.ruler2.after("balance_pairs", "close_open", _close_open)


def _inline(markdown: MarkdownIt, state: StateCore) -> None:
    texts = [token for token in state.tokens if token.type == "inline"]
    last = next((token for token in reversed(texts) if token.content), None)
    for token in texts:
        state.env[_AT_END] = token is last
        token.children = []
        markdown.inline.parse(token.content, markdown, state.env, token.children)
    state.env[_AT_END] = False


def _close_open(state: StateInline) -> None:
    """Close emphasis and links that have no end."""
    if not state.env.get(_AT_END):
        return
    opened: list[str] = state.env.setdefault(OPENED, [])
    link = state.env.pop(_LINK, None)
    marks = [
        mark
        for mark in state.delimiters
        if mark.open and mark.end < 0 and not _is_inside_word(state, mark)
    ]
    for mark in reversed(marks) if len(marks) <= _OPEN_MAX else ():
        if link is not None and mark.token < link:
            _end_link(state)
            link = None
        text = state.tokens[mark.token].content
        opened.insert(0, text)
        state.push("text", "", 0).content = text
        mark.end = len(state.delimiters)
        end = Delimiter(mark.marker, mark.length, len(state.tokens) - 1, -1, False, True)
        state.delimiters.append(end)
    if link is not None:
        _end_link(state)


def is_in_open_link(state: StateInline) -> bool:
    """Return whether the next text is inside an unfinished link."""
    return _LINK in state.env


def _begin_link(state: StateInline) -> None:
    # Push with nesting 0: a level of its own would keep emphasis marks inside apart from those
    # outside.
    state.push("link_open", "a", 0).nesting = 1
    state.env[_LINK] = len(state.tokens)


def _end_link(state: StateInline) -> None:
    state.push("link_close", "a", 0).nesting = -1


def _is_inside_word(state: StateInline, mark: Delimiter) -> bool:
    """Return whether the mark is inside a word: `2*3` is usually not emphasis."""
    at, sign = mark.token, state.tokens[mark.token].content
    while at and state.tokens[at - 1].content == sign:
        at -= 1
    before = state.tokens[at - 1].content[-1:] if at else ""
    return before.isascii() and before.isalnum()


def _open_code(state: StateInline, silent: bool) -> bool:
    if not state.env.get(_AT_END) or state.src[state.pos] != "`":
        return False
    remainder = state.src[state.pos : state.posMax]
    text = remainder.lstrip("`")
    mark = remainder[: len(remainder) - len(text)]
    if len(mark) > 2 or re.search(rf"(?<!`){mark}(?!`)", text):
        return False
    if not silent:
        token = state.push("code_inline", "code", 0)
        token.markup, token.content = mark, text.replace("\n", " ")
        state.env.setdefault(OPENED, []).append(mark)
    state.pos = state.posMax
    return True


def _open_link(markdown: MarkdownIt, state: StateInline, silent: bool) -> bool:
    """Parse `[text` and `[text](addr` as links without a target yet."""
    if not state.env.get(_AT_END) or state.src[state.pos] != "[":
        return False
    begin, end = state.pos + 1, state.posMax
    if state.src.startswith("^", begin) or state.src.find("\n", begin, end) >= 0:
        return False
    is_open = state.src.find("]", begin, end) < 0
    close = end if is_open else markdown.helpers.parseLinkLabel(state, state.pos)
    if close < 0 or not (is_open or _address_is_open(state, close + 1)):
        return False
    if not silent and _LINK not in state.env:
        _begin_link(state)
    if is_open:
        state.pos = begin
        return True
    if not silent:
        state.pos, state.posMax = begin, close
        markdown.inline.tokenize(state)
    state.pos = state.posMax = end
    return True


def _address_is_open(state: StateInline, at: int) -> bool:
    if at >= state.posMax:
        return True
    return state.src[at] == "(" and state.src.find(")", at, state.posMax) < 0


def _open_image(state: StateInline, silent: bool) -> bool:
    """Hide an image until it is complete."""
    if not state.env.get(_AT_END) or not state.src.startswith("![", state.pos):
        return False
    if state.src.find(")", state.pos, state.posMax) >= 0:
        return False
    if state.src.find("\n", state.pos, state.posMax) >= 0:
        return False
    state.pos = state.posMax
    return True


def _link_address(state: StateInline, silent: bool) -> bool:
    """Treat an incomplete URL as text, because each further letter would make it another link."""
    if state.env.get(_AT_END) and _continues_address(state.src, state.pos):
        return False
    return link_address(state, silent)


def _continues_address(text: str, colon: int) -> bool:
    return text.find(" ", colon) < 0 and text.find("\n", colon) < 0


def _link_addresses(state: StateCore) -> None:
    texts = [token for token in state.tokens if token.type == "inline" and token.content]
    if texts:
        _hide_open_address(texts[-1].children or [])
    link_addresses(state)


def _hide_open_address(children: list[Token]) -> None:
    token = children[-1] if children else None
    match = _ADDRESS.search(token.content) if token and token.type == "text" else None
    if token is None or match is None:
        return
    # A later rule, after the one that looks for URLs, turns this type into text again.
    children.append(Token("text_special", "", 0, content=match[0], level=token.level))
    token.content = token.content[: match.start()]
