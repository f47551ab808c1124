"""Sphinx's settings for `make docs`. Its navigation is the list of docs/README.md."""

import posixpath
import re
from typing import Any, Final

from sphinx.application import Sphinx

from reference.manual.markdown import listed_links, parse_page

_FIRST: Final = "README"
_LINK_UP: Final = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s]+)\)")

project = "Weir"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = _FIRST
html_theme = "furo"
html_title = "Weir"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
myst_heading_anchors = 4
# Decisions are reached from their own list.
suppress_warnings = ["toc.not_included"]


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Show links to files outside docs as text, and add the navigation to the first page."""

    def link_text(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), link[2]))
        return link[1] if target.startswith("../") else link[0]

    source[0] = _LINK_UP.sub(link_text, source[0])
    if name != _FIRST:
        return
    for title, links in listed_links(parse_page(source[0])):
        pages = [f"{text} <{target.removesuffix('.md')}>" for text, target in links]
        lines = ["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"]
        source[0] += "\n" + "\n".join(lines) + "\n"


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read_page)
    return {"parallel_read_safe": True}
