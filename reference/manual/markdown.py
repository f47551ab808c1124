"""Read a page of the manual: its Markdown as tokens, its sections, and its HTML.

The pages are the project's own files. HTML in them is shown as text all the same.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin

from gateway.code_examples.highlighting import highlight_code

Link = Callable[[str], str | None]
"""Returns the address that a link or a picture of a page leads to, or None if the manual does not
have it."""

# What Pygments calls the languages that pages name.
_LEXERS: Final = {"sh": "bash", "dockerfile": "docker"}
_HEADING_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text below it, up to the next heading. The anchor of a page's title is
    ""."""

    level: int
    anchor: str
    title: str
    text: str


def heading_anchor(title: str) -> str:
    """Return the anchor of a heading: that of GitHub, by which pages name it, behind a prefix that
    keeps it apart from the ids of the shell."""
    return section_anchor(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-"))


def section_anchor(named: str) -> str:
    """Return the anchor of the section that a link of a page names."""
    return f"s-{named}"


def parse_page(source: str) -> list[Token]:
    return _parser().parse(source)


def page_sections(tokens: Sequence[Token]) -> list[Section]:
    """Split a page at its headings. The first section is that of its title."""
    sections: list[Section] = []
    level, anchor, title = 1, "", ""
    texts: list[str] = []
    for before, token in zip([None, *tokens[:-1]], tokens, strict=True):
        if before is not None and before.type == "heading_open":
            if title:
                sections.append(Section(level, anchor, title, "\n\n".join(texts)))
            level, title, texts = int(before.tag[1:]), plain_text(token), []
            anchor = "" if level == 1 else str(before.attrGet("id") or "")
        elif token.type == "inline":
            texts.append(plain_text(token))
        elif token.type == "fence":
            texts.append(token.content)
    return [*sections, Section(level, anchor, title, "\n\n".join(texts))]


def plain_text(token: Token) -> str:
    """Return the text of an inline token without its marks."""
    return "".join(
        "\n" if child.type in ("softbreak", "hardbreak") else child.content
        for child in token.children or ()
    )


def listed_links(tokens: Sequence[Token]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the links of a page's nested lists as (text, target), by the text of the outer item
    that they are below."""
    groups: list[tuple[str, list[tuple[str, str]]]] = []
    depth = 0
    for token in tokens:
        depth += (token.type == "bullet_list_open") - (token.type == "bullet_list_close")
        if token.type == "inline" and depth == 1:
            groups.append((plain_text(token), []))
        elif token.type == "inline" and depth > 1:
            groups[-1][1].extend(_links(token))
    return [(title, links) for title, links in groups if links]


def page_html(tokens: Sequence[Token], link: Link) -> SafeString:
    """Render a page without its title, which the shell shows. Labels of code are in the language of
    the thread."""
    rest = tokens[3:] if tokens and tokens[0].tag == "h1" else tokens
    html: str = _parser().renderer.render(rest, _parser().options, {"link": link, "title": ""})
    # Everything of a page was escaped, and the rest is written here.
    return mark_safe(html)  # noqa: S308


def _links(token: Token) -> Iterator[tuple[str, str]]:
    target, texts = "", list[str]()
    for child in token.children or ():
        if child.type == "link_open":
            target, texts = str(child.attrGet("href") or ""), []
        elif child.type == "link_close":
            yield "".join(texts), target
            target = ""
        elif target:
            texts.append(child.content)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    return parser.use(anchors_plugin, max_level=_HEADING_MAX, slug_func=heading_anchor)


class _Renderer(RendererHTML):
    """Links lead into the manual, tables and code can be scrolled by keyboard."""

    def heading_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        env["title"] = plain_text(tokens[idx + 1])
        return self.renderToken(tokens, idx, options, env)

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        address = env["link"](str(tokens[idx].attrGet("href") or ""))
        env["linked"] = address is not None
        return "" if address is None else format_html('<a href="{}">', address)

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</a>" if env["linked"] else ""

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        address = env["link"](str(tokens[idx].attrGet("src") or ""))
        alternative = plain_text(tokens[idx])
        # It opens at its own size, because a phone shows it small.
        return format_html(
            '<a class="picture" href="{}"><img src="{}" alt="{}" loading="lazy"></a>',
            address or "",
            address or "",
            alternative,
        )

    def table_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        env["tables"] = number = env.get("tables", 0) + 1
        title = env["title"]
        return format_html(
            '<div class="panel"><div class="tbl" role="group" tabindex="0" aria-label="{}"><table>',
            f"{title} ({number})" if title else str(number),
        )

    def table_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</table></div></div>"

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<th scope="col">' if plain_text(tokens[idx + 1]) else "<td>"

    def th_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return "</th>" if plain_text(tokens[idx - 1]) else "</td>"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        env["codes"] = number = env.get("codes", 0) + 1
        code, language = tokens[idx].content.rstrip("\n"), tokens[idx].info.strip()
        lexer = _LEXERS.get(language, language)
        context = {
            "id": f"code-{number}",
            "language": language,
            "label": f"{env['title'] or language} ({number})",
            "html": highlight_code(code, lexer) if lexer else code,
        }
        return render_to_string("components/code.html", context)

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.fence(tokens, idx, options, env)
